package httpapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// pongWait is how long a client may take to answer a ping.
const pongWait = 10 * time.Second

// socketWriter writes a stream to a WebSocket (RFC 6455): text messages of one
// or more lines. The client sends nothing.
type socketWriter struct {
	w    http.ResponseWriter
	r    *http.Request
	conn *websocket.Conn // nil: the connection is an ordinary one still
	buf  []byte

	write  context.Context // of writes
	giveUp context.CancelFunc

	reader sync.WaitGroup // of one goroutine, from watch to close
	stop   context.CancelFunc
	talks  atomic.Bool // the client sent something
}

// newSocketWriter refuses what is no proper request for a WebSocket. The
// connection becomes one with the first flush, so that errors until then are
// answered with their status.
func newSocketWriter(w http.ResponseWriter, r *http.Request) (*socketWriter, error) {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	switch {
	case r.ProtoMajor != 1:
		return nil, &Error{Code: Invalid, Message: "a WebSocket needs HTTP/1.1; over HTTP/2, events and lines are to be had"}
	case !strings.Contains(strings.ToLower(r.Header.Get("Connection")), "upgrade") || r.Header.Get("Sec-WebSocket-Version") != "13" || err != nil || len(key) != 16:
		return nil, &Error{Code: Invalid, Message: "the request is no handshake of a WebSocket: it needs the headers Connection: Upgrade, Sec-WebSocket-Version: 13 and Sec-WebSocket-Key with 16 bytes in base64"}
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || !strings.EqualFold(u.Host, r.Host) {
			return nil, &Error{Code: Forbidden, Message: "a WebSocket is for pages of this server and for programs; pages elsewhere read events with a token"}
		}
	}
	s := &socketWriter{w: w, r: r}
	s.write, s.giveUp = context.WithCancel(r.Context())
	return s, nil
}

func (s *socketWriter) points(lines []byte) error {
	s.buf = append(s.buf, lines...)
	if len(s.buf) >= sendAt {
		return s.flush()
	}
	return nil
}

func (s *socketWriter) note(object []byte) error { return s.points(append(object, '\n')) }

func (s *socketWriter) begun() bool { return s.conn != nil }

func (s *socketWriter) flush() error {
	if s.conn == nil {
		var err error
		if s.conn, err = websocket.Accept(s.w, s.r, nil); err != nil {
			return err
		}
	}
	if len(s.buf) == 0 {
		return nil
	}
	// How long a client may take is the business of the port.
	err := s.conn.Write(s.write, websocket.MessageText, bytes.TrimSuffix(s.buf, []byte{'\n'}))
	s.buf = s.buf[:0]
	return err
}

func (s *socketWriter) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pongWait)
	defer cancel()
	return s.conn.Ping(ctx)
}

// watch reads, so that pings are answered and the end is seen. Its context ends
// too when the client sends something, which a stream has no use for.
func (s *socketWriter) watch(ctx context.Context) context.Context {
	left, leave := context.WithCancel(ctx)
	// Not left: the library cuts off a connection whose reader is cancelled,
	// and close has to say goodbye.
	reading, stop := context.WithCancel(s.r.Context())
	s.stop = stop
	s.reader.Go(func() {
		defer leave()
		_, _, err := s.conn.Reader(reading)
		s.talks.Store(err == nil)
	})
	return left
}

// hurry cuts the connection off if a write does not end in time.
func (s *socketWriter) hurry() { time.AfterFunc(goodbye, s.giveUp) }

func (s *socketWriter) close() {
	defer s.giveUp()
	if s.conn == nil {
		return
	}
	code, why := websocket.StatusNormalClosure, ""
	if s.talks.Load() {
		code, why = websocket.StatusPolicyViolation, "a stream takes no messages"
	}
	// The client may be gone, or say goodbye as well; it makes no difference.
	_ = s.conn.Close(code, why)
	if s.stop != nil {
		s.stop()
	}
	s.reader.Wait()
}
