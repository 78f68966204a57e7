package tracing

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	otlp "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/varvedb/varve/trace"
)

// collector takes spans over HTTP.
type collector struct {
	*httptest.Server
	mu       sync.Mutex // guards what follows
	requests []*http.Request
	spans    []*otlp.Span
	data     []*otlp.TracesData
	statuses []int // of the next answers; then 200
}

func newCollector(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data otlp.TracesData
		if err == nil {
			err = proto.Unmarshal(body, &data)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			t.Error(err)
		}
		c.requests = append(c.requests, r)
		if len(c.statuses) > 0 {
			w.WriteHeader(c.statuses[0])
			c.statuses = c.statuses[1:]
			return
		}
		c.data = append(c.data, &data)
		for _, rs := range data.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func newTracer(t *testing.T, c Config, log io.Writer) *Tracer {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	tr, err := New(c, "v1", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func shut(t *testing.T, tr *Tracer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := tr.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestTrace(t *testing.T) {
	c := newCollector(t)
	tr := newTracer(t, Config{Endpoint: c.URL, SampleRatio: 1, Headers: []string{"X-Key= secret"}}, io.Discard)
	ctx, id, root := tr.Begin(context.Background(), http.Header{}, "POST /x")
	root.String("path", "/x")
	below, child := trace.Start(ctx, "child")
	child.Int("rows", 3)
	from := time.Unix(1000, 1)
	child.Timed("sync", from, from.Add(time.Second), trace.Number{Key: "appends", Value: 2})
	_, failed := trace.Start(below, "failed")
	failed.End(errors.New("no"))
	child.End(nil)
	root.End(nil)
	shut(t, tr)

	spans := map[string]*otlp.Span{}
	for _, s := range c.spans {
		spans[s.Name] = s
	}
	for name, parent := range map[string]string{"POST /x": "", "child": "POST /x", "sync": "child", "failed": "child"} {
		s := spans[name]
		if s == nil {
			t.Fatalf("no span %q among %v", name, c.spans)
		}
		if got := hex.EncodeToString(s.TraceId); got != id {
			t.Errorf("%s: trace %s, want %s", name, got, id)
		}
		if got := hex.EncodeToString(s.ParentSpanId); got != hex.EncodeToString(spans[parent].GetSpanId()) {
			t.Errorf("%s: parent %s, want %s", name, got, parent)
		}
		if s.EndTimeUnixNano < s.StartTimeUnixNano || s.StartTimeUnixNano == 0 {
			t.Errorf("%s: from %d to %d", name, s.StartTimeUnixNano, s.EndTimeUnixNano)
		}
	}
	if s := spans["sync"]; s.StartTimeUnixNano != 1000e9+1 || s.EndTimeUnixNano != 1001e9+1 || s.Attributes[0].Value.GetIntValue() != 2 {
		t.Errorf("span with given times: %v", s)
	}
	if s := spans["failed"]; s.Status.GetCode() != otlp.Status_STATUS_CODE_ERROR || s.Status.GetMessage() != "no" {
		t.Errorf("failed span: %v", s.Status)
	}
	if s := spans["POST /x"]; s.Kind != otlp.Span_SPAN_KIND_SERVER || s.Attributes[0].Key != "path" || s.Attributes[0].Value.GetStringValue() != "/x" {
		t.Errorf("root: %v", s)
	}
	attributes := map[string]string{}
	for _, a := range c.data[0].ResourceSpans[0].Resource.Attributes {
		attributes[a.Key] = a.Value.GetStringValue()
	}
	if attributes["service.name"] != "varve" || attributes["service.version"] != "v1" {
		t.Errorf("resource: %v", attributes)
	}
	if r := c.requests[0]; r.URL.Path != "/v1/traces" || r.Header.Get("X-Key") != "secret" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("request: %s %v", r.URL, r.Header)
	}
	if s := tr.Stats(); s != (Stats{Ended: 4, Sent: 4}) {
		t.Errorf("stats %+v", s)
	}
}

// The caller's trace is taken over, and so is its word on whether to record.
func TestCallersTrace(t *testing.T) {
	c := newCollector(t)
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	begin := func(ratio float64, parent string) (string, bool) {
		tr := newTracer(t, Config{Endpoint: c.URL, SampleRatio: ratio}, io.Discard)
		h := http.Header{}
		h.Set("Traceparent", parent)
		ctx, got, span := tr.Begin(context.Background(), h, "GET /")
		if (trace.Of(ctx) != nil) != (span != nil) {
			t.Error("the context does not have the span")
		}
		span.End(nil)
		shut(t, tr)
		return got, span != nil
	}
	for _, w := range []struct {
		ratio          float64
		parent         string
		same, recorded bool
	}{
		{0, "00-" + id + "-00f067aa0ba902b7-01", true, true},
		{1, "00-" + id + "-00f067aa0ba902b7-00", true, false},
		{1, "00-" + id + "-0000000000000000-01", false, true},
		{1, "rubbish", false, true},
		{0, "", false, false},
	} {
		got, recorded := begin(w.ratio, w.parent)
		if (got == id) != w.same || recorded != w.recorded {
			t.Errorf("%q, ratio %v: trace %s, recorded %v", w.parent, w.ratio, got, recorded)
		}
	}
	if s := c.spans[0]; hex.EncodeToString(s.TraceId) != id || hex.EncodeToString(s.ParentSpanId) != "00f067aa0ba902b7" {
		t.Errorf("span %v", s)
	}
}

// A collector that asks to wait gets the spans again; one that refuses does
// not, and the log says so once a while, without the headers.
func TestUnwillingCollector(t *testing.T) {
	c := newCollector(t)
	var log strings.Builder
	tr := newTracer(t, Config{Endpoint: c.URL, SampleRatio: 1, Headers: []string{"X-Key=secret"}}, &log)
	end := func(statuses ...int) {
		c.mu.Lock()
		c.statuses = statuses
		c.mu.Unlock()
		_, _, span := tr.Begin(context.Background(), http.Header{}, "GET /")
		span.End(nil)
		if err := tr.provider.ForceFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	end(503)
	if s := tr.Stats(); s != (Stats{Ended: 1, Sent: 1}) || len(c.requests) != 2 {
		t.Errorf("after 503: %+v, %d requests", s, len(c.requests))
	}
	end(401)
	end(302)
	if s := tr.Stats(); s != (Stats{Ended: 3, Sent: 1, Failed: 2}) || len(c.requests) != 4 {
		t.Errorf("after 401 and 302: %+v, %d requests", s, len(c.requests))
	}
	c.CloseClientConnections()
	c.Close()
	end()
	if s := tr.Stats(); s != (Stats{Ended: 4, Sent: 1, Failed: 3}) {
		t.Errorf("after it went away: %+v", s)
	}
	shut(t, tr)
	if text := log.String(); strings.Count(text, "spans were not sent") != 1 || !strings.Contains(text, "401") || strings.Contains(text, "secret") {
		t.Errorf("log: %s", text)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []Config{
		{Endpoint: "collector:4318"},
		{Endpoint: "ftp://collector"},
		{Endpoint: "http://"},
		{Endpoint: "http://me:hunter2@collector"},
		{Endpoint: "http://collector?key=hunter2"},
		{Headers: []string{"hunter2"}},
		{Headers: []string{"a=b", "=hunter2"}},
		{Headers: []string{"a=hunter2\r\nb: c"}},
		{Headers: []string{"a b=hunter2"}},
		{SampleRatio: 1.1},
		{SampleRatio: -1},
	} {
		if err := c.Validate(); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: error %v", c, err)
		}
	}
	for _, c := range []Config{Default(), {Endpoint: "https://collector/otlp", Headers: []string{"Authorization=Basic a=b"}}} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func BenchmarkSpan(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer server.Close()
	tr, err := New(Config{Endpoint: server.URL, SampleRatio: 1}, "v1", slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	ctx, _, root := tr.Begin(context.Background(), http.Header{}, "POST /x")
	b.ReportAllocs()
	for b.Loop() {
		_, s := trace.Start(ctx, "child")
		s.Int("rows", 3)
		s.End(nil)
	}
	root.End(nil)
	if err := tr.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}
