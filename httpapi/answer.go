package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/varvedb/varve/protocol/jsonpoints"
	"github.com/varvedb/varve/trace"
)

// sendAt is how much of an answer is gathered before it is sent. Until then
// an error can still be answered with its own status.
const sendAt = 64 << 10

// answer writes the JSON of a query as its pieces come. Rows are appended by
// hand: what is the same for all rows of a piece is rendered once.
type answer struct {
	w     http.ResponseWriter
	limit int64 // values; 0: no limit
	buf   []byte
	count int64

	at      int64    // of the row before
	clock   []byte   // at as text; empty: there was none
	middles [][]byte // for each column of the present piece, what comes between time and value
	tail    []byte   // what comes behind the value

	// Of the work here a trace is told; nil if there is none.
	span  *trace.Span
	began time.Time     // of the first piece
	busy  time.Duration // in pieces; between them the next one is made
	bytes int64         // sent
}

func newAnswer(w http.ResponseWriter, limit int64) *answer {
	return &answer{w: w, limit: limit, buf: append(make([]byte, 0, sendAt+4<<10), `{"status":"success","data":[`...)}
}

// add appends a piece. It returns errEnough when the limit is reached.
func (a *answer) add(p *Piece) error {
	if a.span == nil {
		return a.append(p)
	}
	began := time.Now()
	if a.began.IsZero() {
		a.began = began
	}
	err := a.append(p)
	a.busy += time.Since(began)
	return err
}

func (a *answer) append(p *Piece) error {
	a.render(p)
	for i, at := range p.Rows.Time {
		for c := range p.Rows.Cols {
			v := &p.Rows.Cols[c]
			if v.Type == 0 || !v.Valid.Get(i) {
				continue
			}
			if a.count > 0 {
				a.buf = append(a.buf, ',')
			}
			a.count++
			a.buf = append(a.buf, `{"time":"`...)
			a.buf = a.appendTime(a.buf, at)
			a.buf = append(a.buf, a.middles[c]...)
			a.buf = jsonpoints.AppendValue(a.buf, v, i)
			if p.overflows(c, i) {
				a.buf = append(a.buf, `,"overflow":true`...)
			}
			a.buf = append(a.buf, a.tail...)
			if a.count == a.limit {
				return errEnough
			}
			if len(a.buf) >= sendAt {
				if err := a.send(); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// appendTime appends a time. Rows of one time mostly come together: the
// latest of a fleet have the same, and so have all fields of a row.
func (a *answer) appendTime(dst []byte, at int64) []byte {
	if at != a.at || len(a.clock) == 0 {
		a.at, a.clock = at, time.Unix(0, at).UTC().AppendFormat(a.clock[:0], time.RFC3339Nano)
	}
	return append(dst, a.clock...)
}

// render makes the parts that all rows of p have in common.
func (a *answer) render(p *Piece) {
	for len(a.middles) < len(p.Fields) {
		a.middles = append(a.middles, nil)
	}
	for c, field := range p.Fields {
		m := append(a.middles[c][:0], `","measurement":`...)
		m = jsonpoints.AppendText(m, []byte(p.Measurement))
		m = append(m, `,"field":`...)
		m = jsonpoints.AppendText(m, []byte(field))
		a.middles[c] = append(m, `,"value":`...)
	}
	a.tail = append(a.tail[:0], `,"tags":`...)
	a.tail = append(jsonpoints.AppendTags(a.tail, p.Tags), '}')
}

// end writes what comes behind the rows; explain may be empty.
func (a *answer) end(explain string) error {
	a.buf = append(a.buf, `],"count":`...)
	a.buf = strconv.AppendInt(a.buf, a.count, 10)
	if explain != "" {
		a.buf = append(a.buf, `,"explain":`...)
		a.buf = jsonpoints.AppendText(a.buf, []byte(explain))
	}
	a.buf = append(a.buf, '}', '\n')
	err := a.send()
	if a.span != nil && !a.began.IsZero() {
		a.span.Timed("render", a.began, time.Now(), trace.Number{Key: "values", Value: a.count},
			trace.Number{Key: "bytes", Value: a.bytes}, trace.Number{Key: "busy.ns", Value: int64(a.busy)})
	}
	return err
}

func (a *answer) send() error {
	// Later sends find it set already, without effect.
	a.w.Header().Set("Content-Type", contentJSON)
	_, err := a.w.Write(a.buf)
	a.bytes += int64(len(a.buf))
	a.buf = a.buf[:0]
	return err
}
