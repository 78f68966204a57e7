package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/lineproto"
	"github.com/varvedb/varve/trace"
)

func TestRequestID(t *testing.T) {
	b := newRig(t, nil)
	made := call(b.api.Points(), http.MethodGet, "/ping", "").Header().Get("X-Request-Id")
	again := call(b.api.Service(), http.MethodGet, "/health", "").Header().Get("X-Request-Id")
	if !strings.HasPrefix(made, "414243444546-") || made == again {
		t.Errorf("ids %q and %q, want different ones of this server", made, again)
	}
	for given, taken := range map[string]bool{
		"3f2504e0-4f89-11d3-9a0c-0305e82c3301":     true,
		"Root=1-67891233-abcdef012345678912345678": true,
		strings.Repeat("a", maxRequestID):          true,
		strings.Repeat("a", maxRequestID+1):        false,
		"a b":                                      false,
		"a\"b":                                     false,
		"tür":                                      false,
	} {
		got := call(b.api.Points(), http.MethodGet, "/ping", "", "X-Request-Id: "+given).Header().Get("X-Request-Id")
		if (got == given) != taken {
			t.Errorf("answer to the id %q has %q", given, got)
		}
	}
	// Errors of the router and of handlers have one too.
	for _, path := range []string{"/nowhere", "/api/v2/write"} {
		if call(b.api.Points(), http.MethodPost, path, "", "X-Request-Id: mine").Header().Get("X-Request-Id") != "mine" {
			t.Errorf("%s: the answer has no id", path)
		}
	}
}

// tattler is a Writer that keeps the context.
type tattler struct{ ctx context.Context }

func (w *tattler) Unread(context.Context, []byte, error) error { return nil }

func (w *tattler) Write(ctx context.Context, _ uint64, _ *column.Batch, _ lineproto.Left) (Refused, error) {
	w.ctx = ctx
	return Refused{}, errors.New("broken")
}

// fakeTracer begins the same trace each time.
type fakeTracer struct{ name string }

func (f *fakeTracer) Begin(ctx context.Context, _ http.Header, name string) (context.Context, string, *trace.Span) {
	f.name = name
	span := trace.NewSpan(silent{})
	return trace.WithSpan(ctx, span), "cafe", span
}

// silent is a trace.Recorder of nothing.
type silent struct{}

func (silent) Child(string, time.Time) trace.Recorder { return silent{} }
func (silent) Int(string, int64)                      {}
func (silent) String(string, string)                  {}
func (silent) Fail(error)                             {}
func (silent) End(time.Time)                          {}

// What stands below a handler finds request and span in its context.
func TestRequestInContext(t *testing.T) {
	b := newRig(t, nil)
	below, tracer := &tattler{}, &fakeTracer{}
	b.api.writer, b.api.tracer = below, tracer
	w := call(b.api.Points(), http.MethodPost, "/api/v2/write", "a", asAdmin, "X-Request-Id: mine")
	if w.Code != http.StatusInternalServerError {
		t.Errorf("status %d", w.Code)
	}
	if got := trace.RequestOf(below.ctx); got != (trace.Request{ID: "mine", Trace: "cafe"}) {
		t.Errorf("request %v", got)
	}
	if trace.Of(below.ctx) == nil || tracer.name != "POST /api/v2/write" {
		t.Errorf("span %v, named %q", trace.Of(below.ctx), tracer.name)
	}
}
