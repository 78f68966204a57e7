package memtable

import (
	"cmp"
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
		c.tail.Cols = append(c.tail.Cols, column.Vector{Type: kind})
	}
	return c, nil
}

type cursor struct {
	v      *View
	number []int // field numbers, -1 for fields that the table does not have

	// parts is what Seek found and Next did not return, by their first times.
	parts []part
	// tail is the rows of the open chunk, copied, because they may be turned
	// round in the meantime.
	tail  column.Rows
	rows  column.Rows
	stats run.Stats

	// Scratch: rows of the open chunk, and of sort.
	ids    []uint32
	perm   []uint32
	times  []int64
	words  []uint64
	column column.Vector
}

// part is rows lo to hi-1 of a group, those of one series, or if g is nil, of
// the tail; in the order of time, from first to last.
type part struct {
	g           *group
	lo, hi      uint32
	first, last int64
	age         int // ascends with arrival
}

// Seek implements run.Cursor.
func (c *cursor) Seek(ord uint32, lo, hi int64) error {
	c.parts = c.parts[:0]
	if ord >= c.v.limit.series {
		return nil
	}
	t := c.v.t
	t.mu.RLock()
	groups := t.groups
	c.copyTail(ord, lo, hi)
	t.mu.RUnlock()
	for age, g := range groups {
		if g.base >= c.v.limit.rows {
			break
		}
		if g.min > hi || g.max < lo {
			continue
		}
		from, to := g.rows(ord)
		if from == to {
			continue
		}
		if from, to = g.within(from, to, lo, hi); from < to {
			c.parts = append(c.parts, part{g, from, to, g.times.at(from), g.times.at(to - 1), age})
		}
	}
	if n := len(c.tail.Time); n > 0 {
		c.parts = append(c.parts, part{nil, 0, uint32(n), c.tail.Time[0], c.tail.Time[n-1], len(groups)})
	}
	if !slices.IsSortedFunc(c.parts, byFirst) {
		slices.SortFunc(c.parts, byFirst)
	}
	return nil
}

// copyTail copies the rows of a series in the open chunk, in the order of
// time, those of one time in the order of arrival.
func (c *cursor) copyTail(ord uint32, lo, hi int64) {
	t := c.v.t
	open := &t.open
	st := &t.series.state[ord]
	c.ids, c.tail.Time = c.ids[:0], c.tail.Time[:0]
	for row := st.last; row > open.base; {
		i := row - 1 - open.base
		if row <= c.v.limit.rows {
			at := open.time[i]
			if at >= lo && at <= hi {
				c.ids = append(c.ids, i)
			} else if at < lo && !st.unsorted {
				break // what is older lies before the bounds too
			}
		}
		row = open.prev[i]
	}
	slices.Reverse(c.ids)
	byTime := func(a, b uint32) int { return cmp.Compare(open.time[a], open.time[b]) }
	if st.unsorted && !slices.IsSortedFunc(c.ids, byTime) {
		slices.SortStableFunc(c.ids, byTime)
	}
	for _, i := range c.ids {
		c.tail.Time = append(c.tail.Time, open.time[i])
	}
	for i, n := range c.number {
		v := &c.tail.Cols[i]
		v.Reset(v.Type)
		if n < 0 {
			v.AppendNulls(len(c.ids))
		} else {
			open.gather(v, n, c.ids)
		}
	}
}

// batchRows is how many rows Next returns before it stops to add the next
// stretch: enough that a reader's cost for each call vanishes.
const batchRows = 4096

// Next implements run.Cursor. Where the times of several parts overlap, it
// takes first what lies before the overlap, then the overlap merged.
func (c *cursor) Next() (*column.Rows, error) {
	c.rows.Time = c.rows.Time[:0]
	for i := range c.rows.Cols {
		c.rows.Cols[i].Reset(c.rows.Cols[i].Type)
	}
	for len(c.parts) > 0 && len(c.rows.Time) < batchRows {
		from := len(c.rows.Time)
		p := &c.parts[0]
		switch {
		case len(c.parts) == 1 || c.parts[1].first > p.last:
			c.copy(p, p.hi)
			c.parts = c.parts[1:]
		case p.first < c.parts[1].first:
			c.copy(p, c.search(p, c.parts[1].first))
		default:
			c.overlap(p.last)
		}
		if !ascending(c.rows.Time[from:]) {
			c.sort(from)
		}
	}
	if len(c.rows.Time) == 0 {
		return nil, nil
	}
	c.stats.RowsRead += int64(len(c.rows.Time))
	return &c.rows, nil
}

// overlap takes all rows up to time end out of the parts that have some, in
// the order of arrival.
func (c *cursor) overlap(end int64) {
	n := 0
	for n < len(c.parts) && c.parts[n].first <= end {
		n++
	}
	slices.SortFunc(c.parts[:n], func(a, b part) int { return cmp.Compare(a.age, b.age) })
	for i := range n {
		p := &c.parts[i]
		hi := p.hi
		if p.last > end {
			hi = c.search(p, end+1)
		}
		c.copy(p, hi)
	}
	c.parts = slices.DeleteFunc(c.parts, func(p part) bool { return p.lo == p.hi })
	slices.SortFunc(c.parts, byFirst)
}

func byFirst(a, b part) int { return cmp.Compare(a.first, b.first) }

// at returns the time of row i of the table's part p.
func (c *cursor) at(p *part, i uint32) int64 {
	if p.g == nil {
		return c.tail.Time[i]
	}
	return p.g.times.at(i)
}

// search returns the first row of p at or behind time t.
func (c *cursor) search(p *part, t int64) uint32 {
	return p.lo + uint32(sort.Search(int(p.hi-p.lo), func(i int) bool { return c.at(p, p.lo+uint32(i)) >= t }))
}

// copy takes the rows up to hi-1 out of p and appends those that are visible.
func (c *cursor) copy(p *part, hi uint32) {
	lo := p.lo
	if p.lo = hi; hi < p.hi {
		p.first = c.at(p, hi)
	}
	switch {
	case p.g == nil:
		var view column.Rows
		c.tail.SliceInto(&view, int(lo), int(hi))
		c.rows.Append(&view)
	case uint64(p.g.base)+uint64(len(p.g.arrived)) <= uint64(c.v.limit.rows):
		c.copyRows(p.g, lo, hi)
	default:
		// The view ends within the group: rows that arrived behind its end
		// are left out one by one.
		for i := lo; i < hi; i++ {
			if p.g.base+p.g.arrived[i] < c.v.limit.rows {
				c.copyRows(p.g, i, i+1)
			}
		}
	}
}

func (c *cursor) copyRows(g *group, lo, hi uint32) {
	c.rows.Time = g.times.appendTo(c.rows.Time, lo, hi)
	for i, n := range c.number {
		if n < 0 || n >= len(g.cols) {
			c.rows.Cols[i].AppendNulls(int(hi - lo))
		} else {
			g.cols[n].appendTo(&c.rows.Cols[i], lo, hi)
		}
	}
}

func ascending(times []int64) bool {
	for i := 1; i < len(times); i++ {
		if times[i] <= times[i-1] {
			return false
		}
	}
	return true
}

// sort brings the rows behind the first from into the order of time and makes
// one of those that have the same.
func (c *cursor) sort(from int) {
	times := c.rows.Time[from:]
	c.order(times)
	c.times = append(c.times[:0], times...)
	repeats := false
	for n, at := range c.perm {
		times[n] = c.times[at]
		repeats = repeats || n > 0 && times[n] == times[n-1]
	}
	for i := range c.rows.Cols {
		c.permute(&c.rows.Cols[i], from)
	}
	if repeats {
		c.overwrite(from)
	}
}

// order fills c.perm with the places of times, ascending, those of one time in
// the order of arrival. Mostly two parts overlap, each of them in order.
func (c *cursor) order(times []int64) {
	n := len(times)
	c.perm = slices.Grow(c.perm[:0], n)[:n]
	first := descent(times)
	if first+descent(times[first:]) < n {
		for i := range c.perm {
			c.perm[i] = uint32(i)
		}
		slices.SortStableFunc(c.perm, func(a, b uint32) int { return cmp.Compare(times[a], times[b]) })
		return
	}
	a, b := 0, first
	for i := range c.perm {
		if b == n || a < first && times[a] <= times[b] {
			c.perm[i] = uint32(a)
			a++
		} else {
			c.perm[i] = uint32(b)
			b++
		}
	}
}

// descent returns the first place whose time is below the one before it.
func descent(times []int64) int {
	i := min(1, len(times))
	for i < len(times) && times[i] >= times[i-1] {
		i++
	}
	return i
}

// permute brings the rows of v behind the first from into the order of c.perm.
func (c *cursor) permute(v *column.Vector, from int) {
	if v.Type != column.String && v.Valid.All() {
		c.words = append(c.words[:0], v.Words[from:]...)
		for n, at := range c.perm {
			v.Words[from+n] = c.words[at]
		}
		return
	}
	tail := &c.column
	tail.Reset(v.Type)
	for _, at := range c.perm {
		tail.AppendRow(v, from+int(at))
	}
	v.Truncate(from)
	v.Append(tail)
}

// overwrite makes one row of each stretch of rows with the same time behind
// the first from. Of each field the last value stands.
func (c *cursor) overwrite(from int) {
	times := c.rows.Time[from:]
	c.times = append(c.times[:0], times...)
	for i := range c.rows.Cols {
		v := &c.rows.Cols[i]
		tail := &c.column
		tail.Reset(v.Type)
		for lo := 0; lo < len(c.times); {
			hi := lo + 1
			for hi < len(c.times) && c.times[hi] == c.times[lo] {
				hi++
			}
			at := hi - 1
			for at > lo && !v.Valid.Get(from+at) {
				at--
			}
			tail.AppendRow(v, from+at)
			lo = hi
		}
		v.Truncate(from)
		v.Append(tail)
	}
	c.rows.Time = append(c.rows.Time[:from], slices.Compact(times)...)
}

// Stats implements run.Counted.
func (c *cursor) Stats() run.Stats { return c.stats }

// Close implements run.Cursor.
func (c *cursor) Close() {}
