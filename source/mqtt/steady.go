package mqtt

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// steady is a connection below TLS and WebSocket that tells a slow reader from one
// that reads nothing. A write of much takes long, and the system says that there is
// room only when a third of its buffer, perhaps a megabyte, is free: so a write that
// seems to stand is tried again when it is nudged.
type steady struct {
	net.Conn
	moved atomic.Int64 // when a nudge found that some had gone, in nanoseconds since 1970

	mu       sync.Mutex // guards what is below
	deadline time.Time  // for writes, as others set it
	nudged   bool
}

// longAgo is a deadline that has passed.
func longAgo() time.Time { return time.Unix(1, 0) }

// nudge makes a write that waits try again.
func (s *steady) nudge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nudged = true
	_ = s.Conn.SetWriteDeadline(longAgo()) // of a closed one: nobody waits
}

// Write implements net.Conn.
func (s *steady) Write(b []byte) (n int, err error) {
	for {
		k, err := s.Conn.Write(b[n:])
		n += k
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || !s.goOn() {
			return n, err
		}
		if k > 0 {
			s.moved.Store(time.Now().UnixNano())
		}
	}
}

// goOn reports whether a write ended because of a nudge.
func (s *steady) goOn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.nudged {
		return false
	}
	s.nudged = false
	return s.Conn.SetWriteDeadline(s.deadline) == nil
}

// SetWriteDeadline implements net.Conn.
func (s *steady) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	return s.Conn.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (s *steady) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// steadyListener makes connections steady.
type steadyListener struct{ net.Listener }

// Accept implements net.Listener.
func (l steadyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &steady{Conn: c}, nil
}

// steadyOf returns the steady connection that is below another one.
func steadyOf(c net.Conn) *steady {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = t.NetConn()
	}
	s, _ := c.(*steady)
	return s
}
