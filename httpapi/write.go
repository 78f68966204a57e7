package httpapi

import (
	"net/http"
	"strconv"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/lineproto"
	"github.com/varvedb/varve/trace"
)

// write2 is POST /api/v2/write.
func (a *API) write2(w http.ResponseWriter, r *http.Request) error {
	p, err := a.principal(r, headerOnly)
	if err != nil {
		return err
	}
	precision, err := precision2(r.URL.Query().Get("precision"))
	if err != nil {
		return err
	}
	t, err := a.target(r, p)
	if err != nil {
		return err
	}
	if err := mayWrite(p, t, "for write"); err != nil {
		return err
	}
	return a.store(w, r, t, precision)
}

// write1 is POST /write. The organisation is the token's; which bucket
// database and retention policy mean, Access.Database knows.
func (a *API) write1(w http.ResponseWriter, r *http.Request) error {
	p, err := a.principal(r, compatible1x)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	precision, err := precision1(q.Get("precision"))
	if err != nil {
		return err
	}
	db, rp := q.Get("db"), q.Get("rp")
	if db == "" {
		return &Error{Code: Invalid, Message: "missing db"}
	}
	t, err := a.mapped(p, db, rp)
	if err != nil {
		return err
	}
	if err := mayWrite(p, t, "for write"); err != nil {
		return err
	}
	return a.store(w, r, t, precision)
}

// mapped returns the bucket that database and retention policy mean for p: of
// those that they can mean, the first that p may see.
func (a *API) mapped(p Principal, db, rp string) (target, error) {
	for _, id := range a.access.Database(p.Org, db, rp) {
		if p.Rights.MayRead(id) || p.Rights.MayWrite(id) {
			return target{p.Org, id}, nil
		}
	}
	return target{}, &Error{Code: NotFound, Message: "no dbrp mapping found"}
}

func precision2(s string) (lineproto.Precision, error) {
	switch s {
	case "", "ns":
		return lineproto.Nanosecond, nil
	case "us":
		return lineproto.Microsecond, nil
	case "ms":
		return lineproto.Millisecond, nil
	case "s":
		return lineproto.Second, nil
	}
	return 0, &Error{Code: Invalid, Message: "invalid precision; valid precision units are ns, us, ms, and s"}
}

// precision1 takes the units of 1.x as well. InfluxDB 2 stores nanoseconds
// when it is given one of those, which ruins the data of a 1.x client.
func precision1(s string) (lineproto.Precision, error) {
	switch s {
	case "", "n", "ns":
		return lineproto.Nanosecond, nil
	case "u", "us", "µ":
		return lineproto.Microsecond, nil
	case "ms":
		return lineproto.Millisecond, nil
	case "s":
		return lineproto.Second, nil
	case "m":
		return lineproto.Minute, nil
	case "h":
		return lineproto.Hour, nil
	}
	return 0, &Error{Code: Invalid, Message: "invalid precision; valid precision units are ns, us, ms, s, m, and h"}
}

// store reads, decodes and stores the body of a write.
func (a *API) store(w http.ResponseWriter, r *http.Request, t target, precision lineproto.Precision) error {
	_, refused, err := writeBody(a, r, a.writer, t.bucket, a.decoders, func(d Decoder, text []byte) (*column.Batch, lineproto.Left, error) {
		b, err := d.Parse(text, precision, a.now().UnixNano())
		return b, d.Left(text), err
	})
	if err != nil {
		return err
	}
	if refused.Points > 0 {
		return &Error{Code: Unprocessable, Message: "failure writing points to database: partial write: " +
			refused.Reason + " dropped=" + strconv.Itoa(refused.Points)}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// writeBody reads the body of r, decodes it and stores it. parse returns what
// the body holds and what it leaves out because it contradicts other rows; its
// errors are the client's.
func writeBody[D pooled](a *API, r *http.Request, to Writer, bucket uint64, all *sizedDecoders[D],
	parse func(d D, text []byte) (*column.Batch, lineproto.Left, error)) (stored int, refused Refused, err error) {
	_, reading := trace.Start(r.Context(), "read body")
	text, err := a.bodies.read(r, a.config.BodyWait)
	if err != nil {
		reading.End(err)
		return 0, Refused{}, err
	}
	reading.Int("bytes", int64(len(text.Bytes)))
	reading.End(nil)
	defer text.close()
	a.metrics.bodyBytes.Add(float64(len(text.Bytes)))
	if len(text.Bytes) == 0 {
		return 0, Refused{}, &Error{Code: Invalid, Message: "writing requires points"}
	}
	from := all.of(len(text.Bytes))
	d, err := from.take(r.Context())
	if err != nil {
		return 0, Refused{}, err
	}
	sound := false
	defer func() { from.give(d, sound) }()
	_, decoding := trace.Start(r.Context(), "decode")
	b, left, err := parse(d, text.Bytes)
	decoding.End(err)
	sound = true
	if err != nil {
		if failed := to.Unread(r.Context(), text.Bytes, err); failed != nil {
			return 0, Refused{}, failed
		}
		return 0, Refused{}, &Error{Code: Invalid, Message: err.Error(), Err: err}
	}
	if left.Rows == 0 {
		text.recycle()
	}
	points := b.Rows() + left.Rows
	if points == 0 {
		return 0, Refused{}, nil // comments and empty lines only
	}
	if refused, err = to.Write(r.Context(), bucket, b, left); err != nil {
		return 0, Refused{}, err
	}
	stored = points - refused.Points
	a.metrics.points.Add(float64(stored))
	a.metrics.refused.Add(float64(refused.Points))
	return stored, refused, nil
}
