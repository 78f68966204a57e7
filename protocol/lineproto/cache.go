package lineproto

import (
	"math"

	"github.com/cespare/xxhash/v2"
)

// seriesCache knows the series of earlier lines by the text of a line up to
// its fields. Texts lie one behind the other and entries hold no pointers, so
// that a million of them cost the collector nothing.
//
// Two texts can mean one series: tags in another order, or escapes that were
// not needed. The series then has one entry that owns its place in the
// batch, and an entry for each further text points to it. The owner is found
// under the text with tags in order, as the series key has them. If that text
// holds a backslash it is not what a line would say (keys escape backslashes,
// lines do not), so that such owners are marked and never found by a line.
type seriesCache struct {
	entries []entry // 0 is no entry
	slots   []slot  // open addressing, a power of two, at most half full
	text    []byte
}

type entry struct {
	off, len uint32 // where the text is
	key      uint32 // where in the text the series key begins; owners only
	owner    uint32 // the entry that holds what follows
	next     uint32 // the entry that the line after the last one of this had
	table    uint32
	shape    uint32
	epoch    uint32 // of the Table in which row is meant
	row      uint32 // place in the SeriesSet of that Table
	marked   bool   // not the text of a line
	hash     uint64 // column.HashSeries
}

type slot struct {
	check uint32 // upper half of the hash of the text
	entry uint32
}

const (
	entryBytes = 48
	slotBytes  = 8
	minSlots   = 1 << 10 // an empty cache costs 8 KiB
)

func newSeriesCache() seriesCache {
	return seriesCache{entries: make([]entry, 1, 64), slots: make([]slot, minSlots)}
}

func (c *seriesCache) bytes() int {
	return len(c.entries)*entryBytes + len(c.slots)*slotBytes + len(c.text)
}

// full reports whether another text could leave the range of the offsets.
func (c *seriesCache) full() bool { return len(c.text) > math.MaxUint32-maxBodyBytes*3 }

// markSeed separates the hashes of marked texts from those of lines.
const markSeed = 0x9E3779B97F4A7C15

func hashText(text []byte, marked bool) uint64 {
	h := xxhash.Sum64(text)
	if marked {
		h ^= markSeed
	}
	return h
}

// find returns the entry of text, 0 if there is none.
func (c *seriesCache) find(text []byte, hash uint64, marked bool) uint32 {
	mask := uint32(len(c.slots) - 1)
	check := uint32(hash >> 32)
	for i := uint32(hash) & mask; ; i = (i + 1) & mask {
		s := c.slots[i]
		if s.entry == 0 {
			return 0
		}
		if s.check == check {
			e := &c.entries[s.entry]
			if string(c.text[e.off:e.off+e.len]) == string(text) && e.marked == marked {
				return s.entry
			}
		}
	}
}

// add puts text, which is not there, and returns its entry.
func (c *seriesCache) add(text []byte, hash uint64, e entry) uint32 {
	if 2*len(c.entries) >= len(c.slots) {
		c.grow()
	}
	id := uint32(len(c.entries))
	e.off, e.len = uint32(len(c.text)), uint32(len(text))
	if e.owner == 0 {
		e.owner = id
	}
	c.text = append(c.text, text...)
	c.entries = append(c.entries, e)
	c.put(slot{uint32(hash >> 32), id}, hash)
	return id
}

func (c *seriesCache) put(s slot, hash uint64) {
	mask := uint32(len(c.slots) - 1)
	i := uint32(hash) & mask
	for c.slots[i].entry != 0 {
		i = (i + 1) & mask
	}
	c.slots[i] = s
}

func (c *seriesCache) grow() {
	c.slots = make([]slot, 4*len(c.slots))
	for id := 1; id < len(c.entries); id++ {
		e := &c.entries[id]
		hash := hashText(c.text[e.off:e.off+e.len], e.marked)
		c.put(slot{uint32(hash >> 32), uint32(id)}, hash)
	}
}

// reset forgets all series. Memory up to limit is kept.
func (c *seriesCache) reset(limit int) {
	if cap(c.entries)*entryBytes+len(c.slots)*slotBytes+cap(c.text) > 2*limit {
		*c = newSeriesCache()
		return
	}
	clear(c.slots)
	c.entries, c.text = c.entries[:1], c.text[:0]
}
