#!/bin/sh
# Remakes the *.lock files from the *.in files beside it. Needs uv (`pip install uv`) on the PATH.
# An existing pin stays unless its .in file asks for another; `lock.sh --upgrade` takes the newest of everything.
set -eu
cd "$(dirname "$0")"

lock() {
  name=$1
  shift
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "python/requirements/lock.sh" \
    --output-file "$name.lock" "$@" "$name.in"
}

lock runtime --only-binary :all: "$@"
lock jep --no-deps --no-binary jep "$@"
# Each after those that it shares packages with, so that all of them fit into one environment.
lock quantize --only-binary :all: "$@"
lock torch --only-binary :all: "$@"
lock cuda --only-binary :all: "$@"
lock dev --only-binary :all: "$@"
lock clients --only-binary :all: "$@"
