// Package udp is the source of a pipeline that takes line protocol in packets.
//
// UDP is unacknowledged: no sender learns whether a packet arrived, and nothing
// that is lost comes again. Packets are lost on their way, when the system's
// buffer is full, when the queue is full because the intake is slower than the
// senders or cannot store, and when the program is killed. What was lost here is
// counted. Whoever must not lose a reading sends it over HTTP, MQTT or Kafka.
//
// One goroutine reads the socket and does nothing else, so that it is read as
// fast as packets come; another one hands what was read to the intake, in
// batches, again and again until the intake takes them. A Source is safe for
// concurrent use.
package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/source"
)

// Source listens for packets.
type Source struct {
	c       Config
	now     func() time.Time
	address atomic.Pointer[string] // it listens at, nil: it does not
	trouble atomic.Pointer[string]
	waiting atomic.Int64 // packets in the queue

	packets, bytes, noRoom, overflowed, abandoned atomic.Uint64
	lastDrop                                      atomic.Int64 // when, in nanoseconds since 1970
}

// New returns a source that does not listen yet.
func New(c Config) *Source { return &Source{c: c, now: time.Now} }

// Counts implements source.Counter. no_room are packets that were dropped because
// the queue was full, overflowed those that the system dropped because its buffer
// was (it tells with the next packet), abandoned those that the intake had not
// taken when the source ended.
func (s *Source) Counts() []source.Count {
	return []source.Count{
		{Event: "packets", N: s.packets.Load()}, {Event: "bytes", N: s.bytes.Load()},
		{Event: "no_room", N: s.noRoom.Load()}, {Event: "overflowed", N: s.overflowed.Load()}, {Event: "abandoned", N: s.abandoned.Load()},
	}
}

// Address returns where it listens, "" if it does not.
func (s *Source) Address() string {
	if a := s.address.Load(); a != nil {
		return *a
	}
	return ""
}

// dropsMatter is for how long dropped packets are told as trouble.
const dropsMatter = time.Minute

// Status implements source.Source.
func (s *Source) Status() source.Status {
	status := source.Status{Connected: s.Address() != "", Lag: s.waiting.Load()}
	if t := s.trouble.Load(); t != nil {
		status.Trouble = *t
	} else if last := s.lastDrop.Load(); last != 0 && s.now().UnixNano()-last < int64(dropsMatter) {
		status.Trouble = fmt.Sprintf("packets are lost: %d for want of room in the queue, %d in the system's buffer", s.noRoom.Load(), s.overflowed.Load())
	}
	return status
}

// batch is packets on their way to the intake.
type batch struct {
	text     []byte // one behind the other
	messages []source.Message
	ends     []int
}

func (b *batch) add(text []byte, client string, at int64) {
	b.text = append(b.text, text...)
	b.ends = append(b.ends, len(b.text))
	b.messages = append(b.messages, source.Message{Client: client, Time: at, Offset: -1})
}

// point makes the messages point at their text, which moves no more.
func (b *batch) point() {
	from := 0
	for i, end := range b.ends {
		b.messages[i].Payload = b.text[from:end:end]
		from = end
	}
}

func (b *batch) reset() { b.text, b.ends, b.messages = b.text[:0], b.ends[:0], b.messages[:0] }

// Run implements source.Source. It returns an error if it cannot listen.
func (s *Source) Run(ctx context.Context, intake source.Intake) error {
	packets, err := net.ListenPacket("udp", s.c.Listen)
	if err != nil {
		return fmt.Errorf("listen for packets at %s: %w", s.c.Listen, err)
	}
	conn := packets.(*net.UDPConn)
	defer conn.Close()
	// The system cuts what is more than it allows.
	if err := conn.SetReadBuffer(s.c.ReceiveBuffer); err != nil {
		return fmt.Errorf("set the receive buffer of %s: %w", s.c.Listen, err)
	}
	countOverflow(conn)
	address := conn.LocalAddr().String()
	s.address.Store(&address)
	defer s.address.Store(nil)

	batches := max(s.c.Queue/batchBytes, 2)
	full, free := make(chan *batch, batches), make(chan *batch, batches)
	for range batches {
		free <- &batch{}
	}
	var done sync.WaitGroup
	done.Go(func() { s.hand(ctx, intake, full, free) })
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) }) // wakes the reader
	err = s.read(ctx, conn, full, free)
	stop()
	close(full)
	done.Wait()
	return err
}

// mostPacket is more than a packet can have, so that none is cut.
const mostPacket = 64 << 10

// read puts packets into batches until ctx ends.
func (s *Source) read(ctx context.Context, conn *net.UDPConn, full, free chan *batch) error {
	buf, control := make([]byte, mostPacket), make([]byte, controlBytes)
	clients := map[netip.AddrPort]string{}
	var b *batch // being filled
	var send time.Time
	flush := func() {
		if b != nil && len(b.ends) > 0 {
			b.point()
			full <- b // has a place for every batch
			b = nil
		}
	}
	defer flush()
	for ctx.Err() == nil {
		var deadline time.Time
		if b != nil && len(b.ends) > 0 {
			deadline = send
		}
		if err := conn.SetReadDeadline(deadline); err != nil {
			return fmt.Errorf("read packets of %s: %w", s.c.Listen, err)
		}
		if ctx.Err() != nil {
			return nil // the deadline that was to wake this goroutine may be overwritten
		}
		n, controls, _, from, err := conn.ReadMsgUDPAddrPort(buf, control)
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			flush()
			continue
		case err != nil:
			return fmt.Errorf("read packets of %s: %w", s.c.Listen, err)
		}
		now := s.now()
		if dropped, ok := overflow(control[:controls]); ok && dropped != s.overflowed.Load() {
			s.overflowed.Store(dropped)
			s.lastDrop.Store(now.UnixNano())
		}
		s.packets.Add(1)
		s.bytes.Add(uint64(n))
		if b == nil {
			select {
			case b = <-free:
				send = now.Add(s.c.Linger)
			default:
				s.noRoom.Add(1)
				s.lastDrop.Store(now.UnixNano())
				continue
			}
		} else if len(b.ends) == 0 {
			send = now.Add(s.c.Linger)
		}
		b.add(buf[:n], client(clients, from), now.UnixNano())
		s.waiting.Add(1)
		if len(b.text) >= batchBytes || len(b.ends) >= mostPackets || !now.Before(send) {
			flush()
		}
	}
	return nil
}

// mostPackets bounds the packets of a batch: small ones take more memory beside
// their text than in it.
const mostPackets = 2000

// mostClients is how many addresses have their text kept.
const mostClients = 1000

// client returns the text of an address.
func client(known map[netip.AddrPort]string, from netip.AddrPort) string {
	text, ok := known[from]
	if !ok {
		if len(known) >= mostClients {
			clear(known)
		}
		text = netip.AddrPortFrom(from.Addr().Unmap(), from.Port()).String()
		known[from] = text
	}
	return text
}

// grace is how long what was read may take to be stored when the source ends.
const grace = 5 * time.Second

// hand gives batches to the intake, each until it is taken or the source has
// ended and the grace is over.
func (s *Source) hand(ctx context.Context, intake source.Intake, full, free chan *batch) {
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	defer stop()
	for b := range full {
		_, err := source.Persist(last, func(ctx context.Context) (source.Result, error) { return intake.Take(ctx, b.messages) }, s.tell)
		if err != nil {
			s.abandoned.Add(uint64(len(b.messages)))
		}
		s.waiting.Add(-int64(len(b.messages)))
		b.reset()
		free <- b
	}
}

// tell notes what is in the way, nil if nothing is.
func (s *Source) tell(err error) {
	if err == nil {
		s.trouble.Store(nil)
		return
	}
	text := err.Error()
	s.trouble.Store(&text)
}
