package memtable

import (
	"cmp"
	"slices"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/run"
)

// Bulk is a View for readers that go through all rows of all series in the
// order of their keys, as the flush does. Its cursors turn the rows round in
// groups of series: they walk the chunks from front to back and put each value
// where it belongs, where picking series by series would miss the processor's
// cache with nearly every value. The table must be sealed.
type Bulk struct{ *View }

// Bulk returns the view for a reader of everything.
func (v *View) Bulk() Bulk { return Bulk{v} }

// groupRows is how many rows are turned round at a time: the memory that a
// flush takes beside the memtable (one word a row and field), against one
// walk over the table for each group.
const groupRows = 64 << 10

// Cursor implements run.Run. Series are to be sought in the order of Select,
// without bounds, each at most once.
func (b Bulk) Cursor(fields []string) (run.Cursor, error) {
	plain, err := b.View.Cursor(fields)
	if err != nil {
		return nil, err
	}
	c := &bulkCursor{cursor: plain.(*cursor), order: b.ordered(nil)}
	c.slot = make([]uint32, b.limit.series)
	c.cols = make([]column.Vector, len(c.number))
	c.text = make([]column.Vector, len(c.number))
	return c, nil
}

type bulkCursor struct {
	*cursor
	order []uint32 // series in key order; those from next on are to come
	next  int

	slot  []uint32 // by series: where its next row of the group goes, plus 1
	start []int    // of the series in the group, and the end of the last
	first int      // place in order of the group's first series
	times []int64
	rowID []uint32        // by place in the group
	cols  []column.Vector // of fixed width
	at    int             // series of the group that Seek chose; -1 for none

	from, to []uint32 // scratch: rows of one chunk and where they go
	view     column.Rows
	text     []column.Vector // by field: the strings of the series

	// Scratch of sort: which row comes where, and copies.
	perm []uint32
	time []int64
	id   []uint32
	word []uint64
	bits []uint64
}

// Seek implements run.Cursor.
func (c *bulkCursor) Seek(ord uint32, lo, hi int64) error {
	for c.next < len(c.order) && c.order[c.next] != ord {
		c.next++
	}
	if c.next == len(c.order) {
		panic("BUG: memtable series are not sought in the order of their keys")
	}
	if c.next >= c.first+len(c.start)-1 {
		c.load()
	}
	c.at = c.next - c.first
	c.next++
	return nil
}

// load turns round the rows of the next series, as many as make a group.
func (c *bulkCursor) load() {
	t := c.v.t
	t.mu.RLock()
	defer t.mu.RUnlock()
	c.first = c.next
	c.start = append(c.start[:0], 0)
	n := 0
	for i := c.first; i < len(c.order); i++ {
		rows := int(t.series.state[c.order[i]].rows)
		if n > 0 && n+rows > groupRows {
			break
		}
		c.slot[c.order[i]] = uint32(n) + 1
		n += rows
		c.start = append(c.start, n)
	}
	c.times = slices.Grow(c.times[:0], n)[:n]
	c.rowID = slices.Grow(c.rowID[:0], n)[:n]
	for i := range c.cols {
		c.cols[i] = column.Vector{Type: c.rows.Cols[i].Type, Words: slices.Grow(c.cols[i].Words[:0], n)[:n]}
	}
	for at, ch := range t.chunks {
		c.pick(ch, uint32(at)<<chunkShift)
		if len(c.from) > 0 {
			c.scatter(ch)
		}
	}
	for i := c.first; i < c.first+len(c.start)-1; i++ {
		c.slot[c.order[i]] = 0
	}
}

// pick finds the rows of a chunk that belong to the group and gives each its
// place.
func (c *bulkCursor) pick(ch *chunk, base uint32) {
	c.from, c.to = c.from[:0], c.to[:0]
	for i, ord := range ch.series {
		if p := c.slot[ord]; p != 0 {
			c.slot[ord] = p + 1
			c.from, c.to = append(c.from, uint32(i)), append(c.to, p-1)
			c.rowID[p-1] = base + uint32(i)
		}
	}
}

// scatter puts times and values of the picked rows into their places.
func (c *bulkCursor) scatter(ch *chunk) {
	for i, r := range c.from {
		c.times[c.to[i]] = ch.at(r)
	}
	for i, f := range c.number {
		v := &c.cols[i]
		if v.Type == column.String {
			continue
		}
		switch {
		case f < 0:
			c.clear(v)
		case ch.narrow == nil:
			c.scatterWide(v, ch, f)
		case f < len(ch.narrow) && ch.narrow[f].kind != 0:
			c.scatterNarrow(v, &ch.narrow[f])
		default:
			c.clear(v)
		}
	}
}

func (c *bulkCursor) scatterWide(v *column.Vector, ch *chunk, f int) {
	if f >= len(ch.wide) {
		c.clear(v)
		return
	}
	src := &ch.wide[f]
	for i, r := range c.from {
		if int(r) < src.Len() && src.Valid.Get(int(r)) {
			v.Words[c.to[i]] = src.Words[r]
		} else {
			c.clearOne(v, c.to[i])
		}
	}
}

func (c *bulkCursor) scatterNarrow(v *column.Vector, src *narrowColumn) {
	if !src.valid.All() {
		for i, r := range c.from {
			if src.valid.Get(int(r)) {
				v.Words[c.to[i]] = src.word(int(r))
			} else {
				c.clearOne(v, c.to[i])
			}
		}
		return
	}
	if src.width == 1 {
		for i, r := range c.from {
			v.Words[c.to[i]] = src.base + uint64(src.data[r])
		}
		return
	}
	for i, r := range c.from {
		v.Words[c.to[i]] = src.word(int(r))
	}
}

// clear makes the picked rows of v nulls.
func (c *bulkCursor) clear(v *column.Vector) {
	for _, p := range c.to {
		c.clearOne(v, p)
	}
}

func (c *bulkCursor) clearOne(v *column.Vector, p uint32) {
	if v.Valid.Words == nil {
		v.Valid.Words = make([]uint64, (len(v.Words)+63)/64)
		for i := range v.Valid.Words {
			v.Valid.Words[i] = ^uint64(0)
		}
	}
	v.Words[p] = 0
	v.Valid.Words[p>>6] &^= 1 << (p & 63)
}

// Next implements run.Cursor. It returns all rows of the series at once.
func (c *bulkCursor) Next() (*column.Rows, error) {
	if c.at < 0 {
		return nil, nil
	}
	lo, hi := c.start[c.at], c.start[c.at+1]
	c.at = -1
	if lo == hi {
		return nil, nil
	}
	c.stats.RowsRead += int64(hi - lo)
	first := 0
	if !ascending(c.times[lo:hi]) {
		first = c.sort(lo, hi)
	}
	c.view.Time, c.view.Cols = c.times[lo:hi], c.view.Cols[:0]
	for i := range c.cols {
		if c.cols[i].Type == column.String {
			c.view.Cols = append(c.view.Cols, c.strings(i, c.rowID[lo:hi]))
		} else {
			c.view.Cols = append(c.view.Cols, c.cols[i].Slice(lo, hi))
		}
	}
	if first == 0 {
		return &c.view, nil
	}
	c.cursor.rows = c.view
	c.overwrite(first)
	return &c.cursor.rows, nil
}

// strings gathers the column of a series that has no fixed width.
func (c *bulkCursor) strings(i int, ids []uint32) column.Vector {
	v := &c.text[i]
	v.Reset(column.String)
	t := c.v.t
	t.mu.RLock()
	defer t.mu.RUnlock()
	for at := range ids {
		t.chunks[ids[at]>>chunkShift].gather(v, c.number[i], ids[at:at+1])
	}
	return *v
}

func ascending(times []int64) bool {
	for i := 1; i < len(times); i++ {
		if times[i] <= times[i-1] {
			return false
		}
	}
	return true
}

// sort puts the rows from lo to hi-1 of the group, those of one series, into
// the order of time, rows of one time in the order of arrival. It returns the
// first row, counted from lo, that has the time of the one before, 0 if none.
func (c *bulkCursor) sort(lo, hi int) (first int) {
	times := c.times[lo:hi]
	c.perm = c.perm[:0]
	for i := range times {
		c.perm = append(c.perm, uint32(i))
	}
	slices.SortStableFunc(c.perm, func(a, b uint32) int { return cmp.Compare(times[a], times[b]) })
	permute(c, times, func(s *bulkCursor) *[]int64 { return &s.time })
	permute(c, c.rowID[lo:hi], func(s *bulkCursor) *[]uint32 { return &s.id })
	for i := range c.cols {
		v := &c.cols[i]
		if v.Type == column.String {
			continue
		}
		permute(c, v.Words[lo:hi], func(s *bulkCursor) *[]uint64 { return &s.word })
		if !v.Valid.All() {
			c.permuteBits(v.Valid.Words, lo)
		}
	}
	for i := 1; i < len(times); i++ {
		if times[i] == times[i-1] {
			return i
		}
	}
	return 0
}

// permute brings s into the order of c.perm, by way of one of c's scratch
// slices.
func permute[T any](c *bulkCursor, s []T, scratch func(*bulkCursor) *[]T) {
	tmp := scratch(c)
	*tmp = append((*tmp)[:0], s...)
	for i, from := range c.perm {
		s[i] = (*tmp)[from]
	}
}

// permuteBits does the same to the bits from lo on.
func (c *bulkCursor) permuteBits(words []uint64, lo int) {
	c.bits = c.bits[:0]
	for i := range c.perm {
		at := lo + i
		c.bits = append(c.bits, words[at>>6]>>(uint(at)&63)&1)
	}
	for i, from := range c.perm {
		at := lo + i
		words[at>>6] = words[at>>6]&^(1<<(uint(at)&63)) | c.bits[from]<<(uint(at)&63)
	}
}
