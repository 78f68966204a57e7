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
	name      string
	chunkRows int

	// mu guards everything below. Apply holds it for one batch; readers hold
	// it while they copy rows out and never longer.
	mu sync.RWMutex

	fields   []column.FieldInfo // by number, in order of appearance
	fieldNum map[string]int

	series seriesTable
	groups []*group // oldest first; only appended to
	open   chunk
	rows   int
	turner turner

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

func newTable(name string, chunkRows int) *table {
	return &table{
		name:      name,
		chunkRows: chunkRows,
		fieldNum:  map[string]int{},
		minTime:   math.MaxInt64,
		maxTime:   math.MinInt64,
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
	before := t.open.bytes()
	for lo := 0; lo < len(b.Time); {
		grown += t.turnFull() // new fields leave room for fewer rows
		hi := min(len(b.Time), lo+t.open.room(t.chunkRows, len(t.fields)))
		t.appendRows(b, ords, nums, lo, hi)
		lo = hi
	}
	grown += t.turnFull()
	grown += t.open.bytes() - before
	t.marks = append(t.marks, mark{seq, uint32(t.rows), uint32(t.series.len()), uint32(len(t.fields))})
	now := t.series.bytes() + int64(cap(t.marks))*24
	grown += now - t.accounted
	t.accounted = now
	return grown
}

// turnFull turns the open chunk round if it is full, and returns the bytes of
// the group that it became.
func (t *table) turnFull() int64 {
	if t.open.room(t.chunkRows, len(t.fields)) > 0 {
		return 0
	}
	g := t.turner.turn(&t.open, t.series.len())
	t.groups = append(t.groups, g)
	t.open.reset(uint32(t.rows))
	return g.bytes()
}

// otherType is the number of a field that the table has with another type.
const otherType = -1

// field returns the number of a field, giving it one if it is new. The schema
// keeps two types of one field out of the log. Were they in it nevertheless,
// the store would have to open all the same: values of the second are left out
// (and a check of the store reports them).
func (t *table) field(name string, kind column.Type) int {
	if n, ok := t.fieldNum[name]; ok {
		if t.fields[n].Type != kind {
			return otherType
		}
		return n
	}
	n := len(t.fields)
	t.fieldNum[name] = n
	t.fields = append(t.fields, column.FieldInfo{Name: name, Type: kind})
	return n
}

func (t *table) appendRows(b *column.Table, ords []uint32, nums []int, lo, hi int) {
	c := &t.open
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
	for len(c.cols) < len(t.fields) {
		c.cols = append(c.cols, column.Vector{})
	}
	for i := range b.Fields {
		if nums[i] == otherType {
			continue
		}
		v := &c.cols[nums[i]]
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
