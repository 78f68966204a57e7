package apptest

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	otlp "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes traces as OpenTelemetry's does over HTTP.
type collector struct {
	url string

	mu     sync.Mutex // guards what follows
	spans  []*otlp.Span
	text   []string // of all that came
	header http.Header
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data otlp.TracesData
		if err == nil {
			err = proto.Unmarshal(body, &data)
		}
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" {
			t.Errorf("collector: %s %s: %v", r.Method, r.URL, err)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.header = r.Header
		c.text = append(c.text, data.String())
		for _, rs := range data.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
	}))
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

// trace waits until the spans of a trace are there, its root among them, and
// returns them as lines of a tree.
func (c *collector) trace(t *testing.T, id string) (tree []string, byName map[string]*otlp.Span) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var spans []*otlp.Span
		c.mu.Lock()
		for _, s := range c.spans {
			if hex.EncodeToString(s.TraceId) == id {
				spans = append(spans, s)
			}
		}
		c.mu.Unlock()
		for _, s := range spans {
			if s.Kind == otlp.Span_SPAN_KIND_SERVER { // which ends last
				byName = map[string]*otlp.Span{}
				for _, s := range spans {
					byName[s.Name] = s
				}
				return branch(spans, s, ""), byName
			}
		}
	}
	t.Fatalf("trace %s did not arrive", id)
	return nil, nil
}

// branch returns a span and those below it, a line each, in the order in which
// they began.
func branch(all []*otlp.Span, s *otlp.Span, indent string) []string {
	lines := []string{indent + s.Name}
	var below []*otlp.Span
	for _, c := range all {
		if string(c.ParentSpanId) == string(s.SpanId) {
			below = append(below, c)
		}
	}
	slices.SortStableFunc(below, func(a, b *otlp.Span) int { return int(a.StartTimeUnixNano) - int(b.StartTimeUnixNano) })
	for _, c := range below {
		lines = append(lines, branch(all, c, indent+"  ")...)
	}
	return lines
}

func attribute(s *otlp.Span, key string) string {
	for _, a := range s.GetAttributes() {
		if a.Key == key {
			if text := a.Value.GetStringValue(); text != "" {
				return text
			}
			return fmt.Sprint(a.Value.GetIntValue())
		}
	}
	return "missing"
}

// A write and a query leave traces from the port down to fsync and scan, below
// the span of their caller if they have one.
func TestTraces(t *testing.T) {
	c := startCollector(t)
	s := start(t, t.TempDir(), "--trace-endpoint", c.url, "--query-slow", "1ns")
	const (
		writeID = "0af7651916cd43dd8448eb211c80319c"
		queryID = "4bf92f3577b34da6a3ce929d0e0e4736"
		silent  = "11111111111111111111111111111111"
		caller  = "b7ad6b7169203331"
	)
	s.write("m,host=a v=1,w=2\nm,host=b v=3,w=4", "Traceparent: 00-"+writeID+"-"+caller+"-01")
	s.must(200, http.MethodPost, s.service+"/query", `{"measurement": "m", "start": 0, "fields": ["v"]}`,
		"Traceparent: 00-"+queryID+"-"+caller+"-01", "X-Request-Id: my-request")

	tree, spans := c.trace(t, writeID)
	want := []string{
		"POST /api/v2/write",
		"  read body",
		"  decode",
		"  ingest",
		"    shard write",
		"      log append",
		"        fsync",
		"      apply",
	}
	if !slices.Equal(tree, want) {
		t.Errorf("a write has the spans\n%s", strings.Join(tree, "\n"))
	}
	root := spans["POST /api/v2/write"]
	if hex.EncodeToString(root.ParentSpanId) != caller {
		t.Errorf("the write is not below its caller: %v", root)
	}
	for _, w := range []struct{ span, key, value string }{
		{"POST /api/v2/write", "http.response.status_code", "204"},
		{"read body", "bytes", "33"},
		{"ingest", "points", "2"},
		{"shard write", "shard", "0"},
		{"log append", "records", "1"},
		{"fsync", "appends", "1"},
	} {
		if got := attribute(spans[w.span], w.key); got != w.value {
			t.Errorf("%s: %s is %s, want %s", w.span, w.key, got, w.value)
		}
	}
	if f, a := spans["fsync"], spans["log append"]; f.StartTimeUnixNano < a.StartTimeUnixNano || f.EndTimeUnixNano > a.EndTimeUnixNano {
		t.Errorf("fsync from %d to %d is not within its append", f.StartTimeUnixNano, f.EndTimeUnixNano)
	}

	tree, spans = c.trace(t, queryID)
	want = []string{
		"POST /query",
		"  admission",
		"  plan",
		"    scan",
		"  render",
	}
	if !slices.Equal(tree, want) {
		t.Errorf("a query has the spans\n%s", strings.Join(tree, "\n"))
	}
	for _, w := range []struct{ span, key, value string }{
		{"POST /query", "request.id", "my-request"},
		{"plan", "rows", "2"},
		{"scan", "runs", "1"},
		{"scan", "runs.pruned", "0"},
		{"scan", "series", "2"},
		{"scan", "rows.read", "2"},
		{"scan", "rows.returned", "2"},
		{"render", "values", "2"},
	} {
		if got := attribute(spans[w.span], w.key); got != w.value {
			t.Errorf("%s: %s is %s, want %s", w.span, w.key, got, w.value)
		}
	}

	// Who slow questions are of is in the log.
	if log := s.stderr.String(); !strings.Contains(log, "request_id=my-request trace_id="+queryID) {
		t.Errorf("the log of slow questions does not name request and trace:\n%s", log)
	}

	// A caller that does not record is not recorded.
	s.write("m v=1", "Traceparent: 00-"+silent+"-"+caller+"-00")
	s.stop() // which sends all that there is
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, span := range c.spans {
		if hex.EncodeToString(span.TraceId) == silent {
			t.Errorf("a trace that the caller does not record: %v", span)
		}
	}
}

// Without a word of the caller, the configured share of requests is traced.
func TestTraceSampling(t *testing.T) {
	c := startCollector(t)
	s := start(t, t.TempDir(), "--trace-endpoint", c.url, "--trace-sample-ratio", "0")
	for range 20 {
		s.write("m v=1")
	}
	s.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spans) > 0 {
		t.Errorf("%d spans were sent with a ratio of 0", len(c.spans))
	}
}

// Lines that a handler logs name their request.
func TestLogLinesNameTheirRequest(t *testing.T) {
	s := start(t, t.TempDir(), "--log-format", "json")
	a := s.must(201, http.MethodPost, s.http+"/api/v2/buckets", `{"name": "new", "retentionRules": []}`, "X-Request-Id: by-me")
	if got := a.header.Get("X-Request-Id"); got != "by-me" {
		t.Errorf("the answer has the id %q", got)
	}
	s.stop() // after which all that it logged is here
	for line := range strings.Lines(s.stderr.String()) {
		if strings.Contains(line, `"msg":"bucket made"`) {
			if !strings.Contains(line, `"request_id":"by-me"`) || strings.Contains(line, "trace_id") {
				t.Errorf("line %s", line)
			}
			return
		}
	}
	t.Errorf("no line about the bucket:\n%s", s.stderr)
}
