package transport

import (
	"container/list"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// writePiece is how much of an answer is given to the kernel under one
// deadline. Net/http and TLS mostly write less at a time.
const writePiece = 64 << 10

// conn is a connection that cannot be held for ever by a client that does not
// read, and that knows what it waits for when a read runs out of time.
//
// The deadline of a write stands here and not in the handler, because much is
// written outside of handlers: the end of an answer, refusals of net/http,
// frames of HTTP/2.
type conn struct {
	net.Conn
	port *Port

	// writeBy is the deadline for writes that net/http or TLS asked for, in
	// nanoseconds since 1970; 0 for none.
	writeBy atomic.Int64
	// header is true until the header of the next request has come; got counts
	// the bytes since then, TLS included; served tells whether a request has
	// reached the handler since the last header began.
	header atomic.Bool
	got    atomic.Int64
	served atomic.Bool
	// first is true until the first header has come.
	first atomic.Bool
	last  atomic.Int64 // when bytes came last, in nanoseconds since 1970
	late  atomic.Bool  // a read ran out of time while a header was due

	once sync.Once // for close

	// Guarded by connections.mu.
	place *list.Element
	queue *list.List
	since time.Time // when it was put there
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.got.Add(int64(n))
		c.last.Store(time.Now().UnixNano())
	}
	// While a request is under way net/http itself interrupts reads by a
	// deadline; bodies are the business of pacedBody.
	if err != nil && c.header.Load() && errors.Is(err, os.ErrDeadlineExceeded) && !c.late.Swap(true) {
		if c.got.Load() > 0 || c.first.Load() {
			c.port.hits.headerTimeout.Add(1)
		} else {
			c.port.hits.idleTimeout.Add(1)
		}
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	written := 0
	for {
		piece := b[written:min(len(b), written+writePiece)]
		deadline := time.Now().Add(c.port.limits.WriteTimeout)
		if by := c.writeBy.Load(); by != 0 && by < deadline.UnixNano() {
			deadline = time.Unix(0, by)
		}
		if err := c.Conn.SetWriteDeadline(deadline); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(piece)
		written += n
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) && c.writeBy.Load() == 0 {
				c.port.hits.writeTimeout.Add(1)
			}
			return written, err
		}
		if written == len(b) {
			return written, nil
		}
	}
}

// SetWriteDeadline is what TLS and net/http call; Write keeps to it if it is
// earlier than its own.
func (c *conn) SetWriteDeadline(t time.Time) error {
	by := int64(0)
	if !t.IsZero() {
		by = t.UnixNano()
	}
	c.writeBy.Store(by)
	return c.Conn.SetWriteDeadline(t)
}

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) Close() error {
	c.once.Do(func() { c.port.conns.gone(c) })
	return c.Conn.Close()
}

// CloseWrite lets net/http end its side first, so that a refusal is read
// before the connection is reset.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// connections are those of one port.
type connections struct {
	max int

	mu   sync.Mutex // guards what follows, and place, queue, since of each conn
	open map[*conn]struct{}
	// fresh have not sent a header yet, idle wait for the next one; each list
	// begins with the one that has waited longest.
	fresh, idle list.List
}

// patience is how long a new connection may take for its first header before it
// is the first to go when others come.
const patience = time.Second

// admit makes room for c and reports whether there is any. Where the port is
// full, a connection that has no request under way is closed for it: first one
// that is slow with its first header, which is what clients do that mean to
// fill the port, then the one that has been idle longest.
func (cs *connections) admit(c *conn) bool {
	cs.mu.Lock()
	if len(cs.open) < cs.max {
		cs.enter(c)
		cs.mu.Unlock()
		return true
	}
	victim := front(&cs.fresh)
	if victim == nil || time.Since(victim.since) < patience {
		if idle := front(&cs.idle); idle != nil {
			victim = idle
		}
	}
	if victim != nil {
		cs.leave(victim)
		cs.enter(c)
	}
	cs.mu.Unlock()
	if victim == nil {
		return false
	}
	// It is closed for the benefit of another; nobody is to be told.
	_ = victim.Close()
	return true
}

func front(l *list.List) *conn {
	if e := l.Front(); e != nil {
		return e.Value.(*conn)
	}
	return nil
}

// enter and leave are called with mu held.
func (cs *connections) enter(c *conn) {
	cs.open[c] = struct{}{}
	cs.move(c, &cs.fresh)
}

func (cs *connections) leave(c *conn) {
	delete(cs.open, c)
	cs.move(c, nil)
}

// move puts c behind those of a queue, or into none.
func (cs *connections) move(c *conn, to *list.List) {
	if c.queue != nil {
		c.queue.Remove(c.place)
	}
	c.queue, c.place = to, nil
	if to != nil {
		c.place, c.since = to.PushBack(c), time.Now()
	}
}

func (cs *connections) gone(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.leave(c)
}

// follow is called when a connection begins or ends to wait for a request.
func (cs *connections) follow(c *conn, waits bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if _, ok := cs.open[c]; !ok {
		return
	}
	if waits {
		cs.move(c, &cs.idle)
	} else {
		cs.move(c, nil)
	}
}

// waited is how long ago c was put where it is.
func (cs *connections) waited(c *conn) time.Duration {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return time.Since(c.since)
}

// silence is how long a client that is in the middle of its first header may
// send nothing of it when the server stops.
const silence = 500 * time.Millisecond

// closeSilent closes the connections that have not asked for anything: net/http
// would wait 5 s for each of them at a stop.
func (cs *connections) closeSilent() {
	var silent []*conn
	before := time.Now().Add(-silence).UnixNano()
	cs.mu.Lock()
	for e := cs.fresh.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*conn); c.last.Load() < before {
			silent = append(silent, c)
		}
	}
	cs.mu.Unlock()
	for _, c := range silent {
		_ = c.Close() // as in admit
	}
}

func (cs *connections) counts() (open, waiting int) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.open), cs.fresh.Len() + cs.idle.Len()
}

// under returns the conn of a connection as net/http knows it.
func under(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	own, ok := c.(*conn)
	if !ok {
		panic("BUG: a connection that the port did not accept")
	}
	return own
}

// state follows what net/http knows about a connection.
func (p *Port) state(nc net.Conn, s http.ConnState) {
	c := under(nc)
	switch s {
	case http.StateActive:
		c.header.Store(false)
		c.first.Store(false)
		p.conns.follow(c, false)
	case http.StateIdle:
		c.got.Store(0)
		c.served.Store(false)
		c.header.Store(true)
		p.conns.follow(c, true)
	case http.StateClosed:
		// HTTP/2 has a timer instead of a deadline for reads.
		if c.header.Load() && !c.first.Load() && !c.late.Load() && p.conns.waited(c) >= p.limits.IdleTimeout {
			p.hits.idleTimeout.Add(1)
		}
		// Active without a handler means that net/http did not take the
		// header. It answers that by itself and tells nobody.
		if !c.header.Load() && !c.served.Load() && !c.late.Load() {
			if c.got.Load() >= p.limits.MaxHeaderBytes {
				p.hits.headerSize.Add(1)
			} else {
				p.hits.malformed.Add(1)
			}
		}
	}
}

// accepting is the listener that net/http accepts from.
type accepting struct {
	net.Listener
	port *Port
}

func (a accepting) Accept() (net.Conn, error) {
	for {
		nc, err := a.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: nc, port: a.port}
		c.header.Store(true)
		c.first.Store(true)
		if a.port.conns.admit(c) {
			return c, nil
		}
		a.port.hits.connections.Add(1)
		// Unread, so that the client gets a reset instead of an answer: to
		// answer it would have to be waited for.
		_ = nc.Close()
	}
}
