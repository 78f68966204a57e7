package scan

import (
	"math"
	"slices"
	"sort"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/run"
	"github.com/varvedb/varve/tombstone"
)

// stream gives the rows of one series in the order of time, merged from all
// inputs that have it: the value of the later input wins field by field, and
// what tombstones hide is gone. Each feeder knows a bound below which it has
// no more rows; up to the bound of the next one, the rows and spans of the
// lowest are its own and pass as they are.
type stream struct {
	fields  []column.FieldInfo
	feeders []feeder // in the order of precedence; the first n are in use
	n       int
	out     column.Rows
	view    column.Rows
}

// feeder is an input that has the series.
type feeder struct {
	cursor run.Cursor
	spans  run.SummaryCursor // nil: spans are not asked for
	ord    uint32
	hidden []tombstone.Hidden

	low      int64 // no row that was not given out lies before it
	high     int64 // nor behind it
	sought   bool
	ended    bool
	rows     *column.Rows // read and not given out from at on; nil: none
	at       int
	filtered column.Rows
	near     []tombstone.Hidden // what hides something of rows
}

// copyBelow is how long a stretch of rows of one feeder must be to be handed
// on as it is; shorter ones are copied together, because a consumer's cost
// for each call would outweigh copying them.
const copyBelow = 128

// outRows is how many rows are copied together at most: one column of them
// fits the first-level cache.
const outRows = 2048

// begin starts a series without feeders.
func (s *stream) begin() { s.n = 0 }

// add makes room for another feeder, of higher precedence than those before.
func (s *stream) add() *feeder {
	if s.n == len(s.feeders) {
		s.feeders = append(s.feeders, feeder{})
	}
	s.n++
	f := &s.feeders[s.n-1]
	f.spans, f.hidden = nil, f.hidden[:0]
	return f
}

// seek starts over with the rows between from and to, given where rows of
// each feeder can lie at all.
func (s *stream) seek(from, to int64, bounds func(i int) (lo, hi int64)) {
	for i := range s.n {
		f := &s.feeders[i]
		lo, hi := bounds(i)
		f.low, f.high = max(lo, from), min(hi, to)
		f.sought, f.rows, f.at = false, nil, 0
		f.ended = f.low > f.high
	}
}

// lowest returns the feeder with the lowest bound and the lowest bound of all
// others; nil at the end.
func (s *stream) lowest() (f *feeder, limit int64) {
	limit = math.MaxInt64
	for i := range s.n {
		g := &s.feeders[i]
		switch {
		case g.ended:
		case f == nil:
			f = g
		case g.low < f.low:
			f, limit = g, f.low
		default:
			limit = min(limit, g.low)
		}
	}
	return f, limit
}

// next returns the next rows, or a feeder that stands at a span which is its
// own alone: the caller then takes the summaries and calls skip, or calls
// read. Both are nil at the end. Rows are valid until the next call.
func (s *stream) next() (rows *column.Rows, at *feeder, span run.Span, err error) {
	s.out.Time = s.out.Time[:0]
	started := false
	for {
		f, limit := s.lowest()
		if f == nil {
			break
		}
		if f.rows == nil {
			if f.spans != nil {
				span, ok, err := f.span(limit)
				if err != nil {
					return nil, nil, span, err
				}
				if ok {
					if started {
						return &s.out, nil, span, nil
					}
					return nil, f, span, nil
				}
			}
			if err := s.load(f); err != nil {
				return nil, nil, span, err
			}
			continue
		}
		if f.low < limit {
			from, to := f.at, len(f.rows.Time)
			if f.rows.Time[to-1] >= limit {
				to = from + sort.Search(to-from, func(i int) bool { return f.rows.Time[from+i] >= limit })
			}
			if to-from >= copyBelow || !started && s.last(f, to) {
				if started {
					return &s.out, nil, span, nil
				}
				return s.pass(f, from, to), nil, span, nil
			}
			if !started {
				s.out.Reset(s.fields)
				started = true
			}
			s.copy(f.rows, from, to)
			f.advance(to)
		} else {
			// Others may have rows at the same time: find out, then merge.
			loaded, err := s.loadAt(f.low)
			if err != nil {
				return nil, nil, span, err
			}
			if loaded {
				continue
			}
			if !started {
				s.out.Reset(s.fields)
				started = true
			}
			s.mergeRow(f.low)
		}
		if len(s.out.Time) >= outRows {
			break
		}
	}
	if started {
		return &s.out, nil, span, nil
	}
	return nil, nil, span, nil
}

// last reports whether f has no rows but those up to to, and no other feeder
// has any.
func (s *stream) last(f *feeder, to int) bool {
	if to < len(f.rows.Time) {
		return false
	}
	for i := range s.n {
		if g := &s.feeders[i]; g != f && !g.ended {
			return false
		}
	}
	return true
}

// pass gives out rows of one feeder as they are.
func (s *stream) pass(f *feeder, from, to int) *column.Rows {
	rows := f.rows
	f.advance(to)
	if from == 0 && to == len(rows.Time) {
		return rows
	}
	rows.SliceInto(&s.view, from, to)
	return &s.view
}

// advance gives out the rows before to.
func (f *feeder) advance(to int) {
	if to < len(f.rows.Time) {
		f.at, f.low = to, f.rows.Time[to]
		return
	}
	f.behind(f.rows.Time[to-1])
	f.rows = nil
}

// behind says that everything up to a time was given out.
func (f *feeder) behind(t int64) {
	if t >= f.high {
		f.ended = true
		return
	}
	f.low = t + 1
}

func (f *feeder) seek() error {
	if f.sought {
		return nil
	}
	f.sought = true
	return f.cursor.Seek(f.ord, f.low, f.high)
}

// span returns the span at which f stands, if all of it lies before limit and
// nothing of it is hidden.
func (f *feeder) span(limit int64) (run.Span, bool, error) {
	if err := f.seek(); err != nil {
		return run.Span{}, false, err
	}
	sp, ok, err := f.spans.Span()
	if err != nil || !ok || sp.MaxTime >= limit {
		return sp, false, err
	}
	for _, h := range f.hidden {
		if h.Min <= sp.MaxTime && h.Max >= sp.MinTime {
			return sp, false, nil
		}
	}
	return sp, true, nil
}

// skip goes behind a span that was answered from summaries.
func (f *feeder) skip(sp run.Span) error {
	f.behind(sp.MaxTime)
	return f.spans.Skip()
}

// read goes behind a span and returns its rows.
func (f *feeder) read(sp run.Span) (*column.Rows, error) {
	f.behind(sp.MaxTime)
	return f.spans.ReadSpan()
}

// load reads the next rows of f, or finds its end.
func (s *stream) load(f *feeder) error {
	if err := f.seek(); err != nil {
		return err
	}
	rows, err := f.cursor.Next()
	if err != nil {
		return err
	}
	if rows == nil {
		f.ended = true
		return nil
	}
	last := rows.Time[len(rows.Time)-1]
	if len(f.hidden) > 0 {
		rows = s.unhidden(f, rows)
	}
	if len(rows.Time) == 0 {
		f.behind(last)
		return nil
	}
	f.rows, f.at, f.low = rows, 0, rows.Time[0]
	return nil
}

// loadAt reads the rows of every feeder that may have one at time t; false if
// all were read.
func (s *stream) loadAt(t int64) (bool, error) {
	loaded := false
	for i := range s.n {
		if f := &s.feeders[i]; !f.ended && f.rows == nil && f.low == t {
			if err := s.load(f); err != nil {
				return false, err
			}
			loaded = true
		}
	}
	return loaded, nil
}

// mergeRow appends the row at time t, which several feeders may have.
func (s *stream) mergeRow(t int64) {
	s.out.Time = append(s.out.Time, t)
	for c := range s.out.Cols {
		done := false
		for i := s.n - 1; i >= 0 && !done; i-- {
			f := &s.feeders[i]
			if f.ended || f.rows == nil || f.low != t {
				continue
			}
			if v := &f.rows.Cols[c]; v.Type != 0 && v.Valid.Get(f.at) {
				s.out.Cols[c].AppendRow(v, f.at)
				done = true
			}
		}
		if !done {
			s.out.Cols[c].AppendNulls(1)
		}
	}
	for i := range s.n {
		if f := &s.feeders[i]; !f.ended && f.rows != nil && f.low == t {
			f.advance(f.at + 1)
		}
	}
}

// copy appends rows from to to-1.
func (s *stream) copy(rows *column.Rows, from, to int) { appendRows(&s.out, rows, from, to) }

func appendRows(dst, rows *column.Rows, from, to int) {
	dst.Time = append(dst.Time, rows.Time[from:to]...)
	for c := range dst.Cols {
		if rows.Cols[c].Type == 0 {
			dst.Cols[c].AppendNulls(to - from)
			continue
		}
		part := rows.Cols[c].Slice(from, to)
		dst.Cols[c].Append(&part)
	}
}

// unhidden returns rows without what tombstones hide. It goes by stretches of
// time in which the same is hidden.
func (s *stream) unhidden(f *feeder, rows *column.Rows) *column.Rows {
	n := len(rows.Time)
	f.near = tombstone.Between(f.near[:0], f.hidden, rows.Time[0], rows.Time[n-1])
	if len(f.near) == 0 {
		return rows
	}
	out := &f.filtered
	out.Reset(s.fields)
	for from := 0; from < n; {
		t := rows.Time[from]
		until := int64(math.MaxInt64) // last nanosecond of the stretch
		whole := false
		for _, h := range f.near {
			switch {
			case h.Min > t:
				until = min(until, h.Min-1)
			case h.Max >= t:
				until = min(until, h.Max)
				whole = whole || len(h.Fields) == 0
			}
		}
		to := from + sort.Search(n-from, func(i int) bool { return rows.Time[from+i] > until })
		if !whole {
			s.copyVisible(out, f.near, rows, from, to)
		}
		from = to
	}
	return out
}

// copyVisible appends rows from to to-1 with nulls for the fields that are
// hidden in all of them.
func (s *stream) copyVisible(out *column.Rows, hidden []tombstone.Hidden, rows *column.Rows, from, to int) {
	out.Time = append(out.Time, rows.Time[from:to]...)
	for c := range out.Cols {
		gone := rows.Cols[c].Type == 0
		for _, h := range hidden {
			gone = gone || h.Min <= rows.Time[from] && h.Max >= rows.Time[from] && slices.Contains(h.Fields, s.fields[c].Name)
		}
		if gone {
			out.Cols[c].AppendNulls(to - from)
			continue
		}
		part := rows.Cols[c].Slice(from, to)
		out.Cols[c].Append(&part)
	}
}
