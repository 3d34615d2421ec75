#!/bin/sh
# Builds, makes the Python environment, and measures Ragbus on the bus beside the raw engine.
# Options go to compare.py: for a short look, benchmarks/run.sh --rounds 2 --queries 500 --starts 2
set -eu
cd "$(dirname "$0")/.."
out=target/benchmarks
mkdir -p "$out/classes"

classpath() { # a scope; the plugin's version is pinned in pom.xml
  mvn -q dependency:build-classpath -DincludeScope="$1" -Dmdep.outputFile="$out/$1.classpath" >&2
  cat "$out/$1.classpath"
}

mvn -q compile
javac --release 17 -Xlint:all -Werror -cp "target/classes:$(classpath compile)" \
  -d "$out/classes" benchmarks/dev/ragbus/benchmarks/*.java
run="$out/classes:target/classes:$(classpath runtime)"

java -cp "$run" dev.ragbus.benchmarks.Environment >"$out/environment"
{ read -r python; read -r package; read -r model; } <"$out/environment"
"$python" benchmarks/make_texts.py "$out/texts.txt"
exec "$python" benchmarks/compare.py --classpath "$run" --python "$python" --package "$package" \
  --model "$model" --texts "$out/texts.txt" --out "$out" "$@"
