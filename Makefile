# What people and machines do with this repository. Everything is built into
# bin/, which git does not see.

GO ?= go

# Packages in which goroutines meet: these run under the race detector.
RACE = ./sink/kafka ./source ./pipeline ./pipeline/step ./source/folder ./source/kafka ./source/mqtt ./source/mqttclient ./source/otlp ./source/postgres ./source/prometheus ./source/udp ./pipeline/detect/... ./vfs/... ./memory/... ./catalog/... ./wlog/... ./meta/... ./memtable/... \
       ./shard/... ./scan/... ./exec/... ./query/... ./ingest/... ./live/... ./tracing/... ./httpapi/... ./server/... \
       ./simulate ./simulate/target ./importer/... ./export/... ./transport/... ./manage/... ./prompt/... ./lang/flux

.PHONY: build test check soak demo bench-smoke bench-peers test-export test-clients test-kafka test-cdc clean

build:
	$(GO) build -o bin/varve ./cmd/varve

# Every package, the real binary over its real ports included.
test:
	$(GO) test -timeout 12m ./...

# What a reviewer would look for first. Leaves the tree as it was.
check:
	@before=$$(git status --porcelain); \
	set -e; \
	echo "gofmt"; test -z "$$(gofmt -l . | tee /dev/stderr)"; \
	echo "go vet"; $(GO) vet ./...; \
	echo "staticcheck"; $(GO) tool staticcheck ./...; \
	echo "rules of the house"; $(GO) test ./internal/lint; \
	echo "build without cgo"; CGO_ENABLED=0 $(GO) build -o bin/varve-nocgo ./cmd/varve; \
	echo "build with cgo"; CGO_ENABLED=1 $(GO) build -o bin/varve ./cmd/varve; \
	echo "race detector"; CGO_ENABLED=1 $(GO) test -race -short -timeout 15m $(RACE); \
	echo "tree"; test "$$before" = "$$(git status --porcelain)" || { echo "the checks changed the tree:"; git status --porcelain; exit 1; }

# Minutes to hours: the long forms of the crash, random and kill tests.
soak:
	$(GO) test -timeout 2h -count 1 ./apptest -run 'TestKill$$' -kills 200 -v
	$(GO) test -timeout 2h -count 1 ./apptest -run TestKillWhileManaging -kills 60 -v
	$(GO) test -timeout 2h -count 1 ./apptest -run TestLoss -kills 50 -v
	$(GO) test -timeout 1h -count 1 ./apptest -run TestFluxBig -rows 10000000 -v
	$(GO) test -timeout 1h -count 1 ./merge -rounds 2000
	$(GO) test -timeout 4h -count 1 ./shard -rounds 5
	$(GO) test -timeout 1h -count 1 ./query -rounds 2000

# A server, this host's own metrics, a simulated fleet, and what the server
# makes of them. Ctrl-C ends it, and so do DEMO_SECONDS.
demo: build
	./bin/varve demo --data-dir demo-data --seconds $(or $(DEMO_SECONDS),0) $(DEMO_ARGS)

# A short load on a server of its own: the benchmark works, and so does the
# server under it.
bench-smoke:
	$(GO) test -count 1 ./apptest -run TestBenchCommand -v

# What `varve export` writes, as DuckDB reads it. Needs Python, and PyPI once.
test-export:
	GO=$(GO) ./scripts/test-export.sh

# The official clients of InfluxDB 2, and Telegraf, against a server. Needs
# Python, Node.js with npm, and their registries once.
test-clients:
	GO=$(GO) ./scripts/test-clients.sh

# A real Apache Kafka, killed in turn with the server. Needs Java, Maven, and its
# repository once.
test-kafka:
	GO=$(GO) ./scripts/test-kafka.sh

# Rows of a real PostgreSQL and MariaDB, directly and by Debezium over Kafka, while
# all of them are killed. Needs Debian's packages, Java, Maven, and its repository
# once.
test-cdc:
	GO=$(GO) ./scripts/test-cdc.sh

# The same load on Debian's VictoriaMetrics and InfluxDB and on Varve, in turn.
bench-peers: build
	./scripts/bench-peers.sh

clean:
	rm -rf bin demo-data
