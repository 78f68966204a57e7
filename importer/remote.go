package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/lineproto"
)

// RemoteConfig says where to write.
type RemoteConfig struct {
	URL    string // of the server, as http://127.0.0.1:8086
	Token  string
	Org    string // empty: the token's
	Bucket string // empty: the token's default
	Client *http.Client
	// Compress makes bodies small, for networks that are slower than gzip.
	Compress bool
	// Attempts is how often a batch is sent before the import gives up.
	Attempts int
	// Wait is how long to wait after the first failure; it doubles with each,
	// unless the server says how long.
	Wait time.Duration
	// Sleep waits, or returns the error of the context.
	Sleep func(ctx context.Context, d time.Duration) error
}

// DefaultRemote returns a configuration for a server.
func DefaultRemote(server, token string) RemoteConfig {
	return RemoteConfig{
		URL:      server,
		Token:    token,
		Client:   &http.Client{Timeout: time.Minute}, // a batch takes a second on a slow line
		Compress: !onThisMachine(server),
		// With Wait, some eight minutes: a server that restarts and replays
		// its log is back by then.
		Attempts: 10,
		Wait:     500 * time.Millisecond,
		Sleep:    sleep,
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Remote writes to a server over the write API of InfluxDB 2. It is safe for
// concurrent use.
type Remote struct {
	cfg    RemoteConfig
	target *url.URL
	query  url.Values
	bodies sync.Pool // of *body
}

// body is what a request is made in.
type body struct {
	lines  []byte
	packed bytes.Buffer
	zip    *gzip.Writer
}

// NewRemote returns a destination.
func NewRemote(cfg RemoteConfig) (*Remote, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("import to %s: %w", cfg.URL, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("import to %q: want the URL of a server, as http://127.0.0.1:8086", cfg.URL)
	}
	if cfg.Client == nil || cfg.Sleep == nil || cfg.Attempts < 1 {
		return nil, errors.New("import: Client, Sleep and at least 1 of Attempts are needed")
	}
	r := &Remote{cfg: cfg, target: u.JoinPath("api/v2/write"), query: url.Values{}}
	if cfg.Org != "" {
		r.query.Set("org", cfg.Org)
	}
	if cfg.Bucket != "" {
		r.query.Set("bucket", cfg.Bucket)
	}
	return r, nil
}

func onThisMachine(server string) bool {
	u, err := url.Parse(server)
	if err != nil {
		return false // NewRemote says so
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// RefusedError says that a server stored a batch but for some rows.
type RefusedError struct {
	Message string
	Dropped int
}

func (e *RefusedError) Error() string { return e.Message }

// DroppedRows tells how many rows were left out.
func (e *RefusedError) DroppedRows() int { return e.Dropped }

// Write implements Destination.
func (r *Remote) Write(ctx context.Context, b *column.Batch) error {
	buf := r.body()
	defer r.bodies.Put(buf)
	var err error
	if buf.lines, err = lineproto.AppendLines(buf.lines[:0], b); err != nil {
		return err
	}
	return r.post(ctx, buf, buf.lines, lineproto.Nanosecond)
}

// precisions are what the write API of version 2 takes.
func precisionName(p lineproto.Precision) string {
	switch p {
	case lineproto.Nanosecond:
		return "ns"
	case lineproto.Microsecond:
		return "us"
	case lineproto.Millisecond:
		return "ms"
	case lineproto.Second:
		return "s"
	}
	return ""
}

// TakesPrecision implements TextDestination.
func (r *Remote) TakesPrecision(p lineproto.Precision) bool { return precisionName(p) != "" }

// WriteText implements TextDestination.
func (r *Remote) WriteText(ctx context.Context, lines []byte, p lineproto.Precision) error {
	buf := r.body()
	defer r.bodies.Put(buf)
	return r.post(ctx, buf, lines, p)
}

func (r *Remote) body() *body {
	if b, ok := r.bodies.Get().(*body); ok {
		return b
	}
	return new(body)
}

// post sends lines until they are stored or refused for good.
func (r *Remote) post(ctx context.Context, buf *body, lines []byte, p lineproto.Precision) error {
	if len(lines) == 0 {
		return nil
	}
	payload := lines
	if r.cfg.Compress {
		var err error
		if payload, err = buf.pack(lines); err != nil {
			return fmt.Errorf("compress batch: %w", err)
		}
	}
	q := maps.Clone(r.query)
	q.Set("precision", precisionName(p))
	target := *r.target
	target.RawQuery = q.Encode()
	wait := r.cfg.Wait
	for attempt := 1; ; attempt++ {
		after, err := r.send(ctx, target.String(), payload)
		var passing *passingError
		if !errors.As(err, &passing) || ctx.Err() != nil {
			return err
		}
		if attempt == r.cfg.Attempts {
			return fmt.Errorf("%w (tried %d times)", err, attempt)
		}
		if after == 0 {
			after = wait
			wait = min(2*wait, maxRemoteWait)
		}
		if err := r.cfg.Sleep(ctx, after); err != nil {
			return err
		}
	}
}

const (
	// maxRemoteWait keeps a server that is back from waiting for us.
	maxRemoteWait = time.Minute
	// maxAnswerBytes is what of an error is read: it may list every line.
	maxAnswerBytes = 64 << 10
)

// passingError is a failure that may be over the next time.
type passingError struct{ error }

func (e *passingError) Unwrap() error { return e.error }

func (b *body) pack(lines []byte) ([]byte, error) {
	if b.zip == nil {
		var err error
		if b.zip, err = gzip.NewWriterLevel(nil, gzip.BestSpeed); err != nil {
			return nil, err
		}
	}
	b.packed.Reset()
	b.zip.Reset(&b.packed)
	if _, err := b.zip.Write(lines); err != nil {
		return nil, err
	}
	if err := b.zip.Close(); err != nil {
		return nil, err
	}
	return b.packed.Bytes(), nil
}

// send posts a body once. With an error that may pass it returns how long
// the server wants to be left alone, 0 if it does not say.
func (r *Remote) send(ctx context.Context, target string, payload []byte) (after time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(payload))
	if err != nil {
		return 0, fmt.Errorf("import to %s: %w", r.cfg.URL, err)
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	if r.cfg.Compress {
		req.Header.Set("Content-Encoding", "gzip")
	}
	if r.cfg.Token != "" {
		req.Header.Set("Authorization", "Token "+r.cfg.Token)
	}
	resp, err := r.cfg.Client.Do(req)
	if err != nil {
		// The batch may have been stored or not; to write it again does no
		// harm.
		return 0, &passingError{fmt.Errorf("import: %w", err)}
	}
	defer resp.Body.Close()
	text, readErr := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if resp.StatusCode/100 == 2 {
		return 0, nil
	}
	if readErr != nil {
		return 0, &passingError{fmt.Errorf("import: read answer %s: %w", resp.Status, readErr)}
	}
	message := messageOf(text)
	err = fmt.Errorf("import to %s: %s: %s", r.cfg.URL, resp.Status, message)
	switch resp.StatusCode {
	case http.StatusUnprocessableEntity:
		if n, ok := droppedIn(message); ok {
			return 0, &RefusedError{Message: message, Dropped: n}
		}
	case http.StatusBadRequest:
		return 0, &BodyError{Reason: message}
	case http.StatusRequestEntityTooLarge:
		return 0, &BodyError{Reason: message, TooLarge: true}
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if s, convErr := strconv.Atoi(resp.Header.Get("Retry-After")); convErr == nil && s > 0 {
			after = min(time.Duration(s)*time.Second, maxRemoteWait)
		}
		return after, &passingError{err}
	}
	return 0, err
}

// messageOf returns the message of an error's JSON, or the text as it is.
func messageOf(text []byte) string {
	var answer struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &answer) == nil && answer.Message != "" {
		return answer.Message
	}
	return strings.TrimSpace(string(text))
}

// droppedIn finds how many rows InfluxDB says it left out.
func droppedIn(message string) (int, bool) {
	m := regexp.MustCompile(`partial write: .* dropped=(\d+)`).FindStringSubmatch(message)
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(m[1])
	return n, err == nil
}
