// Package httpapi answers HTTP: the InfluxDB 2 API for writers (and the write
// call of version 1), the service API for points as JSON and
// questions, and what operators ask on both ports. It checks tokens and limits, decodes, hands over to what
// stands below, and words the answer.
//
// A write goes: token → bucket → body into a pooled buffer, decompressed on
// the way, paid for from a budget → a decoder from a fixed set, after which the
// body is given back → the Writer, which returns when the batch is durable and
// visible → 204. The batch lies in the decoder's memory, so the decoder is held
// until then.
//
// Each request has an id, which is in its answer, in its context and so in each
// line that is logged about it, and a span, if traces are made.
//
// Everything here is safe for concurrent use. Server owns the listeners. The
// only goroutines of this package are those that read a WebSocket while its
// request writes to it, and the request waits for them.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/health"
	"github.com/varvedb/varve/protocol/lineproto"
	"github.com/varvedb/varve/protocol/otlp"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/source"
	"github.com/varvedb/varve/tombstone"
)

// influxVersion is the release whose HTTP API is answered; clients adapt to
// what X-Influxdb-Version says.
const influxVersion = "v2.9.1"

// Config holds the limits of the API.
type Config struct {
	// MaxBodyBytes is the largest body of a write, after decompression.
	MaxBodyBytes int64
	// BodyWait is how long a write waits for memory or a decoder before it is
	// told to come back.
	BodyWait time.Duration
	// Decoders is how many bodies are decoded and stored at a time, and
	// SmallDecoders how many of at most 4 KiB besides.
	Decoders      int
	SmallDecoders int
	// KeepDecoderBytes is how much memory decoders that wait for the next body
	// may hold together, of known series and buffers: three quarters those of
	// line protocol, a quarter those of JSON. Those of remote write and OTLP
	// may hold a quarter more each.
	KeepDecoderBytes int
	// OpenService lets the service port be used without a token, as the
	// principal Anonymous.
	OpenService bool
	Anonymous   Principal
	// Version and Commit are of this program.
	Version, Commit string
}

// Default returns the limits that a server starts with, for so many
// processors.
func Default(procs int) Config {
	return Config{
		// What InfluxDB's hosted service takes, and far above what any agent
		// sends unasked.
		MaxBodyBytes: 50 << 20,
		// Shorter than the timeout of Telegraf (5 s): an answer that tells it
		// to wait is better than none.
		BodyWait: 4 * time.Second,
		// Most of them wait for the disk: writers share an fsync only if they
		// are under way together.
		Decoders: 16 * procs,
		// 128 clients that send single points got 19,000 a second stored by 32
		// places and 26,000 by 512, on two cores that they shared with the
		// server; one that does nothing answered 58,000.
		SmallDecoders: 256 * procs,
		// A decoder holds about 3 MiB after ten thousand lines of some
		// thousand hosts, and 20 MiB with a hundred thousand series.
		KeepDecoderBytes: 64 << 20,
	}
}

// Validate reports the first setting that makes no sense.
func (c *Config) Validate() error {
	switch {
	case c.MaxBodyBytes < 1:
		return fmt.Errorf("largest body is %d bytes, want at least 1", c.MaxBodyBytes)
	case c.BodyWait <= 0:
		return fmt.Errorf("wait for memory is %s, want more than 0", c.BodyWait)
	case c.Decoders < 1 || c.SmallDecoders < 1 || c.KeepDecoderBytes < 0:
		return fmt.Errorf("%d decoders and %d small ones that keep %d bytes: want at least 1, 1 and 0", c.Decoders, c.SmallDecoders, c.KeepDecoderBytes)
	case c.OpenService && c.Anonymous.Rights == nil:
		return errors.New("service without tokens needs a principal")
	}
	return nil
}

// Decoder turns line protocol into rows: package protocol/lineproto. It
// belongs to one request at a time.
type Decoder interface {
	// Parse returns a batch that is valid until the next Parse and shares no
	// memory with body.
	Parse(body []byte, precision lineproto.Precision, now int64) (*column.Batch, error)
	// Left returns what the last Parse, which was of body, left out of its batch
	// because it contradicts other rows.
	Left(body []byte) lineproto.Left
	// MemoryBytes is what it holds between two bodies.
	MemoryBytes() int
}

// Refused is the part of a write that was not stored although the rest was.
type Refused struct {
	Points int
	Reason string
}

// Writer stores batches: package ingest.
type Writer interface {
	// Write returns when what can be stored of b is durable and visible. left
	// is what the decoder left out; it counts as refused.
	Write(ctx context.Context, bucket uint64, b *column.Batch, left lineproto.Left) (Refused, error)
	// Unread keeps a body that cannot be read, with the reason, where a pipeline has
	// what comes in; else it does nothing.
	Unread(ctx context.Context, body []byte, why error) error
}

// Deleter hides rows: package shard.
type Deleter interface {
	// Delete returns when t is durable and in force.
	Delete(ctx context.Context, t *tombstone.Tombstone) error
}

// Upkeep is what operators can ask of the store.
type Upkeep interface {
	// Settle flushes and compacts until nothing is left to do.
	Settle(ctx context.Context) error
	// Check walks a pinned snapshot of the store and reports what is wrong.
	Check(ctx context.Context, report func(Problem)) error
}

// Problem is one finding of a check.
type Problem struct {
	File    string `json:"file,omitempty"`
	Offset  int64  `json:"offset,omitempty"`
	Message string `json:"message"`
}

// Parts is what the API stands on.
type Parts struct {
	Access Access
	// NewDecoder makes a decoder that keeps so many bytes from one body to the
	// next; 0 leaves it to the decoder.
	NewDecoder func(keep int) Decoder
	// NewPointDecoder and Schema are for POST /data.
	NewPointDecoder func(keep int) PointDecoder
	Schema          Schema
	// NewRemoteWriteDecoder is for Prometheus, as is RemoteWrite: it is open
	// while a pipeline wants what Prometheus writes.
	NewRemoteWriteDecoder func(keep int) RemoteWriteDecoder
	RemoteWrite           *source.Gate[remotewrite.Mapping]
	// NewMetricDecoder and OTLP are the same for OpenTelemetry.
	NewMetricDecoder func(keep int) MetricDecoder
	OTLP             *source.Gate[otlp.Mapping]

	Writer Writer
	// PointWriter stores what POST /data takes; nil: Writer does.
	PointWriter Writer
	Deleter     Deleter
	Querier     Querier
	Scripts     Scripts
	Exporter    Exporter
	Live        Live
	Devices     Devices
	Upkeep      Upkeep
	// Pipelines are those that the server runs.
	Pipelines Pipelines
	// Managed is what is answered elsewhere.
	Managed Managed
	Budget  Budget
	// Health judges how well the server is.
	Health func() health.Report
	// Stopping reports whether the server was told to stop; nil: never.
	Stopping func() bool
	// Tracer begins traces; nil if there are none.
	Tracer   Tracer
	Registry *prometheus.Registry
	// Log is told the context of the request that a line is about.
	Log *slog.Logger
	Now func() time.Time
	// Random makes ids of requests.
	Random io.Reader
}

// API answers requests.
type API struct {
	config    Config
	access    Access
	decoders  *sizedDecoders[Decoder]
	bodies    *bodies
	writer    Writer
	points    Writer // of POST /data
	pipelines Pipelines
	deleter   Deleter
	querier   Querier
	scripts   Scripts
	zips      sync.Pool // *gzip.Writer, of answers to scripts
	exporter  Exporter
	live      Live
	devices   Devices
	upkeep    Upkeep
	managed   Managed
	health    func() health.Report
	stopping  func() bool
	tracer    Tracer
	ids       *requestIDs
	scrape    http.Handler
	metrics   *metrics
	log       *slog.Logger
	now       func() time.Time
	started   time.Time
	beatEvery time.Duration // of streams

	pointDecoders *sizedDecoders[PointDecoder]
	schema        Schema

	remoteWriteDecoders *sizedDecoders[RemoteWriteDecoder]
	remoteWriteGate     *source.Gate[remotewrite.Mapping]
	metricDecoders      *sizedDecoders[MetricDecoder]
	metricGate          *source.Gate[otlp.Mapping]
}

// New returns an API. It registers its metrics with the registry.
func New(c Config, p Parts) (*API, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("http api: %w", err)
	}
	ids, err := newRequestIDs(p.Random)
	if err != nil {
		return nil, fmt.Errorf("http api: %w", err)
	}
	places, small := make(chan struct{}, c.Decoders), make(chan struct{}, c.SmallDecoders)
	a := &API{
		config:    c,
		access:    p.Access,
		decoders:  newDecoders(p.NewDecoder, c.KeepDecoderBytes/4*3, c.BodyWait, places, small),
		bodies:    &bodies{max: c.MaxBodyBytes, budget: p.Budget},
		writer:    p.Writer,
		deleter:   p.Deleter,
		querier:   p.Querier,
		scripts:   p.Scripts,
		exporter:  p.Exporter,
		live:      p.Live,
		devices:   p.Devices,
		upkeep:    p.Upkeep,
		points:    p.PointWriter,
		pipelines: p.Pipelines,
		managed:   p.Managed,
		health:    p.Health,
		stopping:  p.Stopping,
		tracer:    p.Tracer,
		ids:       ids,
		scrape:    scrapeHandler(p.Registry),
		metrics:   newMetrics(p.Registry),
		log:       p.Log,
		now:       p.Now,
		started:   p.Now(),
		beatEvery: usualBeat,

		pointDecoders: newDecoders(p.NewPointDecoder, c.KeepDecoderBytes/4, c.BodyWait, places, small),
		schema:        p.Schema,

		remoteWriteDecoders: newDecoders(p.NewRemoteWriteDecoder, c.KeepDecoderBytes/4, c.BodyWait, places, small),
		remoteWriteGate:     p.RemoteWrite,
		metricDecoders:      newDecoders(p.NewMetricDecoder, c.KeepDecoderBytes/4, c.BodyWait, places, small),
		metricGate:          p.OTLP,
	}
	if a.points == nil {
		a.points = a.writer
	}
	return a, nil
}

// handler answers a request, or returns the error to answer with. If it has
// begun to answer by then, the connection is closed instead, so that the
// client sees the end missing and does not take half for the whole.
type handler func(w http.ResponseWriter, r *http.Request) error

// counted is a handler with its name, METHOD /path, in metrics and traces.
type counted struct {
	name  string
	serve handler
	count *routeMetrics
}

// router finds the handler of a request. It stands on http.ServeMux, whose own
// answers to unknown paths and methods are replaced by the API's.
func (a *API) router(answer func(http.ResponseWriter, *Error), routes []route) http.Handler {
	mux := http.NewServeMux()
	methods := make(map[string][]string)
	for _, r := range routes {
		h := counted{r.method + " " + r.path, r.serve, a.metrics.route(r.method, r.path)}
		mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, h, answer) })
		methods[r.path] = append(methods[r.path], r.method)
		if r.method == http.MethodGet {
			methods[r.path] = append(methods[r.path], http.MethodHead) // which the mux takes for GET too
		}
	}
	other := a.metrics.route("any", "other")
	for path, allowed := range methods {
		h := counted{"other", func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			return &Error{Code: MethodNotAllowed, Message: "method " + r.Method + " is not for this path, which takes " + strings.Join(allowed, ", ")}
		}, other}
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, h, answer) })
	}
	lost := counted{"other", func(http.ResponseWriter, *http.Request) error {
		return &Error{Code: NotFound, Message: "path not found; GET /docs has a page with those that there are"}
	}, other}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, lost, answer) })
	return mux
}

func (a *API) serve(w http.ResponseWriter, r *http.Request, h counted, answer func(http.ResponseWriter, *Error)) {
	start := time.Now()
	w.Header().Set("X-Influxdb-Version", influxVersion)
	w.Header().Set("X-Influxdb-Build", "OSS")
	r, span := a.identify(w, r, h.name)
	cw := &cautiousWriter{ResponseWriter: w}
	err := a.guard(cw, r, h.serve)
	status, begun := cw.status, cw.status != 0
	var e *Error
	if err != nil {
		var expected bool
		e, expected = describe(err)
		status = e.Code.Status()
		left := r.Context().Err() != nil
		if !expected || begun && !left {
			a.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		}
		if !begun {
			answer(cw, e)
		}
	}
	took := time.Since(start)
	h.count.observe(status, took)
	a.logAccess(r, status, cw.bytes, took)
	span.Int("http.response.status_code", int64(status))
	span.End(serverError(e))
	if err != nil && begun {
		panic(http.ErrAbortHandler) // how net/http is told to close the connection
	}
}

// guard calls h and makes an error of a panic, so that one request cannot end
// the server.
func (a *API) guard(w http.ResponseWriter, r *http.Request, h handler) (err error) {
	defer func() {
		if failed := recover(); failed != nil {
			a.metrics.panics.Inc()
			err = fmt.Errorf("panic: %v\n%s", failed, debug.Stack())
		}
	}()
	return h(w, r)
}

// cautiousWriter knows whether the answer has begun.
type cautiousWriter struct {
	http.ResponseWriter
	status int // 0 before that
	bytes  int64
}

func (w *cautiousWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *cautiousWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *cautiousWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
