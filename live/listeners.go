package live

import (
	"slices"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/predicate"
)

// listeners are the feeds of a bucket. They never change.
type listeners struct {
	all   []*feed
	loose []*feed // those that have to look at every series
	tags  []anchored
}

// anchored are the feeds that want some values of a tag.
type anchored struct {
	tag   string
	feeds []*feed
	by    map[string][]int // value → places in feeds
}

// hit is a series that a feed may want.
type hit struct{ feed, series int }

func newListeners(all []*feed) *listeners {
	l := &listeners{all: all}
	for _, f := range all {
		if f.anchor == "" {
			l.loose = append(l.loose, f)
			continue
		}
		i := slices.IndexFunc(l.tags, func(a anchored) bool { return a.tag == f.anchor })
		if i < 0 {
			i = len(l.tags)
			l.tags = append(l.tags, anchored{tag: f.anchor, by: map[string][]int{}})
		}
		a := &l.tags[i]
		for _, v := range f.anchors {
			a.by[v] = append(a.by[v], len(a.feeds))
		}
		a.feeds = append(a.feeds, f)
	}
	return l
}

// observe shows each feed a table, if it may want something of it.
func (l *listeners) observe(t *column.Table, w *work) {
	for _, f := range l.loose {
		f.observe(t, nil, w)
	}
	for i := range l.tags {
		a := &l.tags[i]
		if !slices.Contains(t.TagKeys, a.tag) {
			continue
		}
		w.hits = w.hits[:0]
		for s := range t.Series.Len() {
			for _, f := range a.by[string(column.TagValue(t.Series.Key(s), a.tag))] {
				w.hits = append(w.hits, hit{f, s})
			}
		}
		slices.SortStableFunc(w.hits, func(a, b hit) int { return a.feed - b.feed })
		for from, to := 0, 0; from < len(w.hits); from = to {
			for to < len(w.hits) && w.hits[to].feed == w.hits[from].feed {
				to++
			}
			a.feeds[w.hits[from].feed].observe(t, w.hits[from:to], w)
		}
	}
}

// anchorOf returns a tag that must have one of some values for e to hold; ""
// if there is none. Absence, which is the empty value, is no value to be found
// by.
func anchorOf(e *predicate.Expr) (tag string, values []string) {
	if e == nil {
		return "", nil
	}
	switch e.Op {
	case predicate.In:
		if !slices.Contains(e.Values, "") {
			return e.Key, slices.Compact(slices.Sorted(slices.Values(e.Values)))
		}
	case predicate.And:
		for _, a := range e.Args {
			if tag, values := anchorOf(a); tag != "" && (len(values) > 0) {
				return tag, values
			}
		}
	}
	return "", nil
}
