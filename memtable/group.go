package memtable

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"

	"github.com/varvedb/varve/column"
)

// group is rows that were turned round: those of one series lie together, in
// the order of time, those of one time in the order of arrival. Columns are as
// narrow as their ranges allow. A group is immutable.
type group struct {
	base     uint32 // row number of the first row that arrived
	min, max int64  // of the times

	// The rows of a series are those from start[i] to start[i+1]-1. Where most
	// series between the first and the last have rows, i is the distance of
	// the ordinal to low; else it is the place of the ordinal in ords.
	low   uint32
	ords  []uint32
	start []uint32

	arrived []uint32 // by row: the place in which it arrived
	times   narrowTimes
	cols    []narrowColumn // by field number
}

// narrowColumn is an immutable column in as few bytes a value as it needs:
// value i is base plus the width bytes at i*width, or what is in text.
type narrowColumn struct {
	kind  column.Type // 0: no values
	width uint8
	base  uint64
	data  []byte
	valid column.Bitmap
	text  column.Vector // String only
}

// narrowTimes is times in as few bytes each as they need once the unit of the
// clock that made them is taken out.
type narrowTimes struct {
	first, unit int64
	narrowColumn
}

// turner turns a chunk into a group. It keeps scratch memory.
type turner struct {
	count []uint32 // by ordinal; zero between calls
	seen  []uint32
	perm  []uint32
	words []uint64
	times []int64
}

// turn makes a group of the rows of c, whose number of series so far is
// series.
func (u *turner) turn(c *chunk, series int) *group {
	g := &group{base: c.base}
	u.order(g, c, series)
	g.arrived = slices.Clone(u.perm)
	u.times = u.times[:0]
	for _, r := range u.perm {
		u.times = append(u.times, c.time[r])
	}
	g.min, g.max = slices.Min(u.times), slices.Max(u.times)
	g.times = u.narrowTimes(u.times)
	g.cols = make([]narrowColumn, len(c.cols))
	for i := range c.cols {
		if v := &c.cols[i]; v.Len() > 0 {
			v.AppendNulls(len(c.time) - v.Len())
			g.cols[i] = u.narrow(v)
		}
	}
	return g
}

// order fills u.perm with the rows of c by series and time, and the index of
// series of g.
func (u *turner) order(g *group, c *chunk, series int) {
	for len(u.count) < series {
		u.count = append(u.count, make([]uint32, series-len(u.count))...)
	}
	u.seen = u.seen[:0]
	for _, o := range c.series {
		if u.count[o] == 0 {
			u.seen = append(u.seen, o)
		}
		u.count[o]++
	}
	slices.Sort(u.seen)
	g.index(u.seen, u.count)

	// From counts to the places of each series' next row, and back to zero.
	var at uint32
	for _, o := range u.seen {
		n := u.count[o]
		u.count[o] = at
		at += n
	}
	u.perm = slices.Grow(u.perm[:0], len(c.series))[:len(c.series)]
	for r, o := range c.series {
		u.perm[u.count[o]] = uint32(r)
		u.count[o]++
	}
	lo := uint32(0)
	for _, o := range u.seen {
		hi := u.count[o]
		u.count[o] = 0
		rows := u.perm[lo:hi]
		byTime := func(a, b uint32) int { return cmp.Compare(c.time[a], c.time[b]) }
		if !slices.IsSortedFunc(rows, byTime) {
			slices.SortStableFunc(rows, byTime)
		}
		lo = hi
	}
}

// sparse is how many ordinals there must be for each series that has rows
// before they are listed instead of counted through.
const sparse = 4

func (g *group) index(seen, count []uint32) {
	g.low = seen[0]
	span := int(seen[len(seen)-1]-g.low) + 1
	var at uint32
	if span > sparse*len(seen) {
		g.ords = slices.Clone(seen)
		for _, o := range seen {
			g.start = append(g.start, at)
			at += count[o]
		}
		g.start = append(g.start, at)
		return
	}
	g.start = make([]uint32, 0, span+1)
	for o := g.low; o <= seen[len(seen)-1]; o++ {
		g.start = append(g.start, at)
		at += count[o]
	}
	g.start = append(g.start, at)
}

// rows returns the stretch of rows of a series.
func (g *group) rows(ord uint32) (lo, hi uint32) {
	if ord < g.low {
		return 0, 0
	}
	i := int(ord - g.low)
	if g.ords != nil {
		var ok bool
		if i, ok = slices.BinarySearch(g.ords, ord); !ok {
			return 0, 0
		}
	}
	if i >= len(g.start)-1 {
		return 0, 0
	}
	return g.start[i], g.start[i+1]
}

// within narrows a stretch of rows of one series to times from min to max.
func (g *group) within(lo, hi uint32, min, max int64) (uint32, uint32) {
	if g.min < min {
		lo += uint32(sort.Search(int(hi-lo), func(i int) bool { return g.times.at(lo+uint32(i)) >= min }))
	}
	if g.max > max {
		hi = lo + uint32(sort.Search(int(hi-lo), func(i int) bool { return g.times.at(lo+uint32(i)) > max }))
	}
	return lo, hi
}

// narrow makes a narrow column of v in the order of u.perm.
func (u *turner) narrow(v *column.Vector) narrowColumn {
	n := narrowColumn{kind: v.Type}
	if v.Type == column.String {
		n.text.Type = v.Type
		for _, r := range u.perm {
			n.text.AppendRow(v, int(r))
		}
		n.text.Data = slices.Clip(n.text.Data)
		n.valid = n.text.Valid
		return n
	}
	u.words = u.words[:0]
	for _, r := range u.perm {
		u.words = append(u.words, v.Words[r])
	}
	n.pack(u.words, v.Type == column.Int64)
	if !v.Valid.All() {
		for i, r := range u.perm {
			n.valid = n.valid.AppendBit(i, v.Valid.Get(int(r)))
		}
	}
	return n
}

// units are what clocks count in, the coarsest first.
func units() [5]int64 { return [5]int64{60e9, 1e9, 1e6, 1e3, 1} }

func (u *turner) narrowTimes(t []int64) narrowTimes {
	n := narrowTimes{first: t[0]}
	for _, unit := range units() {
		if n.unit = unit; dividesAll(t, n.first, unit) {
			break
		}
	}
	u.words = u.words[:0]
	for _, at := range t {
		u.words = append(u.words, uint64((at-n.first)/n.unit))
	}
	n.pack(u.words, true)
	return n
}

// dividesAll reports whether unit divides the distance of every time to
// first, and none of the distances overflows. Distances that do come back
// right, by the same overflow, where nothing is divided.
func dividesAll(t []int64, first, unit int64) bool {
	for _, at := range t {
		if d := at - first; d%unit != 0 || (d < 0) != (at < first) {
			return false
		}
	}
	return true
}

func (n *narrowTimes) at(i uint32) int64 { return n.first + int64(n.word(int(i)))*n.unit }

// appendTo appends the times of rows lo to hi-1.
func (n *narrowTimes) appendTo(dst []int64, lo, hi uint32) []int64 {
	switch n.width {
	case 1:
		have, first := len(dst), n.first+int64(n.base)*n.unit
		dst = slices.Grow(dst, int(hi-lo))[:have+int(hi-lo)]
		out := dst[have:]
		for i, b := range n.data[lo:hi] {
			out[i] = first + int64(b)*n.unit
		}
	case 2:
		have, first := len(dst), n.first+int64(n.base)*n.unit
		dst = slices.Grow(dst, int(hi-lo))[:have+int(hi-lo)]
		data := n.data[2*lo : 2*hi]
		for i := range dst[have:] {
			dst[have+i] = first + int64(binary.LittleEndian.Uint16(data))*n.unit
			data = data[2:]
		}
	default:
		for i := lo; i < hi; i++ {
			dst = append(dst, n.at(i))
		}
	}
	return dst
}

// pack takes words in.
func (n *narrowColumn) pack(words []uint64, signed bool) {
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

// appendTo appends rows lo to hi-1 to dst, whose type is that of the column.
func (n *narrowColumn) appendTo(dst *column.Vector, lo, hi uint32) {
	if n.kind == 0 {
		dst.AppendNulls(int(hi - lo))
		return
	}
	if n.kind == column.String {
		part := n.text.Slice(int(lo), int(hi))
		dst.Append(&part)
		return
	}
	dst.Valid = dst.Valid.Append(len(dst.Words), n.valid.Slice(int(lo)), int(hi-lo))
	switch n.width {
	case 1:
		have := len(dst.Words)
		dst.Words = slices.Grow(dst.Words, int(hi-lo))[:have+int(hi-lo)]
		out := dst.Words[have:]
		for i, b := range n.data[lo:hi] {
			out[i] = n.base + uint64(b)
		}
	case 8:
		for i := lo; i < hi; i++ {
			dst.Words = append(dst.Words, n.base+binary.LittleEndian.Uint64(n.data[8*i:]))
		}
	default:
		for i := lo; i < hi; i++ {
			dst.Words = append(dst.Words, n.word(int(i)))
		}
	}
}

// bytes estimates the memory of g.
func (g *group) bytes() int64 {
	n := int64(cap(g.ords)+cap(g.start)+cap(g.arrived))*4 + int64(cap(g.times.data)) + groupOverhead
	for i := range g.cols {
		f := &g.cols[i]
		n += int64(cap(f.data)) + int64(cap(f.valid.Words))*8 + vectorBytes(&f.text) + narrowOverhead
	}
	return n
}

const (
	groupOverhead  = 400 // unsafe.Sizeof(group{}), and what points to it
	narrowOverhead = 192 // unsafe.Sizeof(narrowColumn{})
)
