package transport

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// Types and flags of frames, RFC 9113 section 6.
const (
	frameHeaders, frameReset, frameSettings, framePing, frameGoAway, frameContinuation = 1, 3, 4, 6, 7, 9

	endStream, endHeaders = 1, 4
)

func appendFrame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	b = append(b, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// getBlock is the header of GET / as HPACK: three entries of the static table,
// and a literal :authority.
func getBlock() []byte { return []byte{0x82, 0x87, 0x84, 0x01, 1, 'x'} }

// raw opens a connection of HTTP/2 for frames made by hand.
func (tr *trial) raw() io.ReadWriter {
	c := tr.dial("h2")
	if err := c.SetDeadline(time.Now().Add(long)); err != nil {
		tr.t.Fatal(err)
	}
	tr.send(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+string(appendFrame(nil, frameSettings, 0, 0, nil)))
	return c
}

// goAway reads frames until the connection ends, and returns the code of the
// last GOAWAY, or -1.
func goAway(t *testing.T, c io.Reader) int {
	t.Helper()
	code := -1
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(c, head); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection stays open")
			}
			return code
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(c, payload); err != nil {
			return code
		}
		if head[3] == frameGoAway {
			code = int(binary.BigEndian.Uint32(payload[4:]))
		}
	}
}

func http2Client() *http.Client {
	p := new(http.Protocols)
	p.SetHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: p, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

func (tr *trial) url() string { return "https://" + tr.Addr().String() + "/" }

func TestHTTP2(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	l.IdleTimeout = time.Second
	tr := open(t, l, testCertificates(t), func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Proto, " ", n, err)
	})
	resp, err := http2Client().Post(tr.url(), "", strings.NewReader(strings.Repeat("x", 3<<20)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); string(text) != "HTTP/2.0 3145728 <nil>" {
		t.Errorf("answer %q, %v", text, err)
	}
	tr.hit("idle_timeout", 1)
}

// Plain ports do not speak HTTP/2.
func TestNoHTTP2WithoutTLS(t *testing.T) {
	t.Parallel()
	tr := open(t, DefaultLimits(), nil, hello)
	c := tr.dial("")
	tr.send(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	if text := tr.closed(c); !strings.HasPrefix(text, "HTTP/1.1 505") || !strings.Contains(text, "needs TLS") {
		t.Errorf("answer %q", text)
	}
	c = tr.dial("")
	tr.send(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
	if resp := tr.answer(c); resp.StatusCode != 200 || resp.Proto != "HTTP/1.1" {
		t.Errorf("status %d of %s", resp.StatusCode, resp.Proto)
	}
}

func TestHTTP2SlowBody(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	l.BodyTimeout, l.MinBodyRate = 300*time.Millisecond, 1<<20
	told := make(chan error, 1)
	tr := open(t, l, testCertificates(t), func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		told <- err
	})
	body, end := io.Pipe()
	defer end.Close()
	go func() { _, _ = end.Write([]byte("hello")) }() // and no more
	if resp, err := http2Client().Post(tr.url(), "", body); err == nil {
		resp.Body.Close()
	}
	var slow *SlowBodyError
	if err := <-told; !errors.As(err, &slow) || slow.Got != 5 {
		t.Errorf("handler was told %v", err)
	}
	tr.hit("min_body_rate", 1)
}

// A stream whose window is not opened is ended; others of the connection go on.
func TestHTTP2StalledReader(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	l.WriteTimeout = 500 * time.Millisecond
	told := make(chan error, 1)
	tr := open(t, l, testCertificates(t), func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			hello(w, r)
			return
		}
		_, err := w.Write(make([]byte, 64<<20))
		told <- err
	})
	c := http2Client()
	resp, err := c.Get(tr.url())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	select {
	case err := <-told:
		if err == nil {
			t.Error("64 MiB went to a client that does not read")
		}
	case <-time.After(long):
		t.Fatal("the handler is held")
	}
	tr.hit("write_timeout", 1)
	other, err := c.Post(tr.url(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	other.Body.Close()
}

// Streams that are opened and reset at once (CVE-2023-44487) end the connection
// when their handlers cannot keep up.
func TestHTTP2RapidReset(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	l.MaxStreams = 10
	release := make(chan struct{})
	tr := open(t, l, testCertificates(t), func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	c := tr.raw()
	for i := range uint32(200) {
		b := appendFrame(nil, frameHeaders, endStream|endHeaders, 2*i+1, getBlock())
		b = appendFrame(b, frameReset, 0, 2*i+1, []byte{0, 0, 0, 8})
		if _, err := c.Write(b); err != nil {
			break // closed already
		}
	}
	if code := goAway(t, c); code != 11 && code != -1 {
		t.Errorf("GOAWAY with code %d, want 11: enhance your calm", code)
	}
	tr.hit("max_streams", 1)
	if n := tr.Stats().Requests; n > 10 {
		t.Errorf("%d requests are under way, want at most 10", n)
	}
}

// More streams than were granted are refused one by one.
func TestHTTP2MaxStreams(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	l.MaxStreams = 2
	release := make(chan struct{})
	tr := open(t, l, testCertificates(t), func(http.ResponseWriter, *http.Request) { <-release })
	c := tr.raw()
	var b []byte
	for i := range uint32(4) {
		b = appendFrame(b, frameHeaders, endStream|endHeaders, 2*i+1, getBlock())
	}
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	tr.hit("max_streams", 2)
	if n := tr.Stats().Requests; n != 2 {
		t.Errorf("%d requests are under way, want 2", n)
	}
	close(release)
}

// All connections of a port together have no more requests under way than
// connections are allowed.
func TestHTTP2MaxRequests(t *testing.T) {
	t.Parallel()
	l := limited(3)
	release := make(chan struct{})
	tr := open(t, l, testCertificates(t), func(http.ResponseWriter, *http.Request) { <-release })
	c := tr.raw()
	var b []byte
	for i := range uint32(5) {
		b = appendFrame(b, frameHeaders, endStream|endHeaders, 2*i+1, getBlock())
	}
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	tr.hit("max_requests", 2)
	close(release)
}

// Pings whose answers are not read, and a header that never ends
// (CVE-2024-24549), hold no more than their connection.
func TestHTTP2Floods(t *testing.T) {
	t.Parallel()
	l := DefaultLimits()
	l.WriteTimeout, l.MaxHeaderBytes = time.Second, 8<<10
	tr := open(t, l, testCertificates(t), hello)
	ping := appendFrame(nil, framePing, 0, 0, make([]byte, 8))
	many := strings.Repeat(string(ping), 1000)
	c := tr.raw()
	broken := false
	for range 3000 { // 51 MB at most
		if _, err := io.WriteString(c, many); err != nil {
			broken = !errors.Is(err, os.ErrDeadlineExceeded)
			break
		}
	}
	if !broken {
		t.Error("pings go on and on")
	}
	c = tr.raw()
	// A literal header without indexing: name of 1, value of 100 bytes.
	field := append([]byte{0, 1, 'a', 100}, strings.Repeat("v", 100)...)
	var block []byte
	for range 100 {
		block = append(block, field...)
	}
	b := appendFrame(nil, frameHeaders, 0, 1, block)
	next := appendFrame(nil, frameContinuation, 0, 1, block)
	broken = false
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	for range 5000 { // 50 MB at most
		if _, err := c.Write(next); err != nil {
			broken = !errors.Is(err, os.ErrDeadlineExceeded)
			break
		}
	}
	if !broken {
		t.Error("a header goes on and on")
	}
	resp, err := http2Client().Get(tr.url())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}
