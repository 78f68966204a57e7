package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// conn posts bodies over one connection that is kept alive and opened anew
// when it broke. net/http's client copies every body and hands each request
// from goroutine to goroutine; a loader that shares two cores with the server
// it measures cannot afford that. What is left is the kernel's copy (96 % of
// the loader's CPU time); sendfile from a memory file took 2.6 times as long,
// and a send buffer of any size no less. Not safe for concurrent use.
type conn struct {
	dial    func(ctx context.Context) (net.Conn, error)
	timeout time.Duration // of a request
	head    []byte        // of every request, up to the value of Content-Length
	fixed   int           // length of head without that value
	nc      net.Conn
	in      *bufio.Reader
}

// answer is what a server said to a write.
type answer struct {
	status     int
	message    string        // beginning of the body of a failure
	retryAfter time.Duration // 0 if it did not say
}

// maxMessage bounds what is kept of a failure's message: enough to tell
// failures apart.
const maxMessage = 80

// newConn returns a connection for line protocol.
func newConn(t Target, gzip bool, timeout time.Duration) (*conn, error) {
	headers := []string{"Content-Type: text/plain; charset=utf-8"}
	if gzip {
		headers = append(headers, "Content-Encoding: gzip")
	}
	return newConnTo(t, t.path(), headers, timeout)
}

// newConnTo returns a connection for requests with a path and headers.
func newConnTo(t Target, path string, headers []string, timeout time.Duration) (*conn, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	dialer := &net.Dialer{Timeout: timeout}
	c := &conn{timeout: timeout, dial: func(ctx context.Context) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", address)
	}}
	if u.Scheme == "https" {
		secure := &tls.Dialer{NetDialer: dialer, Config: &tls.Config{ServerName: u.Hostname()}}
		c.dial = func(ctx context.Context) (net.Conn, error) { return secure.DialContext(ctx, "tcp", address) }
	}
	c.head = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: varve-bench\r\n", path, u.Host)
	for _, h := range headers {
		c.head = append(append(c.head, h...), "\r\n"...)
	}
	if t.Token != "" {
		c.head = fmt.Appendf(c.head, "Authorization: Token %s\r\n", t.Token)
	}
	c.head = append(c.head, "Content-Length: "...)
	c.fixed = len(c.head)
	return c, nil
}

// post sends a body and waits for the answer. After an error the connection
// is closed, and the next post opens another.
func (c *conn) post(ctx context.Context, body []byte) (answer, error) {
	if c.nc == nil {
		nc, err := c.dial(ctx)
		if err != nil {
			return answer{}, err
		}
		c.nc, c.in = nc, bufio.NewReaderSize(nc, 4096) // an answer's head
	}
	stop := context.AfterFunc(ctx, func() { _ = c.nc.SetDeadline(time.Unix(1, 0)) })
	a, err := c.exchange(body)
	if !stop() || err != nil {
		c.close()
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return a, err
}

func (c *conn) exchange(body []byte) (answer, error) {
	if err := c.nc.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return answer{}, err
	}
	c.head = strconv.AppendInt(c.head[:c.fixed], int64(len(body)), 10)
	c.head = append(c.head, "\r\n\r\n"...)
	parts := net.Buffers{c.head, body}
	_, sent := parts.WriteTo(c.nc)
	if sent != nil {
		// A server that refuses a body answers and closes without reading the
		// rest. Its answer says more than the broken pipe, if it is there.
		_ = c.nc.SetReadDeadline(time.Now().Add(time.Second))
	}
	resp, err := http.ReadResponse(c.in, &http.Request{Method: http.MethodPost})
	if err != nil {
		if sent != nil {
			err = sent
		}
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode}
	if a.status >= 300 {
		a.message, err = message(resp.Body)
		if err != nil {
			return answer{}, err
		}
		a.retryAfter = retryAfter(resp.Header.Get("Retry-After"))
	} else if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return answer{}, err
	}
	if sent != nil || resp.Close {
		c.close()
	}
	return a, nil
}

// message reads a body to its end and returns its beginning as one line of
// printable characters.
func message(r io.Reader) (string, error) {
	var text [maxMessage]byte
	n, err := io.ReadFull(r, text[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return "", err
	}
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(text[:n]), "?"))
	return strings.TrimSpace(clean), nil
}

// retryAfter reads the header of that name in seconds; a date is not worth
// its code here and counts as not said.
func retryAfter(header string) time.Duration {
	s, err := strconv.ParseFloat(header, 64)
	if err != nil || !(s > 0) {
		return 0
	}
	return time.Duration(min(s, 3600) * float64(time.Second))
}

func (c *conn) close() {
	if c.nc != nil {
		_ = c.nc.Close() // nothing is owed to a benchmark's connection
		c.nc, c.in = nil, nil
	}
}
