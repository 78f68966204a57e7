package mqtt

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/protocol/mqttwire"
)

// conn is a connection. Its reader is a goroutine; writers come and go as there
// is something to write, so that an idle device costs one goroutine.
type conn struct {
	broker *Broker
	net    net.Conn
	below  *steady // what net writes to
	remote string
	cert   *x509.Certificate

	// Written by the reader, with mu held, before it takes anything but CONNECT.
	version byte
	session *session

	// Of the reader alone.
	who        Identity
	access     permissions
	rules      uint64            // generation that access is of
	topics     map[string]*known // what is known of topics that it published to
	last       *known
	aliases    []string
	aliasBytes int // how long they are together
	oversized  *oversized

	maxPacket int // that the client takes; 0: any
	will      *mqttwire.Will

	patient atomic.Int64 // how long it may be silent, in nanoseconds; 0: for ever
	heard   atomic.Int64 // when something came last, in nanoseconds since 1970
	held    atomic.Bool  // it is not read at the moment, for want of room
	writes  atomic.Int64 // when the write that is under way began; 0: none is

	mu      sync.Mutex // guards what is below
	out     []byte     // to be written
	spare   []byte     // what was written last, for its memory
	counted int        // bytes of out that Broker.unwritten has
	writing bool       // a goroutine writes, or is about to
	sending bool       // a write is under way: the client has not taken all
	dirty   bool       // a lane has added to out and will kick
	window  window
	room    *sync.Cond // of the window; made when it is first waited for
	ending  bool       // it is closed when out is empty
	ended   bool
	cause   string   // why, for device_status and the log
	polite  bool     // the client said goodbye itself
	may     Identity // when it was let in
}

const (
	firstBuffer = 1 << 10
	lastBuffer  = 64 << 10
	// quietReads is after how many small reads a large buffer is let go.
	quietReads = 16
	// connectWithin is how long a client may take to say CONNECT: a TLS
	// handshake over a slow link, and then a packet.
	connectWithin = 15 * time.Second
	// writeWithin is how long a client may take nothing of what is written.
	writeWithin = 30 * time.Second
	// nudges is into how many parts that time is divided, after the first of which
	// it is looked every second whether the client has taken something.
	nudges = 6
	// maxConnect is the largest CONNECT. Who sends it is not known yet.
	maxConnect = 256 << 10
)

// serve reads until the connection ends.
func (c *conn) serve() {
	err := c.read()
	c.mu.Lock()
	if c.cause == "" {
		c.cause = reasonOf(err)
	}
	flush := c.ending && !c.ended
	c.mu.Unlock()
	if flush {
		c.kick() // the writer closes it
	} else {
		c.drop()
	}
	if c.session != nil {
		c.broker.leave(c)
	}
	c.waitForEnd()
}

// waitForEnd returns when the writer has closed the connection, which lookAt
// sees to.
func (c *conn) waitForEnd() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.room == nil {
		c.room = sync.NewCond(&c.mu)
	}
	for !c.ended {
		c.room.Wait()
	}
}

// errGoodbye ends reading: what comes behind a DISCONNECT does not count.
var errGoodbye = errors.New("the client said goodbye")

// reasonOf words why reading ended.
func reasonOf(err error) string {
	var wire *mqttwire.Error
	switch {
	case errors.As(err, &wire):
		return wire.Error()
	case err == nil:
		return "disconnected"
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return "connection closed"
	}
	return "connection lost"
}

func (c *conn) read() error {
	buf := make([]byte, firstBuffer)
	from, to, quiet := 0, 0, 0
	for {
		var need int
		for from < to || c.oversized != nil {
			if o := c.oversized; o != nil {
				n := min(to-from, o.left)
				from += n
				if o.left -= n; o.left > 0 {
					break
				}
				if err := c.endOversized(); err != nil {
					c.fail(err)
					return err
				}
				continue
			}
			limit := int(c.broker.config.MaxPacket)
			if c.session == nil {
				limit = min(limit, maxConnect)
			}
			p, n, needs, err := mqttwire.Next(buf[from:to], limit)
			switch {
			case err != nil:
				n, needs, err = c.beginOversized(buf[from:to], limit, err)
			case n > 0:
				err = c.packet(p)
			}
			if errors.Is(err, errGoodbye) {
				return nil
			}
			if err != nil {
				c.fail(err)
				return err
			}
			if need = needs; n == 0 {
				break
			}
			from += n
		}
		if c.flushAcks() > maxOut {
			c.waitForWriter() // it asks and does not read the answers
		}
		if c.over() {
			return nil
		}
		if from == to {
			from, to = 0, 0
			if quiet > quietReads && len(buf) > firstBuffer {
				buf = make([]byte, firstBuffer)
			}
		} else {
			to = copy(buf, buf[from:to])
			from = 0
			// A buffer grows with what has come, not with what was announced.
			if need > len(buf) && to == len(buf) {
				buf = slices.Grow(buf[:to], min(need, 2*len(buf))-to)
				buf = buf[:cap(buf)]
			}
		}
		n, err := c.net.Read(buf[to:])
		if n > 0 {
			c.heard.Store(c.broker.clock.Load())
			c.broker.stats.bytesIn.Add(uint64(n))
			if quiet++; n > len(buf)/4 {
				quiet = 0
			}
			if n == len(buf)-to && len(buf) < lastBuffer && to == 0 {
				buf = append(buf[:to+n], make([]byte, len(buf))...)
			}
			to += n
		}
		if err != nil {
			return err
		}
	}
}

// fail tells the client what it did wrong, as far as its version can be told.
func (c *conn) fail(err error) {
	var wire *mqttwire.Error
	if !errors.As(err, &wire) {
		return
	}
	c.broker.stats.refuse(wire.Reason)
	if c.session == nil {
		c.refuse(wire.Reason, wire.Problem)
		return
	}
	c.end(wire.Reason, wire.Error())
}

// refuse answers a CONNECT that cannot be served.
func (c *conn) refuse(r mqttwire.Reason, why string) {
	if c.version == 0 && r != mqttwire.UnsupportedVersion {
		return // it is no client of MQTT
	}
	a := &mqttwire.Connack{Reason: r}
	if why != "" && c.version == mqttwire.V5 {
		a.Properties = mqttwire.AppendData(nil, mqttwire.ReasonString, []byte(why))
	}
	version := c.version
	if version == 0 {
		version = mqttwire.V311 // which every client understands
	}
	c.mu.Lock()
	c.out = mqttwire.AppendConnack(c.out, version, a)
	c.ending, c.cause = true, r.String()
	c.mu.Unlock()
}

// end says goodbye and closes the connection when that is written. It does not
// wait.
func (c *conn) end(r mqttwire.Reason, cause string) {
	c.mu.Lock()
	if !c.ending {
		c.ending = true
		if c.cause == "" {
			c.cause = cause
		}
		if c.version == mqttwire.V5 {
			c.out = mqttwire.AppendDisconnect(c.out, c.version, &mqttwire.Disconnect{Reason: r})
		}
	}
	c.free()
	c.mu.Unlock()
	c.kick()
}

// forsake closes the connection of a client that has sent what nobody took, so
// that it sends again.
func (c *conn) forsake() {
	if !c.over() {
		c.end(mqttwire.ServerBusy, "the pipeline that was to take its messages is gone; it may send them again")
	}
}

// drop closes the connection at once.
func (c *conn) drop() {
	c.mu.Lock()
	c.ending, c.ended = true, true
	c.count()
	c.free()
	c.mu.Unlock()
	c.net.Close() // what else is there to do with its error
	c.broker.room.wake()
}

func (c *conn) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending
}

// lookAt ends the connection if the client has been silent or has read nothing
// for too long. Broker.mu is held.
func (c *conn) lookAt(now int64) {
	cause := ""
	if w := c.writes.Load(); w != 0 {
		switch idle := now - max(w, c.below.moved.Load()); {
		case idle > c.broker.writeWithin:
			cause = "reads nothing"
		case idle > c.broker.writeWithin/nudges:
			c.below.nudge()
		}
	}
	if p := c.patient.Load(); p > 0 && now-c.heard.Load() > p && !c.held.Load() {
		cause = mqttwire.KeepAliveTimeout.String()
	}
	if cause == "" {
		return
	}
	c.broker.stats.refuse(mqttwire.KeepAliveTimeout)
	c.mu.Lock()
	if c.cause == "" {
		c.cause = cause
	}
	c.mu.Unlock()
	c.broker.serving.Go(c.drop)
}

// lookAtAccess ends the connection of a client that may not be connected any
// more, or may something else by now: it is let in anew, if at all.
func (c *conn) lookAtAccess() {
	c.mu.Lock()
	before := c.may
	c.mu.Unlock()
	if before.Still == nil {
		return
	}
	now, ok := before.Still()
	if ok && now.Publish == before.Publish && now.Subscribe == before.Subscribe && slices.Equal(now.Names, before.Names) {
		return
	}
	c.broker.stats.refuse(mqttwire.NotAuthorized)
	c.end(mqttwire.NotAuthorized, "no longer authorized")
}

// send appends packets to what is written, and lets it be written.
func (c *conn) send(add func([]byte) []byte) {
	c.mu.Lock()
	c.out = add(c.out)
	c.mu.Unlock()
	c.kick()
}

// kick lets what waits be written, by another goroutine.
func (c *conn) kick() {
	c.mu.Lock()
	c.dirty = false
	start := !c.writing && !c.ended && (len(c.out) > 0 || c.ending)
	if start {
		c.writing = true
	}
	c.mu.Unlock()
	if start {
		c.broker.serving.Go(c.write)
	}
}

// flushAcks is kick for the reader, which adds to out without it. It returns how
// much waits to be written.
func (c *conn) flushAcks() int {
	c.mu.Lock()
	n := len(c.out)
	c.mu.Unlock()
	if n > 0 {
		c.kick()
	}
	return n
}

// keepOut is the largest buffer that an idle connection keeps for writing.
const keepOut = 512

// write writes until there is nothing left.
func (c *conn) write() {
	for {
		c.mu.Lock()
		if len(c.out) == 0 || c.ended {
			c.writing = false
			closes := c.ending && !c.ended
			if cap(c.out) > keepOut {
				c.out = nil
			}
			if cap(c.spare) > keepOut {
				c.spare = nil
			}
			c.mu.Unlock()
			if closes {
				c.drop()
			}
			return
		}
		b := c.out
		c.out = c.spare[:0]
		c.spare = nil
		counted := c.counted
		c.counted = 0
		c.sending = true
		c.mu.Unlock()
		c.writes.Store(c.broker.clock.Load())
		n, err := c.net.Write(b)
		c.writes.Store(0)
		c.broker.stats.bytesOut.Add(uint64(n))
		if counted > 0 {
			c.broker.unwritten.Add(-int64(counted))
		}
		if err != nil {
			c.mu.Lock()
			c.writing = false
			c.mu.Unlock()
			c.drop()
			return
		}
		c.mu.Lock()
		c.spare, c.sending = b[:0], false
		s := c.session
		c.free()
		c.mu.Unlock()
		if s != nil {
			s.pump(c)
		}
	}
}

// done ticks a message off for one pipeline. It returns true if the caller is
// to kick.
func (c *conn) done(seq uint32) bool {
	c.mu.Lock()
	c.window.at(seq).open--
	added := c.acknowledge()
	first := added && !c.dirty
	if first {
		c.dirty = true
	}
	c.mu.Unlock()
	return first
}

// acknowledge appends the acknowledgements of the finished head of the window.
// conn.mu is held.
func (c *conn) acknowledge() (added bool) {
	for {
		a, ok := c.window.pop()
		if !ok {
			break
		}
		added = true
		t := mqttwire.PUBACK
		if a.qos == 2 {
			t = mqttwire.PUBREC
			if !a.reason.Failed() {
				// Also if the connection is gone: the client may send it again over
				// the next one, and is then answered at once.
				c.session.received.taken(a.id, a.number)
			}
		}
		if !c.ended {
			c.out = mqttwire.AppendAck(c.out, t, c.version, mqttwire.Ack{PacketID: a.id, Reason: a.reason})
		}
	}
	if added {
		c.free()
	}
	return added && !c.ended
}

// free wakes a reader that waits for its window or its writer. conn.mu is held.
func (c *conn) free() {
	if c.room != nil {
		c.room.Broadcast()
	}
}

// waitForWindow stops reading from a client of MQTT 3.1.1, which knows no
// receive maximum, until it has room in its window.
func (c *conn) waitForWindow(limit int) {
	c.mu.Lock()
	full := c.window.len() >= limit
	c.mu.Unlock()
	if !full {
		return
	}
	c.flushAcks()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.room == nil {
		c.room = sync.NewCond(&c.mu)
	}
	c.held.Store(true)
	for c.window.len() >= limit && !c.ending {
		c.room.Wait()
	}
	c.heard.Store(c.broker.clock.Load())
	c.held.Store(false)
}

// waitForWriter stops reading until little waits to be written.
func (c *conn) waitForWriter() {
	c.kick()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.room == nil {
		c.room = sync.NewCond(&c.mu)
	}
	c.held.Store(true)
	for len(c.out) > maxOut/2 && !c.ending {
		c.room.Wait()
	}
	c.heard.Store(c.broker.clock.Load())
	c.held.Store(false)
}

// waitForRoom stops reading while the lanes of a topic are full. It returns
// early when what is known of the topic may not hold any more.
func (c *conn) waitForRoom(k *known) {
	if !c.broker.room.full(k.lanes) {
		return
	}
	c.flushAcks()
	c.broker.stats.held.Add(1)
	c.held.Store(true)
	c.broker.room.wait(k.lanes, func() bool {
		return c.over() || c.broker.ctx.Err() != nil || c.broker.generation.Load() != k.generation
	})
	c.heard.Store(c.broker.clock.Load())
	c.held.Store(false)
}

// packet handles one packet.
func (c *conn) packet(p mqttwire.Packet) error {
	if c.session == nil {
		if p.Type != mqttwire.CONNECT {
			return fmt.Errorf("the first packet is of type %d, not CONNECT", p.Type)
		}
		return c.connect(p.Body)
	}
	switch p.Type {
	case mqttwire.PUBLISH:
		return c.publish(p)
	case mqttwire.PUBACK, mqttwire.PUBREC, mqttwire.PUBREL, mqttwire.PUBCOMP:
		a, err := mqttwire.DecodeAck(p.Type, p.Body, c.version)
		if err != nil {
			return err
		}
		switch p.Type {
		case mqttwire.PUBREL:
			c.released(a.PacketID)
		default:
			c.session.acknowledged(c, p.Type, a)
		}
		return nil
	case mqttwire.SUBSCRIBE:
		return c.subscribe(p.Body)
	case mqttwire.UNSUBSCRIBE:
		return c.unsubscribe(p.Body)
	case mqttwire.PINGREQ:
		if len(p.Body) > 0 {
			return &mqttwire.Error{Reason: mqttwire.MalformedPacket, Problem: "a PINGREQ with a body"}
		}
		c.mu.Lock()
		c.out = mqttwire.AppendPing(c.out, mqttwire.PINGRESP)
		c.mu.Unlock()
		return nil
	case mqttwire.DISCONNECT:
		return c.disconnected(p.Body)
	}
	return &mqttwire.Error{Reason: mqttwire.ProtocolError, Problem: fmt.Sprintf("packet type %d from a client", p.Type)}
}

// disconnected handles the goodbye of a client.
func (c *conn) disconnected(body []byte) error {
	d, err := mqttwire.DecodeDisconnect(body, c.version)
	if err != nil {
		return err
	}
	if d.HasExpiry && !c.session.setExpiry(d.SessionExpiry, c.broker.config.expirySeconds()) {
		return &mqttwire.Error{Reason: mqttwire.ProtocolError, Problem: "a session that was to end with the connection cannot be made to stay"}
	}
	c.mu.Lock()
	c.polite = d.Reason == mqttwire.Success
	if c.cause == "" {
		c.cause = "disconnected"
		if d.Reason != mqttwire.Success {
			c.cause = d.Reason.String()
		}
	}
	c.ending = true
	c.mu.Unlock()
	return errGoodbye
}
