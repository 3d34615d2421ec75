#!/bin/sh
# Builds, makes the Python environment, and measures Ragbus beside the raw engines and what others offer.
# Options go to compare.py: for a short look, benchmarks/run.sh --only http,onnx --rounds 2
set -eu
cd "$(dirname "$0")/.."
out=target/benchmarks
mkdir -p "$out/classes" "$out/beside" "$out/jmh"

classpath() { # a scope; the plugin's version is pinned in pom.xml
  mvn -q dependency:build-classpath -DincludeScope="$1" -Dmdep.outputFile="$out/$1.classpath" >&2
  cat "$out/$1.classpath"
}

mvn -q compile
javac --release 17 -Xlint:all -Werror -cp "target/classes:$(classpath compile)" \
  -d "$out/classes" benchmarks/dev/ragbus/benchmarks/*.java
run="$out/classes:target/classes:$(classpath runtime)"
mvn -q -f benchmarks/pom.xml dependency:build-classpath -Dmdep.outputFile="$PWD/$out/beside.classpath"
beside=$(cat "$out/beside.classpath")
# -classfile: langchain4j's classes carry annotations that are not there; -processing: JMH's processor takes its own alone.
javac --release 17 -Xlint:all,-classfile -Werror -proc:none -cp "$beside" \
  -d "$out/beside" benchmarks/dev/ragbus/benchmarks/beside/*.java
javac --release 17 -Xlint:all,-classfile,-processing -Werror -processorpath "$beside" \
  -cp "target/classes:$(cat "$out/compile.classpath"):$beside" \
  -d "$out/jmh" benchmarks/dev/ragbus/benchmarks/layers/*.java benchmarks/dev/ragbus/http/*.java

java -cp "$run" dev.ragbus.benchmarks.Environment >"$out/environment"
{ read -r python; read -r package; read -r model; } <"$out/environment"
"$python" benchmarks/make_texts.py "$out/texts.txt"
exec "$python" benchmarks/compare.py --classpath "$run" --beside "$out/beside:$beside" \
  --jmh "$out/jmh:target/classes:$(cat "$out/runtime.classpath"):$beside" \
  --python "$python" --package "$package" --model "$model" --texts "$out/texts.txt" --out "$out" "$@"
