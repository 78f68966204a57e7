#!/bin/sh
# Captures changes of databases: of PostgreSQL by logical replication, and of
# PostgreSQL and MariaDB by Debezium in Kafka Connect and Apache Kafka. Server
# and databases are killed and stopped meanwhile; at the end the points have to
# be the rows. The databases are Debian's, which are installed if they are
# missing; Kafka, Kafka Connect and Debezium come from their Maven artifacts, in
# the versions that scripts/kafka/pom.xml and scripts/connect/pom.xml pin. All
# run in folders of their own, on loopback only. Needs Java 17 and Maven.
#
#   scripts/test-cdc.sh [ARGUMENTS OF go test, such as -seed 7]
set -eu
cd "$(dirname "$0")/.."
go=${GO:-go}

missing=
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"
{ [ -x /usr/sbin/mariadbd ] && command -v mariadb-install-db >/dev/null; } || missing="$missing mariadb-server"
command -v java >/dev/null || missing="$missing openjdk-17-jre-headless"
command -v mvn >/dev/null || missing="$missing maven"
if [ -n "$missing" ]; then
	echo "installing:$missing"
	# A policy that says no keeps the packages from starting services.
	policy=/usr/sbin/policy-rc.d made=
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
		made=1
		trap 'rm -f "$policy"' EXIT
	fi
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # a list of names
	apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing
	if [ -n "$made" ]; then
		rm -f "$policy"
		trap - EXIT
	fi
fi

scripts/fetch-jars.sh scripts/kafka/pom.xml "$PWD/bin/kafka"
scripts/fetch-jars.sh scripts/connect/pom.xml "$PWD/bin/connect"

# The newest of them, if there are several.
for bin in /usr/lib/postgresql/*/bin; do VARVE_TEST_POSTGRES=$bin; done
export VARVE_TEST_POSTGRES

"$go" test -count 1 -timeout 20m -v ./source/postgres
"$go" test -count 1 -timeout 30m -v ./apptest -run TestCapture \
	-kafka-libs "$PWD/bin/kafka" -connect-libs "$PWD/bin/connect" -mariadb /usr/sbin "$@"
