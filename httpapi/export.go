package httpapi

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/export/stream"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/protocol/lineproto"
)

// Exporter gives out all rows of a bucket, or a part of them.
type Exporter interface {
	// Export calls out with the rows of one snapshot. An error of out ends the
	// export and is returned.
	Export(ctx context.Context, bucket uint64, r *stream.Request, out stream.Receiver) error
}

// exportStall ends an export whose client takes nothing for so long: its
// snapshot keeps files and memory.
const exportStall = time.Minute

// exportRequest is the body of POST /api/v1/export. Everything is optional.
type exportRequest struct {
	Bucket       string               `json:"bucket,omitempty" doc:"by name or id; absent: the token's default"`
	Measurements []string             `json:"measurements,omitempty" doc:"absent: all"`
	Start        instant              `json:"start,omitempty" doc:"absent: the first row"`
	Stop         instant              `json:"stop,omitempty" doc:"itself left out; absent: behind the last row"`
	Filters      map[string]tagValues `json:"filters,omitempty" doc:"tag to value, or to a list of values of which one must hold"`
	Partition    stream.Partition     `json:"partition,omitempty" enum:"none,day,month" doc:"length of time by which rows are parted; of effect on the columnar stream only"`
}

// ParseInstant reads a time as the bodies of requests have it.
func ParseInstant(text string, now time.Time) (int64, error) { return instant(text).nanos(now) }

// compile makes the request that the Exporter takes.
func (q *exportRequest) compile(now time.Time) (*stream.Request, error) {
	r := stream.Whole()
	var err error
	if q.Start != "" {
		if r.Start, err = q.Start.nanos(now); err != nil {
			return nil, fmt.Errorf("start: %w", err)
		}
	}
	if q.Stop != "" {
		if r.Stop, err = q.Stop.nanos(now); err != nil {
			return nil, fmt.Errorf("stop: %w", err)
		}
	}
	if q.Partition != "" {
		r.Partition = q.Partition
	}
	r.Measurements = q.Measurements
	for _, tag := range slices.Sorted(maps.Keys(q.Filters)) {
		r.Tags = predicate.All(r.Tags, predicate.OneOf(tag, q.Filters[tag]...))
	}
	if _, err := predicate.Compile(r.Tags); err != nil {
		return nil, fmt.Errorf("filters: %w", err)
	}
	return &r, r.Partition.Validate()
}

// export is POST /api/v1/export of the service port: line protocol, or the
// frames of package export/stream where the client asks for them.
func (a *API) export(w http.ResponseWriter, r *http.Request) error {
	who, err := a.servicePrincipal(r)
	if err != nil {
		return err
	}
	var req exportRequest
	if err := readRequest(r, &req); err != nil {
		return err
	}
	t, err := a.readable(who, r.URL.Query().Get("org"), req.Bucket)
	if err != nil {
		return err
	}
	what, err := req.compile(a.now())
	if err != nil {
		return &Error{Code: Invalid, Message: err.Error(), Err: err}
	}
	out := &patientWriter{w: w, control: http.NewResponseController(w)}
	defer out.rest()
	counted := &countedRows{rows: func(n int) { a.metrics.rows.Add(float64(n)) }}
	if !strings.Contains(r.Header.Get("Accept"), stream.ContentType) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		counted.Receiver = &lineReceiver{w: out}
		return a.exporter.Export(r.Context(), t.bucket, what, counted)
	}
	w.Header().Set("Content-Type", stream.ContentType)
	frames := stream.NewEncoder(out)
	counted.Receiver = frames
	if err := a.exporter.Export(r.Context(), t.bucket, what, counted); err != nil {
		return err
	}
	return frames.End()
}

// patientWriter gives the client exportStall for each write instead of one
// deadline for all of them.
type patientWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (p *patientWriter) Write(b []byte) (int, error) {
	p.deadline(time.Now().Add(exportStall))
	return p.w.Write(b)
}

// rest takes the deadline off the connection, which may live on.
func (p *patientWriter) rest() { p.deadline(time.Time{}) }

func (p *patientWriter) deadline(t time.Time) {
	// Writers without a connection, as those of tests, have no deadline.
	_ = p.control.SetWriteDeadline(t)
}

// countedRows counts what passes.
type countedRows struct {
	stream.Receiver
	rows func(n int)
}

func (c *countedRows) Rows(t *column.Table) error {
	c.rows(len(t.Time))
	return c.Receiver.Rows(t)
}

// lineReceiver writes line protocol.
type lineReceiver struct {
	w    *patientWriter
	buf  []byte
	text column.Batch
}

func (l *lineReceiver) Measurement(*stream.Schema) error { return nil }

func (l *lineReceiver) Rows(t *column.Table) error {
	var err error
	l.text.Tables = append(l.text.Tables[:0], t)
	if l.buf, err = lineproto.AppendLines(l.buf[:0], &l.text); err != nil {
		return &Error{Code: Unprocessable, Message: err.Error(), Err: err}
	}
	_, err = l.w.Write(l.buf)
	return err
}
