package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Target is a server as its users see it.
type Target struct {
	HTTP    string // host:port of the points port
	Service string // host:port of the service port
	Token   string
	PID     int // of its process
}

// again is how long to wait before trying a server that did not answer.
const again = 200 * time.Millisecond

// link writes to and asks a server that may go away and come back, perhaps
// elsewhere.
type link struct {
	connect func() (Target, error)
	client  *http.Client

	mu     sync.Mutex // guards what follows
	target Target
	known  bool
	lost   time.Time // since when the server does not answer; zero if it does
	back   bool      // it answered again since the last call of returned
}

// write sends a body until it is acknowledged. Repeating one that was stored
// but not acknowledged does no harm: points overwrite their like.
func (l *link) write(ctx context.Context, body []byte) error {
	for {
		resp, err := l.do(ctx, func(t Target) string { return "http://" + t.HTTP + "/api/v2/write" }, body)
		if err == nil {
			text, _ := io.ReadAll(resp.Body) // what cannot be read is missed in the message only
			resp.Body.Close()
			switch {
			case resp.StatusCode == http.StatusNoContent:
				return nil
			case resp.StatusCode < 500:
				return fmt.Errorf("write to server: status %d: %s", resp.StatusCode, text)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(again):
		}
	}
}

// question is the body of a query.
type question struct {
	Measurement string              `json:"measurement"`
	Start       any                 `json:"start"`
	Stop        any                 `json:"stop"`
	Fields      []string            `json:"fields,omitempty"`
	Filters     map[string][]string `json:"filters,omitempty"`
	Aggregation string              `json:"aggregation,omitempty"`
	Every       string              `json:"every,omitempty"`
	GroupBy     []string            `json:"group_by"` // empty: all series as one
}

// row is a value of an answer.
type row struct {
	Time  time.Time
	Field string
	Value json.Number
	Tags  map[string]string
}

// ask returns the answer to a question and how long it took.
func (l *link) ask(ctx context.Context, q question) ([]row, time.Duration, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, 0, fmt.Errorf("ask server: %w", err)
	}
	start := time.Now()
	resp, err := l.do(ctx, func(t Target) string { return "http://" + t.Service + "/query" }, body)
	if err != nil {
		return nil, 0, fmt.Errorf("ask server: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	took := time.Since(start)
	if err != nil {
		return nil, 0, fmt.Errorf("ask server: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("ask server: status %d: %s", resp.StatusCode, text)
	}
	var answer struct{ Data []row }
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, 0, fmt.Errorf("read answer: %w", err)
	}
	return answer.Data, took, nil
}

func (l *link) do(ctx context.Context, url func(Target) string, body []byte) (*http.Response, error) {
	t, err := l.to()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url(t), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Token "+t.Token)
	resp, err := l.client.Do(req)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.back = l.back || !l.lost.IsZero()
		l.lost = time.Time{}
	case ctx.Err() == nil:
		l.known = false
		if l.lost.IsZero() {
			l.lost = time.Now()
		}
	}
	return resp, err
}

// to returns where the server is.
func (l *link) to() (Target, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known {
		return l.target, nil
	}
	t, err := l.connect()
	if err != nil {
		return t, err
	}
	l.target, l.known = t, true
	return t, nil
}

// away reports since when the server does not answer.
func (l *link) away() (since time.Time, gone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost, !l.lost.IsZero()
}

// returned reports whether the server came back since the last call.
func (l *link) returned() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	back := l.back
	l.back = false
	return back
}
