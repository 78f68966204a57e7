package memtable

import (
	"bytes"
	"slices"
	"strings"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/run"
)

// View is what a snapshot sees of a table: a run whose ordinals follow the
// order in which series appeared.
type View struct {
	t      *table
	limit  mark
	meta   run.Meta
	number []int // of meta.Fields → field number of the table
}

var _ run.Run = (*View)(nil)

func (t *table) view(minSeq, seq uint64) *View {
	t.mu.RLock()
	defer t.mu.RUnlock()
	m, ok := t.visible(seq)
	if !ok {
		return nil
	}
	v := &View{t: t, limit: m}
	v.meta = run.Meta{
		MinTime: t.minTime, MaxTime: t.maxTime,
		MinSeq: minSeq, MaxSeq: m.seq,
		Rows: int64(m.rows), Series: int(m.series),
	}
	v.number = make([]int, m.fields)
	for i := range v.number {
		v.number[i] = i
	}
	fields := t.fields[:m.fields]
	slices.SortFunc(v.number, func(a, b int) int { return strings.Compare(fields[a].Name, fields[b].Name) })
	for _, n := range v.number {
		v.meta.Fields = append(v.meta.Fields, fields[n])
	}
	return v
}

// Meta implements run.Run.
func (v *View) Meta() *run.Meta { return &v.meta }

// Index implements run.Run.
func (v *View) Index() predicate.Index { return viewIndex{v} }

// Select implements run.Run.
func (v *View) Select(m *predicate.Matcher) ([]uint32, error) {
	if m == nil {
		return v.ordered(nil), nil
	}
	set, err := m.Eval(v.Index())
	if err != nil {
		return nil, err
	}
	return v.ordered(set), nil
}

// ordered returns the visible ordinals of set (nil: all) in key order.
func (v *View) ordered(set *roaring.Bitmap) []uint32 {
	n := uint64(v.limit.series)
	// Sorting a few keys costs less than filtering the order of all.
	if set != nil && set.GetCardinality() < n/8 {
		ords := set.ToArray()
		v.t.sortOrds(ords)
		return ords
	}
	all := v.t.sorted(v.limit.series)
	if set == nil {
		return all
	}
	out := make([]uint32, 0, set.GetCardinality())
	for _, o := range all {
		if set.Contains(o) {
			out = append(out, o)
		}
	}
	return out
}

// orderCache remembers the ordinals of a table in key order.
type orderCache struct {
	mu   sync.Mutex // guards ords
	ords []uint32
}

// sorted returns the first n ordinals in key order.
func (t *table) sorted(n uint32) []uint32 {
	t.order.mu.Lock()
	defer t.order.mu.Unlock()
	have := t.order.ords
	switch {
	case len(have) == int(n):
		return have
	case len(have) > int(n):
		out := make([]uint32, 0, n)
		for _, o := range have {
			if o < n {
				out = append(out, o)
			}
		}
		return out
	}
	fresh := make([]uint32, 0, int(n)-len(have))
	for o := uint32(len(have)); o < n; o++ {
		fresh = append(fresh, o)
	}
	t.sortOrds(fresh)
	t.order.ords = t.mergeOrds(have, fresh)
	return t.order.ords
}

// keys returns what is needed to read the keys of existing series without the
// table's lock: the slices are only ever appended to.
func (t *table) keys() seriesTable {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return seriesTable{ref: t.series.ref, arena: t.series.arena}
}

func (t *table) sortOrds(ords []uint32) {
	s := t.keys()
	slices.SortFunc(ords, func(a, b uint32) int { return bytes.Compare(s.key(a), s.key(b)) })
}

func (t *table) mergeOrds(a, b []uint32) []uint32 {
	if len(a) == 0 {
		return b
	}
	s := t.keys()
	out := make([]uint32, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if bytes.Compare(s.key(a[0]), s.key(b[0])) < 0 {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// Keys implements run.Run.
func (v *View) Keys() run.KeyCursor { return keyCursor{v.t.keys()} }

type keyCursor struct{ s seriesTable }

func (k keyCursor) Key(ord uint32) ([]byte, error) { return k.s.key(ord), nil }

// TagKeys implements run.Run.
func (v *View) TagKeys() ([]string, error) {
	v.t.index.update(v.t, v.limit.series)
	return v.t.index.tagKeys(v.limit.series), nil
}
