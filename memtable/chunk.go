package memtable

import (
	"math"

	"github.com/varvedb/varve/column"
)

const (
	// chunkRows is how many rows gather in order of arrival before they are
	// turned round: enough that a series of a usual fleet has a stretch of
	// some length, few enough that it takes milliseconds.
	chunkRows = 32 << 10
	// chunkCells bounds rows times fields likewise: 4 MiB of wide columns.
	chunkCells = 1 << 19
	// minChunkRows keeps chunks of very wide tables from becoming single rows.
	minChunkRows = 64
)

// chunk is the newest rows of a table, in order of arrival, in wide columns.
type chunk struct {
	base   uint32 // row number of the first
	series []uint32
	prev   []uint32 // row of the same series before this one, plus 1; 0 for none
	time   []int64
	cols   []column.Vector // by field number; short or missing: nulls
}

// room returns how many more rows c takes, which holds at most rows.
func (c *chunk) room(rows, fields int) int {
	return min(rows, max(minChunkRows, chunkCells/max(fields, 1))) - len(c.series)
}

// reset empties c for rows from base on and keeps its memory.
func (c *chunk) reset(base uint32) {
	c.base, c.series, c.prev, c.time = base, c.series[:0], c.prev[:0], c.time[:0]
	for i := range c.cols {
		c.cols[i].Reset(c.cols[i].Type)
	}
}

// gather appends the values of field f in the given rows, counted from the
// first of c, to dst, whose type is set.
func (c *chunk) gather(dst *column.Vector, f int, rows []uint32) {
	if f >= len(c.cols) || c.cols[f].Len() == 0 {
		dst.AppendNulls(len(rows))
		return
	}
	v := &c.cols[f]
	for _, r := range rows {
		if int(r) < v.Len() {
			dst.AppendRow(v, int(r))
		} else {
			dst.AppendNulls(1)
		}
	}
}

// bytes estimates the memory of c.
func (c *chunk) bytes() int64 {
	n := int64(cap(c.series)+cap(c.prev))*4 + int64(cap(c.time))*8
	for i := range c.cols {
		n += vectorBytes(&c.cols[i])
	}
	return n
}

func vectorBytes(v *column.Vector) int64 {
	return int64(cap(v.Words)+cap(v.Valid.Words))*8 + int64(cap(v.Ends))*4 + int64(cap(v.Data)) + vectorOverhead
}

const vectorOverhead = 112 // unsafe.Sizeof(column.Vector{})

// noTime marks a series without rows.
const noTime = math.MinInt64
