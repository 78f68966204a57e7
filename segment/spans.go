package segment

import (
	"fmt"
	"sort"
	"time"

	"github.com/varvedb/varve/encoding"
)

// A span is the unit of statistics: at most maxSpanRows consecutive rows of
// one series in one block. Where the rows allow it spans are cut at multiples
// of a round duration since 1970, the same one in the whole block: rows that
// come every ten seconds then make spans of exactly one clock hour, and a mean
// by the hour, or by any multiple of it, is answered without reading rows.

// spanWidths are the durations tried, the longest first: those that people
// group by.
var spanWidths = [...]int64{
	int64(24 * time.Hour), int64(12 * time.Hour), int64(6 * time.Hour), int64(3 * time.Hour),
	int64(2 * time.Hour), int64(time.Hour), int64(30 * time.Minute), int64(15 * time.Minute),
	int64(10 * time.Minute), int64(5 * time.Minute), int64(time.Minute),
}

// minAlignedRows is the mean number of rows below which aligned spans cost
// more bytes than they are worth.
const minAlignedRows = 128

// spanCut is one span while a block is written.
type spanCut struct {
	run      int // number of the series run within the block
	from, to int // rows of the block
}

// cutSpans appends the spans of a block whose runs begin at the rows starts
// (and end at the next start).
func cutSpans(dst []spanCut, times []int64, starts []int) []spanCut {
	base, rows := len(dst), 0
	for r := range len(starts) - 1 {
		if n := starts[r+1] - starts[r]; n >= minSpanRows {
			rows += n
		}
	}
	if rows == 0 {
		return dst
	}
	for _, width := range spanWidths {
		var ok bool
		if dst, ok = cutAt(dst[:base], times, starts, width); ok && rows >= minAlignedRows*(len(dst)-base) {
			return dst
		}
	}
	dst, _ = cutAt(dst[:base], times, starts, 0)
	return dst
}

// cutAt cuts at the multiples of width, 0 for at maxSpanRows only. It reports
// whether no span had to be cut elsewhere.
func cutAt(dst []spanCut, times []int64, starts []int, width int64) ([]spanCut, bool) {
	for r := range len(starts) - 1 {
		from, end := starts[r], starts[r+1]
		if end-from < minSpanRows {
			continue
		}
		for from < end {
			to := min(from+maxSpanRows, end)
			if width > 0 {
				slot := floorDiv(times[from], width)
				if floorDiv(times[to-1], width) != slot {
					to = from + sort.Search(to-from, func(i int) bool { return floorDiv(times[from+i], width) != slot })
				} else if to < end && floorDiv(times[to], width) == slot {
					return dst, false
				}
			}
			dst = append(dst, spanCut{r, from, to})
			from = to
		}
	}
	return dst, true
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// spanTable lists the spans of the blocks of one group.
type spanTable struct {
	blocks           []uint32 // first span of each block, and the number of spans
	run              []uint32 // of each span: number of the run within its block
	rows             []uint32
	from             []uint32 // first row, counted from the first row of its run
	minTime, maxTime []int64
}

func (t *spanTable) spans() int { return len(t.run) }

func (t *spanTable) reset() {
	t.blocks = append(t.blocks[:0], 0)
	t.run, t.rows, t.from = t.run[:0], t.rows[:0], t.from[:0]
	t.minTime, t.maxTime = t.minTime[:0], t.maxTime[:0]
}

// addBlock appends the spans of the next block.
func (t *spanTable) addBlock(cuts []spanCut, times []int64, starts []int) {
	for _, c := range cuts {
		t.run = append(t.run, uint32(c.run))
		t.rows = append(t.rows, uint32(c.to-c.from))
		t.from = append(t.from, uint32(c.from-starts[c.run]))
		t.minTime = append(t.minTime, times[c.from])
		t.maxTime = append(t.maxTime, times[c.to-1])
	}
	t.blocks = append(t.blocks, uint32(len(t.run)))
}

func (t *spanTable) encode(enc *encoding.Encoder) []byte {
	n := len(t.blocks) - 1
	col := make([]int64, 0, max(n, t.spans()))
	for i := range n {
		col = append(col, int64(t.blocks[i+1]-t.blocks[i]))
	}
	b := appendInts(nil, enc, col)
	put := func(value func(i int) int64) {
		col = col[:0]
		for i := range t.run {
			col = append(col, value(i))
		}
		b = appendInts(b, enc, col)
	}
	block := 0
	put(func(i int) int64 {
		for int(t.blocks[block+1]) <= i {
			block++
		}
		if i == int(t.blocks[block]) {
			return int64(t.run[i])
		}
		return int64(t.run[i] - t.run[i-1])
	})
	put(func(i int) int64 { return int64(t.rows[i]) })
	put(func(i int) int64 { return t.minTime[i] })
	put(func(i int) int64 { return t.maxTime[i] - t.minTime[i] })
	return b
}

// decodeSpanTable reads the span table of the group that begins at a block.
func decodeSpanTable(payload []byte, dec *encoding.Decoder, x *blockIndex, group int) (*spanTable, int64, error) {
	first := int(x.groupFirst[group])
	n := int(x.groupFirst[group+1]) - first
	p := parser{b: payload, dec: dec}
	t := &spanTable{blocks: make([]uint32, n+1)}
	total := int64(0)
	for i, c := range p.ints(n) {
		if c < 0 || c > int64(x.rows[first+i]) {
			return nil, 0, fmt.Errorf("block %d has %d spans", first+i, c)
		}
		total += c
		t.blocks[i+1] = uint32(total)
	}
	if p.err != nil {
		return nil, 0, p.err
	}
	runs, rows, min, width := p.ints(int(total)), p.ints(int(total)), p.ints(int(total)), p.ints(int(total))
	if err := p.done(); err != nil {
		return nil, 0, err
	}
	t.run, t.rows, t.from = make([]uint32, total), make([]uint32, total), make([]uint32, total)
	t.minTime, t.maxTime = min, width
	for b := range n {
		run, have := int64(0), int64(0)
		series := int64(x.last[first+b] - x.first[first+b])
		for i := int(t.blocks[b]); i < int(t.blocks[b+1]); i++ {
			run += runs[i]
			if runs[i] < 0 || run > series || rows[i] < 1 || rows[i] > int64(x.rows[first+b]) {
				return nil, 0, fmt.Errorf("span %d of block %d holds %d rows of run %d", i, first+b, rows[i], run)
			}
			if runs[i] > 0 || i == int(t.blocks[b]) {
				have = 0
			}
			t.run[i], t.rows[i], t.from[i] = uint32(run), uint32(rows[i]), uint32(have)
			have += rows[i]
			t.maxTime[i] += t.minTime[i]
			if width := t.maxTime[i]; width < t.minTime[i] || t.minTime[i] < x.minTime[first+b] || t.maxTime[i] > x.maxTime[first+b] ||
				t.from[i] > 0 && t.minTime[i] <= t.maxTime[i-1] {
				return nil, 0, fmt.Errorf("times of span %d of block %d are out of order", i, first+b)
			}
		}
	}
	return t, total * 28, nil
}

// find returns the spans from lo to hi-1 of a run in block b of the group.
func (t *spanTable) find(b int, run uint32) (lo, hi int) {
	from, to := int(t.blocks[b]), int(t.blocks[b+1])
	if from == to {
		return from, from
	}
	lo = from + sort.Search(to-from, func(i int) bool { return t.run[from+i] >= run })
	hi = lo + sort.Search(to-lo, func(i int) bool { return t.run[lo+i] > run })
	return lo, hi
}
