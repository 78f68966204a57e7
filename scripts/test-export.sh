#!/bin/sh
# Has DuckDB read what `varve export` writes. Installs DuckDB, in the version
# that is pinned here, into a folder that git does not see.
set -eu
cd "$(dirname "$0")/.."
version=2.0.1
venv=bin/duckdb-$version
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import duckdb' 2>/dev/null; then
	python3 -m venv "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check "duckdb==$version"
fi
exec "${GO:-go}" test -count 1 ./apptest -run TestDuckDB -duckdb "$PWD/$venv/bin/python" -v
