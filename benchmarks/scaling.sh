#!/bin/sh
# Simulates the routing of a cluster in virtual time, and measures what a request costs on each way of the bus.
# Options go to scaling.py; to write what came out into the page: benchmarks/scaling.sh --document docs/scaling.md
# For a short look: SHARE=0.05 ROUNDS=1 REQUESTS=1000 benchmarks/scaling.sh
set -eu
. "$(dirname "$0")/build.sh"

javac --release 17 -Xlint:all -Werror -proc:none -cp "$compile" -d "$out/classes" \
  benchmarks/dev/ragbus/cluster/*.java benchmarks/dev/ragbus/benchmarks/BusCost.java benchmarks/dev/ragbus/benchmarks/Load.java
java -cp "$run" dev.ragbus.cluster.RoutingSimulation "${SHARE:-1}" >"$out/routing.csv"
java -cp "$run" dev.ragbus.benchmarks.BusCost "${ROUNDS:-3}" "${REQUESTS:-20000}" >"$out/bus.csv"
exec python3 benchmarks/scaling.py "$out/routing.csv" "$out/bus.csv" "$@"
