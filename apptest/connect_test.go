package apptest

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/source/postgres/pgtest"
)

var (
	connectLibs = flag.String("connect-libs", "", "folder with the jars of Kafka Connect and Debezium; make test-cdc gives it")
	mariaBin    = flag.String("mariadb", "", "folder of mariadbd, with mariadb-install-db and mariadb in the path; make test-cdc gives it")
)

// mariaDB is a server of MariaDB that writes a log of rows.
type mariaDB struct {
	t      *testing.T
	dir    string
	port   string
	cmd    *exec.Cmd
	ended  chan struct{}
	said   *lockedBuffer
	socket string
}

func startMariaDB(t *testing.T) *mariaDB {
	t.Helper()
	if *mariaBin == "" {
		t.Skip("make test-cdc has it run")
	}
	// A socket's name may have 107 bytes, and the server runs as another user.
	dir, err := os.MkdirTemp("", "varve-maria")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(freePort(t), ":")
	m := &mariaDB{t: t, dir: dir, port: port, said: &lockedBuffer{}, socket: filepath.Join(dir, "s")}
	t.Cleanup(func() {
		m.kill()
		if t.Failed() {
			t.Logf("MariaDB said:\n%s", m.said)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	user := []string{}
	if os.Getuid() == 0 {
		user = append(user, "--user=mysql")
		if out, err := exec.Command("chown", "mysql", dir).CombinedOutput(); err != nil {
			t.Fatalf("chown: %v: %s", err, out)
		}
	}
	init := exec.Command("mariadb-install-db", append([]string{"--no-defaults", "--datadir=" + m.data(), "--auth-root-authentication-method=normal", "--skip-test-db"}, user...)...)
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("mariadb-install-db: %v\n%s", err, out)
	}
	m.cmd = exec.Command(filepath.Join(*mariaBin, "mariadbd"), append([]string{"--no-defaults", "--datadir=" + m.data(), "--socket=" + m.socket, "--pid-file=" + filepath.Join(dir, "pid"),
		"--bind-address=127.0.0.1", "--port=" + port, "--server-id=1", "--log-bin=log", "--binlog-format=ROW", "--binlog-row-image=FULL", "--default-time-zone=+00:00"}, user...)...)
	m.cmd.Stdout, m.cmd.Stderr = m.said, m.said
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.ended = make(chan struct{})
	go func() {
		_ = m.cmd.Wait() // it is killed
		close(m.ended)
	}()
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if _, err = m.run("SELECT 1"); err == nil {
			return m
		}
		if time.Now().After(end) {
			t.Fatalf("MariaDB does not answer: %v", err)
		}
	}
}

func (m *mariaDB) data() string { return filepath.Join(m.dir, "data") }

func (m *mariaDB) kill() {
	if m.ended == nil {
		return
	}
	_ = m.cmd.Process.Kill() // it may have ended
	<-m.ended
}

func (m *mariaDB) run(text string) (string, error) {
	out, err := exec.Command("mariadb", "--no-defaults", "--socket="+m.socket, "--user=root", "--batch", "--skip-column-names", "--execute="+text).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return string(out), nil
}

func (m *mariaDB) exec(statements ...string) {
	m.t.Helper()
	if _, err := m.run(strings.Join(statements, ";\n")); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mariaDB) query(text string) (rows [][]string) {
	m.t.Helper()
	out, err := m.run(text)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimRight(out, "\n"), "\n") {
		rows = append(rows, strings.Split(line, "\t"))
	}
	return rows
}

// startConnect starts Kafka Connect with connectors, and waits until they run.
func startConnect(t *testing.T, brokers string, connectors map[string]map[string]string) {
	t.Helper()
	if *connectLibs == "" {
		t.Skip("make test-cdc has it run")
	}
	dir, addr, said := t.TempDir(), freePort(t), &lockedBuffer{}
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	args := []string{"-Xmx768m", "-Dlog4j2.configurationFile=" + write("log4j2.properties", "rootLogger.level=warn\nrootLogger.appenderRef.out.ref=out\nappender.out.type=Console\nappender.out.name=out\n"),
		"-cp", *connectLibs + "/*", "org.apache.kafka.connect.cli.ConnectStandalone", write("worker.properties", fmt.Sprintf(`bootstrap.servers=%s
listeners=http://%s
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
offset.storage.file.filename=%s
offset.flush.interval.ms=1000
plugin.discovery=service_load
`, brokers, addr, filepath.Join(dir, "offsets")))}
	for name, settings := range connectors {
		var text strings.Builder
		fmt.Fprintf(&text, "name=%s\n", name)
		for key, value := range settings {
			fmt.Fprintf(&text, "%s=%s\n", key, value)
		}
		args = append(args, write(name+".properties", text.String()))
	}
	cmd := exec.Command("java", args...)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
		if t.Failed() {
			t.Logf("Kafka Connect said:\n%s", said)
		}
	})
	for name := range connectors {
		state := "no answer"
		for end := time.Now().Add(3 * patience); strings.Count(state, `"state":"RUNNING"`) < 2; time.Sleep(200 * time.Millisecond) {
			if a, err := http.Get("http://" + addr + "/connectors/" + name + "/status"); err == nil {
				var raw json.RawMessage
				err := json.NewDecoder(a.Body).Decode(&raw)
				_ = a.Body.Close() // it was read
				if err == nil {
					state = string(raw) // of the connector, and of its task
				}
			}
			select {
			case <-ended:
				t.Fatal("Kafka Connect has ended")
			default:
			}
			if time.Now().After(end) || strings.Contains(state, "FAILED") {
				t.Fatalf("connector %s does not run: %s", name, state)
			}
		}
	}
}

// TestCaptureDebezium reads change events of PostgreSQL, with schema, and of
// MariaDB, without, which Debezium writes into Apache Kafka, while rows change
// and the server is killed: at the end the points are the rows.
func TestCaptureDebezium(t *testing.T) {
	broker, maria, pg := startApacheKafka(t), startMariaDB(t), pgtest.Start(t)
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 4))
	const rows = 1000
	pg.Exec(fmt.Sprintf(captureTable, "timestamptz"), "ALTER TABLE readings REPLICA IDENTITY FULL", captureRows(0, rows))
	maria.exec("CREATE DATABASE shop", "USE shop", fmt.Sprintf(captureTable, "DATETIME(6)"), captureRows(0, rows))
	at, err := url.Parse(pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	startConnect(t, broker.addr, map[string]map[string]string{
		"pg": {
			"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput", "publication.autocreate.mode": "filtered",
			"database.hostname": at.Hostname(), "database.port": at.Port(), "database.user": "postgres", "database.password": "none", "database.dbname": "postgres",
			"topic.prefix": "pg", "table.include.list": "public.readings", "provide.transaction.metadata": "true", "heartbeat.interval.ms": "500",
		},
		"maria": {
			"connector.class":   "io.debezium.connector.mariadb.MariaDbConnector",
			"database.hostname": "127.0.0.1", "database.port": maria.port, "database.user": "root", "database.password": "", "database.server.id": "77",
			"topic.prefix": "maria", "database.include.list": "shop", "include.schema.changes": "true", "provide.transaction.metadata": "true",
			"schema.history.internal.kafka.topic": "history", "schema.history.internal.kafka.bootstrap.servers": broker.addr,
			"key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
			"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
		},
	})
	file := pipelineFile(t, "", fmt.Sprintf(`
pipelines:
  pg:
    source:
      kafka: {brokers: [%[1]q], topics: [pg.public.readings, pg.transaction, __debezium-heartbeat.pg], group: pg, instance: one}
    decode:
      debezium:
        tables:
          public.readings:
            measurement: pg
            time: at
            tags: [id, device]
            fields: {value: float, n: int, note: string, price: float}
    sinks: [{store: {}}]
  maria:
    source:
      kafka: {brokers: [%[1]q], topics: [maria.shop.readings, maria, maria.transaction], group: maria, instance: one}
    decode:
      debezium:
        tables:
          shop.readings:
            measurement: maria
            time: {column: at, unit: us}
            tags: [id, device]
            fields: {value: float, n: int, note: string, price: {type: float, scale: 2}}
    sinks: [{store: {}}]
`, broker.addr))
	dir := t.TempDir()
	args := []string{"--pipelines-file", file, "--log-level", "warn"}
	s := start(t, dir, args...)
	compare := func() {
		t.Helper()
		captureCompare(t, s, "pg", captureWant(t, pg.Query(fmt.Sprintf(captureQuery, "(extract(epoch from at) * 1000000)::int8"))))
		captureCompare(t, s, "maria", captureWant(t, maria.query("USE shop; "+fmt.Sprintf(captureQuery, "CAST(UNIX_TIMESTAMP(at) * 1000000 AS INTEGER)"))))
	}
	for round := range 6 {
		for range 4 {
			pg.Exec(captureChanges(rng, rows)...)
			maria.exec(append([]string{"USE shop"}, captureChanges(rng, rows)...)...)
		}
		time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
		s.kill()
		s = start(t, dir, args...)
		if round == 2 {
			compare()
		}
	}
	compare()
}
