package apptest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/varvedb/varve/protocol/mqttwire"
)

// reloads are files of pipelines that a server changes between. In each, what
// comes over MQTT below plant/ and over HTTP has a pipeline, which marks it.
var reloads = []string{`
pipelines:
  p: {source: {mqtt: {topics: ["plant/#"]}}, decode: &json {json: {measurement: m, time: ts, tags: [device], fields: {n: int}}}, tag: &mark [{set: {ruled: 'true'}}], sinks: [{store: {}}]}
  w: {source: write, tag: *mark, sinks: [{store: {}}]}
`, ` # other rules
pipelines:
  p: {source: {mqtt: {topics: ["plant/#"]}}, decode: &json {json: {measurement: m, time: ts, tags: [device], fields: {n: int}}}, tag: &mark [{set: {ruled: 'n >= 0'}}], sinks: [{store: {}}]}
  w: {source: write, tag: *mark, sinks: [{store: {}}]}
`, ` # another source, another name for the port
pipelines:
  p: {source: {mqtt: {topics: ["plant/#", "office/#"]}}, decode: &json {json: {measurement: m, time: ts, tags: [device], fields: {n: int}}}, tag: &mark [{set: {ruled: 'true'}}], sinks: [{store: {}}]}
  w2: {source: write, tag: *mark, sinks: [{store: {}}]}
`, ` # another name
pipelines:
  q: {source: {mqtt: {topics: ["plant/#"]}}, decode: &json {json: {measurement: m, time: ts, tags: [device], fields: {n: int}}}, tag: &mark [{set: {ruled: 'true'}}], sinks: [{store: {}}]}
  w2: {source: write, tag: *mark, sinks: [{store: {}}]}
`, ` # two that share the topics
pipelines:
  q: {source: {mqtt: {topics: ["plant/0"]}}, decode: &json {json: {measurement: m, time: ts, tags: [device], fields: {n: int}}}, tag: &mark [{set: {ruled: 'true'}}], sinks: [{store: {}}]}
  p: {source: {mqtt: {topics: ["plant/1", "plant/2"]}}, decode: *json, tag: *mark, sinks: [{store: {}}]}
  w: {source: write, tag: *mark, sinks: [{store: {}}]}
`}

// TestReloadUnderLoad: while pipelines are changed, renamed, split and joined,
// everything that is acknowledged over MQTT and HTTP has gone through the rules of
// one of them.
func TestReloadUnderLoad(t *testing.T) {
	const rounds, devices = 40, 3
	file := pipelineFile(t, "", reloads[0])
	s := start(t, t.TempDir(), "--pipelines-file", file, "--mqtt-addr", "127.0.0.1:0", "--mqtt-auth", "none")
	addr := s.mqttPorts().MQTT
	var stop atomic.Bool
	var done sync.WaitGroup
	acked := make([]int, devices+1)
	var again atomic.Int64 // messages that were sent again
	for i := range devices {
		done.Go(func() {
			topic, d := fmt.Sprint("plant/", i), (*patient)(nil)
			for n := 0; !stop.Load(); n++ {
				payload := fmt.Sprintf(`{"device": "d%d", "n": %d, "ts": %d}`, i, n, 1767366245000+n)
				for {
					var err error
					if d == nil {
						d, err = connectPatient(addr, fmt.Sprint("d", i))
					}
					if err == nil {
						err = d.publish(topic, payload)
					}
					if err == nil {
						break
					}
					if errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("message %d of %s waits", n, topic)
						return
					}
					again.Add(1)
					if d != nil {
						d.net.Close()
						d = nil
					}
				}
				acked[i] = n + 1
			}
			d.net.Close()
		})
	}
	done.Go(func() {
		for n := 0; !stop.Load(); n++ {
			line := fmt.Sprintf("m,device=http n=%di %d000000", n, 1767366245000+n)
			for {
				a, err := s.do(http.MethodPost, s.http+"/api/v2/write", line)
				if err == nil && a.status == http.StatusNoContent {
					break
				}
				if err != nil || a.status != http.StatusServiceUnavailable {
					t.Errorf("a write is answered by %d %s, %v", a.status, a.body, err)
					return
				}
				again.Add(1)
				time.Sleep(time.Millisecond)
			}
			acked[devices] = n + 1
		}
	})
	for i := range rounds {
		pipelineFile(t, file, reloads[(i+1)%len(reloads)])
		s.must(204, http.MethodPost, s.service+"/api/v1/pipelines/reload", "")
		time.Sleep(50 * time.Millisecond)
	}
	stop.Store(true)
	done.Wait()

	stored, ruled := map[string]int{}, map[string]int{}
	for _, v := range s.query(`{"measurement": "m", "start": 0}`) {
		switch {
		case v.Field == "n":
			stored[v.Tags["device"]]++
		case v.Value == true:
			ruled[v.Tags["device"]]++
		}
	}
	for i, n := range acked {
		name := fmt.Sprint("d", i)
		if i == devices {
			name = "http"
		}
		t.Logf("%s: %d acknowledged", name, n)
		if n < rounds || stored[name] < n || ruled[name] < n {
			t.Errorf("%s: %d are acknowledged, %d stored, %d of them by the rules", name, n, stored[name], ruled[name])
		}
	}
	// There is no bucket of refused messages: none was.
	s.must(404, http.MethodPost, s.service+"/query", `{"measurement": "refused", "bucket": "dead-letter", "start": 0}`)
	t.Logf("%d were sent again", again.Load())
}

// patient is a client of MQTT that is ready to be cut off.
type patient struct {
	net net.Conn
	buf []byte
}

func connectPatient(addr, id string) (*patient, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &patient{net: c}
	_, err = p.call(mqttwire.AppendConnect(nil, &mqttwire.Connect{Version: mqttwire.V5, CleanStart: true, KeepAlive: 60, ClientID: id}), mqttwire.CONNACK)
	return p, err
}

// publish publishes with QoS 1 until it is acknowledged.
func (p *patient) publish(topic, payload string) error {
	answer, err := p.call(mqttwire.AppendPublish(nil, mqttwire.V5, &mqttwire.Publish{QoS: 1, PacketID: 1, Topic: []byte(topic), Payload: []byte(payload)}), mqttwire.PUBACK)
	if err != nil {
		return err
	}
	a, err := mqttwire.DecodeAck(answer.Type, answer.Body, mqttwire.V5)
	if err == nil && a.Reason >= 0x80 {
		err = fmt.Errorf("reason %d", a.Reason)
	}
	return err
}

// call sends a packet and waits for its answer.
func (p *patient) call(packet []byte, want mqttwire.Type) (mqttwire.Packet, error) {
	if err := p.net.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return mqttwire.Packet{}, err
	}
	if _, err := p.net.Write(packet); err != nil {
		return mqttwire.Packet{}, err
	}
	for {
		answer, n, _, err := mqttwire.Next(p.buf, 1<<20)
		if err != nil {
			return answer, err
		}
		if n > 0 {
			p.buf = p.buf[n:]
			if answer.Type != want {
				return answer, errors.New("another packet")
			}
			return answer, nil
		}
		b := make([]byte, 4096)
		k, err := p.net.Read(b)
		if err != nil {
			return answer, err
		}
		p.buf = append(p.buf, b[:k]...)
	}
}
