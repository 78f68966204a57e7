package mqttclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/source"
)

// link is one connection to the broker.
type link struct {
	source  *Source
	net     net.Conn
	buf     []byte
	arrived chan struct{} // holds one while there may be something to take
	room    chan struct{} // holds one while there may be room again
	ended   chan struct{} // closed when the taker has ended

	sending sync.Mutex // held while packets are written

	mu       sync.Mutex // guards what is below
	queue    []packet
	bytes    int  // of queue
	stopping bool // the taker ends with what is in queue, and nothing more comes in
	heard    time.Time
	broken   error // why the connection cannot be written to
}

// packet is what waits to be handled in its turn: a PUBLISH, or a PUBREL.
type packet struct {
	release bool
	id      uint16
	qos     byte
	topic   string
	payload []byte
	unread  *source.Unread // nil: the payload is whole
}

const (
	// maxQueue bounds what waits, for brokers that know no receive maximum.
	maxQueue      = 8192
	maxQueueBytes = 16 << 20
)

// open says CONNECT and SUBSCRIBE and reads the answers.
func (l *link) open() error {
	s := l.source
	m, err := s.connect()
	if err != nil {
		return err
	}
	if err := l.net.SetDeadline(time.Now().Add(dialWithin)); err != nil {
		return err
	}
	if err := l.write(mqttwire.AppendConnect(nil, m)); err != nil {
		return err
	}
	p, _, err := l.next()
	if err != nil {
		return fmt.Errorf("CONNECT is not answered: %w", err)
	}
	if p.Type != mqttwire.CONNACK {
		return fmt.Errorf("CONNECT is answered by a packet of type %d: is this a broker of MQTT?", p.Type)
	}
	a, err := mqttwire.DecodeConnack(p.Body, s.cfg.Version)
	if err != nil {
		return err
	}
	if a.Reason.Failed() {
		text := a.Reason.String()
		if v, ok := a.Properties.Get(mqttwire.ReasonString); ok {
			text += ": " + string(v.Data)
		}
		return fmt.Errorf("the broker refuses: %s", text)
	}
	if !a.Present {
		clear(s.taken) // the broker knows nothing of them any more
	}
	sub := &mqttwire.Subscribe{PacketID: 1}
	for _, f := range s.cfg.Topics {
		// Retained messages come with a subscription that is new, not with each
		// connection.
		sub.Filters = append(sub.Filters, mqttwire.Subscription{Filter: f, QoS: s.cfg.QoS, RetainHandling: 1})
	}
	if err := l.write(mqttwire.AppendSubscribe(nil, s.cfg.Version, sub)); err != nil {
		return err
	}
	// The SUBACK is read with the rest: messages may come before it.
	return l.net.SetDeadline(time.Time{})
}

func (l *link) write(b []byte) error {
	l.sending.Lock()
	defer l.sending.Unlock()
	if err := l.net.SetWriteDeadline(time.Now().Add(dialWithin)); err != nil {
		return err
	}
	_, err := l.net.Write(b)
	return err
}

const (
	// tooLarge is why a message is refused that takes more than max_packet.
	tooLarge = "too_large"
	// kept is how much is kept of such a message, in bytes, which is what the place
	// of refused messages shows of one.
	kept = 64 << 10
	// mostHead is what stands before the payload at most: the first byte, a length of
	// four, the topic with its length, and the packet identifier.
	mostHead = 1 + 4 + 2 + 1<<16 + 2
)

// next reads a packet, which is valid until the next call, and says how many bytes
// it takes. Of a PUBLISH that takes more than the largest packet only the beginning
// is returned, and the rest is skipped.
func (l *link) next() (p mqttwire.Packet, size int, err error) {
	for {
		p, size, err := mqttwire.Begin(l.buf)
		if err != nil {
			return p, 0, err
		}
		want := size
		if most := l.source.cfg.MaxPacket; size > most {
			if p.Type != mqttwire.PUBLISH {
				return p, 0, &mqttwire.Error{Reason: mqttwire.PacketTooLarge, Problem: fmt.Sprintf("%d bytes of type %d, at most %d are taken", size, p.Type, most)}
			}
			want = min(size, mostHead+kept)
		}
		if size == 0 {
			want = len(l.buf) + 1
		} else if len(l.buf) >= want {
			rest := size - len(l.buf)
			l.buf = l.buf[min(size, len(l.buf)):]
			return p, size, l.skip(rest)
		}
		// A buffer grows with what has come, not with what was announced.
		if cap(l.buf)-len(l.buf) < leastBuffer/2 || cap(l.buf) < min(want, 2*len(l.buf)) {
			l.buf = append(make([]byte, 0, max(leastBuffer, min(2*len(l.buf), want+leastBuffer))), l.buf...)
		}
		k, err := l.receive(l.buf[len(l.buf):cap(l.buf)])
		l.buf = l.buf[:len(l.buf)+k]
		if err != nil && k == 0 {
			return p, 0, err
		}
	}
}

// leastBuffer is the least that is read into, in bytes.
const leastBuffer = 32 << 10

// skip reads n bytes that nobody wants. What is in the buffer stays as it is.
func (l *link) skip(n int) error {
	if n <= 0 {
		return nil
	}
	b := make([]byte, min(n, leastBuffer))
	for n > 0 {
		k, err := l.receive(b[:min(n, len(b))])
		if n -= k; err != nil && k == 0 {
			return err
		}
	}
	return nil
}

func (l *link) receive(b []byte) (int, error) {
	n, err := l.net.Read(b)
	if n > 0 {
		l.mu.Lock()
		l.heard = time.Now()
		l.mu.Unlock()
	}
	return n, err
}

// read queues what comes.
func (l *link) read(ctx context.Context) error {
	for {
		p, size, err := l.next()
		if err != nil {
			return err
		}
		switch p.Type {
		case mqttwire.PUBLISH:
			var m mqttwire.Publish
			if err := m.Decode(p.Flags, p.Body, l.source.cfg.Version); err != nil {
				return err
			}
			if len(m.Topic) == 0 {
				return errors.New("the broker uses topic aliases, which it was not allowed to")
			}
			q := packet{id: m.PacketID, qos: m.QoS, topic: string(m.Topic)}
			if most := l.source.cfg.MaxPacket; size > most {
				m.Payload = m.Payload[:min(kept, len(m.Payload))]
				q.unread = &source.Unread{Reason: tooLarge, Detail: fmt.Sprintf("the packet has %d bytes, more than max_packet, which is %d; %d bytes of the message are kept", size, most, len(m.Payload))}
			}
			q.payload = append([]byte(nil), m.Payload...)
			if !l.put(ctx, q) {
				return ctx.Err()
			}
		case mqttwire.PUBREL:
			a, err := mqttwire.DecodeAck(p.Type, p.Body, l.source.cfg.Version)
			if err != nil {
				return err
			}
			if !l.put(ctx, packet{release: true, id: a.PacketID}) {
				return ctx.Err()
			}
		case mqttwire.SUBACK:
			if err := l.subscribed(p.Body); err != nil {
				return err
			}
		case mqttwire.DISCONNECT:
			d, err := mqttwire.DecodeDisconnect(p.Body, l.source.cfg.Version)
			if err != nil {
				return err
			}
			return fmt.Errorf("the broker ends the connection: %s %s", d.Reason, d.Text)
		case mqttwire.PINGRESP, mqttwire.PUBACK:
		default:
			return fmt.Errorf("the broker sends a packet of type %d", p.Type)
		}
	}
}

func (l *link) subscribed(body []byte) error {
	_, reasons, err := mqttwire.DecodeSuback(mqttwire.SUBACK, body, l.source.cfg.Version)
	if err != nil {
		return err
	}
	for i, r := range reasons {
		if r.Failed() && i < len(l.source.cfg.Topics) {
			return fmt.Errorf("the broker refuses the subscription to %s: %s", l.source.cfg.Topics[i], r)
		}
	}
	return nil
}

// put queues a packet when there is room; false if ctx ends before, or the taker
// is to end.
func (l *link) put(ctx context.Context, p packet) bool {
	for {
		l.mu.Lock()
		if l.stopping {
			l.mu.Unlock()
			return false
		}
		if len(l.queue) < maxQueue && l.bytes < maxQueueBytes {
			l.queue = append(l.queue, p)
			l.bytes += len(p.payload)
			l.mu.Unlock()
			select {
			case l.arrived <- struct{}{}:
			default:
			}
			return true
		}
		l.mu.Unlock()
		select {
		case <-l.room:
		case <-ctx.Done():
			return false
		}
	}
}

// take hands what has gathered to the intake and acknowledges it, until ctx ends or
// all is taken after a stop. When until ends, the call that is under way is the last.
func (l *link) take(ctx, until context.Context, intake source.Intake) {
	defer close(l.ended)
	either, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(until, cancel)()
	var batch []packet
	var messages []source.Message
	for {
		l.mu.Lock()
		batch, l.queue, l.bytes = l.queue, batch[:0], 0
		stopping := l.stopping
		l.mu.Unlock()
		select {
		case l.room <- struct{}{}:
		default:
		}
		if len(batch) == 0 {
			if stopping {
				return
			}
			select {
			case <-l.arrived:
			case <-ctx.Done():
				return
			}
			continue
		}
		messages = messages[:0]
		for i := range batch {
			p := &batch[i]
			if p.release || p.qos == 2 && l.source.taken[p.id] {
				continue
			}
			messages = append(messages, source.Message{Topic: p.topic, Payload: p.payload, Offset: -1, Unread: p.unread, Reply: l.reply})
		}
		if len(messages) > 0 {
			_, err := source.Persist(either, func(context.Context) (source.Result, error) { return intake.Take(ctx, messages) }, func(err error) {
				if err != nil {
					l.source.state(true, err.Error())
				} else {
					l.source.state(true, "")
				}
			})
			if err != nil {
				return
			}
		}
		if err := l.acknowledge(batch); err != nil {
			l.fail(err)
		}
		clear(batch)
		clear(messages)
	}
}

// acknowledge writes what the packets are answered by, in their order.
func (l *link) acknowledge(batch []packet) error {
	version := l.source.cfg.Version
	var out []byte
	for i := range batch {
		p := &batch[i]
		a := mqttwire.Ack{PacketID: p.id}
		switch {
		case p.release:
			if !l.source.taken[p.id] {
				a.Reason = mqttwire.PacketIDNotFound
			}
			delete(l.source.taken, p.id)
			out = mqttwire.AppendAck(out, mqttwire.PUBCOMP, version, a)
		case p.qos == 1:
			out = mqttwire.AppendAck(out, mqttwire.PUBACK, version, a)
		case p.qos == 2:
			l.source.taken[p.id] = true
			out = mqttwire.AppendAck(out, mqttwire.PUBREC, version, a)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return l.write(out)
}

// fail ends the connection, for a reason that the reader does not see. What was
// read is taken nevertheless.
func (l *link) fail(err error) {
	l.mu.Lock()
	if l.broken == nil {
		l.broken = err
	}
	l.mu.Unlock()
	l.net.Close()
}

// stop lets the taker end, after what it is about or after all that was read, and
// waits for that.
func (l *link) stop(all bool) {
	l.mu.Lock()
	l.stopping = true
	if !all {
		l.queue, l.bytes = nil, 0
	}
	l.mu.Unlock()
	select {
	case l.arrived <- struct{}{}:
	default:
	}
	<-l.ended
}

// ping keeps the connection alive, and ends it when nothing comes any more.
func (l *link) ping(ctx context.Context) error {
	every := l.source.cfg.KeepAlive / 2
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := l.write(mqttwire.AppendPing(nil, mqttwire.PINGREQ)); err != nil {
			return err
		}
		l.mu.Lock()
		silent := time.Since(l.heard)
		full := len(l.queue) >= maxQueue || l.bytes >= maxQueueBytes // it is not read
		l.mu.Unlock()
		if silent > 2*l.source.cfg.KeepAlive && !full {
			return fmt.Errorf("the broker is silent for %s", silent.Round(time.Second))
		}
	}
}

// reply implements source.Message.Reply, with QoS 0.
func (l *link) reply(_ context.Context, name string, payload []byte) error {
	return l.write(mqttwire.AppendPublish(nil, l.source.cfg.Version, &mqttwire.Publish{Topic: []byte(name), Payload: payload}))
}
