package segment

import (
	"errors"
	"math"
	"sort"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/run"
)

// Cursor reads chosen fields of a section: a run.SummaryCursor that keeps
// count. It reads a block's times and its chosen columns together, checks and
// decodes each when it is first asked for, and hands out views of what it
// decoded. An error belongs to the rows that were asked for: after another
// Seek the cursor reads on.
type Cursor struct {
	s       *Section
	x       *blockIndex
	mem     *cursorMemory
	cols    []cursorColumn
	order   []int // places in cols, in the order of the chunks in a block
	bounded []int // places in cols that have bounds
	stats   run.Stats

	// Where the cursor stands: at the first row of series ord from time from
	// on, which is in block or behind it. row is its place in the block, -1
	// for not yet known; end is behind the last row to return.
	ord       uint32
	from, max int64
	block     int
	lastBlock int // that holds the series
	row, end  int
	done      bool
	err       error

	// The spans of the series in spanBlock; span is the current one.
	spanning        bool // the caller asks for spans
	table           *spanTable
	tableGroup      int
	spanBlock       int
	span, spanLimit int
	atSpan          bool // Span returned it

	// The block that is read, -1 for none, and its runs.
	loaded  int
	head    *blockHead
	rawHead []byte

	out column.Rows
}

type cursorColumn struct {
	field   int // -1: the section does not have it
	typ     column.Type
	x       *fieldIndex
	raw     []byte         // stored piece of the loaded block, nil for none or if vec has it
	vec     *column.Vector // decoded, nil until it is asked for
	stats   *spanStats
	group   int // of stats
	bounded bool
	lo, hi  uint64
}

// Cursor reads the named fields; see run.Run.
func (s *Section) Cursor(fields []string) (run.Cursor, error) { return s.Open(fields) }

// Open is Cursor for callers that want the concrete type.
func (s *Section) Open(fields []string) (*Cursor, error) {
	x, err := s.blockIndex()
	if err != nil {
		return nil, err
	}
	c := &Cursor{s: s, x: x, mem: s.r.memory(len(fields)), cols: make([]cursorColumn, len(fields)), done: true, loaded: -1, spanBlock: -1, tableGroup: -1}
	for i, name := range fields {
		col := &c.cols[i]
		col.field, col.group = -1, -1
		f, ok := s.Field(name)
		if !ok {
			continue
		}
		col.field, col.typ = f, s.meta.Fields[f].Type
		if col.x, err = s.fieldIndex(f, x); err != nil {
			return nil, err
		}
		c.order = append(c.order, i)
	}
	sort.SliceStable(c.order, func(a, b int) bool { return c.cols[c.order[a]].field < c.cols[c.order[b]].field })
	return c, nil
}

// SetBounds tells the cursor that rows matter only if the value of column col
// is there and between min and max, both included, which are words of the
// field's type. Next then leaves out rows that do not matter where that is
// cheap: blocks by the bounds in their index, unread, and stretches at either
// end of what it would return. What it returns may still hold such rows.
// Bounds on several columns must all hold. Spans do not heed bounds. Fields
// of strings and booleans take no bounds.
//
// For value > x on floats, for example, min is the float that follows x and
// max is infinity; NaN lies within no bounds.
func (c *Cursor) SetBounds(col int, min, max uint64) {
	k := &c.cols[col]
	if k.field >= 0 && !k.typ.Numeric() {
		return
	}
	if !k.bounded {
		c.bounded = append(c.bounded, col)
	}
	k.bounded, k.lo, k.hi = true, min, max
}

// Stats returns what was read so far.
func (c *Cursor) Stats() run.Stats { return c.stats }

// Close gives memory back. Rows that the cursor returned are not valid any
// more, and it has no others.
func (c *Cursor) Close() {
	if c.mem == nil {
		return
	}
	c.s.r.memories.Put(c.mem)
	*c = Cursor{s: c.s, stats: c.stats, done: true, err: errClosed}
}

var errClosed = errors.New("read segment: cursor is closed")

// Seek goes to the first row of series ord with min <= time <= max.
func (c *Cursor) Seek(ord uint32, min, max int64) error {
	if c.mem == nil {
		return errClosed
	}
	c.err, c.atSpan, c.spanning, c.spanBlock = nil, false, false, -1
	if int64(ord) >= int64(c.s.meta.Series) {
		c.done = true
		return errNoSeries(c.s, ord)
	}
	c.ord, c.from, c.max = ord, min, max
	c.row, c.done = -1, min > max
	lo, hi := c.holding(ord)
	// Of a long series, jump to where min is: the blocks between the first
	// and the last one hold nothing else, so that their times ascend.
	if hi-lo > 1 {
		n := sort.Search(hi-lo-1, func(i int) bool { return c.x.maxTime[lo+1+i] >= min })
		if n > 0 {
			lo += 1 + n
		}
	}
	c.block, c.lastBlock = lo, hi
	return nil
}

// holding is blockIndex.holding, faster for the series that are in the
// current block or begin in the next one.
func (c *Cursor) holding(ord uint32) (lo, hi int) {
	x := c.x
	for lo = c.block; lo < min(c.block+2, x.blocks()); lo++ {
		if x.first[lo] <= ord && ord < x.last[lo] && (lo == 0 || x.last[lo-1] < ord) {
			return lo, lo
		}
	}
	return x.holding(ord)
}

// nextBlock goes to the next block of the series, if there is one.
func (c *Cursor) nextBlock() {
	c.row = -1
	if c.block == c.lastBlock {
		c.done = true
		return
	}
	c.block++
}

// elsewhere goes on if the index says that the rows wanted are not in the
// current block.
func (c *Cursor) elsewhere() bool {
	x, b := c.x, c.block
	first, last := x.minTime[b], x.maxTime[b]
	if x.first[b] == c.ord {
		first = x.firstTime[b]
	}
	if x.last[b] == c.ord {
		last = x.lastTime[b]
	}
	switch {
	case first > c.max:
		c.done = true
	case last < c.from:
		c.nextBlock()
	default:
		return false
	}
	return true
}

// position finds the row at which the cursor stands; false if there is none.
func (c *Cursor) position() (bool, error) {
	for !c.done {
		if c.row >= 0 && c.row < c.end {
			return true, nil
		}
		if c.row >= 0 {
			c.nextBlock()
			continue
		}
		if c.elsewhere() {
			continue
		}
		if c.excluded() {
			c.stats.BlocksPruned++
			c.nextBlock()
			continue
		}
		if err := c.load(); err != nil {
			return false, err
		}
		i := c.ord - c.x.first[c.block]
		lo, hi := int(c.head.starts[i]), int(c.head.starts[i+1])
		c.row, c.end = lo+c.search(int(i), c.from), hi
		if c.max < math.MaxInt64 {
			if c.end = lo + c.search(int(i), c.max+1); c.end < hi {
				c.lastBlock = c.block // what follows is later still
			}
		}
	}
	return false, nil
}

// excluded reports whether no row of the current block can be within bounds.
func (c *Cursor) excluded() bool {
	for _, i := range c.bounded {
		k := &c.cols[i]
		if k.field < 0 || !k.x.minMax[c.block] || less(k.typ, k.x.max[c.block], k.lo) || less(k.typ, k.hi, k.x.min[c.block]) {
			return true
		}
	}
	return false
}

// Next returns the next rows; see run.Cursor.
func (c *Cursor) Next() (*column.Rows, error) {
	c.atSpan = false
	for c.err == nil {
		ok, err := c.position()
		if err == nil && !ok {
			return nil, nil
		}
		row, end := c.row, c.end
		if err == nil && c.spanning {
			end, err = c.spanEnd()
		}
		if err == nil {
			c.row = end
			row, end, err = c.trim(row, end)
		}
		if err != nil {
			c.err = err
			break
		}
		if c.advance(c.at(int(c.ord-c.x.first[c.block]), c.row-1)); row < end {
			return c.rows(row, end)
		}
	}
	return nil, c.err
}

// advance says that everything up to a time was returned.
func (c *Cursor) advance(at int64) {
	if at == math.MaxInt64 {
		c.done = true
		return
	}
	c.from = at + 1
}

// spanEnd returns the end of the span in which the cursor stands, or of all
// its rows in the block if they have no spans.
func (c *Cursor) spanEnd() (int, error) {
	b := c.block
	ok, err := c.findSpan()
	if err != nil || !ok {
		return c.end, err
	}
	i := c.ord - c.x.first[b]
	end := int(c.head.starts[i] + c.table.from[c.span] + c.table.rows[c.span])
	if c.block != b || end <= c.row || end > int(c.head.starts[i+1]) {
		return 0, c.s.r.corrupt(c.x.spans[c.x.group[b]].off, "spans differ from the rows of block %d", b)
	}
	return min(end, c.end), nil
}

// trim leaves out rows at either end that are outside of the bounds.
func (c *Cursor) trim(row, end int) (int, int, error) {
	for _, i := range c.bounded {
		k := &c.cols[i]
		if k.field < 0 || k.x.chunks[c.loaded].len == 0 {
			return end, end, nil
		}
		vec, err := c.decode(i)
		if err != nil {
			return 0, 0, err
		}
		for row < end && !k.within(vec, row) {
			row++
		}
		for row < end && !k.within(vec, end-1) {
			end--
		}
	}
	return row, end, nil
}

func (k *cursorColumn) within(vec *column.Vector, row int) bool {
	w := vec.Words[row]
	switch k.typ {
	case column.Float64:
		v := math.Float64frombits(w)
		if !(v >= math.Float64frombits(k.lo) && v <= math.Float64frombits(k.hi)) {
			return false
		}
	case column.Int64:
		if int64(w) < int64(k.lo) || int64(w) > int64(k.hi) {
			return false
		}
	default:
		if w < k.lo || w > k.hi {
			return false
		}
	}
	return vec.Valid.Get(row)
}

// rows returns the view of rows of the loaded block.
func (c *Cursor) rows(row, end int) (*column.Rows, error) {
	if c.head.times != nil {
		c.out.Time = c.head.times[row:end]
	} else {
		i := c.ord - c.x.first[c.loaded]
		r := &c.head.runs[i]
		t := r.At(row - int(c.head.starts[i]))
		times := c.mem.clock[:end-row]
		for j := range times {
			times[j] = t
			t += r.Step
		}
		c.out.Time = times
	}
	c.out.Cols = c.out.Cols[:0]
	for i := range c.cols {
		k := &c.cols[i]
		if k.field < 0 || k.x.chunks[c.loaded].len == 0 {
			c.out.Cols = append(c.out.Cols, c.mem.none.vector(k.typ, end-row))
			continue
		}
		vec, err := c.decode(i)
		if err != nil {
			c.err = err
			return nil, err
		}
		c.out.Cols = append(c.out.Cols, vec.Slice(row, end))
	}
	return &c.out, nil
}

// nullRows is memory for columns without values, shared by all of a cursor.
type nullRows struct {
	words []uint64
	ends  []uint32
}

func (z *nullRows) vector(t column.Type, n int) column.Vector {
	if len(z.words) < n {
		z.words, z.ends = make([]uint64, n), make([]uint32, n)
	}
	v := column.Vector{Type: t, Valid: column.Bitmap{Words: z.words[:(n+63)/64]}}
	if t == column.String {
		v.Ends = z.ends[:n]
	} else {
		v.Words = z.words[:n]
	}
	return v
}

// findSpan makes span the first one that ends at the cursor or behind it;
// false if the rows at the cursor are in no span.
func (c *Cursor) findSpan() (bool, error) {
	for !c.done {
		if c.elsewhere() {
			continue
		}
		if c.spanBlock != c.block {
			if ok, err := c.findSpans(c.block); !ok || err != nil {
				return false, err
			}
			first := c.span
			c.span += sort.Search(c.spanLimit-first, func(i int) bool { return c.table.maxTime[first+i] >= c.from })
		}
		for c.span < c.spanLimit && c.table.maxTime[c.span] < c.from {
			c.span++
		}
		if c.span < c.spanLimit {
			return true, nil
		}
		if lo, hi := c.table.find(c.block-int(c.x.groupFirst[c.tableGroup]), c.ord-c.x.first[c.block]); lo == hi {
			return false, nil
		}
		c.nextBlock()
	}
	return false, nil
}

// findSpans makes span and spanLimit those of the series in a block; false if
// it has none there.
func (c *Cursor) findSpans(block int) (bool, error) {
	group := int(c.x.group[block])
	if c.x.spans[group].len == 0 {
		return false, nil
	}
	if c.tableGroup != group {
		t, err := c.s.spanTable(c.x, group)
		if err != nil {
			return false, err
		}
		c.table, c.tableGroup = t, group
	}
	c.span, c.spanLimit = c.table.find(block-int(c.x.groupFirst[group]), c.ord-c.x.first[block])
	c.spanBlock = block
	return c.span < c.spanLimit, nil
}

// SeekLast goes to the last span of a series within bounds; see
// run.SummaryCursor.
func (c *Cursor) SeekLast(ord uint32, min, max int64) (run.Span, bool, error) {
	if err := c.Seek(ord, min, max); err != nil || c.done {
		return run.Span{}, false, err
	}
	defer func() { c.done = !c.atSpan }()
	for b := c.lastBlock; b >= c.block; b-- {
		first := c.x.minTime[b]
		if c.x.first[b] == ord {
			first = c.x.firstTime[b]
		}
		if first > max {
			continue
		}
		if ok, err := c.findSpans(b); !ok || err != nil {
			c.err = err
			return run.Span{}, false, err
		}
		t := c.table
		for k := c.spanLimit - 1; k >= c.span; k-- {
			if t.minTime[k] > max {
				continue
			}
			if t.maxTime[k] > max || t.minTime[k] < min {
				return run.Span{}, false, nil
			}
			c.block, c.span, c.from = b, k, t.minTime[k]
			c.spanning, c.atSpan = true, true
			return run.Span{MinTime: t.minTime[k], MaxTime: t.maxTime[k], Rows: int(t.rows[k])}, true, nil
		}
	}
	return run.Span{}, false, nil
}

// Span describes the span that begins at the cursor; see run.SummaryCursor.
func (c *Cursor) Span() (run.Span, bool, error) {
	c.spanning, c.atSpan = true, false
	if c.err != nil {
		return run.Span{}, false, c.err
	}
	ok, err := c.findSpan()
	if err != nil {
		c.err = err
		return run.Span{}, false, err
	}
	if !ok || c.table.minTime[c.span] < c.from || c.table.maxTime[c.span] > c.max {
		return run.Span{}, false, nil
	}
	c.atSpan = true
	return run.Span{MinTime: c.table.minTime[c.span], MaxTime: c.table.maxTime[c.span], Rows: int(c.table.rows[c.span])}, true, nil
}

// Summary returns the summary of a column over the span.
func (c *Cursor) Summary(col int) (column.Summary, error) {
	if !c.atSpan {
		panic("BUG: Summary without a span")
	}
	k := &c.cols[col]
	if k.field < 0 || k.x.stats[c.tableGroup].len == 0 {
		return column.Summary{}, nil
	}
	if k.group != c.tableGroup {
		st, err := c.s.spanStats(k.x, k.typ, c.table, c.tableGroup)
		if err != nil {
			return column.Summary{}, err
		}
		k.stats, k.group = st, c.tableGroup
	}
	return k.stats.summary(c.table, c.span, k.typ), nil
}

// Skip goes to the row behind the span.
func (c *Cursor) Skip() error {
	if !c.atSpan {
		panic("BUG: Skip without a span")
	}
	c.stats.Spans++
	c.leaveSpan()
	return nil
}

func (c *Cursor) leaveSpan() {
	c.atSpan, c.row = false, -1
	c.advance(c.table.maxTime[c.span])
	c.span++
}

// ReadSpan returns the rows of the span and goes behind it.
func (c *Cursor) ReadSpan() (*column.Rows, error) {
	if !c.atSpan {
		panic("BUG: ReadSpan without a span")
	}
	if err := c.load(); err != nil {
		c.err = err
		return nil, err
	}
	i, t, k := int(c.ord-c.x.first[c.block]), c.table, c.span
	row := int(c.head.starts[i] + t.from[k])
	end := row + int(t.rows[k])
	if end > int(c.head.starts[i+1]) || c.at(i, row) != t.minTime[k] || c.at(i, end-1) != t.maxTime[k] {
		c.err = c.s.r.corrupt(c.x.spans[c.tableGroup].off, "spans differ from the rows of block %d", c.block)
		return nil, c.err
	}
	c.leaveSpan()
	return c.rows(row, end)
}
