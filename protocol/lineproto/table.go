package lineproto

import (
	"github.com/varvedb/varve/column"
)

// table is what the parser knows of a measurement: names that lines of it
// had, kept from body to body, and the rows of the present one.
type table struct {
	name string
	id   uint32
	hash uint64 // xxhash of name, for column.HashKey

	cols   []col
	fields map[string]uint32 // cols by name
	first  uint32            // guess of the first field of the next line

	tags    []tagKey
	tagIDs  map[string]uint32
	shapes  []shape
	shapeID map[string]uint32
	last    uint32 // shape of the last series that was new

	// Of the present body.
	batch  uint64 // the body for which the rest is valid
	epoch  uint32 // the output table, unique in the life of the parser
	out    *column.Table
	row    []uint32
	time   []int64
	used   []uint32 // columns with a type in this body, in the order of their first value
	live   int      // columns with a value in out
	values int      // values in out, repeats within a line included
	excess int      // nulls in out beyond those that its values allow

	bytes    int // buffers for rows, as last measured
	rowBytes int // part of bytes that belongs to no column
}

// tagKey is a tag key of a measurement.
type tagKey struct {
	name  string
	batch uint64 // a body that has it
	epoch uint32 // an output table that lists it
}

// shape is a set of tag keys that a series has.
type shape struct {
	tags  []uint32 // of table.tags, ascending by name
	epoch uint32   // an output table whose TagKeys include it
	time  bool     // one of them is called time
}

// col is a field of a measurement. The first part is what a line usually
// needs, two cache lines at most.
type col struct {
	w0, w1 uint64 // the first 16 bytes of raw
	m0, m1 uint64 // the bytes of w0 and w1 that count
	len    uint32 // of raw
	next   uint32 // guess of the field after it
	hot    column.Type
	typ    column.Type // in the present body, 0 if it is not there
	live   bool        // has a value in the present output table
	nulls  bool        // bits are in use
	words  []uint64

	raw     string // as lines write it, with the equals sign
	name    string
	ends    []uint32
	data    []byte
	bits    []uint64 // validity of the rows before settled
	settled int
	bytes   int // buffers, as last measured
}

// Rough sizes of what names cost, map entries included.
const (
	tableBytes = 1024
	colBytes   = 384
	tagBytes   = 128
	shapeBytes = 192
)

// rows returns how many rows c has, nulls included.
func (c *col) rows() int {
	if c.typ == column.String {
		return len(c.ends)
	}
	return len(c.words)
}

// truncate drops the rows from n on.
func (c *col) truncate(n int) {
	if len(c.words) > n {
		c.words = c.words[:n]
	}
	if len(c.ends) > n {
		c.ends = c.ends[:n]
		c.data = c.data[:endOf(c.ends)]
	}
}

func endOf(ends []uint32) uint32 {
	if len(ends) == 0 {
		return 0
	}
	return ends[len(ends)-1]
}

// empty drops all rows.
func (c *col) empty() {
	c.words, c.ends, c.data, c.bits = c.words[:0], c.ends[:0], c.data[:0], c.bits[:0]
	c.settled = 0
	c.hot, c.live, c.nulls = 0, false, false
}

// pad appends nulls until c has n rows.
func (c *col) pad(n int) {
	have := c.rows()
	c.settle(have)
	for len(c.bits)*64 < n {
		c.bits = append(c.bits, 0)
	}
	c.settled, c.nulls = n, true
	for ; have < n; have++ {
		if c.typ == column.String {
			c.ends = append(c.ends, uint32(len(c.data)))
		} else {
			c.words = append(c.words, 0)
		}
	}
}

// settle notes that the rows from settled to n-1 have values.
func (c *col) settle(n int) {
	for len(c.bits)*64 < n {
		c.bits = append(c.bits, 0)
	}
	for i := c.settled; i < n; {
		width := min(64-i&63, n-i)
		c.bits[i>>6] |= ^uint64(0) >> uint(64-width) << (uint(i) & 63)
		i += width
	}
	c.settled = n
}

// field completes c to n rows and returns it.
func (c *col) field(n int) column.Field {
	if c.rows() < n {
		c.pad(n)
	}
	f := column.Field{Name: c.name, Vector: column.Vector{Type: c.typ}}
	if c.typ == column.String {
		f.Ends, f.Data = c.ends, c.data
	} else {
		f.Words = c.words
	}
	if c.nulls {
		c.settle(n)
		f.Valid = column.Bitmap{Words: c.bits}
	}
	return f
}

// seal moves the rows of t to its output table.
func (t *table) seal() {
	o := t.out
	o.Row, o.Time = t.row, t.time
	o.Fields = o.Fields[:0]
	for _, f := range t.used {
		if c := &t.cols[f]; c.live {
			o.Fields = append(o.Fields, c.field(len(t.time)))
		}
	}
}

// detach gives the buffers of t away.
func (t *table) detach() {
	t.out, t.row, t.time = new(column.Table), nil, nil
	for i := range t.cols {
		c := &t.cols[i]
		c.words, c.ends, c.data, c.bits = nil, nil, nil, nil
	}
}

// measure brings t.bytes up to date after a body and returns the difference.
func (t *table) measure() int {
	before := t.bytes
	s := &t.out.Series
	rows := 4*cap(t.row) + 8*cap(t.time) + cap(s.Keys) + 4*cap(s.Ends) + 8*cap(s.Hash)
	t.bytes += rows - t.rowBytes
	t.rowBytes = rows
	for _, f := range t.used {
		c := &t.cols[f]
		n := 8*cap(c.words) + 4*cap(c.ends) + cap(c.data) + 8*cap(c.bits)
		t.bytes += n - c.bytes
		c.bytes = n
	}
	return t.bytes - before
}

// free drops the buffers of t.
func (t *table) free() {
	t.detach()
	t.bytes, t.rowBytes = 0, 0
	for i := range t.cols {
		t.cols[i].bytes = 0
	}
}
