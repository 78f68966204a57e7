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
	prev   []uint32        // row of the same series before this one, plus 1; 0 for none
	time   []int64         // while open
	wide   []column.Vector // while open; by field number; short or missing: nulls
	times  narrowTimes     // once full
	narrow []narrowColumn  // once full, then not nil
}

// at returns the time of row i.
func (c *chunk) at(i uint32) int64 {
	if c.narrow == nil {
		return c.time[i]
	}
	return c.times.at(i)
}

// narrowTimes is an immutable column of times in as few bytes each as they
// need once the unit of the clock that made them is taken out.
type narrowTimes struct {
	base, unit int64
	narrowColumn
}

// units are what clocks count in, the coarsest first. Taking out no more than
// a minute keeps the search short; one of these fits nearly all devices.
func units() [5]int64 { return [5]int64{60e9, 1e9, 1e6, 1e3, 1} }

func narrowedTimes(t []int64, words []uint64) narrowTimes {
	n := narrowTimes{base: t[0]}
	for _, unit := range units() {
		n.unit = unit
		if dividesAll(t, n.base, unit) {
			break
		}
	}
	words = words[:0]
	for _, at := range t {
		words = append(words, uint64((at-n.base)/n.unit))
	}
	n.narrowColumn = narrowedWords(words, true)
	return n
}

// dividesAll reports whether unit divides the distance of every time to base
// and no distance overflows.
func dividesAll(t []int64, base, unit int64) bool {
	for _, at := range t {
		if d := at - base; d%unit != 0 || (d < 0) != (at < base) {
			// Distances that overflow come back right by the same overflow
			// if nothing is divided.
			return unit == 1
		}
	}
	return true
}

func (n *narrowTimes) at(i uint32) int64 {
	return n.base + int64(n.word(int(i)))*n.unit
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
func (c *chunk) freeze() (times []int64, wide []column.Vector) {
	times, wide = c.time, c.wide
	c.times = narrowedTimes(times, make([]uint64, 0, len(times)))
	c.narrow = make([]narrowColumn, len(wide))
	for i := range wide {
		v := &wide[i]
		if v.Len() == 0 {
			continue
		}
		v.AppendNulls(len(times) - v.Len())
		c.narrow[i] = narrowed(v)
	}
	c.time, c.wide = nil, nil
	return times, wide
}

func narrowed(v *column.Vector) narrowColumn {
	if v.Type == column.String {
		n := narrowColumn{kind: v.Type}
		n.text.Type = v.Type
		n.text.Append(v)
		n.valid = n.text.Valid
		return n
	}
	n := narrowedWords(v.Words, v.Type == column.Int64)
	n.kind, n.valid = v.Type, v.Valid
	return n
}

func narrowedWords(words []uint64, signed bool) narrowColumn {
	var n narrowColumn
	base, width := column.Narrow(words, signed)
	n.base, n.width = base, uint8(width)
	n.data = make([]byte, len(words)*width)
	switch n.width {
	case 1:
		for i, w := range words {
			n.data[i] = byte(w - base)
		}
	case 2:
		for i, w := range words {
			binary.LittleEndian.PutUint16(n.data[2*i:], uint16(w-base))
		}
	case 4:
		for i, w := range words {
			binary.LittleEndian.PutUint32(n.data[4*i:], uint32(w-base))
		}
	case 8:
		for i, w := range words {
			binary.LittleEndian.PutUint64(n.data[8*i:], w-base)
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
	if v.Type != column.String && v.Valid.All() && v.Len() == len(c.series) && dst.Valid.All() {
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
	n := int64(cap(c.series)+cap(c.prev))*4 + int64(cap(c.time))*8 + int64(cap(c.times.data))
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
