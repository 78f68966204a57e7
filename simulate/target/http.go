package target

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// HTTPConfig says where messages are posted.
type HTTPConfig struct {
	URL   string
	Token string
	// Array puts messages into an array of JSON; otherwise one stands on each
	// line.
	Array bool
	// Connections is how many are kept open: as many as there are senders.
	Connections int
	// Timeout is how long an answer may take.
	Timeout time.Duration
	TLS     *tls.Config // nil: the system's authorities
}

// HTTP posts each batch as a body.
type HTTP struct {
	cfg    HTTPConfig
	tally  *Tally
	client *http.Client
}

// NewHTTP returns a target that posts to a server.
func NewHTTP(cfg HTTPConfig, tally *Tally) (*HTTP, error) {
	if u, err := url.Parse(cfg.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("address %q: want http://HOST:PORT/PATH or https://…", cfg.URL)
	}
	return &HTTP{cfg: cfg, tally: tally, client: &http.Client{
		Timeout: cfg.Timeout,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: cfg.Connections, IdleConnTimeout: time.Minute,
			DisableCompression: true, TLSClientConfig: cfg.TLS,
		},
	}}, nil
}

// Send posts a batch until the server takes or refuses it, or ctx ends.
func (h *HTTP) Send(ctx context.Context, b *Batch) error {
	body := h.body(b)
	h.tally.Sent(b.Len(), len(b.Text))
	wait := firstWait
	for {
		status, text, retryAfter, err := h.post(ctx, body)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case err != nil:
			h.tally.Trouble("connection: " + lastWords(err))
		case status/100 == 2, status == http.StatusUnprocessableEntity:
			taken := b.Len()
			if status == http.StatusUnprocessableEntity {
				n, reason := refused(text, b.Len())
				h.tally.Refused(n, reason)
				taken -= n
			}
			// Which of them were refused is not told, and they were due together.
			now := time.Now().UnixNano()
			for i := range b.messages[:taken] {
				h.tally.Acked(b.messages[i].due, now)
			}
			return nil
		case status == http.StatusTooManyRequests, status >= 500:
			h.tally.Trouble(fmt.Sprintf("status %d: %s", status, text))
		case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge:
			h.tally.Refused(b.Len(), fmt.Sprintf("status %d: %s", status, text))
			return nil
		default:
			return fmt.Errorf("%s answers with status %d: %s", h.cfg.URL, status, text)
		}
		if !pause(ctx, max(wait, min(retryAfter, longestWait))) {
			return ctx.Err()
		}
		wait = min(2*wait, longestWait)
		h.tally.Retried(b.Len())
	}
}

// refusedText is how a server answers that has looked at each message and refused
// some: how many, of how many, and the first reason, whether that is one of the
// store or of a rule.
var refusedText = regexp.MustCompile(`([0-9]+) of [0-9]+ points were refused[^:]*: ([^:"]*)`)

// refused returns how many of the messages of a batch an answer says were refused,
// all if it does not say, and why.
func refused(text string, batch int) (n int, reason string) {
	if m := refusedText.FindStringSubmatch(text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			return min(n, batch), "refused: " + m[2]
		}
	}
	return batch, "status 422: " + text
}

// body joins the messages of a batch.
func (h *HTTP) body(b *Batch) []byte {
	body := make([]byte, 0, len(b.Text)+b.Len()+2)
	between := byte('\n')
	if h.cfg.Array && b.Len() > 1 {
		body, between = append(body, '['), ','
	}
	for i := range b.messages {
		if i > 0 {
			body = append(body, between)
		}
		body = append(body, b.payload(&b.messages[i])...)
	}
	if between == ',' {
		body = append(body, ']')
	}
	return body
}

// maxAnswer bounds what is read of an answer for its text; the rest is thrown
// away.
const maxAnswer = 4096

func (h *HTTP) post(ctx context.Context, body []byte) (status int, text string, retryAfter time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return 0, "", 0, err
	}
	content := "text/plain; charset=utf-8"
	if h.cfg.Array {
		content = "application/json"
	}
	req.Header.Set("Content-Type", content)
	if h.cfg.Token != "" {
		req.Header.Set("Authorization", "Token "+h.cfg.Token)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return 0, "", 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body) // so that the connection can be used again
	}
	if err != nil {
		return 0, "", 0, err
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		retryAfter = time.Duration(s) * time.Second
	}
	return resp.StatusCode, strings.Join(strings.Fields(string(b)), " "), retryAfter, nil
}

// Drain has nothing to wait for: Send returns when its batch is acknowledged.
func (h *HTTP) Drain(context.Context) error { return nil }

// Close closes the connections.
func (h *HTTP) Close() error {
	h.client.CloseIdleConnections()
	return nil
}

// lastWords returns the innermost text of an error: what stands before it has
// addresses and ports, which differ where the reason does not.
func lastWords(err error) string {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "timeout"
	}
	text := err.Error()
	return text[strings.LastIndex(text, ": ")+1:]
}

// pause waits, and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
