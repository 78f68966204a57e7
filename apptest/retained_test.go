package apptest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/varvedb/varve/protocol/mqttwire"
)

// retained returns the payloads that a new client gets, by topic.
func (s *server) retained(filter string) map[string]string {
	s.t.Helper()
	d, reason := connectDevice(s.t, dialDevice(s.t, s.mqttPorts().MQTT), "reader", "", adminToken)
	if reason != mqttwire.Success {
		s.t.Fatal(reason)
	}
	if r := d.subscribe(filter); r.Failed() {
		s.t.Fatal(r)
	}
	d.send(mqttwire.AppendPing(nil, mqttwire.PINGREQ))
	all := map[string]string{}
	for {
		p := d.next()
		if p.Type == mqttwire.PINGRESP {
			return all
		}
		var m mqttwire.Publish
		if err := m.Decode(p.Flags, p.Body, mqttwire.V5); err != nil {
			s.t.Fatal(err)
		}
		all[string(m.Topic)] = string(m.Payload)
	}
}

// TestRetainedKill: what was acknowledged is retained after kills, and after an
// orderly stop.
func TestRetainedKill(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, "--mqtt-addr", "127.0.0.1:0")
	const devices, kills = 4, 5
	var acked [devices]int
	for kill := range kills {
		var all sync.WaitGroup
		for i := range acked {
			d, reason := connectDevice(t, dialDevice(t, s.mqttPorts().MQTT), fmt.Sprint("d", i), "", adminToken)
			if reason != mqttwire.Success {
				t.Fatal(reason)
			}
			all.Go(func() {
				b := make([]byte, 4096)
				for v := acked[i] + 1; ; v++ {
					m := mqttwire.Publish{QoS: 1, PacketID: 1, Retain: true, Topic: fmt.Append(nil, "config/", i), Payload: strconv.AppendInt(nil, int64(v), 10)}
					if _, err := d.net.Write(mqttwire.AppendPublish(nil, mqttwire.V5, &m)); err != nil {
						return
					}
					n, err := d.net.Read(b) // an acknowledgement is some bytes
					if p, _, _, bad := mqttwire.Next(b[:n], len(b)); err != nil || bad != nil || p.Type != mqttwire.PUBACK {
						return
					}
					acked[i] = v
				}
			})
		}
		time.Sleep(200 * time.Millisecond)
		if kill == kills-1 {
			s.stop()
		} else {
			s.kill()
		}
		all.Wait()
		s = start(t, dir, "--mqtt-addr", "127.0.0.1:0")
		got := s.retained("config/#")
		for i, v := range acked {
			n, err := strconv.Atoi(got[fmt.Sprint("config/", i)])
			if err != nil || n < v || n > v+1 {
				t.Errorf("after %d kills device %d has %q retained, and %d was acknowledged", kill+1, i, got[fmt.Sprint("config/", i)], v)
			}
			acked[i] = max(v, n)
		}
	}
	if acked[0] < 10 {
		t.Errorf("only %d messages were acknowledged", acked[0])
	}
}

// TestDamagedRetained: whatever becomes of the files, the server starts, and
// says so.
func TestDamagedRetained(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, "--mqtt-addr", "127.0.0.1:0")
	d, reason := connectDevice(t, dialDevice(t, s.mqttPorts().MQTT), "d", "", adminToken)
	if reason != mqttwire.Success {
		t.Fatal(reason)
	}
	retain := func(topic, payload string) {
		t.Helper()
		d.send(mqttwire.AppendPublish(nil, mqttwire.V5, &mqttwire.Publish{QoS: 1, PacketID: 1, Retain: true, Topic: []byte(topic), Payload: []byte(payload)}))
		if p := d.next(); p.Type != mqttwire.PUBACK {
			t.Fatalf("packet type %d", p.Type)
		}
	}
	for i := range 100 {
		retain(fmt.Sprint("t/", i), strings.Repeat(strconv.Itoa(i), 100))
	}
	s.stop()
	if out, err := varve(t, "check", "--data-dir", dir); err != nil || !strings.Contains(out, "no problems") {
		t.Errorf("check: %v, %s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "mqtt-retained", "*.wlog"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	copy(b[len(b)/2:], "garbage in the midst of it")
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := varve(t, "check", "--data-dir", dir); err == nil || !strings.Contains(out, filepath.Base(files[0])) {
		t.Errorf("check: %v, %s", err, out)
	}
	s = start(t, dir, "--mqtt-addr", "127.0.0.1:0")
	if n := len(s.retained("t/#")); n < 97 || n > 99 {
		t.Errorf("%d of 100 are retained", n)
	}
	if text := s.stderr.String(); !strings.Contains(text, "some retained messages of MQTT cannot be read") {
		t.Errorf("the server says %s", text)
	}
	s.stop()

	// One whose files do not fit together is set aside.
	for _, name := range []string{"00000001-0000000009-00000000000000000900.wlog", "00000002-0000000010-00000000000000000001.wlog"} {
		if err := os.WriteFile(filepath.Join(dir, "mqtt-retained", name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = start(t, dir, "--mqtt-addr", "127.0.0.1:0")
	if text := s.stderr.String(); !strings.Contains(text, "is set aside") {
		t.Errorf("the server says %s", text)
	}
	if _, err := os.Stat(filepath.Join(dir, "mqtt-retained.damaged", filepath.Base(files[0]))); err != nil {
		t.Error(err)
	}
	if d, reason = connectDevice(t, dialDevice(t, s.mqttPorts().MQTT), "d", "", adminToken); reason != mqttwire.Success {
		t.Fatal(reason)
	}
	retain("t/new", "x")
	s.stop()
	s = start(t, dir, "--mqtt-addr", "127.0.0.1:0")
	if got := s.retained("#"); len(got) != 1 || got["t/new"] != "x" {
		t.Errorf("retained are %v", got)
	}
}
