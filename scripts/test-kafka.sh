#!/bin/sh
# Reads from, and writes to, a real Apache Kafka: one node that is its own
# controller. Server and broker are killed in turn. Fetches Kafka from its Maven
# artifacts, in the version that scripts/kafka/pom.xml pins, into a folder that
# git does not see. Needs Java 17 and Maven.
#
#   scripts/test-kafka.sh [ARGUMENTS OF go test, such as -kills 50]
set -eu
cd "$(dirname "$0")/.."
go=${GO:-go}
libs=$PWD/bin/kafka

scripts/fetch-jars.sh scripts/kafka/pom.xml "$libs"

exec "$go" test -count 1 -timeout 30m -v ./apptest -run 'TestApacheKafka|TestLoss/apache-kafka' -kills 15 -kafka-libs "$libs" "$@"
