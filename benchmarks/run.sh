#!/bin/sh
# Builds, makes the Python environment, and measures Ragbus beside the raw engines and what others offer.
# Options go to compare.py: for a short look, benchmarks/run.sh --only http,onnx --rounds 2
set -eu
. "$(dirname "$0")/build.sh"
mkdir -p "$out/beside" "$out/jmh"

javac --release 17 -Xlint:all -Werror -cp "$compile" -d "$out/classes" benchmarks/dev/ragbus/benchmarks/*.java
mvn -q -f benchmarks/pom.xml dependency:build-classpath -Dmdep.outputFile="$PWD/$out/beside.classpath"
beside=$(cat "$out/beside.classpath")
# -classfile: langchain4j's classes carry annotations that are not there; -processing: JMH's processor takes its own alone.
javac --release 17 -Xlint:all,-classfile -Werror -proc:none -cp "$beside" \
  -d "$out/beside" benchmarks/dev/ragbus/benchmarks/beside/*.java
javac --release 17 -Xlint:all,-classfile,-processing -Werror -processorpath "$beside" \
  -cp "$compile:$beside" \
  -d "$out/jmh" benchmarks/dev/ragbus/benchmarks/layers/*.java benchmarks/dev/ragbus/http/*.java

java -cp "$run" dev.ragbus.benchmarks.Environment >"$out/environment"
{ read -r python; read -r package; read -r model; } <"$out/environment"
"$python" benchmarks/make_texts.py "$out/texts.txt"
exec "$python" benchmarks/compare.py --classpath "$run" --beside "$out/beside:$beside" \
  --jmh "$out/jmh:target/classes:$(cat "$out/runtime.classpath"):$beside" \
  --python "$python" --package "$package" --model "$model" --texts "$out/texts.txt" --out "$out" "$@"
