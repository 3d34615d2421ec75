#!/bin/sh
# Builds and measures functions on the bus: 2 + 2, and an embedding beside a function that spins.
# The number of calls may be given: benchmarks/functions.sh 50000
set -eu
cd "$(dirname "$0")/.."
out=target/benchmarks
mkdir -p "$out/classes"

mvn -q compile
mvn -q dependency:build-classpath -DincludeScope=compile -Dmdep.outputFile="$out/compile.classpath"
mvn -q dependency:build-classpath -DincludeScope=runtime -Dmdep.outputFile="$out/runtime.classpath"
javac --release 17 -Xlint:all -Werror -cp "target/classes:$(cat "$out/compile.classpath")" \
  -d "$out/classes" benchmarks/dev/ragbus/benchmarks/FunctionBenchmark.java
exec java -cp "$out/classes:target/classes:$(cat "$out/runtime.classpath")" \
  dev.ragbus.benchmarks.FunctionBenchmark "$@"
