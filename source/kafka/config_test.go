package kafka

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/kafka"
	"github.com/varvedb/varve/pipeline/declare"
)

func declared(t *testing.T, text string) (Config, error) {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	s := declare.Section(n.Content[0], "source.kafka")
	c := Declare(s)
	return c, s.Err()
}

func TestDeclare(t *testing.T) {
	got, err := declared(t, `
brokers: ["10.0.0.1:9092", "[::1]:9092"]
topics: sensor-data
patterns: ['plant-\d+']
exclude: [plant-0]
group: g
instance: one
session_timeout: 20s
from: latest
header_tags: {where: site}
client_id: me
tls: {ca: ca.pem, server_name: kafka}
sasl: {mechanism: plain, user: u, password: p}
batch: 100
in_flight: 2
buffer: 1MiB
fetch: 64KiB
max_unpacked: 2MiB
unreadable: stop
`)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Connection: kafka.Connection{
			Brokers: []string{"10.0.0.1:9092", "[::1]:9092"}, ClientID: "me",
			TLS:  &kafka.TLS{CA: "ca.pem", ServerName: "kafka"},
			SASL: &kafka.SASL{Mechanism: "plain", User: "u", Password: "p"},
		},
		Topics: []string{"sensor-data"}, Patterns: []string{`plant-\d+`}, Exclude: []string{"plant-0"},
		Group: "g", Instance: "one", SessionTimeout: 20 * time.Second, Latest: true, HeaderTags: []HeaderTag{{Tag: "where", Header: "site"}},
		BatchMessages: 100, InFlight: 2, BufferBytes: 1 << 20, FetchBytes: 64 << 10, MaxUnpackedBytes: 2 << 20, StopAtUnreadable: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got, err = declared(t, `{brokers: "127.0.0.1:9092", topics: [a], tls: true}`)
	want = Default()
	want.Brokers, want.Topics, want.TLS = []string{"127.0.0.1:9092"}, []string{"a"}, &kafka.TLS{}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestDeclareRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{topics: [a]}`:                                         "source.kafka.brokers: is missing",
		`{brokers: "here", topics: [a]}`:                        `"here": want host:port`,
		`{brokers: "h:1"}`:                                      "source.kafka.topics: is missing",
		`{brokers: "h:1", patterns: ["("]}`:                     "missing closing",
		`{brokers: "h:1", topics: [a], exclude: [b]}`:           "is for patterns",
		`{brokers: "h:1", topics: [a], from: middle}`:           "want one of earliest, latest",
		`{brokers: "h:1", topics: [a], group: ""}`:              "consumer group",
		`{brokers: "h:1", topics: [a], session_timeout: 1ms}`:   "want 1s to 1h",
		`{brokers: "h:1", topics: [a], batch: 0}`:               "at least 1",
		`{brokers: "h:1", topics: [a], fetch: 2GiB}`:            "at most 1GiB",
		`{brokers: "h:1", topics: [a], tls: {key: k}}`:          "go together",
		`{brokers: "h:1", topics: [a], sasl: {user: u}}`:        "want password or password_file",
		`{brokers: "h:1", topics: [a], sasl: {password: u}}`:    "sasl.user: is missing",
		`{brokers: "h:1", topics: [a], sasl: {mechanism: kbr}}`: "want one of plain",
		`{brokers: "h:1", topics: [a], unreadable: ignore}`:     "want one of skip, stop",
		`{brokers: "h:1", topic: [a]}`:                          "did you mean topics?",
	} {
		if _, err := declared(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
