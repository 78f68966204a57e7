package mqtt

import (
	"fmt"
	"strings"
	"testing"

	"github.com/varvedb/varve/protocol/mqttwire"
)

// What waits for a client that is away is bounded in bytes, and what it has got
// gives room again.
func TestBytesOfASession(t *testing.T) {
	t.Parallel()
	c := Default()
	c.SessionQueue = 100 // and 1 MiB
	b := open(t, c, Deps{})
	m := named5("away")
	m.SessionExpiry = 3600
	s, _ := connect(t, b, m)
	s.subscribe(filter("a", 1))
	s.net.Close()
	eventually(t, "it is away", func() bool { return b.connections() == 0 })
	const size = 300 << 10
	for range 5 {
		if err := b.Publish("a", make([]byte, size-1), 1, false); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.Stats().Undelivered; got != 2 {
		t.Errorf("%d of 5 are dropped", got)
	}
	m.CleanStart = false
	s, _ = connect(t, b, m)
	for range 3 {
		p, _ := s.message()
		if len(p.Payload) != size-1 {
			t.Errorf("%d bytes", len(p.Payload))
		}
		s.send(mqttwire.AppendAck(nil, mqttwire.PUBACK, mqttwire.V5, mqttwire.Ack{PacketID: p.PacketID}))
	}
	s.ping()
	b.mu.Lock()
	for _, s := range b.sessions {
		s.mu.Lock()
		if s.bytes != 0 {
			t.Errorf("%d bytes are counted of none", s.bytes)
		}
		s.mu.Unlock()
	}
	b.mu.Unlock()
	// One may be larger than all together.
	if err := b.Publish("a", make([]byte, 2<<20), 1, false); err != nil {
		t.Fatal(err)
	}
	if p, _ := s.message(); len(p.Payload) != 2<<20 {
		t.Errorf("%d bytes", len(p.Payload))
	}
}

// Long topics count in the bytes that may wait.
func TestBytesOfTopics(t *testing.T) {
	t.Parallel()
	c := Default()
	c.QueueBytes = 2 << 20
	b := open(t, c, Deps{})
	in := &fakeIntake{gate: make(chan struct{})}
	read(t, b, "p", in, "#")
	d, _ := connect(t, b, named("d"))
	long := strings.Repeat("t", 60_000)
	const n = 200
	for i := range n {
		d.publish(0, 0, fmt.Sprint(long, i), "")
	}
	d.ping()
	if got := b.Stats().Dropped; got < n/2 || got == n {
		t.Errorf("%d of %d are dropped", got, n)
	}
	close(in.gate)
	eventually(t, "nothing waits", func() bool { return b.room.used.Load() == 0 })
}

// Topics that stand behind aliases are bounded together.
func TestBytesOfAliases(t *testing.T) {
	t.Parallel()
	b := open(t, Default(), Deps{})
	d, _ := connect(t, b, named5("d"))
	long := strings.Repeat("t", 30_000)
	publish := func(alias uint32, topic string) {
		p := mqttwire.Publish{Topic: []byte(topic), Properties: mqttwire.AppendNumber(nil, mqttwire.TopicAlias, alias)}
		d.send(mqttwire.AppendPublish(nil, mqttwire.V5, &p))
	}
	for i := range 10 { // each takes the place of the one before
		publish(1, fmt.Sprint(long, i))
	}
	publish(2, long)
	d.ping()
	publish(3, long)
	if got := d.closed(); got.Reason != mqttwire.QuotaExceeded {
		t.Error(got.Reason)
	}
}
