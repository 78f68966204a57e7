// Package trace tells every part, from the port down to the disk, which request
// it works for: the request's id, for log lines, and the span under way, for
// traces. Both travel in the context. The parts of the engine start spans here
// and know nothing of where they go; package tracing implements Recorder.
//
// A request that is not recorded has no span, and so has no span below it: what
// Start costs then is one look into the context.
//
// Everything here is safe for concurrent use if the Recorder is.
package trace

import (
	"context"
	"time"
)

// Request is what a request is known by.
type Request struct {
	ID string
	// Trace is the id of the trace that it belongs to, in hexadecimal; empty if
	// there is none.
	Trace string
}

type requestKey struct{}

// WithRequest returns a context in which RequestOf finds r.
func WithRequest(ctx context.Context, r Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestOf returns the request that ctx is about; the zero Request if it is
// about none.
func RequestOf(ctx context.Context) Request {
	r, _ := ctx.Value(requestKey{}).(Request)
	return r
}

// Recorder takes down one span.
type Recorder interface {
	// Child begins a span below this one.
	Child(name string, start time.Time) Recorder
	Int(key string, value int64)
	String(key, value string)
	// Fail says that the work of the span failed. The text of err must not have
	// secrets in it.
	Fail(err error)
	// End ends the span. It is called once, last.
	End(at time.Time)
}

// Span is a piece of the work for a request. All methods of a nil Span do
// nothing: nobody records.
type Span struct{ recorder Recorder }

// NewSpan returns the span that r records.
func NewSpan(r Recorder) *Span { return &Span{r} }

type spanKey struct{}

// WithSpan returns a context below which Start begins children of s.
func WithSpan(ctx context.Context, s *Span) context.Context {
	if s == nil {
		return ctx
	}
	return context.WithValue(ctx, spanKey{}, s)
}

// Of returns the span that ctx is about, nil if nobody records.
func Of(ctx context.Context) *Span {
	s, _ := ctx.Value(spanKey{}).(*Span)
	return s
}

// Start begins a span below the one of ctx. Whoever called it calls End.
func Start(ctx context.Context, name string) (context.Context, *Span) {
	parent := Of(ctx)
	if parent == nil {
		return ctx, nil
	}
	s := &Span{parent.recorder.Child(name, time.Now())}
	return WithSpan(ctx, s), s
}

// Number is a number that is noted with a span.
type Number struct {
	Key   string
	Value int64
}

// Timed records a span below s whose beginning and end are known already.
func (s *Span) Timed(name string, start, end time.Time, numbers ...Number) {
	if s == nil {
		return
	}
	child := s.recorder.Child(name, start)
	for _, n := range numbers {
		child.Int(n.Key, n.Value)
	}
	child.End(end)
}

// Int notes a number.
func (s *Span) Int(key string, value int64) {
	if s != nil {
		s.recorder.Int(key, value)
	}
}

// String notes a text.
func (s *Span) String(key, value string) {
	if s != nil {
		s.recorder.String(key, value)
	}
}

// End ends the span; err is what its work ended with, nil if it did what it
// was to do.
func (s *Span) End(err error) {
	if s == nil {
		return
	}
	if err != nil {
		s.recorder.Fail(err)
	}
	s.recorder.End(time.Now())
}
