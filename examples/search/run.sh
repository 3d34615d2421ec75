#!/bin/sh
# Builds Ragbus and this example, and searches a folder: the one that is named, or the project's own documentation.
# Options: examples/search/run.sh --help
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
mvn -q -f "$root/pom.xml" install -DskipTests
mvn -q -f "$here/pom.xml" package -DskipTests
if [ $# -eq 0 ]; then
  set -- "$root" --include README.md --include CHANGELOG.md --include 'docs/**' --include 'examples/**.md'
fi
exec java -jar "$here/target/search.jar" "$@"
