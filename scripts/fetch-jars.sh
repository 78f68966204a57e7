#!/bin/sh
# Fetches what a pom names, with all that it needs, from Maven's repository into a
# folder that git does not see; nothing if it is there already.
#
#   scripts/fetch-jars.sh POM FOLDER
set -eu
pom=$1 libs=$2

# The copy of the pom is written last: it says what was fetched.
if ! cmp -s "$pom" "$libs/pom.xml"; then
	echo "fetching the jars of $pom"
	rm -rf "$libs"
	mkdir -p "$libs"
	mvn --batch-mode --quiet --file "$pom" dependency:copy-dependencies \
		-DincludeScope=runtime -DoutputDirectory="$libs"
	cp "$pom" "$libs/"
fi
