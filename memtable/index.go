package memtable

import (
	"math"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/varvedb/varve/column"
)

// tagIndex is the postings of a table. It is made by the first query that
// needs it and then follows the table, so that nobody who only writes pays
// for it.
type tagIndex struct {
	mu      sync.Mutex // guards everything below
	indexed uint32     // series below this ordinal are in
	tags    map[string]map[string]*posting
}

// posting is the series with one tag value. Most values of a large table have
// one series, so a bitmap is made for the second.
type posting struct {
	first uint32
	more  *roaring.Bitmap // all of them, once there are two
}

func (p *posting) add(ord uint32) {
	if p.more == nil {
		p.more = roaring.BitmapOf(p.first)
	}
	p.more.Add(ord)
}

// below returns the series below n in a bitmap that the caller must not
// change unless own is set.
func (p *posting) below(n uint32) *roaring.Bitmap {
	if p.more == nil {
		if p.first >= n {
			return nil
		}
		return roaring.BitmapOf(p.first)
	}
	b := p.more.Clone()
	b.RemoveRange(uint64(n), 1<<32)
	if b.IsEmpty() {
		return nil
	}
	return b
}

// update brings the series below n into the index.
func (ix *tagIndex) update(t *table, n uint32) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.indexed >= n {
		return
	}
	if ix.tags == nil {
		ix.tags = map[string]map[string]*posting{}
	}
	s := t.keys()
	for ord := ix.indexed; ord < n; ord++ {
		for k, v := range column.Tags(s.key(ord)) {
			values := ix.tags[string(k)]
			if values == nil {
				values = map[string]*posting{}
				ix.tags[string(k)] = values
			}
			if p := values[string(v)]; p != nil {
				p.add(ord)
			} else {
				values[string(v)] = &posting{first: ord}
			}
		}
	}
	ix.indexed = n
}

func (ix *tagIndex) tagKeys(n uint32) []string {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	var out []string
	for k, values := range ix.tags {
		for _, p := range values {
			if p.first < n {
				out = append(out, k)
				break
			}
		}
	}
	slices.Sort(out)
	return out
}

// viewIndex is the postings of the series that a view sees.
type viewIndex struct{ v *View }

func (x viewIndex) NumSeries() int { return int(x.v.limit.series) }

func (x viewIndex) Postings(key, value string) (*roaring.Bitmap, error) {
	ix := &x.v.t.index
	ix.update(x.v.t, x.v.limit.series)
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if p := ix.tags[key][value]; p != nil {
		return p.below(x.v.limit.series), nil
	}
	return nil, nil
}

func (x viewIndex) Values(key string, fn func(value []byte, postings *roaring.Bitmap) bool) error {
	return x.ValuesFrom(key, "", math.MaxInt, fn)
}

// ValuesFrom is Values for those that are not below from, most of them at most.
// Only so many are sorted.
func (x viewIndex) ValuesFrom(key, from string, most int, fn func(value []byte, postings *roaring.Bitmap) bool) error {
	ix := &x.v.t.index
	ix.update(x.v.t, x.v.limit.series)
	ix.mu.Lock()
	defer ix.mu.Unlock()
	values := ix.tags[key]
	most = min(most, len(values))
	names := make([]string, 0, min(2*most, len(values)))
	beyond := "" // from here on none is among the least; "": not known
	for v, p := range values {
		if v < from || beyond != "" && v >= beyond || p.first >= x.v.limit.series {
			continue
		}
		if names = append(names, v); len(names) == 2*most {
			slices.Sort(names)
			beyond, names = names[most], names[:most]
		}
	}
	slices.Sort(names)
	for _, name := range names[:min(most, len(names))] {
		b := values[name].below(x.v.limit.series)
		if b != nil && !fn([]byte(name), b) {
			break
		}
	}
	return nil
}
