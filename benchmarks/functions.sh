#!/bin/sh
# Builds and measures functions on the bus: 2 + 2, and an embedding beside a function that spins.
# The number of calls may be given: benchmarks/functions.sh 50000
set -eu
. "$(dirname "$0")/build.sh"

javac --release 17 -Xlint:all -Werror -cp "$compile" \
  -d "$out/classes" benchmarks/dev/ragbus/benchmarks/FunctionBenchmark.java
exec java -cp "$run" dev.ragbus.benchmarks.FunctionBenchmark "$@"
