package live

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/scan"
)

// feed is what some subscribers want, all of them the same.
type feed struct {
	key          string
	bucket       uint64
	measurements []string // ascending; none: all
	fields       []string // ascending; none: all
	matcher      *predicate.Matcher
	verdicts     *verdicts // nil: the tags are looked at each time
	where        *plan.Condition
	reads        []string // fields of where
	// anchor is a tag that must have one of some values, "" if there is none.
	anchor  string
	anchors []string

	counts *counts
	to     atomic.Pointer[[]*Subscription] // never changes, is replaced

	mu    sync.Mutex // guards bound
	bound map[string]*bound
}

func newFeed(h *Hub, p *plan.Plan, key string) (*feed, error) {
	m, err := predicate.Compile(p.Tags)
	if err != nil {
		return nil, err
	}
	f := &feed{
		key: key, bucket: p.Bucket, measurements: p.Measurements, fields: p.Rows.Fields,
		matcher: m, where: p.Where, reads: p.Where.Reads(nil), counts: &h.counts, bound: map[string]*bound{},
	}
	if costly(p.Tags) {
		f.verdicts = &verdicts{}
	}
	f.anchor, f.anchors = anchorOf(p.Tags)
	f.set(nil)
	return f, nil
}

func (f *feed) subscribers() []*Subscription { return *f.to.Load() }

func (f *feed) set(to []*Subscription) { f.to.Store(&to) }

// work is the memory that a look at a batch takes.
type work struct {
	verdicts  []int8 // of the series of a table: 1 wanted, -1 not, 0 unknown
	rows      []uint32
	columns   []column.Field
	cols      []column.Vector
	selection scan.Selection
	hits      []hit
}

// observe hands on what the subscribers want of a table. Of its series only
// some are looked at, if only is not nil.
func (f *feed) observe(t *column.Table, only []hit, w *work) {
	if len(f.measurements) > 0 {
		if _, ok := slices.BinarySearch(f.measurements, t.Measurement); !ok {
			return
		}
	}
	view := f.narrow(t, w)
	if len(view.Fields) == 0 {
		return
	}
	if err := f.choose(t, &view, only, w); err != nil {
		for _, s := range f.subscribers() {
			s.end(err)
		}
		return
	}
	f.hand(&view, w.rows)
}

// narrow returns t with the fields that are wanted. It shares t's memory.
func (f *feed) narrow(t *column.Table, w *work) column.Table {
	view := *t
	if len(f.fields) == 0 {
		return view
	}
	w.columns = w.columns[:0]
	for i := range t.Fields {
		if _, ok := slices.BinarySearch(f.fields, t.Fields[i].Name); ok {
			w.columns = append(w.columns, t.Fields[i])
		}
	}
	view.Fields = w.columns
	return view
}

// choose puts the rows that are wanted into w.rows: of t, of which view has
// the fields.
func (f *feed) choose(t, view *column.Table, only []hit, w *work) error {
	w.rows = w.rows[:0]
	var where []uint64
	if f.where != nil {
		filter, err := f.filter(t)
		if err != nil {
			if len(f.measurements) == 0 {
				return nil // other measurements may have other types
			}
			return err
		}
		w.cols = w.cols[:0]
		for _, info := range filter.Fields {
			w.cols = append(w.cols, vector(t, info.Name))
		}
		where = filter.Select(&w.selection, &column.Rows{Time: t.Time, Cols: w.cols})
		if !slices.ContainsFunc(where, func(word uint64) bool { return word != 0 }) {
			return nil
		}
	}
	if n := t.Series.Len(); f.matcher != nil {
		w.verdicts = slices.Grow(w.verdicts[:0], n)[:n]
		if only == nil {
			clear(w.verdicts)
		} else {
			for i := range w.verdicts {
				w.verdicts[i] = -1
			}
			for _, h := range only {
				w.verdicts[h.series] = 0
			}
		}
	}
	take := func(r int) {
		if f.wants(t, int(t.Row[r]), w) && anyValue(view, r) {
			w.rows = append(w.rows, uint32(r))
		}
	}
	if where == nil {
		for r := range t.Time {
			take(r)
		}
		return nil
	}
	for i, word := range where {
		for ; word != 0; word &= word - 1 {
			take(i*64 + bits.TrailingZeros64(word))
		}
	}
	return nil
}

// wants reports whether a series of t is wanted.
func (f *feed) wants(t *column.Table, series int, w *work) bool {
	if f.matcher == nil {
		return true
	}
	if v := w.verdicts[series]; v != 0 {
		return v > 0
	}
	key := t.Series.Key(series)
	var wanted bool
	if f.verdicts != nil {
		wanted = f.verdicts.of(f.matcher, key, t.Series.Hash[series])
	} else {
		wanted = f.matcher.Match(key)
	}
	w.verdicts[series] = -1
	if wanted {
		w.verdicts[series] = 1
	}
	return wanted
}

// anyValue reports whether a row has a value.
func anyValue(t *column.Table, row int) bool {
	for i := range t.Fields {
		if t.Fields[i].Valid.Get(row) {
			return true
		}
	}
	return false
}

// bound is the condition on values, for one measurement.
type bound struct {
	types  map[string]column.Type // of those of its fields that were seen
	filter *scan.RowFilter
}

// maxBound is how many measurements a feed remembers: as many as a bucket has
// that was designed.
const maxBound = 1000

// filter returns the condition, bound to the types of the fields of t. What is
// not in t has the type that it had before.
func (f *feed) filter(t *column.Table) (*scan.RowFilter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.bound[t.Measurement]
	same := b != nil
	var types map[string]column.Type
	for _, name := range f.reads {
		kind := vector(t, name).Type
		if kind == 0 || b != nil && b.types[name] == kind {
			continue
		}
		if types == nil {
			types, same = map[string]column.Type{}, false
			if b != nil {
				maps.Copy(types, b.types)
			}
		}
		types[name] = kind
	}
	if same {
		return b.filter, nil
	}
	filter, err := scan.BindRows(f.where, types)
	if err != nil {
		return nil, fmt.Errorf("measurement %q: %w", t.Measurement, err)
	}
	if len(f.bound) >= maxBound {
		clear(f.bound)
	}
	f.bound[t.Measurement] = &bound{types, filter}
	return filter, nil
}

// vector returns the values of a field of t; without a type if t lacks it.
func vector(t *column.Table, field string) column.Vector {
	for i := range t.Fields {
		if t.Fields[i].Name == field {
			return t.Fields[i].Vector
		}
	}
	return column.Vector{}
}

// hand puts copies of rows into the queues.
func (f *feed) hand(t *column.Table, rows []uint32) {
	if len(rows) == 0 {
		return
	}
	to := f.subscribers()
	f.counts.points.Add(uint64(len(rows) * len(to)))
	most := max(1, int(chunkBytes/lineBytes(t)))
	for len(rows) > 0 {
		n := min(most, len(rows))
		c := newChunk(t.Pick(rows[:n]))
		for _, s := range to {
			s.push(c)
		}
		rows = rows[n:]
	}
}
