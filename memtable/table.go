package memtable

import (
	"math"
	"sort"
	"sync"

	"github.com/varvedb/varve/column"
)

// tableOverhead is what an empty table weighs in the accounting.
const tableOverhead = 1024

// table is the rows of one measurement in one bucket.
type table struct {
	name string

	// mu guards everything below. Apply holds it for one batch; readers hold
	// it while they copy rows out and never longer.
	mu sync.RWMutex

	fields   []column.FieldInfo // by number, in order of appearance
	fieldNum map[string]int

	series seriesTable
	chunks []*chunk
	rows   int
	spare  []column.Vector // wide columns of the chunk frozen last
	times  []int64         // its times, to be used again likewise

	minTime, maxTime int64
	marks            []mark
	accounted        int64 // bytes of everything but chunk payload that grows

	order orderCache
	index tagIndex
}

// mark says how much of the table is visible once the record with sequence
// seq is.
type mark struct {
	seq    uint64
	rows   uint32
	series uint32
	fields uint32
}

func newTable(name string) *table {
	return &table{
		name:     name,
		fieldNum: map[string]int{},
		minTime:  math.MaxInt64,
		maxTime:  math.MinInt64,
	}
}

// apply appends the rows of b and returns by how many bytes the table grew.
func (t *table) apply(b *column.Table, seq uint64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()

	var grown int64
	ords := t.series.start(b.Series.Len())
	nums := make([]int, len(b.Fields))
	for i := range b.Fields {
		nums[i] = t.field(b.Fields[i].Name, b.Fields[i].Type)
	}
	for lo := 0; lo < len(b.Time); {
		c, fresh := t.open()
		hi := min(len(b.Time), lo+chunkRows-len(c.series))
		var before int64
		if !fresh {
			before = c.bytes()
		}
		t.appendRows(c, b, ords, nums, lo, hi)
		if len(c.series) == chunkRows {
			t.times, t.spare = c.freeze()
		}
		grown += c.bytes() - before
		lo = hi
	}
	t.marks = append(t.marks, mark{seq, uint32(t.rows), uint32(t.series.len()), uint32(len(t.fields))})
	now := t.series.bytes() + int64(cap(t.marks))*24
	grown += now - t.accounted
	t.accounted = now
	return grown
}

// field returns the number of a field, giving it one if it is new.
func (t *table) field(name string, kind column.Type) int {
	if n, ok := t.fieldNum[name]; ok {
		return n
	}
	n := len(t.fields)
	t.fieldNum[name] = n
	t.fields = append(t.fields, column.FieldInfo{Name: name, Type: kind})
	return n
}

// open returns the chunk that takes the next row, and whether it is new.
func (t *table) open() (c *chunk, fresh bool) {
	if n := len(t.chunks); n > 0 && len(t.chunks[n-1].series) < chunkRows {
		return t.chunks[n-1], false
	}
	c = &chunk{wide: t.spare, time: t.times[:0]}
	t.spare, t.times = nil, nil
	for i := range c.wide {
		v := &c.wide[i]
		// The bitmap went to the narrow column of the chunk before.
		*v = column.Vector{Type: v.Type, Words: v.Words[:0], Ends: v.Ends[:0], Data: v.Data[:0]}
	}
	if len(t.chunks) > 0 {
		// A table that filled one chunk will likely fill another.
		c.series = make([]uint32, 0, chunkRows)
		c.prev = make([]uint32, 0, chunkRows)
	}
	t.chunks = append(t.chunks, c)
	return c, true
}

func (t *table) appendRows(c *chunk, b *column.Table, ords []uint32, nums []int, lo, hi int) {
	start := len(c.time)
	c.time = append(c.time, b.Time[lo:hi]...)
	s := &t.series
	for i := lo; i < hi; i++ {
		ord := ords[b.Row[i]]
		if ord == unresolved {
			ord = s.ordinal(b.Series.Key(int(b.Row[i])), b.Series.Hash[b.Row[i]])
			ords[b.Row[i]] = ord
		}
		at := b.Time[i]
		t.minTime, t.maxTime = min(t.minTime, at), max(t.maxTime, at)
		st := &s.state[ord]
		c.series = append(c.series, ord)
		c.prev = append(c.prev, st.last)
		if at <= st.lastTime && st.last != 0 {
			st.unsorted = true
		}
		st.lastTime = max(st.lastTime, at)
		t.rows++
		st.last = uint32(t.rows)
		st.rows++
	}
	for len(c.wide) < len(t.fields) {
		c.wide = append(c.wide, column.Vector{})
	}
	for i := range b.Fields {
		v := &c.wide[nums[i]]
		v.Type = b.Fields[i].Type
		v.AppendNulls(start - v.Len())
		part := b.Fields[i].Slice(lo, hi)
		v.Append(&part)
	}
}

// visible returns how much records up to sequence seq brought.
func (t *table) visible(seq uint64) (mark, bool) {
	i := sort.Search(len(t.marks), func(i int) bool { return t.marks[i].seq > seq })
	if i == 0 {
		return mark{}, false
	}
	return t.marks[i-1], true
}
