package memtable

import (
	"slices"
	"sort"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/run"
)

// Cursor implements run.Run. Its rows are copies, so they stay what they are
// while the table goes on growing.
func (v *View) Cursor(fields []string) (run.Cursor, error) {
	c := &cursor{v: v}
	for _, name := range fields {
		n := -1
		kind := column.Type(0)
		if i, ok := slices.BinarySearchFunc(v.meta.Fields, name, func(f column.FieldInfo, s string) int {
			if f.Name < s {
				return -1
			} else if f.Name > s {
				return 1
			}
			return 0
		}); ok {
			n, kind = v.number[i], v.meta.Fields[i].Type
		}
		c.number = append(c.number, n)
		c.rows.Cols = append(c.rows.Cols, column.Vector{Type: kind})
	}
	return c, nil
}

type cursor struct {
	v      *View
	number []int // field numbers, -1 for fields that the table does not have
	ids    []uint32
	times  []int64
	from   int // of ids: what Next has not returned
	rows   column.Rows
	order  []int
	sorted []uint32
	stats  run.Stats
}

// batchRows is how many rows Next copies at a time: as many as a block of a
// segment holds, so that the memory of a reader does not depend on the source.
const batchRows = 8192

// Seek implements run.Cursor.
func (c *cursor) Seek(ord uint32, lo, hi int64) error {
	c.ids, c.times, c.from = c.ids[:0], c.times[:0], 0
	if ord >= c.v.limit.series {
		return nil
	}
	t := c.v.t
	t.mu.RLock()
	st := t.series.state[ord]
	for row := st.last; row != 0; {
		ch := t.chunks[(row-1)>>chunkShift]
		i := (row - 1) & (chunkRows - 1)
		if row <= c.v.limit.rows {
			at := ch.at(i)
			if at >= lo && at <= hi {
				c.ids = append(c.ids, row-1)
				c.times = append(c.times, at)
			} else if at < lo && !st.unsorted {
				break // what is older lies before the bounds too
			}
		}
		row = ch.prev[i]
	}
	t.mu.RUnlock()
	slices.Reverse(c.ids)
	slices.Reverse(c.times)
	if st.unsorted {
		c.sortByTime()
	}
	return nil
}

// sortByTime brings rows into the order of time, those of one time in the
// order of arrival.
func (c *cursor) sortByTime() {
	if slices.IsSorted(c.times) {
		return
	}
	c.order = c.order[:0]
	for i := range c.times {
		c.order = append(c.order, i)
	}
	sort.SliceStable(c.order, func(a, b int) bool { return c.times[c.order[a]] < c.times[c.order[b]] })
	c.sorted = c.sorted[:0]
	for _, i := range c.order {
		c.sorted = append(c.sorted, c.ids[i])
	}
	c.ids, c.sorted = c.sorted, c.ids
	slices.Sort(c.times)
}

// Next implements run.Cursor.
func (c *cursor) Next() (*column.Rows, error) {
	if c.from == len(c.ids) {
		return nil, nil
	}
	to := min(len(c.ids), c.from+batchRows)
	// Rows of one time belong together.
	for to < len(c.ids) && c.times[to] == c.times[to-1] {
		to++
	}
	ids, times := c.ids[c.from:to], c.times[c.from:to]
	c.from = to
	c.gather(ids)
	c.rows.Time = append(c.rows.Time[:0], times...)
	c.stats.RowsRead += int64(len(ids))
	for i := 1; i < len(times); i++ {
		if times[i] == times[i-1] {
			c.overwrite(i)
			break
		}
	}
	return &c.rows, nil
}

// gather copies the columns of the given rows.
func (c *cursor) gather(ids []uint32) {
	for i := range c.rows.Cols {
		c.rows.Cols[i].Reset(c.rows.Cols[i].Type)
	}
	t := c.v.t
	t.mu.RLock()
	defer t.mu.RUnlock()
	for lo := 0; lo < len(ids); {
		at := ids[lo] >> chunkShift
		hi := lo + 1
		for hi < len(ids) && ids[hi]>>chunkShift == at {
			hi++
		}
		for i, n := range c.number {
			if n < 0 {
				c.rows.Cols[i].AppendNulls(hi - lo)
			} else {
				t.chunks[at].gather(&c.rows.Cols[i], n, ids[lo:hi])
			}
		}
		lo = hi
	}
}

// overwrite makes one row of each stretch of rows with the same time; the
// first repeat is row first. Of each field the last value stands.
func (c *cursor) overwrite(first int) {
	in := c.rows
	out := column.Rows{Time: make([]int64, 0, len(in.Time)), Cols: make([]column.Vector, len(in.Cols))}
	for i := range out.Cols {
		out.Cols[i].Type = in.Cols[i].Type
		part := in.Cols[i].Slice(0, first-1)
		out.Cols[i].Append(&part)
	}
	out.Time = append(out.Time, in.Time[:first-1]...)
	for lo := first - 1; lo < len(in.Time); {
		hi := lo + 1
		for hi < len(in.Time) && in.Time[hi] == in.Time[lo] {
			hi++
		}
		out.Time = append(out.Time, in.Time[lo])
		for i := range out.Cols {
			at := hi - 1
			for at > lo && !in.Cols[i].Valid.Get(at) {
				at--
			}
			out.Cols[i].AppendRow(&in.Cols[i], at)
		}
		lo = hi
	}
	c.rows = out
}

// Stats implements run.Counted.
func (c *cursor) Stats() run.Stats { return c.stats }

// Close implements run.Cursor.
func (c *cursor) Close() {}
