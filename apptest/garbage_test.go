package apptest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	folder "github.com/varvedb/varve/server"
)

// garbageBytes is what each port gets.
const garbageBytes = 64 << 20

// TestGarbageOnEveryPort: 64 MiB of garbage on each port, raw, behind the
// beginning of what the port understands, and in pieces that are each a message,
// leave the server serving, with what was refused counted or kept, and memory as
// it was.
func TestGarbageOnEveryPort(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds for each port")
	}
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	packets := free.LocalAddr().String()
	free.Close()
	file := pipelineFile(t, "", fmt.Sprintf(`
pipelines:
  lines: {source: {udp: {listen: %q}}, decode: {line: {}}, sinks: [{store: {}}]}
  readings:
    source: {mqtt: {topics: ["#"]}}
    decode: {json: {measurement: m, time: t, fields: {v: float}}}
    validate: [{require: [t, v]}]
    sinks: [{store: {}}]
`, packets))
	dir := t.TempDir()
	s := start(t, dir, "--pipelines-file", file, "--otlp-grpc-addr", "127.0.0.1:0",
		"--mqtt-addr", "127.0.0.1:0", "--mqtt-ws-addr", "127.0.0.1:0", "--mqtt-auth", "none", "--memory-limit", "1GiB")
	a, err := folder.ReadAddresses(dir)
	if err != nil {
		t.Fatal(err)
	}
	connect := "\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04junk"
	publish := func(payload []byte) []byte { // QoS 0, topic j
		n := len(payload) + 3
		head := []byte{0x30}
		for {
			b := byte(n & 0x7f)
			if n >>= 7; n > 0 {
				b |= 0x80
			}
			head = append(head, b)
			if n == 0 {
				break
			}
		}
		return append(append(head, 0, 1, 'j'), payload...)
	}
	token := "Authorization: Token " + adminToken + "\r\n"
	for _, c := range []struct {
		name, network, address string
		first                  string                // what a connection begins with
		piece                  func(b []byte) []byte // what each piece is sent as; nil: as it is
	}{
		{"points", "tcp", a.HTTP, "", nil},
		{"points, a write", "tcp", a.HTTP, "POST /api/v2/write?bucket=default HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: 67108864\r\n\r\n", nil},
		{"points, remote write", "tcp", a.HTTP, "POST /api/v1/write HTTP/1.1\r\nHost: x\r\n" + token + "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\nContent-Length: 8388608\r\n\r\n", nil},
		{"points, OTLP", "tcp", a.HTTP, "POST /v1/metrics HTTP/1.1\r\nHost: x\r\n" + token + "Content-Type: application/x-protobuf\r\nContent-Length: 8388608\r\n\r\n", nil},
		{"service", "tcp", a.Service, "", nil},
		{"service, points", "tcp", a.Service, "POST /data HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: 8388608\r\n\r\n", nil},
		{"OTLP over gRPC", "tcp", a.OTLP, "", nil},
		{"OTLP over gRPC, behind a preface", "tcp", a.OTLP, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", nil},
		{"MQTT", "tcp", a.MQTT, "", nil},
		{"MQTT, behind CONNECT", "tcp", a.MQTT, connect, nil},
		{"MQTT, as messages", "tcp", a.MQTT, connect, publish},
		{"MQTT over WebSocket", "tcp", a.MQTTWebSocket, "", nil},
		{"UDP", "udp", packets, "", func(b []byte) []byte { return b[:1400] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.address == "" {
				t.Fatal("the port is not open")
			}
			rng := rand.NewChaCha8([32]byte{1})
			piece := make([]byte, 64<<10)
			var conn net.Conn
			sent, connections := 0, 0
			for began := time.Now(); sent < garbageBytes && time.Since(began) < time.Minute; {
				if conn == nil {
					var err error
					if conn, err = net.DialTimeout(c.network, c.address, 5*time.Second); err != nil {
						t.Fatalf("after %d bytes on %d connections: %v", sent, connections, err)
					}
					connections++
					_, _ = conn.Write([]byte(c.first))
					go drain(conn)
				}
				_, _ = rng.Read(piece)
				out := piece
				if c.piece != nil {
					out = c.piece(piece)
				}
				_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
				n, err := conn.Write(out)
				// What a port does not read because it has hung up counts as sent.
				sent += max(n, len(out)/2)
				if err != nil && c.network == "tcp" {
					conn.Close()
					conn = nil
				}
			}
			if conn != nil {
				conn.Close()
			}
			t.Logf("%d MiB on %d connections", sent>>20, connections)
			s.write("alive,port=" + strings.NewReplacer(" ", "_", ",", "").Replace(c.name) + " v=1")
		})
	}
	if n := s.query(`{"measurement": "alive", "start": "-1h"}`); len(n) != 13 {
		t.Errorf("%d of 13 points are there", len(n))
	}
	if r := s.resident(); r > 1200<<20 {
		t.Errorf("the server has %d MiB", r>>20)
	}
	// The garbage that was a message is kept with its reason.
	body := s.must(200, http.MethodPost, s.service+"/query",
		`{"measurement": "refused", "bucket": "dead-letter", "start": 0, "fields": ["bytes"], "aggregation": "count", "group_by": ["pipeline", "reason"]}`).body
	for _, want := range []string{`"pipeline":"readings"`, `"reason":"bad_utf8"`, `"pipeline":"lines"`} {
		if !strings.Contains(body, want) {
			t.Errorf("what was refused has no %s: %.500s", want, body)
		}
	}
}

// drain reads what a server says, so that it is not held up by a full window.
func drain(c net.Conn) {
	b := make([]byte, 4096)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}
