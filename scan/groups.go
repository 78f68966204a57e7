package scan

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/varvedb/varve/column"
)

// groups are the states of several series condensed by tags.
type groups struct {
	shape  *shape
	meters *meters
	byKey  map[string]*group
	list   []*group
	key    []byte
	keys   []byte  // behind the keys of groups, which share its memory
	slab   []group // not used so far
}

// group is one of them: its windows, ascending, and the slots of each.
type group struct {
	key     []byte
	windows []int64
	slots   []int
	// Most groups of a question without windows have just one, which then
	// needs no memory of its own.
	window [1]int64
	slot   [1]int
}

// newGroups returns no groups, with room for a number of them.
func newGroups(sh *shape, room int) *groups {
	g := &groups{
		shape: sh, byKey: make(map[string]*group, room),
		meters: newMeters(sh.aggregate, sh.calls, sh.columns, !sh.aggregate.Group.Series),
	}
	g.meters.room(room)
	return g
}

// keyOf returns the key of the group of a series, valid until the next call.
func (g *groups) keyOf(series []byte) []byte {
	if g.shape.aggregate.Group.Series {
		return series
	}
	g.key = column.AppendTags(g.key[:0], series, g.shape.aggregate.Group.Tags)
	return g.key
}

// find returns the group with a key, which is copied if it is new.
func (g *groups) find(key []byte) *group {
	// Series of a group mostly lie side by side.
	if n := len(g.list); n > 0 && bytes.Equal(g.list[n-1].key, key) {
		return g.list[n-1]
	}
	if have := g.byKey[string(key)]; have != nil {
		return have
	}
	if len(g.slab) == 0 {
		g.slab = make([]group, min(max(len(g.list), 1), maxSlab))
	}
	one := &g.slab[0]
	g.slab = g.slab[1:]
	if cap(g.keys)-len(g.keys) < len(key) {
		g.keys = make([]byte, 0, max(len(key), len(key)*min(len(g.list), maxSlab)))
	}
	g.keys = append(g.keys, key...)
	one.key = g.keys[len(g.keys)-len(key) : len(g.keys) : len(g.keys)]
	one.windows, one.slots = one.window[:0], one.slot[:0]
	g.list = append(g.list, one)
	g.byKey[unsafe.String(unsafe.SliceData(one.key), len(one.key))] = one
	return one
}

// maxSlab is for how many groups memory is taken at once: there may be a
// million of them, or one.
const maxSlab = 256

// slot returns the slot of a window of a group. hint is a place near it.
func (g *groups) slot(one *group, window int64, hint *int) int {
	at := *hint
	if at >= len(one.windows) || one.windows[at] != window {
		var found bool
		if at, found = slices.BinarySearch(one.windows, window); !found {
			n := g.meters.n
			g.meters.grow(n + 1)
			one.windows = slices.Insert(one.windows, at, window)
			one.slots = slices.Insert(one.slots, at, n)
		}
	}
	*hint = at + 1
	return one.slots[at]
}

// add condenses a series whose windows are in the slots of m from first on.
// Selectors keep series.
func (g *groups) add(series []byte, windows []int64, m *meters, first int) {
	one := g.find(g.keyOf(series))
	hint := 0
	for i, w := range windows {
		g.meters.merge(g.slot(one, w, &hint), m, first+i, series)
	}
}

// join condenses the groups of all units, ascending by key. Nobody else uses
// those any more.
func join(sh *shape, units []*groups) *groups {
	n, slots := 0, 0
	for _, g := range units {
		if g != nil {
			n += len(g.list)
			slots += g.meters.n
		}
	}
	all := newGroups(sh, 0)
	all.list = make([]*group, 0, n)
	all.meters.room(slots)
	for _, from := range inOrder(units, n) {
		meters := units[from.unit].meters
		if k := len(all.list); k > 0 && bytes.Equal(all.list[k-1].key, from.key) {
			hint := 0
			for i, w := range from.windows {
				all.meters.merge(all.slot(all.list[k-1], w, &hint), meters, from.slots[i], nil)
			}
			continue
		}
		for i, old := range from.slots {
			slot := all.meters.n
			all.meters.grow(slot + 1)
			all.meters.merge(slot, meters, old, nil)
			from.slots[i] = slot
		}
		all.list = append(all.list, from.group)
	}
	return all
}

// unitGroup is a group of a unit, and what is left of its key behind the
// bytes that all keys share: as many as a word holds.
type unitGroup struct {
	*group
	head uint64
	unit int
}

// inOrder returns the groups of all units ascending by key, those of one key
// in the order of the units. There are n of them.
func inOrder(units []*groups, n int) []unitGroup {
	list := make([]unitGroup, 0, n)
	shared := 0
	for u, g := range units {
		if g == nil {
			continue
		}
		for _, one := range g.list {
			if len(list) == 0 {
				shared = len(one.key)
			}
			first := one.key
			if len(list) > 0 {
				first = list[0].key
			}
			shared = min(shared, len(one.key))
			for i := range shared {
				if first[i] != one.key[i] {
					shared = i
					break
				}
			}
			list = append(list, unitGroup{group: one, unit: u})
		}
	}
	for i := range list {
		var word [8]byte
		copy(word[:], list[i].key[shared:])
		list[i].head = binary.BigEndian.Uint64(word[:])
	}
	slices.SortFunc(list, func(a, b unitGroup) int {
		switch {
		case a.head < b.head:
			return -1
		case a.head > b.head:
			return 1
		}
		if c := bytes.Compare(a.key, b.key); c != 0 {
			return c
		}
		return a.unit - b.unit
	})
	return list
}
