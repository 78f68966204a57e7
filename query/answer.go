package query

import (
	"time"

	"github.com/varvedb/varve/scan"
	"github.com/varvedb/varve/trace"
)

// Answer is what a plan came to, batch by batch.
type Answer struct {
	question *Question
	clipped  string // line of the explained plan; empty: nothing was cut off
	rows     rows
	release  func()        // of what is pinned; nil: nothing is
	took     time.Duration // spent in rows
	returned int64         // rows
	err      error         // of rows
	span     *trace.Span
	closed   bool
}

// rows is where batches come from: an exec.Result, or one that was kept.
type rows interface {
	Next() (*scan.Batch, error)
	Stats() scan.Stats
	Explain() string
	Close()
}

// Next returns the next batch, nil at the end. It is valid until the next
// call and must not be changed.
func (a *Answer) Next() (*scan.Batch, error) {
	began := time.Now()
	b, err := a.rows.Next()
	a.took += time.Since(began)
	if err != nil {
		a.err = err
		a.question.failed(err)
		return nil, err
	}
	if b == nil {
		return nil, nil
	}
	a.returned += int64(b.Rows())
	return b, nil
}

// Explain says what was done so far, an operator a line, the last one first.
func (a *Answer) Explain() string { return a.rows.Explain() + a.clipped }

// Close stops the work and gives memory back. The question does it too.
func (a *Answer) Close() {
	if a.closed {
		return
	}
	a.closed = true
	a.rows.Close()
	if a.release != nil {
		a.release()
	}
	a.span.Int("rows", a.returned)
	a.span.End(a.err)
	a.question.settle(a)
}

// wholeRange gives the only window of an aggregate without windows the start
// that was asked for, clipped or not.
type wholeRange struct {
	rows
	start int64
}

func (w wholeRange) Next() (*scan.Batch, error) {
	b, err := w.rows.Next()
	if b != nil {
		for i := range b.Start {
			b.Start[i] = w.start
		}
	}
	return b, err
}

// noRows is the answer to a plan of times that its bucket does not keep.
type noRows struct{}

func (noRows) Next() (*scan.Batch, error) { return nil, nil }
func (noRows) Stats() scan.Stats          { return scan.Stats{} }
func (noRows) Explain() string            { return "" }
func (noRows) Close()                     {}
