package httpapi

import (
	"context"
	"errors"
	"iter"
	"net"
	"net/http"
	"strings"

	"github.com/klauspost/compress/s2"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/lineproto"
	"github.com/varvedb/varve/protocol/rows"
	"github.com/varvedb/varve/source"
	"github.com/varvedb/varve/trace"
)

// writerTo returns where a request of a protocol with senders of its own goes:
// org and bucket of the query, db and rp for those who know the endpoints of
// InfluxDB 1, or what is usual for its token. The token stands where any client
// puts it.
func (a *API) writerTo(r *http.Request) (target, error) {
	from := compatible1x
	if scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		from = headerOnly
	}
	p, err := a.principal(r, from)
	if err != nil {
		return target{}, err
	}
	var t target
	if q := r.URL.Query(); q.Get("db") != "" {
		t, err = a.mapped(p, q.Get("db"), q.Get("rp"))
	} else {
		t, err = a.target(r, p)
	}
	if err != nil {
		return target{}, err
	}
	return t, mayWrite(p, t, "for write")
}

// readWhole reads a body, and takes Snappy off if it has that.
func (a *API) readWhole(r *http.Request, snappy bool) (*body, error) {
	_, reading := trace.Start(r.Context(), "read body")
	text, err := a.bodies.read(r, a.config.BodyWait)
	if err == nil && snappy {
		if err = text.unsnap(r.Context()); err != nil {
			text.close()
		}
	}
	if err != nil {
		reading.End(err)
		return nil, err
	}
	reading.Int("bytes", int64(len(text.Bytes)))
	reading.End(nil)
	a.metrics.bodyBytes.Add(float64(len(text.Bytes)))
	return text, nil
}

// maxSnappyRatio is beyond what a body can be by the rules of Snappy: three
// bytes stand for 64.
const maxSnappyRatio = 22

// unsnap takes Snappy, in its block format, off a body.
func (b *body) unsnap(ctx context.Context) error {
	n, err := s2.DecodedLen(b.Bytes)
	switch {
	case err != nil || n > maxSnappyRatio*len(b.Bytes):
		return notSnappy()
	case int64(n) > b.from.max:
		return tooLarge()
	}
	plain := b.from.get(int64(n))
	if err := b.take(ctx, int64(cap(*b.buffer))+int64(max(n+n/8+1, cap(*plain)))); err != nil {
		b.from.put(plain)
		return err
	}
	if cap(*plain) < n {
		// With room for a longer one, which the next body may be.
		*plain = make([]byte, 0, n+n/8+1)
	}
	text, err := s2.Decode((*plain)[:n], b.Bytes)
	b.from.keep(b.buffer)
	b.buffer, b.Bytes = plain, text
	if err != nil {
		return notSnappy()
	}
	return nil
}

func notSnappy() *Error {
	return &Error{Code: Invalid, Message: "unable to read data: the body is not in the block format of Snappy"}
}

// more returns what raises the body's share of the budget for a batch that is
// larger than the body.
func (b *body) more(ctx context.Context) func(n int64) error {
	return func(n int64) error { return b.take(ctx, b.taken+n) }
}

// undecoded is the answer to a message that could not be decoded: for what is
// wrong with it, which the pipeline behind opening keeps, or because there is no
// memory.
func undecoded[S any](ctx context.Context, opening *source.Opening[S], message []byte, sender string, err error) error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e
	}
	if opening != nil {
		m := source.Message{Offset: -1, Client: sender, Payload: message, Unread: &source.Unread{Reason: "bad_message", Detail: err.Error()}}
		if _, failed := opening.Intake.Take(ctx, []source.Message{m}); failed != nil {
			return busy(failed)
		}
	}
	return &Error{Code: Invalid, Message: err.Error(), Err: err}
}

// decodeWith calls f with a decoder for a body of n bytes.
func decodeWith[D pooled](ctx context.Context, all *sizedDecoders[D], n int, f func(d D) error) error {
	from := all.of(n)
	d, err := from.take(ctx)
	if err != nil {
		return err
	}
	sound := false
	defer func() { from.give(d, sound) }()
	err = f(d)
	sound = true
	return err
}

// handOver gives a batch to the pipeline behind opening, or to the store if
// that is nil, and returns how many of its points are stored. Those that the
// rules of a pipeline refuse are kept elsewhere, and so are no fault of the
// sender's. A pipeline keeps what the decoder left out as well.
func handOver[S any](ctx context.Context, a *API, opening *source.Opening[S], bucket uint64, b *column.Batch, left []rows.Left, sender string) (stored int, refused Refused, err error) {
	points := b.Rows()
	if points == 0 && (opening == nil || len(left) == 0) {
		return 0, Refused{}, nil
	}
	if opening == nil {
		refused, err = a.writer.Write(ctx, bucket, b, lineproto.Left{})
		stored = points - refused.Points
	} else {
		var result source.Result
		result, err = opening.Intake.TakeBatch(ctx, bucket, b, &source.Message{Offset: -1, Client: sender, Left: leftOut(left)})
		err, stored = busy(err), result.Stored
	}
	if err != nil {
		return 0, Refused{}, err
	}
	a.metrics.points.Add(float64(stored))
	a.metrics.refused.Add(float64(refused.Points))
	return stored, refused, nil
}

// leftOut tells an intake of points that a decoder left out.
func leftOut(all []rows.Left) iter.Seq[*source.Left] {
	if len(all) == 0 {
		return nil
	}
	return func(yield func(*source.Left) bool) {
		for i := range all {
			l := &all[i]
			if !yield(&source.Left{Reason: "bad_point", Detail: l.Reason, Points: l.Points, Row: l.Text}) {
				return
			}
		}
	}
}

// enter goes through a gate.
func enter[S any](g *source.Gate[S]) (*source.Opening[S], error) {
	o, err := g.Enter()
	return o, busy(err)
}

// busy makes an answer of an intake that cannot take anything now.
func busy(err error) error {
	if !errors.Is(err, source.ErrBusy) {
		return err
	}
	e := &Error{Code: Unavailable, Message: err.Error(), Err: err}
	if b := (*source.BusyError)(nil); errors.As(err, &b) {
		e.RetryAfter = b.RetryAfter
	}
	return e
}

// senderOf is the address of a client without its port.
func senderOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
