# Read by the scripts beside it: builds, and sets the folder of results and the class path of compiling.
cd "$(dirname "$0")/.."
out=target/benchmarks
mkdir -p "$out/classes"

mvn -q compile
mvn -q dependency:build-classpath -DincludeScope=compile -Dmdep.outputFile="$out/compile.classpath"
mvn -q dependency:build-classpath -DincludeScope=runtime -Dmdep.outputFile="$out/runtime.classpath"
compile="target/classes:$(cat "$out/compile.classpath")"
run="$out/classes:target/classes:$(cat "$out/runtime.classpath")"
