package httpapi

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/trace"
)

// requestIDHeader is where proxies and clients put the id of a request, and
// where the answer has it.
const requestIDHeader = "X-Request-Id"

// maxRequestID takes a UUID and whatever a proxy puts around it. A longer id
// would be repeated in each line of the log.
const maxRequestID = 128

// Tracer begins traces: package tracing.
type Tracer interface {
	// Begin returns ctx with the trace that the caller of the request says it
	// belongs to, or a new one; its id, and its first span, which is nil if
	// the trace is not recorded.
	Begin(ctx context.Context, h http.Header, name string) (context.Context, string, *trace.Span)
}

// requestIDs makes ids that no other run of the server makes.
type requestIDs struct {
	prefix string
	last   atomic.Uint64
}

func newRequestIDs(random io.Reader) (*requestIDs, error) {
	b := make([]byte, 6) // two runs with one prefix are not to be expected
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, fmt.Errorf("make ids of requests: %w", err)
	}
	return &requestIDs{prefix: hex.EncodeToString(b) + "-"}, nil
}

func (ids *requestIDs) next() string { return ids.prefix + strconv.FormatUint(ids.last.Add(1), 10) }

// of returns the id that r comes with, or a new one if it has none that can
// stand in a log.
func (ids *requestIDs) of(r *http.Request) string {
	id := r.Header.Get(requestIDHeader)
	if id == "" || len(id) > maxRequestID || strings.ContainsFunc(id, strange) {
		return ids.next()
	}
	return id
}

// strange reports whether c has no place in an id.
func strange(c rune) bool {
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	return !letter && !strings.ContainsRune("-_.:/+=@", c)
}

// identify gives r its id and its span; name is what the span is called.
func (a *API) identify(w http.ResponseWriter, r *http.Request, name string) (*http.Request, *trace.Span) {
	known := trace.Request{ID: a.ids.of(r)}
	w.Header().Set(requestIDHeader, known.ID)
	ctx := r.Context()
	var span *trace.Span
	if a.tracer != nil {
		ctx, known.Trace, span = a.tracer.Begin(ctx, r.Header, name)
		span.String("http.request.method", r.Method)
		span.String("url.path", r.URL.Path)
		span.String("request.id", known.ID)
	}
	return r.WithContext(trace.WithRequest(ctx, known)), span
}

// logAccess logs that r was answered. Of the URL it says the path alone: the
// rest may hold a password.
func (a *API) logAccess(r *http.Request, status int, bytes int64, took time.Duration) {
	if !a.log.Enabled(r.Context(), slog.LevelDebug) {
		return
	}
	a.log.LogAttrs(r.Context(), slog.LevelDebug, "request",
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", status),
		slog.Int64("bytes", bytes), slog.Duration("took", took), slog.String("remote", r.RemoteAddr))
}

// serverError returns e as the error that a trace calls one: of what the client
// did wrong the status is enough.
func serverError(e *Error) error {
	if e == nil || e.Code.Status() < http.StatusInternalServerError {
		return nil
	}
	return e
}
