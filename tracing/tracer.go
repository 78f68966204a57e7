// Package tracing makes traces of requests and sends them to an OpenTelemetry
// collector. Server makes one Tracer; httpapi begins a trace for each request,
// and the parts below it add spans through package trace.
//
// The SDK of OpenTelemetry samples, makes ids and gathers spans; the exporter
// here sends them as OTLP over HTTP. Rejected: the exporter that comes with the
// SDK. It links gRPC, and makes the program 8 MB larger where the SDK takes 1 MB;
// and it lets the environment overrule its settings.
//
// A Tracer is safe for concurrent use.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/varvedb/varve/trace"
)

const (
	// queueSpans is what is kept for a collector that is away: some seconds of
	// a thousand requests a second, in about 10 MiB. What does not fit is
	// dropped; no request waits for its trace.
	queueSpans = 16 << 10
	// batchSpans are sent at a time: some hundred kilobytes.
	batchSpans = 512
	// batchEvery is how long a span waits for others.
	batchEvery = 2 * time.Second
	// exportTimeout ends the attempts to send a batch. It is longer than the
	// waits between them together (retryWaits).
	exportTimeout = 10 * time.Second
)

// Tracer makes traces.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   otel.Tracer
	exporter *exporter
	ended    *tally
}

// New returns a Tracer that sends to the endpoint of c, which is valid and has
// one. version is that of the program. Close stops it.
func New(c Config, version string, log *slog.Logger) (*Tracer, error) {
	e, err := newExporter(c, log)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	t := &Tracer{exporter: e, ended: &tally{}}
	t.provider = sdk.NewTracerProvider(
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(c.SampleRatio))),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "varve"), attribute.String("service.version", version))),
		sdk.WithSpanProcessor(t.ended),
		sdk.WithBatcher(e, sdk.WithMaxQueueSize(queueSpans), sdk.WithMaxExportBatchSize(batchSpans),
			sdk.WithBatchTimeout(batchEvery), sdk.WithExportTimeout(exportTimeout)),
	)
	t.tracer = t.provider.Tracer("github.com/varvedb/varve")
	return t, nil
}

// Begin begins the trace of a request: the one that its header names (W3C Trace
// Context) or a new one. It returns the id of the trace and its span, which is
// nil if it is not recorded; ctx has it then.
func (t *Tracer) Begin(ctx context.Context, h http.Header, name string) (context.Context, string, *trace.Span) {
	// The SDK's own context goes down the recorders, not through the program.
	own := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(h))
	own, s := t.tracer.Start(own, name, otel.WithSpanKind(otel.SpanKindServer))
	id := s.SpanContext().TraceID().String()
	if !s.IsRecording() {
		return ctx, id, nil
	}
	span := trace.NewSpan(&recorder{t.tracer, own, s})
	return trace.WithSpan(ctx, span), id, span
}

// Close sends what is left, until ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("stop traces: %w", err)
	}
	return nil
}

// Stats counts spans since New.
type Stats struct {
	Ended  uint64 // that were recorded
	Sent   uint64 // that the collector took
	Failed uint64 // that it did not take
}

// Stats returns the counts. Spans that are neither sent nor failed some seconds
// after they ended were dropped for want of room in the queue.
func (t *Tracer) Stats() Stats {
	return Stats{Ended: t.ended.n.Load(), Sent: t.exporter.sent.Load(), Failed: t.exporter.failed.Load()}
}

// recorder implements trace.Recorder by a span of the SDK.
type recorder struct {
	tracer otel.Tracer
	ctx    context.Context // has span
	span   otel.Span
}

func (r *recorder) Child(name string, start time.Time) trace.Recorder {
	ctx, span := r.tracer.Start(r.ctx, name, otel.WithTimestamp(start))
	return &recorder{r.tracer, ctx, span}
}

func (r *recorder) Int(key string, value int64) { r.span.SetAttributes(attribute.Int64(key, value)) }

func (r *recorder) String(key, value string) { r.span.SetAttributes(attribute.String(key, value)) }

func (r *recorder) Fail(err error) { r.span.SetStatus(codes.Error, err.Error()) }

func (r *recorder) End(at time.Time) { r.span.End(otel.WithTimestamp(at)) }

// tally is a processor that counts the spans that ended.
type tally struct{ n atomic.Uint64 }

func (*tally) OnStart(context.Context, sdk.ReadWriteSpan) {}
func (t *tally) OnEnd(sdk.ReadOnlySpan)                   { t.n.Add(1) }
func (*tally) Shutdown(context.Context) error             { return nil }
func (*tally) ForceFlush(context.Context) error           { return nil }
