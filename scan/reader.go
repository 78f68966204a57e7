package scan

import (
	"context"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/run"
)

// reader reads series for one worker: its cursors stay open from unit to unit.
type reader struct {
	job     *job
	walker  *walker
	cursors []run.Cursor // by input; nil: not opened so far
	stream  stream
	spans   bool // summaries may be used
	stats   Stats
	keep    *selection
	// Rows that were chosen from others.
	matching, present column.Rows
	steps             int
}

func newReader(j *job, spans bool) *reader {
	return &reader{
		job: j, walker: newWalker(j), cursors: make([]run.Cursor, len(j.src.inputs)),
		stream: stream{fields: j.src.read}, spans: spans && j.src.where == nil, keep: &selection{},
	}
}

// bounded is a cursor that leaves out rows that cannot matter.
type bounded interface {
	SetBounds(col int, min, max uint64)
}

func (r *reader) cursor(i int) (run.Cursor, error) {
	if r.cursors[i] != nil {
		return r.cursors[i], nil
	}
	in := &r.job.src.inputs[i]
	c, err := in.run.Cursor(r.job.src.names)
	if err != nil {
		return nil, err
	}
	// Where another input overlaps, a row that cannot match may still
	// overwrite one that does.
	if b, ok := c.(bounded); ok && r.job.src.where != nil && in.alone {
		r.job.src.where.bounds(b.SetBounds)
	}
	r.cursors[i] = c
	return c, nil
}

// next goes to the next series of the unit, which seek then makes readable;
// false at the end.
func (r *reader) next(ctx context.Context) (bool, error) {
	// Reading a clock or a channel costs as much as a short series.
	if r.steps++; r.steps&15 == 0 {
		if err := context.Cause(ctx); err != nil {
			return false, err
		}
	}
	return r.walker.next()
}

// series prepares the stream for the present series.
func (r *reader) series() error {
	r.stream.begin()
	for _, i := range r.walker.here {
		c, err := r.cursor(i)
		if err != nil {
			return err
		}
		f := r.stream.add()
		f.cursor, f.ord = c, r.walker.inputs[i].ords[0]
		f.hidden = r.job.src.inputs[i].hidden.For(f.hidden, r.walker.key)
		if r.spans {
			f.spans, _ = c.(run.SummaryCursor)
		}
	}
	return nil
}

// seek makes the stream read the rows between min and max.
func (r *reader) seek(min, max int64) {
	r.stream.seek(min, max, func(k int) (int64, int64) {
		in := &r.job.src.inputs[r.walker.here[k]]
		return in.min, in.max
	})
}

// extent returns where rows of the present series can lie, and how many there
// are by the averages of their runs.
func (r *reader) extent() (lo, hi, rows int64) {
	for k, i := range r.walker.here {
		in := &r.job.src.inputs[i]
		if k == 0 {
			lo, hi = in.min, in.max
		}
		lo, hi = min(lo, in.min), max(hi, in.max)
		meta := in.run.Meta()
		rows += meta.Rows / int64(max(meta.Series, 1))
	}
	return lo, hi, rows
}

// close gives the cursors back and keeps count of what they read.
func (r *reader) close() {
	for _, c := range r.cursors {
		if c == nil {
			continue
		}
		if k, ok := c.(run.Counted); ok {
			r.stats.addRun(k.Stats())
		}
		c.Close()
	}
}

// backward goes through a stretch of time from its end in steps, which become
// wider for as long as they hold few rows.
type backward struct{ lo, hi, width int64 }

// stepRows is about how many rows the first step should hold: what a span of
// summaries or a few cache lines hold.
const stepRows = 256

func newBackward(lo, hi, rows int64) backward {
	width := hi - lo
	if width < 0 { // more than half of all time
		width = 1<<63 - 1
	}
	return backward{lo, hi, width/max(rows/stepRows, 1) + 1}
}

// next returns the next step; ok is false at the beginning.
func (b *backward) next() (lo, hi int64, ok bool) {
	if b.hi < b.lo {
		return 0, 0, false
	}
	lo, hi = b.lo, b.hi
	if w := hi - b.lo; w < 0 || w > b.width {
		lo = max(b.lo, aligned(hi-b.width, b.width))
	}
	if lo == b.lo {
		b.lo, b.hi = 1, 0
	} else {
		b.hi = lo - 1
	}
	return lo, hi, true
}

// aligned rounds a time down to a whole minute, hour or the like that is not
// longer than width: segments cut spans at such times, and a step that begins
// where a span does need not read it.
func aligned(t, width int64) int64 {
	for _, unit := range []time.Duration{24 * time.Hour, time.Hour, 10 * time.Minute, time.Minute, time.Second} {
		if u := int64(unit); u <= width {
			down := t - t%u
			if down > t {
				down -= u
			}
			return down
		}
	}
	return t
}

// found tells how many rows the last step held.
func (b *backward) found(n int) {
	switch {
	case n < stepRows && b.width < 1<<61:
		b.width *= 4
	case n > 16*stepRows:
		b.width = b.width/2 + 1
	}
}
