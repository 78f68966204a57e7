package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/varvedb/varve/protocol/otlp"
	"github.com/varvedb/varve/protocol/rows"
	"github.com/varvedb/varve/source"
	"github.com/varvedb/varve/trace"
)

// MetricDecoder turns messages of OTLP into rows: package protocol/otlp. It
// belongs to one request at a time.
type MetricDecoder interface {
	// Decode returns a batch that is valid until the next Decode and shares no
	// memory with message.
	Decode(message []byte, m otlp.Mapping, now int64, more rows.More) (otlp.Request, error)
	// Left returns the data points that the last Decode left out.
	Left() []rows.Left
	// MemoryBytes is what it holds between two messages.
	MemoryBytes() int
}

// Headers by which exporters of OTLP, whose path is fixed, may say where points
// go; over gRPC they are metadata.
const (
	HeaderOrg    = "Varve-Org"
	HeaderBucket = "Varve-Bucket"
)

// Sender is who sends a message of OTLP, and where to.
type Sender struct {
	Token       string // with its scheme, as in Authorization
	Org, Bucket string // by name or id; "" for those of the token
	Address     string
}

// Rejected is the part of a message that was not stored although the rest was.
type Rejected struct {
	Points int
	Reason string
}

// MetricsAdmission is the leave of a sender to have one message stored.
type MetricsAdmission struct {
	api     *API
	to      target
	opening *source.Opening[otlp.Mapping]
	address string
}

// AdmitMetrics says whether s may send what does not come over HTTP, before any
// of it is read. The admission is closed by the caller.
func (a *API) AdmitMetrics(ctx context.Context, s Sender) (*MetricsAdmission, *Error) {
	m, err := a.admitMetrics(ctx, s)
	return m, a.explained(ctx, err)
}

func (a *API) admitMetrics(ctx context.Context, s Sender) (*MetricsAdmission, error) {
	r := (&http.Request{Header: http.Header{"Authorization": {s.Token}}}).WithContext(ctx)
	p, err := a.principal(r, headerOnly)
	if err != nil {
		return nil, err
	}
	t, err := a.find(p, s.Org, s.Bucket)
	if err != nil {
		return nil, err
	}
	if err := mayWrite(p, t, "for write"); err != nil {
		return nil, err
	}
	opening, err := enter(a.metricGate)
	return &MetricsAdmission{a, t, opening, s.Address}, err
}

// Close gives the leave back.
func (m *MetricsAdmission) Close() {
	if m.opening != nil {
		m.opening.Leave()
	}
}

// Store returns when the message is stored, or with the pipeline that wants it.
func (m *MetricsAdmission) Store(ctx context.Context, message []byte) (Rejected, *Error) {
	a := m.api
	rejected, err := a.storeUnread(ctx, m, message)
	return rejected, a.explained(ctx, err)
}

func (a *API) storeUnread(ctx context.Context, m *MetricsAdmission, message []byte) (Rejected, error) {
	text := &body{Bytes: message, from: a.bodies, wait: a.config.BodyWait}
	defer text.close()
	if err := text.take(ctx, int64(len(message))); err != nil {
		return Rejected{}, err
	}
	a.metrics.bodyBytes.Add(float64(len(message)))
	return a.storeMetrics(ctx, m.to, m.opening, text, message, m.address)
}

// explained makes of err what a client is told, and logs what it is not.
func (a *API) explained(ctx context.Context, err error) *Error {
	if err == nil {
		return nil
	}
	e, expected := describe(err)
	if !expected {
		a.log.ErrorContext(ctx, "a message of OTLP failed", "error", err)
	}
	return e
}

// takeMetricsHTTP is POST /v1/metrics.
func (a *API) takeMetricsHTTP(w http.ResponseWriter, r *http.Request) error {
	isJSON, unknown := isJSONMetrics(r.Header)
	rejected, err := a.readMetrics(r, isJSON, unknown)
	if err == nil {
		return answerMetrics(w, isJSON, rejected)
	}
	e, expected := describe(err)
	if !expected {
		return err
	}
	return answerStatus(w, isJSON, e)
}

// readMetrics reads and stores what a request has. unknown is what is wrong with
// its encoding, of which only those with a token are told.
func (a *API) readMetrics(r *http.Request, isJSON bool, unknown error) (Rejected, error) {
	q := r.URL.Query()
	for name, header := range map[string]string{"org": HeaderOrg, "bucket": HeaderBucket} {
		if v := r.Header.Get(header); v != "" && q.Get(name) == "" {
			q.Set(name, v)
		}
	}
	r.URL.RawQuery = q.Encode()
	t, err := a.writerTo(r)
	if err != nil {
		return Rejected{}, err
	}
	if unknown != nil {
		return Rejected{}, unknown
	}
	opening, err := enter(a.metricGate)
	if err != nil {
		return Rejected{}, err
	}
	if opening != nil {
		defer opening.Leave()
	}
	text, err := a.readWhole(r, false)
	if err != nil {
		return Rejected{}, err
	}
	defer text.close()
	message := text.Bytes
	if isJSON {
		// It becomes objects first, whose memory a body may have as well.
		if most := min(otlp.MaxJSONBytes, a.config.MaxBodyBytes/otlp.JSONRatio); int64(len(message)) > most {
			return Rejected{}, &Error{Code: TooLarge, Message: fmt.Sprintf("a message as JSON may have %d bytes here: send less at a time, or protobuf", most)}
		}
		if err := text.take(r.Context(), text.taken+otlp.JSONRatio*int64(len(message))); err != nil {
			return Rejected{}, err
		}
		if message, err = otlp.FromJSON(message); err != nil {
			return Rejected{}, undecoded(r.Context(), opening, text.Bytes, senderOf(r), err)
		}
	}
	return a.storeMetrics(r.Context(), t, opening, text, message, senderOf(r))
}

// storeMetrics decodes and stores a message, which is that of text or came of it.
func (a *API) storeMetrics(ctx context.Context, t target, opening *source.Opening[otlp.Mapping], text *body, message []byte, sender string) (rejected Rejected, err error) {
	var mapping otlp.Mapping
	if opening != nil {
		mapping = opening.Settings
	}
	err = decodeWith(ctx, a.metricDecoders, len(message), func(d MetricDecoder) error {
		_, decoding := trace.Start(ctx, "decode")
		q, err := d.Decode(message, mapping, a.now().UnixNano(), text.more(ctx))
		decoding.End(err)
		if err != nil {
			return undecoded(ctx, opening, text.Bytes, sender, err) // as it came
		}
		text.recycle()
		a.metrics.countOTLP(&q)
		_, refused, err := handOver(ctx, a, opening, t.bucket, q.Batch, d.Left(), sender)
		if err != nil {
			return err
		}
		// A data point may be several points of the store.
		rejected = Rejected{q.Refused + min(refused.Points, q.Points), cmp.Or(q.Reason, refused.Reason)}
		return nil
	})
	return rejected, err
}

// isJSONMetrics reports in which of the two encodings a message is.
func isJSONMetrics(h http.Header) (bool, error) {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	switch {
	case err == nil && kind == "application/json":
		return true, nil
	case err == nil && kind == "application/x-protobuf":
		return false, nil
	}
	return false, &Error{Code: UnsupportedMedia, Message: "Content-Type is " + strconv.Quote(h.Get("Content-Type")) + ": want application/x-protobuf or application/json"}
}

// metricsAnswer is ExportMetricsServiceResponse as JSON.
type metricsAnswer struct {
	PartialSuccess *partialSuccess `json:"partialSuccess,omitempty"`
}

type partialSuccess struct {
	RejectedDataPoints string `json:"rejectedDataPoints"` // an int64, which JSON of protobuf writes as text
	ErrorMessage       string `json:"errorMessage"`
}

// AppendAnswer appends an ExportMetricsServiceResponse.
func (r Rejected) AppendAnswer(dst []byte) []byte {
	if r.Points == 0 {
		return dst
	}
	partial := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(r.Points))
	partial = protowire.AppendString(protowire.AppendTag(partial, 2, protowire.BytesType), r.Reason)
	return protowire.AppendBytes(protowire.AppendTag(dst, 1, protowire.BytesType), partial)
}

func answerMetrics(w http.ResponseWriter, isJSON bool, r Rejected) error {
	if !isJSON {
		w.Header().Set("Content-Type", contentProtobuf)
		_, err := w.Write(r.AppendAnswer(nil))
		return err
	}
	var answer metricsAnswer
	if r.Points > 0 {
		answer.PartialSuccess = &partialSuccess{strconv.Itoa(r.Points), r.Reason}
	}
	w.Header().Set("Content-Type", contentJSON)
	return json.NewEncoder(w).Encode(answer)
}

const contentProtobuf = "application/x-protobuf"

// GRPC returns the number of the status of gRPC that says what c does.
func (c Code) GRPC() uint32 {
	switch c {
	case Invalid, UnsupportedMedia, Unprocessable, TooLarge:
		return 3 // INVALID_ARGUMENT
	case NotFound:
		return 5
	case Forbidden:
		return 7 // PERMISSION_DENIED
	case TooMany:
		return 8 // RESOURCE_EXHAUSTED
	case MethodNotAllowed:
		return 12 // UNIMPLEMENTED
	case Unavailable:
		return 14
	case Unauthorized:
		return 16
	}
	return 13 // INTERNAL
}

// rpcStatus is a google.rpc.Status as JSON.
type rpcStatus struct {
	Code    uint32 `json:"code" doc:"of gRPC"`
	Message string `json:"message"`
}

// answerStatus writes e as a google.rpc.Status, as OTLP wants it.
func answerStatus(w http.ResponseWriter, isJSON bool, e *Error) error {
	retryAfter(w.Header(), e)
	if isJSON {
		w.Header().Set("Content-Type", contentJSON)
		w.WriteHeader(e.Code.Status())
		return json.NewEncoder(w).Encode(rpcStatus{e.Code.GRPC(), e.Message})
	}
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(e.Code.GRPC()))
	b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), e.Message)
	w.Header().Set("Content-Type", contentProtobuf)
	w.WriteHeader(e.Code.Status())
	_, err := w.Write(b)
	return err
}
