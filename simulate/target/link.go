package target

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"time"

	"github.com/varvedb/varve/protocol/mqttwire"
)

// link is a connection to a broker and the messages on their way over it. They
// stand in a ring: those before head are done; those up to written are on the
// wire of the present connection; those up to tail wait for their turn. After a
// connection broke, written goes back to head, and what is not acknowledged is
// sent again, in its order.
type link struct {
	m    *MQTT
	n    int           // number of the connection
	gate chan struct{} // held while connecting

	writing sync.Mutex // is held while out is written; taken before mu

	mu       sync.Mutex // guards what follows
	room     sync.Cond  // there is room in the ring, or all has ended
	nc       net.Conn   // nil if there is none
	allowed  int        // messages that the broker wants on the wire at most
	out      []byte     // packets that are not written yet
	spare    []byte     // the other buffer of out
	ring     []flight
	head     uint64
	written  uint64
	tail     uint64
	last     int64 // when something was written or read, nanoseconds since 1970
	progress bool  // a message was acknowledged
	pinged   int64 // when a ping was sent that is not answered; 0 if there is none
}

// flight is a message until it is acknowledged.
type flight struct {
	due      int64
	at       int64 // when it was put on the wire, nanoseconds since 1970
	topic    []byte
	payload  []byte
	done     bool
	sent     bool  // once at least: the next time it is marked as a repeat
	postpone int64 // the broker wants it later: not before this time
}

// firstRing is how many messages a ring has room for at first: a device that
// sends once a minute needs no more.
const firstRing = 2

func newLink(m *MQTT, n int, gate chan struct{}) *link {
	l := &link{m: m, n: n, gate: gate, ring: make([]flight, firstRing)}
	l.room.L = &l.mu
	return l
}

// at returns a message of the ring; its packet identifier is id.
func (l *link) at(pos uint64) *flight { return &l.ring[pos%uint64(len(l.ring))] }

// id is never 0. As the ring is shorter than 65535, no two messages of it
// share one.
func id(pos uint64) uint16 { return uint16(pos%math.MaxUint16) + 1 }

// publish puts a message on its way, unless there is no room for it. It
// reports with first whether that was the first packet of those which flush
// will write.
func (l *link) publish(topic, payload []byte, due, now int64) (first, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full() {
		return false, false
	}
	first = len(l.out) == 0
	if l.m.cfg.QoS == 0 {
		p := mqttwire.Publish{Topic: topic, Payload: payload}
		l.out = mqttwire.AppendPublish(l.out, l.m.cfg.Version, &p)
		l.m.tally.Acked(due, now)
		return first, true
	}
	if l.tail-l.head == uint64(len(l.ring)) {
		l.grow()
	}
	f := l.at(l.tail)
	*f = flight{due: due, topic: append(f.topic[:0], topic...), payload: append(f.payload[:0], payload...)}
	l.tail++
	l.fill(now)
	return first && len(l.out) > 0, true
}

// await waits until there is room, or the target has ended.
func (l *link) await() error {
	l.flush() // what is not written cannot be acknowledged
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.full() && l.m.ctx.Err() == nil {
		l.room.Wait()
	}
	return l.m.ctx.Err()
}

// full tells whether a message has to wait.
func (l *link) full() bool {
	if l.m.cfg.QoS == 0 {
		return l.nc == nil || len(l.out) > maxOut
	}
	return l.tail-l.head >= uint64(l.m.cfg.InFlight)
}

// maxOut is how much is gathered before it is written, in bytes.
const maxOut = 256 << 10

func (l *link) grow() {
	ring := make([]flight, min(2*len(l.ring), l.m.cfg.InFlight))
	for pos := l.head; pos < l.tail; pos++ {
		ring[pos%uint64(len(ring))] = *l.at(pos)
	}
	l.ring = ring
}

// fill puts messages on the wire as far as the broker allows.
func (l *link) fill(now int64) {
	if l.nc == nil {
		return
	}
	for l.written < l.tail && l.written-l.head < uint64(l.allowed) && len(l.out) <= maxOut {
		if f := l.at(l.written); !f.done {
			l.put(f, l.written, now)
		}
		l.written++
	}
}

func (l *link) put(f *flight, pos uint64, now int64) {
	p := mqttwire.Publish{QoS: 1, Dup: f.sent, PacketID: id(pos), Topic: f.topic, Payload: f.payload}
	l.out = mqttwire.AppendPublish(l.out, l.m.cfg.Version, &p)
	if f.sent {
		l.m.tally.Retried(1)
	}
	f.sent, f.at, f.postpone = true, now, 0
}

// flush writes what is there. An error closes the connection, which the
// reader finds out.
func (l *link) flush() {
	l.writing.Lock()
	defer l.writing.Unlock()
	for {
		l.mu.Lock()
		nc, out := l.nc, l.out
		if nc == nil || len(out) == 0 {
			l.mu.Unlock()
			return
		}
		l.out, l.spare = l.spare[:0], nil
		l.mu.Unlock()
		_ = nc.SetWriteDeadline(time.Now().Add(l.m.cfg.AckTimeout)) // a connection that is closed says so below
		_, err := nc.Write(out)
		l.mu.Lock()
		now := time.Now().UnixNano()
		l.last, l.spare = now, nil
		if cap(out) <= maxOut {
			l.spare = out
		}
		l.fill(now)
		l.room.Broadcast() // those of QoS 0 wait for out to be written
		l.mu.Unlock()
		if err != nil {
			_ = nc.Close()
			return
		}
	}
}

// run keeps the connection up until the target ends.
func (l *link) run() {
	wait := firstWait
	for l.m.ctx.Err() == nil {
		err := l.session()
		if l.m.ctx.Err() != nil {
			return
		}
		var refusal *refusal
		if errors.As(err, &refusal) && refusal.final() {
			l.m.fail(err)
			return
		}
		l.m.tally.Trouble("mqtt: " + lastWords(err))
		if l.advanced() {
			wait = firstWait
		}
		if !pause(l.m.ctx, wait) {
			return
		}
		wait = min(2*wait, longestWait)
	}
}

// advanced tells whether messages were acknowledged since it was asked last.
func (l *link) advanced() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	yes := l.progress
	l.progress = false
	return yes
}

// refusal is a CONNACK or DISCONNECT that says no.
type refusal struct{ reason mqttwire.Reason }

func (e *refusal) Error() string {
	return "mqtt: the broker refuses the connection: " + e.reason.String()
}

// final tells whether trying again is of no use.
func (e *refusal) final() bool {
	switch e.reason {
	case mqttwire.BadUserOrPassword, mqttwire.NotAuthorized, mqttwire.InvalidClientID, mqttwire.UnsupportedVersion, mqttwire.BadAuthMethod:
		return true
	}
	return false
}

// session is one connection, from dialing to its end.
func (l *link) session() error {
	nc, in, allowed, err := l.open()
	if err != nil {
		return err
	}
	defer nc.Close()
	stop := context.AfterFunc(l.m.ctx, func() { _ = nc.Close() })
	defer stop()
	l.mu.Lock()
	l.nc, l.allowed, l.out = nc, allowed, l.out[:0]
	now := time.Now().UnixNano()
	l.last, l.pinged = now, 0
	l.written = l.head
	l.fill(now)
	l.room.Broadcast()
	l.mu.Unlock()
	l.m.up.Add(1)
	l.flush()
	err = l.read(in)
	l.m.up.Add(-1)
	l.mu.Lock()
	l.nc, l.out = nil, l.out[:0]
	l.mu.Unlock()
	return err
}

// open connects; in reads what comes after the CONNACK.
func (l *link) open() (nc net.Conn, in *bufio.Reader, allowed int, err error) {
	select {
	case l.gate <- struct{}{}:
		defer func() { <-l.gate }()
	case <-l.m.ctx.Done():
		return nil, nil, 0, l.m.ctx.Err()
	}
	ctx, cancel := context.WithTimeout(l.m.ctx, dialTimeout)
	defer cancel()
	dialer := &net.Dialer{}
	if l.m.cfg.TLS != nil {
		nc, err = (&tls.Dialer{NetDialer: dialer, Config: l.m.cfg.TLS}).DialContext(ctx, "tcp", l.m.cfg.Address)
	} else {
		nc, err = dialer.DialContext(ctx, "tcp", l.m.cfg.Address)
	}
	if err != nil {
		return nil, nil, 0, err
	}
	opened := nc // nc is nil once open has failed
	stop := context.AfterFunc(ctx, func() { _ = opened.Close() })
	defer stop()
	size := 8 << 10
	if len(l.m.links) > 256 {
		size = 256 // thousands of connections have little to read each
	}
	in = bufio.NewReaderSize(nc, size)
	allowed, err = l.greet(nc, in)
	if err != nil {
		_ = nc.Close()
		return nil, nil, 0, err
	}
	return nc, in, allowed, nil
}

// greet exchanges CONNECT and CONNACK and returns how many messages the broker
// allows on their way.
func (l *link) greet(nc net.Conn, in *bufio.Reader) (allowed int, err error) {
	if _, err := nc.Write(l.m.connect(l.n)); err != nil {
		return 0, err
	}
	p, err := next(in, nil)
	if err != nil {
		return 0, err
	}
	if p.Type != mqttwire.CONNACK {
		return 0, fmt.Errorf("packet type %d in place of CONNACK", p.Type)
	}
	c, err := mqttwire.DecodeConnack(p.Body, l.m.cfg.Version)
	if err != nil {
		return 0, err
	}
	if c.Reason.Failed() {
		return 0, &refusal{c.Reason}
	}
	allowed = math.MaxUint16
	if v, ok := c.Properties.Get(mqttwire.ReceiveMaximum); ok {
		allowed = max(int(v.Number), 1)
	}
	return allowed, nil
}

// maxIncoming bounds what a broker may send: acknowledgements, with reasons.
const maxIncoming = 64 << 10

// next reads a packet; its body lies in buf if that is large enough.
func next(in *bufio.Reader, buf []byte) (mqttwire.Packet, error) {
	need := 2
	for {
		head, err := in.Peek(min(need, in.Size()))
		if err != nil {
			return mqttwire.Packet{}, err
		}
		p, n, more, err := mqttwire.Next(head, maxIncoming)
		switch {
		case err != nil:
			return mqttwire.Packet{}, err
		case n > 0:
			p.Body = append(buf[:0], p.Body...)
			_, err = in.Discard(n)
			return p, err
		case more > in.Size():
			whole := make([]byte, more)
			if _, err := io.ReadFull(in, whole); err != nil {
				return mqttwire.Packet{}, err
			}
			p, _, _, err = mqttwire.Next(whole, maxIncoming)
			return p, err
		}
		need = more
	}
}

// read takes acknowledgements until the connection ends.
func (l *link) read(in *bufio.Reader) error {
	buf := make([]byte, 0, 64)
	now := int64(0)
	for {
		fresh := in.Buffered() == 0
		p, err := next(in, buf)
		if err != nil {
			return err
		}
		if fresh {
			now = time.Now().UnixNano() // what came in one piece came at one time
		}
		switch p.Type {
		case mqttwire.PUBACK:
			a, err := mqttwire.DecodeAck(p.Type, p.Body, l.m.cfg.Version)
			if err != nil {
				return err
			}
			// The messages that this makes room for are written when all that has
			// come is read.
			if err := l.acked(a, now); err != nil {
				return err
			}
			if in.Buffered() == 0 {
				l.flush()
			}
		case mqttwire.PINGRESP:
			l.mu.Lock()
			l.pinged = 0
			l.mu.Unlock()
		case mqttwire.DISCONNECT:
			d, err := mqttwire.DecodeDisconnect(p.Body, l.m.cfg.Version)
			if err != nil {
				return err
			}
			return fmt.Errorf("the broker disconnects: %s", d.Reason)
		default:
			return fmt.Errorf("packet type %d, which nobody asked for", p.Type)
		}
	}
}

// later is how long a message waits that the broker did not take for now.
const later = time.Second

// acked takes an acknowledgement.
func (l *link) acked(a mqttwire.Ack, now int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = now
	// The ring has one position at most whose identifier this is.
	pos := l.head + (uint64(a.PacketID)-1+math.MaxUint16-l.head%math.MaxUint16)%math.MaxUint16
	if pos >= l.written {
		return fmt.Errorf("an acknowledgement of message %d, which was not sent", a.PacketID)
	}
	f := l.at(pos)
	if f.done {
		return nil
	}
	switch a.Reason {
	case mqttwire.UnspecifiedError, mqttwire.QuotaExceeded, mqttwire.ServerBusy, mqttwire.ServerUnavailable, reasonImplementation:
		f.postpone = now + int64(later)
		l.m.tally.Trouble("mqtt: " + a.Reason.String())
		return nil
	}
	f.done, l.progress = true, true
	if a.Reason.Failed() {
		l.m.tally.Refused(1, "mqtt: "+a.Reason.String())
	} else {
		l.m.tally.Acked(f.due, now)
	}
	for l.head < l.written && l.at(l.head).done {
		l.head++
	}
	l.fill(now)
	l.room.Broadcast()
	return nil
}

// reasonImplementation is "implementation specific error" (section 2.4).
const reasonImplementation mqttwire.Reason = 0x83

// look pings, sends again what was postponed, and closes a connection that
// waits in vain.
func (l *link) look(now int64) {
	l.mu.Lock()
	nc := l.nc
	if nc == nil {
		l.mu.Unlock()
		return
	}
	patience := int64(l.m.cfg.AckTimeout)
	stalled := l.pinged > 0 && now-l.pinged > patience
	for pos := l.head; pos < l.written; pos++ {
		switch f := l.at(pos); {
		case f.done:
		case f.postpone > 0 && now >= f.postpone:
			l.put(f, pos, now)
		case f.postpone == 0 && now-f.at > patience:
			stalled = true
		}
	}
	if l.pinged == 0 && now-l.last > int64(keepAlive*time.Second/3) {
		l.out = append(l.out, byte(mqttwire.PINGREQ)<<4, 0)
		l.pinged = now
	}
	write := len(l.out) > 0
	l.mu.Unlock()
	switch {
	case stalled:
		_ = nc.Close() // the reader finds out, and opens another
	case write:
		l.flush()
	}
}

// wake lets those who wait for room look again.
func (l *link) wake() {
	l.mu.Lock()
	l.room.Broadcast()
	l.mu.Unlock()
}

// idle tells whether all messages are acknowledged or refused.
func (l *link) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head == l.tail && (l.nc == nil || len(l.out) == 0)
}

// bye tells the broker that the connection ends on purpose.
func (l *link) bye() {
	l.mu.Lock()
	if l.nc != nil && l.head == l.tail {
		l.out = mqttwire.AppendDisconnect(l.out, l.m.cfg.Version, &mqttwire.Disconnect{})
	}
	l.mu.Unlock()
	l.flush()
}
