#!/bin/sh
# Simulates the routing of a cluster in virtual time, and measures what a request costs on each way of the bus.
# Options go to scaling.py; to write what came out into the page: benchmarks/scaling.sh --document docs/scaling.md
set -eu
cd "$(dirname "$0")/.."
out=target/benchmarks
mkdir -p "$out/classes"

mvn -q compile
mvn -q dependency:build-classpath -DincludeScope=compile -Dmdep.outputFile="$out/compile.classpath"
mvn -q dependency:build-classpath -DincludeScope=runtime -Dmdep.outputFile="$out/runtime.classpath"
javac --release 17 -Xlint:all -Werror -proc:none -cp "target/classes:$(cat "$out/compile.classpath")" -d "$out/classes" \
  benchmarks/dev/ragbus/cluster/*.java benchmarks/dev/ragbus/benchmarks/BusCost.java benchmarks/dev/ragbus/benchmarks/Load.java
run="$out/classes:target/classes:$(cat "$out/runtime.classpath")"
java -cp "$run" dev.ragbus.cluster.RoutingSimulation >"$out/routing.csv"
java -cp "$run" dev.ragbus.benchmarks.BusCost >"$out/bus.csv"
exec python3 benchmarks/scaling.py "$out/routing.csv" "$out/bus.csv" "$@"
