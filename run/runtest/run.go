// Package runtest makes sorted runs in memory for the tests of those who read
// runs: with or without summaries, with ordinals in the order of keys or not.
// Where a contract leaves something open, these runs choose what surprises a
// reader most: small batches, memory that is overwritten by the next call.
package runtest

import (
	"fmt"
	"math"
	"math/rand"
	"slices"
	"sort"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/run"
)

// Point is one point: a canonical series key, a time and values (float64,
// int64, uint64, string or bool).
type Point struct {
	Series string
	Time   int64
	Fields map[string]any
}

// Options chooses what a run is like.
type Options struct {
	MinSeq, MaxSeq uint64
	Batch          int   // rows that Next returns at most; 0: 1000
	Span           int   // rows of a span; 0: the run has no summaries
	Shuffle        int64 // not 0: ordinals in an order that this seeds
	Filter         bool  // cursors heed SetBounds
}

// Run is a sorted run in memory.
type Run struct {
	o      Options
	meta   run.Meta
	keys   []string      // by ordinal
	series []column.Rows // by ordinal; columns are those of meta.Fields
	order  []uint32      // ordinals by key
	tags   map[string]map[string]*roaring.Bitmap
}

// New returns a run of points: later ones overwrite earlier ones of the same
// series and time, field by field.
func New(points []Point, o Options) *Run {
	if o.Batch == 0 {
		o.Batch = 1000
	}
	r := &Run{o: o, tags: map[string]map[string]*roaring.Bitmap{}}
	types := map[string]column.Type{}
	merged := map[string]map[int64]map[string]any{}
	for _, p := range points {
		if merged[p.Series] == nil {
			merged[p.Series] = map[int64]map[string]any{}
		}
		if merged[p.Series][p.Time] == nil {
			merged[p.Series][p.Time] = map[string]any{}
		}
		for f, v := range p.Fields {
			merged[p.Series][p.Time][f] = v
			types[f] = typeOf(v)
		}
	}
	for f, t := range types {
		r.meta.Fields = append(r.meta.Fields, column.FieldInfo{Name: f, Type: t})
	}
	slices.SortFunc(r.meta.Fields, func(a, b column.FieldInfo) int { return strings.Compare(a.Name, b.Name) })
	for key := range merged {
		r.keys = append(r.keys, key)
	}
	slices.Sort(r.keys)
	if o.Shuffle != 0 {
		rng := rand.New(rand.NewSource(o.Shuffle))
		rng.Shuffle(len(r.keys), func(i, j int) { r.keys[i], r.keys[j] = r.keys[j], r.keys[i] })
	}
	r.meta.MinTime, r.meta.MaxTime = math.MaxInt64, math.MinInt64
	for ord, key := range r.keys {
		r.series = append(r.series, r.rows(merged[key]))
		r.order = append(r.order, uint32(ord))
		r.meta.Keys[0] += column.HashSeries("", []byte(key))
		r.meta.Keys[1] += column.HashSeries("x", []byte(key))
		for k, v := range column.Tags([]byte(key)) {
			values := r.tags[string(k)]
			if values == nil {
				values = map[string]*roaring.Bitmap{}
				r.tags[string(k)] = values
			}
			if values[string(v)] == nil {
				values[string(v)] = roaring.New()
			}
			values[string(v)].Add(uint32(ord))
		}
	}
	r.sort()
	r.meta.MinSeq, r.meta.MaxSeq, r.meta.Series = o.MinSeq, o.MaxSeq, len(r.keys)
	return r
}

func (r *Run) sort() {
	slices.SortFunc(r.order, func(a, b uint32) int { return strings.Compare(r.keys[a], r.keys[b]) })
}

func (r *Run) rows(points map[int64]map[string]any) column.Rows {
	var rows column.Rows
	rows.Reset(r.meta.Fields)
	for t := range points {
		rows.Time = append(rows.Time, t)
	}
	slices.Sort(rows.Time)
	for _, t := range rows.Time {
		for i, f := range r.meta.Fields {
			if v, ok := points[t][f.Name]; ok {
				appendValue(&rows.Cols[i], v)
			} else {
				rows.Cols[i].AppendNulls(1)
			}
		}
	}
	r.meta.MinTime, r.meta.MaxTime = min(r.meta.MinTime, rows.Time[0]), max(r.meta.MaxTime, rows.Time[len(rows.Time)-1])
	r.meta.Rows += int64(len(rows.Time))
	return rows
}

func typeOf(v any) column.Type {
	switch v.(type) {
	case float64:
		return column.Float64
	case int64:
		return column.Int64
	case uint64:
		return column.Uint64
	case string:
		return column.String
	case bool:
		return column.Bool
	}
	panic(fmt.Sprintf("BUG: no field has the type %T", v))
}

func appendValue(c *column.Vector, v any) {
	switch v := v.(type) {
	case float64:
		c.AppendFloat(v)
	case int64:
		c.AppendWord(uint64(v))
	case uint64:
		c.AppendWord(v)
	case string:
		c.AppendString([]byte(v))
	case bool:
		w := uint64(0)
		if v {
			w = 1
		}
		c.AppendWord(w)
	}
}

// Meta implements run.Run.
func (r *Run) Meta() *run.Meta { return &r.meta }

// Index implements run.Run.
func (r *Run) Index() predicate.Index { return index{r} }

// Select implements run.Run.
func (r *Run) Select(m *predicate.Matcher) ([]uint32, error) {
	if m == nil {
		return r.order, nil
	}
	set, err := m.Eval(r.Index())
	if err != nil {
		return nil, err
	}
	var out []uint32
	for _, o := range r.order {
		if set.Contains(o) {
			out = append(out, o)
		}
	}
	return out, nil
}

// Keys implements run.Run.
func (r *Run) Keys() run.KeyCursor { return &keyCursor{r: r} }

// TagKeys implements run.Run.
func (r *Run) TagKeys() ([]string, error) {
	var out []string
	for k := range r.tags {
		out = append(out, k)
	}
	slices.Sort(out)
	return out, nil
}

type keyCursor struct {
	r   *Run
	buf []byte
}

func (k *keyCursor) Key(ord uint32) ([]byte, error) {
	for i := range k.buf {
		k.buf[i] = '?'
	}
	k.buf = append(k.buf[:0], k.r.keys[ord]...)
	return k.buf, nil
}

type index struct{ r *Run }

func (x index) NumSeries() int { return len(x.r.keys) }

func (x index) Postings(key, value string) (*roaring.Bitmap, error) {
	return x.r.tags[key][value], nil
}

func (x index) Values(key string, fn func([]byte, *roaring.Bitmap) bool) error {
	var values []string
	for v := range x.r.tags[key] {
		values = append(values, v)
	}
	slices.Sort(values)
	for _, v := range values {
		if !fn([]byte(v), x.r.tags[key][v]) {
			return nil
		}
	}
	return nil
}

// Cursor implements run.Run.
func (r *Run) Cursor(fields []string) (run.Cursor, error) {
	c := &Cursor{r: r}
	for _, name := range fields {
		c.cols = append(c.cols, slices.IndexFunc(r.meta.Fields, func(f column.FieldInfo) bool { return f.Name == name }))
	}
	c.bounds = make([]*[2]uint64, len(fields))
	switch {
	case r.o.Span > 0:
		return &SummaryCursor{Cursor: c}, nil
	case r.o.Filter:
		return &FilterCursor{Cursor: c}, nil
	}
	return c, nil
}

// Cursor is a plain cursor.
type Cursor struct {
	r        *Run
	cols     []int // places in meta.Fields, -1 for none
	bounds   []*[2]uint64
	rows     *column.Rows
	at, end  int
	out      column.Rows
	spanning bool
	closed   bool
	stats    run.Stats
}

// Seek implements run.Cursor.
func (c *Cursor) Seek(ord uint32, min, max int64) error {
	if c.closed {
		panic("BUG: Seek on a closed cursor")
	}
	c.rows, c.spanning = &c.r.series[ord], false
	n := len(c.rows.Time)
	c.at = sort.Search(n, func(i int) bool { return c.rows.Time[i] >= min })
	c.end = sort.Search(n, func(i int) bool { return c.rows.Time[i] > max })
	return nil
}

// Next implements run.Cursor.
func (c *Cursor) Next() (*column.Rows, error) {
	if c.closed {
		panic("BUG: Next on a closed cursor")
	}
	if c.rows == nil || c.at >= c.end {
		return nil, nil
	}
	to := min(c.end, c.at+c.r.o.Batch)
	if c.spanning {
		to = min(to, (c.at/c.r.o.Span+1)*c.r.o.Span)
	}
	rows := c.take(c.at, to)
	c.at = to
	return rows, nil
}

// take copies rows into memory that the next call overwrites.
func (c *Cursor) take(from, to int) *column.Rows {
	for i := range c.out.Time {
		c.out.Time[i] = -1
	}
	c.out.Time = append(c.out.Time[:0], c.rows.Time[from:to]...)
	c.out.Cols = c.out.Cols[:0]
	for _, col := range c.cols {
		var v column.Vector
		if col < 0 {
			v.AppendNulls(to - from)
		} else {
			part := c.rows.Cols[col].Slice(from, to)
			v.Type = part.Type
			v.Append(&part)
		}
		c.out.Cols = append(c.out.Cols, v)
	}
	c.stats.BlocksRead++
	c.stats.RowsRead += int64(to - from)
	return &c.out
}

// Stats implements run.Counted.
func (c *Cursor) Stats() run.Stats { return c.stats }

// Close implements run.Cursor.
func (c *Cursor) Close() { c.closed = true }

// FilterCursor leaves out rows at both ends of a batch that bounds exclude.
type FilterCursor struct{ *Cursor }

// SetBounds says that rows matter only if a column's value is there and lies
// between two words of its type.
func (c *FilterCursor) SetBounds(col int, min, max uint64) {
	c.bounds[col] = &[2]uint64{min, max}
}

// Next implements run.Cursor.
func (c *FilterCursor) Next() (*column.Rows, error) {
	for {
		if c.rows == nil || c.at >= c.end {
			return nil, nil
		}
		from, to := c.at, min(c.end, c.at+c.r.o.Batch)
		c.at = to
		for from < to && !c.matters(from) {
			from++
		}
		for from < to && !c.matters(to-1) {
			to--
		}
		if from < to {
			return c.take(from, to), nil
		}
		c.stats.BlocksPruned++
	}
}

func (c *FilterCursor) matters(row int) bool {
	for i, b := range c.bounds {
		if b == nil {
			continue
		}
		if c.cols[i] < 0 || !c.rows.Cols[c.cols[i]].Valid.Get(row) {
			return false
		}
		v := &c.rows.Cols[c.cols[i]]
		w := v.Words[row]
		ok := w >= b[0] && w <= b[1]
		switch v.Type {
		case column.Int64:
			ok = int64(w) >= int64(b[0]) && int64(w) <= int64(b[1])
		case column.Float64:
			x := math.Float64frombits(w)
			ok = x >= math.Float64frombits(b[0]) && x <= math.Float64frombits(b[1])
		}
		if !ok {
			return false
		}
	}
	return true
}

var _ run.SummaryCursor = (*SummaryCursor)(nil)

// SummaryCursor knows a summary of every Options.Span rows of a series.
type SummaryCursor struct{ *Cursor }

func (c *SummaryCursor) span() (from, to int, ok bool) {
	if c.rows == nil || c.at >= c.end || c.at%c.r.o.Span != 0 {
		return 0, 0, false
	}
	to = min(len(c.rows.Time), c.at+c.r.o.Span)
	return c.at, to, to <= c.end
}

// Span implements run.SummaryCursor.
func (c *SummaryCursor) Span() (run.Span, bool, error) {
	c.spanning = true
	from, to, ok := c.span()
	if !ok {
		return run.Span{}, false, nil
	}
	return run.Span{MinTime: c.rows.Time[from], MaxTime: c.rows.Time[to-1], Rows: to - from}, true, nil
}

// Summary implements run.SummaryCursor.
func (c *SummaryCursor) Summary(col int) (column.Summary, error) {
	from, to, ok := c.span()
	if !ok {
		panic("BUG: Summary without a span")
	}
	if c.cols[col] < 0 {
		return column.Summary{}, nil
	}
	return Summarize(c.rows.Time[from:to], c.rows.Cols[c.cols[col]].Slice(from, to)), nil
}

// Skip implements run.SummaryCursor.
func (c *SummaryCursor) Skip() error {
	_, to, ok := c.span()
	if !ok {
		panic("BUG: Skip without a span")
	}
	c.at = to
	c.stats.Spans++
	return nil
}

// ReadSpan implements run.SummaryCursor.
func (c *SummaryCursor) ReadSpan() (*column.Rows, error) {
	from, to, ok := c.span()
	if !ok {
		panic("BUG: ReadSpan without a span")
	}
	c.at = to
	return c.take(from, to), nil
}

// SeekLast implements run.SummaryCursor.
func (c *SummaryCursor) SeekLast(ord uint32, min, max int64) (run.Span, bool, error) {
	if err := c.Seek(ord, min, max); err != nil {
		return run.Span{}, false, err
	}
	if c.at >= c.end {
		return run.Span{}, false, nil
	}
	if first := (c.end - 1) / c.r.o.Span * c.r.o.Span; first >= c.at {
		c.at = first
		if span, ok, err := c.Span(); ok || err != nil {
			return span, ok, err
		}
	}
	c.rows = nil
	return run.Span{}, false, nil
}

// Summarize condenses values one by one.
func Summarize(times []int64, v column.Vector) column.Summary {
	var s column.Summary
	for i, t := range times {
		if !v.Valid.Get(i) {
			continue
		}
		if s.Count++; s.Count == 1 {
			s.FirstTime = t
		}
		s.LastTime = t
		if v.Type == column.String {
			continue
		}
		w := v.Words[i]
		if s.Count == 1 {
			s.First = w
		}
		s.Last = w
		switch v.Type {
		case column.Float64:
			x := math.Float64frombits(w)
			sum := math.Float64frombits(s.Sum) + x
			if s.Count == 1 {
				sum = x
			}
			s.Sum = math.Float64bits(sum)
			if x != x {
				continue
			}
			if !s.HasMinMax || x < math.Float64frombits(s.Min) {
				s.Min = w
			}
			if !s.HasMinMax || x > math.Float64frombits(s.Max) {
				s.Max = w
			}
			s.HasMinMax = true
		case column.Int64:
			a, b := int64(s.Sum), int64(w)
			s.Sum = uint64(a + b)
			s.Overflow = s.Overflow || (a > 0) == (b > 0) && (a+b > 0) != (a > 0) && a != 0 && b != 0
			if !s.HasMinMax || b < int64(s.Min) {
				s.Min = w
			}
			if !s.HasMinMax || b > int64(s.Max) {
				s.Max = w
			}
			s.HasMinMax = true
		case column.Uint64:
			s.Overflow = s.Overflow || s.Sum+w < w
			s.Sum += w
			if !s.HasMinMax || w < s.Min {
				s.Min = w
			}
			if !s.HasMinMax || w > s.Max {
				s.Max = w
			}
			s.HasMinMax = true
		}
	}
	return s
}
