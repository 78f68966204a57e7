package mqtt

import (
	"fmt"
	"net"
	"testing"

	"github.com/varvedb/varve/protocol/mqttwire"
)

// away makes a session that lasts, of a client that has left.
func away(t *testing.T, b *Broker, client string, qos byte, filters ...string) mqttwire.Connect {
	t.Helper()
	m := named(client)
	m.CleanStart = false
	d, _ := connect(t, b, m)
	for _, f := range filters {
		d.subscribe(filter(f, qos))
	}
	d.net.Close()
	eventually(t, "it is away", func() bool { return b.connections() == 0 })
	return m
}

// waiting is how many messages wait in a session.
func waiting(b *Broker, client string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sessions {
		if s.client == client {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.queue) + len(s.inflight)
		}
	}
	return -1
}

// What waits in all sessions is bounded. Those that have most give their latest
// messages, and who reads gets all of them.
func TestBytesOfAllSessions(t *testing.T) {
	t.Parallel()
	c := Default()
	c.SubscriberBytes = 1 << 20
	b := open(t, c, Deps{})
	const many = 20
	for i := range many {
		away(t, b, fmt.Sprint("away-", i), 1, fmt.Sprint("a/", i))
	}
	small := away(t, b, "small", 1, "small")
	if err := b.Publish("small", make([]byte, 100), 1, false); err != nil {
		t.Fatal(err)
	}
	reader, _ := connect(t, b, named("reader"))
	reader.subscribe(filter("a/#", 1))
	most := int64(0)
	for i := range many {
		for j := range 100 {
			if err := b.Publish(fmt.Sprint("a/", i), make([]byte, 5000+j), 1, false); err != nil {
				t.Fatal(err)
			}
			p, _ := reader.message()
			if len(p.Payload) != 5000+j {
				t.Fatalf("the reader gets %d bytes, want %d", len(p.Payload), 5000+j)
			}
			reader.send(mqttwire.AppendAck(nil, mqttwire.PUBACK, reader.version, mqttwire.Ack{PacketID: p.PacketID}))
			most = max(most, b.Stats().Outgoing)
		}
	}
	if most > c.SubscriberBytes || most < c.SubscriberBytes/2 {
		t.Errorf("%d bytes wait, at most %d may", most, c.SubscriberBytes)
	}
	if b.Stats().Undelivered == 0 {
		t.Error("none is counted as dropped")
	}
	for i := range many {
		if n := waiting(b, fmt.Sprint("away-", i)); n < 2 {
			t.Errorf("session %d has %d messages", i, n)
		}
	}
	// The queue that was never long has lost nothing; the first messages are there.
	s, _ := connect(t, b, small)
	if p, _ := s.message(); len(p.Payload) != 100 {
		t.Errorf("%d bytes", len(p.Payload))
	}
	m := named("away-0")
	m.CleanStart = false
	first, _ := connect(t, b, m)
	if p, _ := first.message(); len(p.Payload) != 5000 {
		t.Errorf("%d bytes", len(p.Payload))
	}
	// All is given back.
	for i := range many {
		connect(t, b, named(fmt.Sprint("away-", i)))
	}
	connect(t, b, named("small"))
	reader.ping()
	eventually(t, "nothing waits", func() bool { return b.Stats().Outgoing == 0 })
}

// What a client has got and does not acknowledge is given as well, and an
// acknowledgement of it does no harm.
func TestBytesInFlight(t *testing.T) {
	t.Parallel()
	for _, qos := range []byte{1, 2} {
		c := Default()
		c.SubscriberBytes = 1 << 20
		b := open(t, c, Deps{})
		d, _ := connect(t, b, named("d"))
		d.subscribe(filter("a", qos))
		var ids []uint16
		for range 300 {
			if err := b.Publish("a", make([]byte, 10_000), qos, false); err != nil {
				t.Fatal(err)
			}
			p, _ := d.message()
			ids = append(ids, p.PacketID)
		}
		if n := b.Stats().Outgoing; n > c.SubscriberBytes {
			t.Errorf("%d bytes wait", n)
		}
		for _, id := range ids {
			if qos == 1 {
				d.send(mqttwire.AppendAck(nil, mqttwire.PUBACK, d.version, mqttwire.Ack{PacketID: id}))
				continue
			}
			d.send(mqttwire.AppendAck(nil, mqttwire.PUBREC, d.version, mqttwire.Ack{PacketID: id}))
			d.want(mqttwire.PUBREL, id)
		}
		d.ping()
		if n := b.Stats().Outgoing; n != 0 {
			t.Errorf("QoS %d: %d bytes are counted of none", qos, n)
		}
	}
}

// A client never has more on its way than it said it takes, also when what it has
// got was dropped for want of memory; and it can go on.
func TestReceiveMaximumOfASubscriber(t *testing.T) {
	t.Parallel()
	for _, qos := range []byte{1, 2} {
		c := Default()
		c.SubscriberBytes = 1 << 20
		b := open(t, c, Deps{})
		m := named5("sub")
		m.ReceiveMaximum, m.SessionExpiry, m.CleanStart = 10, 3600, false
		d, _ := connect(t, b, m)
		d.subscribe(filter("a", qos))
		const many = 40
		var ids []uint16
		take := func() {
			t.Helper()
			for i := range many {
				if err := b.Publish("a", make([]byte, 200_000), qos, false); err != nil {
					t.Fatal(err)
				}
				if i < 10 { // it reads: none is dropped before it has got it
					p, _ := d.message()
					ids = append(ids, p.PacketID)
				}
			}
			d.nothing()
			if n := b.Stats().Outgoing; n > c.SubscriberBytes {
				t.Errorf("QoS %d: %d bytes wait", qos, n)
			}
		}
		got := map[mqttwire.Type]int{}
		answer := func(typ mqttwire.Type, id uint16) {
			d.send(mqttwire.AppendAck(nil, typ, d.version, mqttwire.Ack{PacketID: id}))
		}
		first := map[byte]mqttwire.Type{1: mqttwire.PUBACK, 2: mqttwire.PUBREC}[qos]
		settle := func() {
			t.Helper()
			for waiting(b, "sub") > 0 {
				d.send(mqttwire.AppendPing(nil, mqttwire.PINGREQ))
				for p := d.next(); p.Type != mqttwire.PINGRESP; p = d.next() {
					got[p.Type]++
					if p.Type == mqttwire.PUBLISH {
						var m mqttwire.Publish
						if err := m.Decode(p.Flags, p.Body, d.version); err != nil {
							t.Fatal(err)
						}
						answer(first, m.PacketID)
						continue
					}
					a, err := mqttwire.DecodeAck(p.Type, p.Body, d.version)
					if err != nil || p.Type != mqttwire.PUBREL || a.Reason.Failed() {
						t.Fatal(p.Type, a, err)
					}
					answer(mqttwire.PUBCOMP, a.PacketID)
				}
			}
		}
		take()
		for _, id := range ids {
			answer(first, id)
		}
		settle()
		s := b.Stats()
		if s.Outgoing != 0 || s.Delivered+s.Undelivered != many || s.Undelivered < 5 {
			t.Errorf("QoS %d: %d bytes are counted of none, %d delivered and %d not", qos, s.Outgoing, s.Delivered, s.Undelivered)
		}

		// What is not acknowledged when the connection ends does not keep its place.
		take()
		d.net.Close()
		eventually(t, "it is away", func() bool { return b.connections() == 0 })
		clear(got)
		d, _ = connect(t, b, m)
		settle()
		if got[mqttwire.PUBLISH] == 0 || (got[mqttwire.PUBREL] > got[mqttwire.PUBLISH]) != (qos == 2) {
			t.Errorf("QoS %d: after it came back it gets %v", qos, got)
		}
	}
}

// What waits to be written to those who do not read is bounded for all together, and
// who reads gets all.
func TestBytesUnwritten(t *testing.T) {
	t.Parallel()
	c := Default()
	c.SubscriberBytes = 1 << 20
	b := open(t, c, Deps{})
	const many = 20
	for i := range many {
		d, _ := connect(t, b, named(fmt.Sprint("stuck-", i)))
		if err := d.net.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		d.subscribe(filter("a", byte(i%2)))
	}
	b.mu.Lock()
	for c := range b.conns {
		if err := c.below.Conn.(*net.TCPConn).SetWriteBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
	}
	b.mu.Unlock()
	d, _ := connect(t, b, named("reader"))
	d.subscribe(filter("a", 0))
	for i := range 100 {
		if err := b.Publish("a", make([]byte, 15_000+i), 1, false); err != nil {
			t.Fatal(err)
		}
		if p, _ := d.message(); len(p.Payload) != 15_000+i {
			t.Fatalf("%d bytes", len(p.Payload))
		}
		if n := b.Stats().Unwritten; n > c.SubscriberBytes+64<<10 {
			t.Fatalf("%d bytes wait", n)
		}
	}
	if n := b.Stats().Unwritten; n < c.SubscriberBytes/2 {
		t.Errorf("%d bytes wait", n)
	}
	total := 0
	b.mu.Lock()
	for c := range b.conns {
		c.mu.Lock()
		total += len(c.out)
		c.mu.Unlock()
		b.serving.Go(c.drop)
	}
	b.mu.Unlock()
	if total > 2<<20 {
		t.Errorf("%d bytes wait to be written", total)
	}
	eventually(t, "nothing waits", func() bool { return b.Stats().Unwritten == 0 && b.connections() == 0 })
}

// Who reads gets large messages too while as much is to be written to others as may
// be: those that waited for it, those that come, and beside acknowledgements.
func TestLargeMessagesBesideSlowReaders(t *testing.T) {
	t.Parallel()
	c := Default()
	c.SubscriberBytes = 8 << 20
	b := open(t, c, Deps{})
	m := away(t, b, "sub", 1, "a")
	publish := func(size int) {
		t.Helper()
		if err := b.Publish("a", make([]byte, size), 1, false); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		publish(20_000 + i)
	}
	b.unwritten.Add(16 << 20) // slow readers elsewhere
	d, _ := connect(t, b, m)
	for i := range 5 {
		if p, _ := d.message(); len(p.Payload) != 20_000+i {
			t.Fatalf("%d bytes", len(p.Payload))
		}
	}
	const n = 200
	go func() {
		for i := range n {
			d.net.Write(mqttwire.AppendPublish(nil, d.version, &mqttwire.Publish{QoS: 1, PacketID: uint16(i + 1), Topic: []byte("b"), Payload: []byte("x")}))
		}
	}()
	for range n {
		publish(20_000)
	}
	for messages, acks := 0, 0; messages < n || acks < n; {
		switch d.next().Type {
		case mqttwire.PUBLISH:
			messages++
		case mqttwire.PUBACK:
			acks++
		}
	}
	if got := b.unwritten.Add(-16 << 20); got < 0 || waiting(b, "sub") != n+5 {
		t.Errorf("%d bytes wait to be written, %d messages are in flight", got, waiting(b, "sub"))
	}
}

// A message that waits in many sessions takes memory once.
func TestBytesOfOneForAll(t *testing.T) {
	t.Parallel()
	c := Default()
	c.SubscriberBytes = 1 << 20
	b := open(t, c, Deps{})
	for i := range 50 {
		away(t, b, fmt.Sprint("away-", i), 1, "all")
	}
	for range 10 {
		if err := b.Publish("all", make([]byte, 50_000), 1, false); err != nil {
			t.Fatal(err)
		}
	}
	if s := b.Stats(); s.Undelivered > 0 || s.Outgoing < 500_000 || s.Outgoing > 600_000 {
		t.Errorf("%d bytes wait, %d messages are dropped", s.Outgoing, s.Undelivered)
	}
}
