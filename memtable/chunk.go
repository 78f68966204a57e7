package memtable

import (
	"encoding/binary"
	"math"

	"github.com/varvedb/varve/column"
)

// chunkRows is how many rows a chunk holds: enough that the cost of narrowing
// is spread, few enough that the wide columns of the open chunk stay in the
// processor's cache. It is a power of two so that finding a row's chunk is a
// shift.
const (
	chunkShift = 12
	chunkRows  = 1 << chunkShift
)

// chunk holds up to chunkRows rows in order of arrival. While open its columns
// are wide vectors; full, they are narrow.
type chunk struct {
	series []uint32
	prev   []uint32 // row of the same series before this one, plus 1; 0 for none
	time   []int64
	wide   []column.Vector // by field number; short or missing: nulls
	narrow []narrowColumn
}

// narrowColumn is an immutable column in as few bytes a value as it needs:
// value i is base + the width bytes at i*width, or what is in text.
type narrowColumn struct {
	kind  column.Type // 0: no values
	width uint8
	base  uint64
	data  []byte
	valid column.Bitmap
	text  column.Vector // String only
}

// freeze narrows the columns of c and returns the wide ones for use in the
// next chunk. After it c is immutable.
func (c *chunk) freeze() []column.Vector {
	wide := c.wide
	c.narrow = make([]narrowColumn, len(wide))
	for i := range wide {
		v := &wide[i]
		if v.Len() == 0 {
			continue
		}
		v.AppendNulls(len(c.time) - v.Len())
		c.narrow[i] = narrowed(v)
	}
	c.wide = nil
	return wide
}

func narrowed(v *column.Vector) narrowColumn {
	n := narrowColumn{kind: v.Type, valid: v.Valid}
	if v.Type == column.String {
		n.text.Type = v.Type
		n.text.Append(v)
		n.valid = n.text.Valid
		return n
	}
	n.width = 8
	if v.Type != column.Float64 {
		base, width := column.Narrow(v.Words, v.Type == column.Int64)
		n.base, n.width = base, uint8(width)
	}
	n.data = make([]byte, len(v.Words)*int(n.width))
	switch n.width {
	case 1:
		for i, w := range v.Words {
			n.data[i] = byte(w - n.base)
		}
	case 2:
		for i, w := range v.Words {
			binary.LittleEndian.PutUint16(n.data[2*i:], uint16(w-n.base))
		}
	case 4:
		for i, w := range v.Words {
			binary.LittleEndian.PutUint32(n.data[4*i:], uint32(w-n.base))
		}
	case 8:
		for i, w := range v.Words {
			binary.LittleEndian.PutUint64(n.data[8*i:], w-n.base)
		}
	}
	return n
}

// gather appends the values of field f in the given rows of c to dst, whose
// type is set.
func (c *chunk) gather(dst *column.Vector, f int, rows []uint32) {
	if c.narrow != nil {
		if f >= len(c.narrow) || c.narrow[f].kind == 0 {
			dst.AppendNulls(len(rows))
			return
		}
		c.narrow[f].gather(dst, rows)
		return
	}
	if f >= len(c.wide) || c.wide[f].Len() == 0 {
		dst.AppendNulls(len(rows))
		return
	}
	v := &c.wide[f]
	if v.Type != column.String && v.Valid.All() && v.Len() == len(c.time) && dst.Valid.All() {
		for _, r := range rows {
			dst.Words = append(dst.Words, v.Words[r&(chunkRows-1)])
		}
		return
	}
	for _, r := range rows {
		if i := int(r & (chunkRows - 1)); i < v.Len() {
			dst.AppendRow(v, i)
		} else {
			dst.AppendNulls(1)
		}
	}
}

func (n *narrowColumn) gather(dst *column.Vector, rows []uint32) {
	if n.kind == column.String {
		for _, r := range rows {
			dst.AppendRow(&n.text, int(r&(chunkRows-1)))
		}
		return
	}
	if !n.valid.All() || !dst.Valid.All() {
		for _, r := range rows {
			if i := int(r & (chunkRows - 1)); n.valid.Get(i) {
				dst.AppendWord(n.word(i))
			} else {
				dst.AppendNulls(1)
			}
		}
		return
	}
	switch n.width {
	case 1:
		for _, r := range rows {
			dst.Words = append(dst.Words, n.base+uint64(n.data[r&(chunkRows-1)]))
		}
	case 2:
		for _, r := range rows {
			dst.Words = append(dst.Words, n.base+uint64(binary.LittleEndian.Uint16(n.data[2*(r&(chunkRows-1)):])))
		}
	default:
		for _, r := range rows {
			dst.Words = append(dst.Words, n.word(int(r&(chunkRows-1))))
		}
	}
}

func (n *narrowColumn) word(i int) uint64 {
	switch n.width {
	case 0:
		return n.base
	case 1:
		return n.base + uint64(n.data[i])
	case 2:
		return n.base + uint64(binary.LittleEndian.Uint16(n.data[2*i:]))
	case 4:
		return n.base + uint64(binary.LittleEndian.Uint32(n.data[4*i:]))
	}
	return n.base + binary.LittleEndian.Uint64(n.data[8*i:])
}

// bytes estimates the memory of c.
func (c *chunk) bytes() int64 {
	n := int64(cap(c.series)+cap(c.prev))*4 + int64(cap(c.time))*8
	for i := range c.wide {
		n += vectorBytes(&c.wide[i])
	}
	for i := range c.narrow {
		f := &c.narrow[i]
		n += int64(cap(f.data)) + int64(cap(f.valid.Words))*8 + vectorBytes(&f.text) + narrowOverhead
	}
	return n
}

func vectorBytes(v *column.Vector) int64 {
	return int64(cap(v.Words)+cap(v.Valid.Words))*8 + int64(cap(v.Ends))*4 + int64(cap(v.Data)) + vectorOverhead
}

const (
	vectorOverhead = 112 // unsafe.Sizeof(column.Vector{})
	narrowOverhead = 192 // unsafe.Sizeof(narrowColumn{})
)

// noTime marks a series without rows.
const noTime = math.MinInt64
