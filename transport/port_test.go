package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// long is how long a test waits for what must come.
const long = 30 * time.Second

// trial is a port that serves in the background.
type trial struct {
	*Port
	t     *testing.T
	stop  context.CancelFunc
	ended chan error
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func open(t *testing.T, l Limits, c *Certificates, h http.HandlerFunc) *trial {
	t.Helper()
	if l.MaxConnections == 0 {
		l.MaxConnections = 100
	}
	p, err := Listen(Config{Name: "test", Addr: "127.0.0.1:0", Handler: h, Limits: l, TLS: c, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	tr := &trial{Port: p, t: t, stop: stop, ended: make(chan error, 1)}
	go func() {
		tr.ended <- Serve(ctx, Stop{Timeout: 100 * time.Millisecond, Begin: func() {}}, quiet(), p)
	}()
	t.Cleanup(tr.end)
	return tr
}

func (tr *trial) end() {
	tr.stop()
	select {
	case err := <-tr.ended:
		if err != nil {
			tr.t.Error(err)
		}
		tr.ended <- nil // for the next end
	case <-time.After(long):
		tr.t.Error("the port does not stop")
	}
}

// dial opens a connection, with TLS where the port has it, for one protocol.
func (tr *trial) dial(protocol string) net.Conn {
	tr.t.Helper()
	c, err := net.Dial("tcp", tr.Addr().String())
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() { _ = c.Close() })
	if tr.tls == nil {
		return c
	}
	s := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
	if err := s.Handshake(); err != nil {
		tr.t.Fatal(err)
	}
	return s
}

func (tr *trial) send(c net.Conn, text string) {
	tr.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		tr.t.Fatal(err)
	}
}

// get asks over an open connection.
func (tr *trial) get(c net.Conn) *http.Response {
	tr.t.Helper()
	tr.send(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	return tr.answer(c)
}

func (tr *trial) answer(c net.Conn) *http.Response {
	tr.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(long)); err != nil {
		tr.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		tr.t.Fatal(err)
	}
	return resp
}

// closed waits until the server has closed c, and returns what it said before.
func (tr *trial) closed(c net.Conn) string {
	tr.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(long)); err != nil {
		tr.t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		tr.t.Fatal("the connection stays open")
	}
	return string(b)
}

// hit waits until a limit has struck as often as it should have.
func (tr *trial) hit(limit string, want uint64) {
	tr.t.Helper()
	var got uint64
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for _, h := range tr.Stats().Hits {
			if h.Limit == limit {
				got = h.Count
			}
		}
		if got == want {
			return
		}
	}
	tr.t.Errorf("%s struck %d times, want %d: %+v", limit, got, want, tr.Stats())
}

// none checks that no limit struck.
func (tr *trial) none() {
	tr.t.Helper()
	for _, h := range tr.Stats().Hits {
		if h.Count != 0 {
			tr.t.Errorf("%s struck %d times, want 0", h.Limit, h.Count)
		}
	}
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(long); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come about that %s", what)
		}
	}
}

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }

// A port full of connections that ask nothing has room for one that does.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	l.MaxConnections = 4
	tr := open(t, l, nil, hello)
	for range 12 {
		tr.dial("")
	}
	for range 3 {
		if resp := tr.get(tr.dial("")); resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	if s := tr.Stats(); s.Connections > 4 {
		t.Errorf("%d connections are open, want at most 4", s.Connections)
	}
}

// While clients are slow with their first header, those that asked already keep
// their connections.
func TestSlowOnesGoFirst(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	l.MaxConnections = 2
	tr := open(t, l, nil, hello)
	good := tr.dial("")
	tr.get(good)
	slow := tr.dial("")
	tr.send(slow, "GET / HT")
	time.Sleep(patience + 100*time.Millisecond)
	tr.get(tr.dial(""))
	if tr.closed(slow) != "" {
		t.Error("the slow one got an answer")
	}
	tr.get(good)
}

func TestFullOfRequests(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	l.MaxConnections = 2
	release := make(chan struct{})
	tr := open(t, l, nil, func(w http.ResponseWriter, r *http.Request) { <-release })
	for range 2 {
		tr.send(tr.dial(""), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	eventually(t, "two requests are under way", func() bool { return tr.Stats().Requests == 2 })
	if text := tr.closed(tr.dial("")); text != "" {
		t.Errorf("answer %q", text)
	}
	tr.hit("max_connections", 1)
	close(release)
	eventually(t, "nothing is under way", func() bool { return tr.Stats().Requests == 0 })
	tr.get(tr.dial(""))
}

func TestSlowHeader(t *testing.T) {
	t.Parallel()
	for name, c := range both(t) {
		t.Run(name, func(t *testing.T) {
			l := DefaultLimits()
			l.HeaderTimeout = time.Second
			tr := open(t, l, c, hello)
			conn := tr.dial("http/1.1")
			tr.send(conn, "GET / HTTP/1.1\r\nX-Slow: ")
			tr.closed(conn)
			tr.hit("header_timeout", 1)
			// The second header has no longer than the first.
			conn = tr.dial("http/1.1")
			tr.get(conn)
			// Bytes that come before the server waits again count for the request before.
			eventually(t, "the connection waits", func() bool { return tr.Stats().Waiting == 1 })
			tr.send(conn, "GET / HTTP/1.1\r\nX-Slow: ")
			tr.closed(conn)
			tr.hit("header_timeout", 2)
		})
	}
}

func TestSlowHandshake(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	l.HeaderTimeout = time.Second
	tr := open(t, l, testCertificates(t), hello)
	c, err := net.Dial("tcp", tr.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tr.closed(c)
	tr.hit("header_timeout", 1)
}

func TestLargeHeader(t *testing.T) {
	t.Parallel()
	for name, c := range both(t) {
		t.Run(name, func(t *testing.T) {
			l := DefaultLimits()
			l.MaxHeaderBytes = 8 << 10
			tr := open(t, l, c, hello)
			conn := tr.dial("http/1.1")
			tr.send(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Large: "+strings.Repeat("x", 12<<10)+"\r\n\r\n")
			if resp := tr.answer(conn); resp.StatusCode != 431 {
				t.Errorf("status %d, want 431", resp.StatusCode)
			}
			tr.hit("max_header", 1)
		})
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	tr := open(t, DefaultLimits(), nil, hello)
	for _, text := range []string{
		"\x00\x01\x02\x03\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",                                                            // no host
		"GET / HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n",                                       // a space in a name
		"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",                                      // two hosts
		"POST / HTTP/1.1\r\nHost: x\r\n b: folded\r\n\r\n",                                  // begins with a space
		"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",                                             // NUL
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", // which?
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
	} {
		c := tr.dial("")
		tr.send(c, text)
		if resp := tr.answer(c); resp.StatusCode != 400 && resp.StatusCode != 501 {
			t.Errorf("%q: status %d", text, resp.StatusCode)
		}
		tr.closed(c)
	}
	eventually(t, "all nine are counted", func() bool { return tr.Stats().Malformed == 9 })
	tr.none()
}

// A body that stands still is cut off, and the handler is told why.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	for name, c := range both(t) {
		t.Run(name, func(t *testing.T) {
			l := DefaultLimits()
			l.BodyTimeout, l.MinBodyRate = 300*time.Millisecond, 1<<20
			told := make(chan error, 1)
			tr := open(t, l, c, func(w http.ResponseWriter, r *http.Request) {
				_, err := io.Copy(io.Discard, r.Body)
				told <- err
				w.WriteHeader(503)
			})
			conn := tr.dial("http/1.1")
			tr.send(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nhello")
			var slow *SlowBodyError
			if err := <-told; !errors.As(err, &slow) || slow.Got != 5 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("handler was told %v", err)
			}
			if text := tr.closed(conn); !strings.HasPrefix(text, "HTTP/1.1 503") {
				t.Errorf("answer %q", text)
			}
			tr.hit("min_body_rate", 1)
		})
	}
}

// A handler that does not want a body does not make the server wait for it.
func TestUnreadBody(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	l.BodyTimeout, l.MinBodyRate = 300*time.Millisecond, 1<<20
	tr := open(t, l, nil, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) })
	conn := tr.dial("")
	tr.send(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello")
	if text := tr.closed(conn); !strings.HasPrefix(text, "HTTP/1.1 401") {
		t.Errorf("answer %q", text)
	}
}

// A body may take many times http.body_timeout while it keeps coming, and the
// handler any time after that.
func TestSteadyBody(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	l.BodyTimeout, l.MinBodyRate = time.Second, 256
	tr := open(t, l, nil, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
			err = errors.Join(err, r.Context().Err())
		case <-time.After(1500 * time.Millisecond): // net/http reads ahead meanwhile
		}
		fmt.Fprint(w, n, err)
	})
	conn := tr.dial("")
	tr.send(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20480\r\n\r\n")
	for range 20 {
		tr.send(conn, strings.Repeat("x", 1024)) // a second would be 256 bytes
		time.Sleep(100 * time.Millisecond)
	}
	resp := tr.answer(conn)
	if text, err := io.ReadAll(resp.Body); string(text) != "20480 <nil>" {
		t.Errorf("answer %q, %v", text, err)
	}
	tr.get(conn) // it is used again
	tr.none()
}

// A client that does not read its answer does not hold a handler.
func TestStalledReader(t *testing.T) {
	t.Parallel()
	for name, c := range both(t) {
		t.Run(name, func(t *testing.T) {
			l := DefaultLimits()
			l.WriteTimeout = 500 * time.Millisecond
			told := make(chan error, 1)
			tr := open(t, l, c, func(w http.ResponseWriter, r *http.Request) {
				_, err := w.Write(make([]byte, 64<<20))
				told <- err
				<-r.Context().Done() // which net/http ends then
			})
			conn := tr.dial("http/1.1")
			tr.send(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			select {
			case err := <-told:
				if err == nil {
					t.Error("64 MiB went to a client that does not read")
				}
			case <-time.After(long):
				t.Fatal("the handler is held")
			}
			tr.hit("write_timeout", 1)
		})
	}
}

// One that reads slowly, but does, gets its answer however long that takes.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	l.WriteTimeout = time.Second
	const size = 16 << 20
	tr := open(t, l, nil, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(make([]byte, size)) })
	c := tr.dial("")
	if err := c.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	tr.send(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	got, buf := 0, make([]byte, 256<<10)
	for {
		n, err := io.ReadFull(c, buf)
		got += n
		if err != nil {
			break
		}
		time.Sleep(40 * time.Millisecond) // 2.5 s and more in all
	}
	if got < size {
		t.Errorf("%d bytes of %d came", got, size)
	}
	tr.none()
}

// Requests that are sent without ever reading an answer end, too.
func TestPipelineWithoutReading(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	l.WriteTimeout = 500 * time.Millisecond
	text := bytes.Repeat([]byte("x"), 2<<10) // in the buffer of net/http, outside of any handler
	tr := open(t, l, nil, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(text) })
	c := tr.dial("")
	if err := c.SetWriteDeadline(time.Now().Add(long)); err != nil {
		t.Fatal(err)
	}
	request := strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 100)
	for range 2000 {
		if _, err := io.WriteString(c, request); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the connection stays open")
			}
			break
		}
	}
	tr.hit("write_timeout", 1)
}

func TestIdle(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	l.IdleTimeout = time.Second
	tr := open(t, l, nil, hello)
	c := tr.dial("")
	tr.get(c)
	tr.closed(c)
	tr.hit("idle_timeout", 1)
}

func TestStopWaits(t *testing.T) {
	t.Parallel()
	for name, c := range both(t) {
		t.Run(name, func(t *testing.T) {
			p, err := Listen(Config{Name: "test", Addr: "127.0.0.1:0", Limits: limited(10), TLS: c, Log: quiet(), Handler: http.HandlerFunc(
				func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(2 * silence)
					hello(w, r)
				})})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			var begun atomic.Bool
			ended := make(chan error, 1)
			go func() {
				ended <- Serve(ctx, Stop{Timeout: long, Begin: func() { begun.Store(true) }}, quiet(), p)
			}()
			tr := &trial{Port: p, t: t}
			conn, silent := tr.dial("http/1.1"), tr.dial("http/1.1")
			tr.send(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			eventually(t, "the request is under way", func() bool { return p.Stats().Requests == 1 })
			time.Sleep(silence)
			began := time.Now()
			stop()
			if resp := tr.answer(conn); resp.StatusCode != 200 {
				t.Errorf("status %d", resp.StatusCode)
			}
			if err := <-ended; err != nil || !begun.Load() {
				t.Errorf("stopped with %v, begun %t", err, begun.Load())
			}
			// net/http would wait 5 s for the silent one.
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("it took %s", took)
			}
			tr.closed(silent)
			if s := p.Stats(); s.Connections != 0 {
				t.Errorf("%d connections are left", s.Connections)
			}
		})
	}
}

// At the deadline requests are cut off, and their handlers have ended when
// Serve returns.
func TestStopCutsOff(t *testing.T) {
	t.Parallel()
	var ended atomic.Bool
	tr := open(t, DefaultLimits(), nil, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		time.Sleep(200 * time.Millisecond)
		ended.Store(true)
	})
	tr.send(tr.dial(""), "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n") // whose body never comes
	eventually(t, "the request is under way", func() bool { return tr.Stats().Requests == 1 })
	tr.end()
	if !ended.Load() {
		t.Error("the handler goes on")
	}
}

// Between the order to stop and the closing of ports requests are taken.
func TestStopDelay(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	p, err := Listen(Config{Name: "test", Addr: "127.0.0.1:0", Limits: limited(10), Log: quiet(), Handler: http.HandlerFunc(hello)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, Stop{Delay: 2 * time.Second, Timeout: long, Begin: func() { close(begun) }}, quiet(), p)
	}()
	stop()
	<-begun
	tr := &trial{Port: p, t: t}
	tr.get(tr.dial(""))
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A port that fails ends all of them.
func TestPortFails(t *testing.T) {
	t.Parallel()
	var all []*Port
	for range 2 {
		p, err := Listen(Config{Name: "test", Addr: "127.0.0.1:0", Limits: limited(10), Log: quiet(), Handler: http.HandlerFunc(hello)})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if err := all[1].listener.Close(); err != nil {
		t.Fatal(err)
	}
	err := Serve(t.Context(), Stop{Timeout: long, Begin: func() {}}, quiet(), all...)
	if err == nil || !strings.Contains(err.Error(), "serve test port") {
		t.Errorf("error %v", err)
	}
}

func limited(connections int) Limits {
	l := DefaultLimits()
	l.MaxConnections = connections
	return l
}

// both is a port without and one with TLS.
func both(t *testing.T) map[string]*Certificates {
	return map[string]*Certificates{"plain": nil, "tls": testCertificates(t)}
}

func TestLimitsValidate(t *testing.T) {
	t.Parallel()
	d := DefaultLimits()
	if err := d.Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
	for want, change := range map[string]func(*Limits){
		"most connections":  func(l *Limits) { l.MaxConnections = -1 },
		"largest header":    func(l *Limits) { l.MaxHeaderBytes = 100 },
		"header timeout":    func(l *Limits) { l.HeaderTimeout = 0 },
		"body timeout":      func(l *Limits) { l.BodyTimeout = -1 },
		"least rate":        func(l *Limits) { l.MinBodyRate = 0 },
		"write timeout":     func(l *Limits) { l.WriteTimeout = 0 },
		"idle timeout":      func(l *Limits) { l.IdleTimeout = 0 },
		"HTTP/2 connection": func(l *Limits) { l.MaxStreams = 0 },
	} {
		l := DefaultLimits()
		change(&l)
		if err := l.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for memory, want := range map[int64]int{64 << 20: 128, 128 << 20: 256, 1 << 30: 2048, 64 << 30: mostConnections} {
		if got := ConnectionsFor(memory); got != want {
			t.Errorf("%d MiB: %d connections, want %d", memory>>20, got, want)
		}
	}
}
