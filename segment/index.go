package segment

import (
	"encoding/binary"
	"fmt"
	"sort"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/encoding"
)

// blockIndex says what each block of a section holds and where; column-wise,
// because a section may have thousands of blocks.
type blockIndex struct {
	first, last      []uint32 // ordinals; consecutive blocks cover all of them
	rows             []uint32
	minTime, maxTime []int64
	// Times of the very first and last row: they bound the run of the first
	// and of the last series, which may have further rows in other blocks.
	firstTime, lastTime []int64

	off        []int64  // of the head, which comes first in a block
	headLen    []uint32 // times and run table
	group      []uint32 // the group of each block
	groupFirst []uint32 // first block of each group, and the number of blocks
	spans      []extent // span table of each group, zero for none
}

func (x *blockIndex) blocks() int { return len(x.first) }

// holding returns the first and the last block that hold rows of a series.
func (x *blockIndex) holding(ord uint32) (lo, hi int) {
	lo = sort.Search(len(x.last), func(i int) bool { return x.last[i] >= ord })
	hi = lo
	if x.last[lo] == ord {
		hi += sort.Search(len(x.first)-lo, func(i int) bool { return x.first[lo+i] > ord }) - 1
	}
	return lo, hi
}

// encode returns the payload of a block index.
func (x *blockIndex) encode(enc *encoding.Encoder, start int64) []byte {
	n := x.blocks()
	b := binary.AppendUvarint(nil, uint64(n))
	b = binary.AppendUvarint(b, uint64(len(x.spans)))
	col := make([]int64, n)
	put := func(value func(i int) int64) {
		for i := range col {
			col[i] = value(i)
		}
		b = appendInts(b, enc, col)
	}
	put(func(i int) int64 { return int64(x.last[i] - x.first[i]) })
	put(func(i int) int64 { return int64(x.first[i]) - before(x.last, i) })
	put(func(i int) int64 { return int64(x.rows[i]) })
	put(func(i int) int64 { return x.minTime[i] })
	put(func(i int) int64 { return x.maxTime[i] - x.minTime[i] })
	put(func(i int) int64 { return x.firstTime[i] - x.minTime[i] })
	put(func(i int) int64 { return x.maxTime[i] - x.lastTime[i] })
	put(func(i int) int64 {
		if i == 0 {
			return x.off[0] - start
		}
		return x.off[i] - x.off[i-1]
	})
	put(func(i int) int64 { return int64(x.headLen[i]) })
	col = make([]int64, len(x.spans))
	put(func(i int) int64 { return int64(x.groupFirst[i+1] - x.groupFirst[i]) })
	put(func(i int) int64 {
		if x.spans[i].len == 0 {
			return 0
		}
		return x.spans[i].off - x.off[x.groupFirst[i]]
	})
	put(func(i int) int64 { return int64(x.spans[i].len) })
	return b
}

func before(last []uint32, i int) int64 {
	if i == 0 {
		return 0
	}
	return int64(last[i-1])
}

func decodeBlockIndex(payload []byte, dec *encoding.Decoder, d *sectionEntry) (*blockIndex, int64, error) {
	p := parser{b: payload, dec: dec}
	n := p.count(int(min(d.meta.Rows, 1<<31-1)), "number of blocks")
	g := p.count(n, "number of block groups")
	if p.err == nil && (n == 0 || g == 0) {
		p.fail("no blocks")
	}
	var cols [12][]int64
	for i := range cols {
		k := n
		if i >= 9 {
			k = g
		}
		cols[i] = p.ints(k)
	}
	if err := p.done(); err != nil {
		return nil, 0, err
	}
	x := &blockIndex{
		first: make([]uint32, n), last: make([]uint32, n), rows: make([]uint32, n),
		minTime: cols[3], maxTime: cols[4], firstTime: cols[5], lastTime: cols[6], off: cols[7],
		headLen: make([]uint32, n), group: make([]uint32, n),
		groupFirst: make([]uint32, g+1), spans: make([]extent, g),
	}
	last, end, rows := int64(0), d.start, int64(0)
	for i := range n {
		first := last + cols[1][i]
		last = first + cols[0][i]
		if i == 0 && first != 0 || i > 0 && uint64(cols[1][i]) > 1 || cols[0][i] < 0 || last >= int64(d.meta.Series) ||
			cols[2][i] <= cols[0][i] || cols[2][i] > maxBlockRows {
			return nil, 0, fmt.Errorf("block %d holds series %d to %d in %d rows", i, first, last, cols[2][i])
		}
		x.first[i], x.last[i], x.rows[i] = uint32(first), uint32(last), uint32(cols[2][i])
		rows += cols[2][i]
		width := uint64(x.maxTime[i])
		x.maxTime[i] += x.minTime[i]
		if uint64(cols[5][i]) > width || uint64(cols[6][i]) > width {
			return nil, 0, fmt.Errorf("first and last row of block %d are outside its times", i)
		}
		x.firstTime[i] += x.minTime[i]
		x.lastTime[i] = x.maxTime[i] - x.lastTime[i]
		if x.maxTime[i] < x.minTime[i] || x.minTime[i] < d.meta.MinTime || x.maxTime[i] > d.meta.MaxTime {
			return nil, 0, fmt.Errorf("times of block %d are outside the section's", i)
		}
		if x.off[i] < 0 || cols[8][i] < crcSize || x.off[i] > d.end-end || cols[8][i] > d.end-end-x.off[i] {
			return nil, 0, fmt.Errorf("block %d lies outside the section", i)
		}
		end += x.off[i]
		x.off[i], x.headLen[i] = end, uint32(cols[8][i])
	}
	if last != int64(d.meta.Series)-1 || rows != d.meta.Rows {
		return nil, 0, fmt.Errorf("blocks hold %d series and %d rows instead of %d and %d", last+1, rows, d.meta.Series, d.meta.Rows)
	}
	b := 0
	for i := range g {
		if cols[9][i] < 1 || cols[9][i] > int64(n-b) {
			return nil, 0, fmt.Errorf("group %d has %d blocks", i, cols[9][i])
		}
		first := b
		for range cols[9][i] {
			x.group[b] = uint32(i)
			b++
		}
		x.groupFirst[i+1] = uint32(b)
		if cols[11][i] == 0 {
			continue
		}
		x.spans[i] = extent{x.off[first] + cols[10][i], uint32(cols[11][i])}
		if cols[10][i] < 0 || cols[11][i] < crcSize || cols[11][i] > maxUnpacked || x.spans[i].end() > d.end {
			return nil, 0, fmt.Errorf("span table %d lies outside the section", i)
		}
	}
	if b != n {
		return nil, 0, fmt.Errorf("groups have %d of %d blocks", b, n)
	}
	return x, int64(n*60 + g*20), nil
}

// fieldIndex says where the chunks and the statistics of one field lie, and
// the bounds of its values in each block.
type fieldIndex struct {
	chunks []extent // of each block, zero where the field has no value
	// min and max of each block are words of the field's type; minMax tells
	// where there are any. All are empty for strings and booleans.
	min, max []uint64
	minMax   []bool
	stats    []extent // of each group, zero where the field has none
}

// encode returns the payload of a field index.
func (f *fieldIndex) encode(enc *encoding.Encoder, t column.Type, x *blockIndex) []byte {
	var gaps, pos, length, bounded []int64
	var lo, hi []uint64
	next := 0
	all := true
	for i, e := range f.chunks {
		if e.len == 0 {
			continue
		}
		gaps = append(gaps, int64(i-next))
		next = i + 1
		pos = append(pos, e.off-x.off[i])
		length = append(length, int64(e.len))
		if !t.Numeric() {
			continue
		}
		if f.minMax[i] {
			bounded = append(bounded, 1)
			lo, hi = append(lo, f.min[i]), append(hi, f.max[i])
		} else {
			bounded = append(bounded, 0)
			all = false
		}
	}
	b := binary.AppendUvarint(nil, uint64(len(gaps)))
	if len(gaps) < len(f.chunks) {
		b = appendInts(b, enc, gaps)
	}
	b = appendInts(b, enc, pos)
	b = appendInts(b, enc, length)
	if t.Numeric() {
		if all {
			b = append(b, 1)
		} else {
			b = append(b, 0)
			b = appendInts(b, enc, bounded)
		}
		b = binary.AppendUvarint(b, uint64(len(lo)))
		b = appendWords(b, enc, t, lo)
		b = appendWords(b, enc, t, hi)
	}
	pos, length = pos[:0], length[:0]
	for g, e := range f.stats {
		o := int64(0)
		if e.len > 0 {
			o = e.off - x.off[x.groupFirst[g]]
		}
		pos, length = append(pos, o), append(length, int64(e.len))
	}
	b = appendInts(b, enc, pos)
	return appendInts(b, enc, length)
}

func decodeFieldIndex(payload []byte, dec *encoding.Decoder, t column.Type, x *blockIndex, d *sectionEntry) (*fieldIndex, int64, error) {
	p := parser{b: payload, dec: dec}
	n, g := x.blocks(), len(x.spans)
	k := p.count(n, "number of chunks")
	var gaps []int64
	if k < n {
		gaps = p.ints(k)
	}
	pos, length := p.ints(k), p.ints(k)
	if p.err != nil {
		return nil, 0, p.err
	}
	f := &fieldIndex{chunks: make([]extent, n), stats: make([]extent, g)}
	blocks := make([]int, k)
	b := 0
	for i := range k {
		if gaps != nil {
			if gaps[i] < 0 || gaps[i] > int64(n) {
				return nil, 0, fmt.Errorf("chunk %d has no block", i)
			}
			b += int(gaps[i])
		}
		if b >= n {
			return nil, 0, fmt.Errorf("chunk %d has no block", i)
		}
		end := x.off[b] + int64(x.headLen[b])
		f.chunks[b] = extent{x.off[b] + pos[i], uint32(length[i])}
		if pos[i] < int64(x.headLen[b]) || length[i] < crcSize || length[i] > maxUnpacked || pos[i] > d.end || f.chunks[b].off < end || f.chunks[b].end() > d.end {
			return nil, 0, fmt.Errorf("chunk %d lies outside its block", i)
		}
		blocks[i] = b
		b++
	}
	size := int64(16 * (n + g))
	if t.Numeric() {
		f.min, f.max, f.minMax = make([]uint64, n), make([]uint64, n), make([]bool, n)
		size += int64(17 * n)
		var bounded []int64
		if p.byte() == 0 {
			bounded = p.ints(k)
		}
		m := p.count(k, "number of bounds")
		lo, hi := p.words(t, m), p.words(t, m)
		if p.err != nil {
			return nil, 0, p.err
		}
		j := 0
		for i, b := range blocks {
			if bounded != nil && bounded[i] == 0 {
				continue
			}
			if j == m {
				return nil, 0, errShort
			}
			f.min[b], f.max[b], f.minMax[b] = lo[j], hi[j], true
			j++
		}
	}
	pos, length = p.ints(g), p.ints(g)
	if err := p.done(); err != nil {
		return nil, 0, err
	}
	for i := range g {
		if length[i] == 0 {
			continue
		}
		f.stats[i] = extent{x.off[x.groupFirst[i]] + pos[i], uint32(length[i])}
		if pos[i] < 0 || pos[i] > d.end || length[i] < crcSize || length[i] > maxUnpacked || f.stats[i].end() > d.end || x.spans[i].len == 0 {
			return nil, 0, fmt.Errorf("statistics of group %d lie outside the section", i)
		}
	}
	return f, size, nil
}
