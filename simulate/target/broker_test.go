package target

import (
	"bufio"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/varvedb/varve/protocol/mqttwire"
)

// broker is a broker of MQTT that takes publishes and can misbehave.
type broker struct {
	t        testing.TB
	listener net.Listener
	version  byte

	mu       sync.Mutex // guards what follows
	got      []string   // topics and payloads, in the order of acknowledgement
	clients  map[string]bool
	conns    []net.Conn
	receive  uint32 // receive maximum; 0: it does not say
	most     int    // messages of a connection that waited at once
	dups     int
	refuse   mqttwire.Reason                          // of CONNECT
	answer   func(n int) (r mqttwire.Reason, ok bool) // of the n-th publish; not ok: none
	publish  int
	quiet    bool // keeps nothing
	hangUpAt int  // closes the connection in place of the acknowledgement of every n-th publish; 0: never
}

func newBroker(t testing.TB, version byte) *broker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{t: t, listener: l, version: version, clients: map[string]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.conns = append(b.conns, nc)
			b.mu.Unlock()
			wg.Go(func() {
				b.serve(nc)
				nc.Close()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		b.cut()
		wg.Wait()
	})
	return b
}

// cut ends all connections.
func (b *broker) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, nc := range b.conns {
		nc.Close()
	}
	b.conns = nil
}

func (b *broker) messages() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.got...)
}

func (b *broker) serve(nc net.Conn) {
	in := bufio.NewReader(nc)
	p, err := next(in, nil)
	if err != nil || p.Type != mqttwire.CONNECT {
		return
	}
	c, err := mqttwire.DecodeConnect(p.Body)
	if err != nil || c.Version != b.version {
		b.t.Errorf("connect: %+v, %v", c, err)
		return
	}
	b.mu.Lock()
	b.clients[c.ClientID] = true
	ack := mqttwire.Connack{Reason: b.refuse}
	limit := int(b.receive)
	if b.receive > 0 {
		ack.Properties = mqttwire.AppendNumber(nil, mqttwire.ReceiveMaximum, b.receive)
	}
	b.mu.Unlock()
	if _, err := nc.Write(mqttwire.AppendConnack(nil, b.version, &ack)); err != nil || ack.Reason.Failed() {
		return
	}
	var acks []byte
	waiting := 0
	for {
		p, err := next(in, nil)
		if err != nil {
			return
		}
		switch p.Type {
		case mqttwire.PUBLISH:
			var m mqttwire.Publish
			if err := m.Decode(p.Flags, p.Body, b.version); err != nil {
				b.t.Errorf("publish: %v", err)
				return
			}
			b.mu.Lock()
			b.publish++
			if m.Dup {
				b.dups++
			}
			waiting++
			b.most = max(b.most, waiting)
			hangUp := b.hangUpAt > 0 && b.publish%b.hangUpAt == 0
			reason, ok := mqttwire.Success, true
			if b.answer != nil {
				reason, ok = b.answer(b.publish)
			}
			if !b.quiet && !hangUp && ok && !reason.Failed() {
				b.got = append(b.got, string(m.Topic)+" "+string(m.Payload))
			}
			b.mu.Unlock()
			if hangUp {
				_, _ = nc.Write(acks) // of those before
				return
			}
			if m.QoS == 1 && ok {
				acks = mqttwire.AppendAck(acks, mqttwire.PUBACK, b.version, mqttwire.Ack{PacketID: m.PacketID, Reason: reason})
			}
		case mqttwire.DISCONNECT:
			return
		}
		if in.Buffered() == 0 || limit > 0 && waiting == limit {
			if limit > 0 && waiting > limit {
				b.t.Errorf("%d messages wait at once, %d are allowed", waiting, limit)
			}
			if !b.quiet {
				time.Sleep(100 * time.Microsecond) // so that more come meanwhile
			}
			if _, err := nc.Write(acks); err != nil {
				return
			}
			acks, waiting = acks[:0], 0
		}
	}
}
