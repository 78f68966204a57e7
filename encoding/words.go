package encoding

import (
	"encoding/binary"
	"math"
)

// A column of 64-bit words starts with one byte: how the residuals are packed
// and how they become values.
const (
	packSame   = 0 // every residual equals the base
	packPlain  = 1 // eight bytes each; no other parameters
	packBits   = 2
	packTuple  = 3
	packBucket = 4
	packRuns   = 5 // run length; no other parameters

	packMask    = 7
	orderShift  = 3 // two bits: order of differences
	orderMask   = 3
	flagDivisor = 1 << 5
	flagZigzag  = 1 << 6
	flagPatched = 1 << 7
)

// runsGain is how many values a run must have on average before run length is
// chosen: shorter runs are smaller as tuples of differences.
const runsGain = 24

// runsMargin is the share of the size of other packings that run length must
// stay under, because its estimate is the coarsest.
const runsMargin = 0.92

// minEntropy is the number of values from which entropy coding is considered.
const minEntropy = 64

// entropyGain is the share of the bit-packed size that entropy coding must
// stay under to be worth its time, by level.
var entropyGain = [...]float64{LevelBalanced: 0.96, LevelBest: 0.99}

// outlierBits is what one value outside the range of the symbols costs: a gap
// and a number, most often in one or two bytes each.
const outlierBits = 20

// words appends a column of numbers. A nested column belongs to another one's
// structure and does not start a structure of its own.
func (e *Encoder) words(dst []byte, v []uint64, nested bool) []byte {
	n := len(v)
	if n == 0 {
		return dst
	}
	if n < 3 || e.level == LevelNone {
		return e.frame(dst, v)
	}
	m := e.look(v)
	if m.changes*runsGain < 1000 && !nested {
		if runs := countRuns(v); runs == 1 || runs*runsGain <= n {
			return e.runs(dst, v, runs)
		}
	}
	whole, scale, base := v, uint64(1), uint64(0)
	if nested {
		whole = nil
	}
	if m.divisor > 1 {
		if g := commonDivisor(v, m.divisor); g > 1 {
			base, scale = v[0], g
			v = e.divide(v, g)
			if m.order == 0 {
				m.center -= base
			}
			m.center = divisorOf(g).quotient(m.center)
		}
	}
	return e.residuals(dst, v, whole, m, base, scale)
}

// frame stores words less their least one, in as few bits as that takes.
func (e *Encoder) frame(dst []byte, v []uint64) []byte {
	low, high := bounds(v)
	return e.bits(dst, v, header{base: uint64(low)}, uint64(low), bitLen(uint64(high-low)))
}

func bounds(v []uint64) (low, high int64) {
	low, high = math.MaxInt64, math.MinInt64
	for _, w := range v {
		low, high = min(low, int64(w)), max(high, int64(w))
	}
	return low, high
}

func countRuns(v []uint64) int {
	runs := 1
	for i := 1; i < len(v); i++ {
		if v[i] != v[i-1] {
			runs++
		}
	}
	return runs
}

// runs stores the lengths and the values of runs of equal words.
func (e *Encoder) runs(dst []byte, v []uint64, count int) []byte {
	if count == 1 {
		return e.header(dst, header{pack: packSame, base: v[0]})
	}
	e.runLengths = e.runLengths[:0]
	e.runValues = e.runValues[:0]
	start := 0
	for i := 1; i <= len(v); i++ {
		if i == len(v) || v[i] != v[start] {
			e.runLengths = append(e.runLengths, uint64(i-start))
			e.runValues = append(e.runValues, v[start])
			start = i
		}
	}
	dst = append(dst, packRuns)
	dst = binary.AppendUvarint(dst, uint64(count))
	dst = appendPart(dst, func(dst []byte) []byte { return e.words(dst, e.runLengths, true) })
	return e.words(dst, e.runValues, true)
}

// commonDivisor returns a divisor of all differences of v that divides g too.
func commonDivisor(v []uint64, g uint64) uint64 {
	d := divisorOf(g)
	for i := 1; i < len(v); i++ {
		if r := v[i] - v[0]; !d.divides(r) {
			g = gcd(g, magnitude(r))
			if g == 1 {
				return 1
			}
			d = divisorOf(g)
		}
	}
	return g
}

// divide returns the distances of v from its first word, in units of g.
func (e *Encoder) divide(v []uint64, g uint64) []uint64 {
	d := divisorOf(g)
	e.divided = resize(e.divided, len(v))
	for i, w := range v {
		e.divided[i] = d.quotient(w - v[0])
	}
	return e.divided
}

// header is what precedes the payload of a column of words.
type header struct {
	pack   byte
	order  int
	zigzag bool
	first  uint64 // order 1 and 2: the first value
	slope  uint64 // order 2: the first difference
	base   uint64 // of residuals
	scale  uint64 // of residuals; 0 means 1
}

func (e *Encoder) header(dst []byte, h header) []byte {
	b := h.pack | byte(h.order)<<orderShift
	if h.scale > 1 {
		b |= flagDivisor
	}
	if h.zigzag {
		b |= flagZigzag
	}
	if len(e.patchAt) > 0 {
		b |= flagPatched
	}
	dst = append(dst, b)
	if h.scale > 1 {
		dst = binary.AppendUvarint(dst, h.scale)
	}
	if h.order >= 1 {
		dst = appendVarint(dst, h.first)
	}
	if h.order == 2 {
		dst = appendVarint(dst, h.slope)
	}
	dst = appendVarint(dst, h.base)
	if len(e.patchAt) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(e.patchAt)))
		next := 0
		for i, at := range e.patchAt {
			dst = binary.AppendUvarint(dst, uint64(at-next))
			dst = binary.AppendUvarint(dst, e.patchValue[i])
			next = at + 1
		}
		e.patchAt, e.patchValue = e.patchAt[:0], e.patchValue[:0]
	}
	return dst
}

// residuals takes differences of v as the model says, chooses a packing and
// appends the column. Its values are base + scale·v, and the same as whole,
// which is nil where run length is not allowed.
func (e *Encoder) residuals(dst []byte, v, whole []uint64, m model, base, scale uint64) []byte {
	h := header{order: m.order, scale: scale}
	e.res = resize(e.res, len(v)-m.order)
	r := e.res
	low, high := differences(r, v, m.order)
	if m.order > 0 {
		h.first, h.slope = base+scale*v[0], scale*(v[1]-v[0])
		base = 0
	}
	if low == high {
		h.pack, h.base = packSame, base+scale*low
		return e.header(dst, h)
	}

	// x holds the residuals as they will be packed: from the least one on if
	// they are values of a small range, else around the centre.
	e.x = resize(e.x, len(r))
	x := e.x
	center, fold := m.center, ^uint64(0)
	if h.zigzag = m.order > 0 || high-low >= directRange; !h.zigzag {
		center, fold = low, 0
	}
	h.base = base + scale*center
	small := !m.wide && e.countSmall(x, r, center, fold)
	if !small {
		e.countBuckets(x, r, center, fold)
	}

	width := bitLen(high - low)
	packed := float64(len(r) * width)
	narrow, patched := narrowest(&e.buckets, len(r))
	if small && narrow >= 8 {
		patched += float64(e.small[directRange]) * outlierBits
	}
	// The candidates in the order of their speed: a later one must be smaller
	// by a margin.
	best, size := packBits, min(packed, patched)
	var tuple shape
	if e.level >= LevelBalanced && len(r) >= minEntropy {
		gain := entropyGain[e.level]
		if small {
			if s, bits := chooseTuple(&e.small, len(r)); bits <= size*gain {
				best, size, tuple, gain = packTuple, bits, s, 1
			}
		}
		if bits := bucketSize(&e.buckets, len(r)); bits <= size*gain {
			best, size = packBucket, bits
		}
	}
	if whole != nil && m.order == 1 && m.center == 0 && runsSize(&e.buckets, len(r)) < size*runsMargin {
		return e.runs(dst, whole, countRuns(whole))
	}
	switch {
	case best == packTuple:
		h.pack = packTuple
		return e.tuples(dst, x, h, tuple)
	case best == packBucket:
		h.pack = packBucket
		return e.appendBuckets(e.header(dst, h), x, small)
	case patched < packed:
		return e.patchedBits(dst, x, h, narrow)
	}
	h.base, h.zigzag = base+scale*low, false
	return e.bits(dst, r, h, low, width)
}

// runsSize estimates the size in bits of run length for n first differences:
// which of them are zero, and those that are not.
func runsSize(hist *[256]uint32, n int) float64 {
	zeros := float64(hist[0])
	changes := float64(n) - zeros
	if changes*2 > zeros {
		return math.Inf(1)
	}
	where, _ := entropy([]uint32{hist[0], uint32(n) - hist[0]}, n)
	var others [256]uint32
	copy(others[1:], hist[1:])
	// The lengths have a table of their own, of about as many symbols.
	return where + bucketBits(&others, int(changes), int(changes)) + 16*tableBits
}

// bits appends residuals, each less low, in width bits.
func (e *Encoder) bits(dst []byte, r []uint64, h header, low uint64, width int) []byte {
	switch {
	case width == 0:
		return e.header(dst, h)
	case width > maxPackedWidth && h.order == 0 && h.scale <= 1:
		return appendPlain(append(dst, packPlain), r, 0)
	}
	h.pack = packBits
	dst = e.header(dst, h)
	if width > maxPackedWidth {
		return appendPlain(append(dst, 64), r, low)
	}
	e.x = resize(e.x, len(r))
	for i, w := range r {
		e.x[i] = w - low
	}
	return appendPacked(append(dst, byte(width)), e.x, width)
}

// differences writes the residuals of v of an order to r, which is shorter by
// as much, and returns the least and the greatest as signed words.
func differences(r, v []uint64, order int) (low, high uint64) {
	least, most := int64(math.MaxInt64), int64(math.MinInt64)
	switch order {
	case 0:
		for i, w := range v[:len(r)] {
			r[i] = w
			least, most = min(least, int64(w)), max(most, int64(w))
		}
	case 1:
		prev := v[0]
		for i, w := range v[1 : len(r)+1] {
			d := w - prev
			r[i], prev = d, w
			least, most = min(least, int64(d)), max(most, int64(d))
		}
	case 2:
		prev, before := v[1], v[1]-v[0]
		for i, w := range v[2 : len(r)+2] {
			d := w - prev
			dd := d - before
			r[i], prev, before = dd, w, d
			least, most = min(least, int64(dd)), max(most, int64(dd))
		}
	}
	return uint64(least), uint64(most)
}

// countSmall writes r less center, zigzagged if fold is all ones, to x and
// counts it in e.small, what is too large in the last place. It reports whether
// most are small; e.buckets then counts these too.
func (e *Encoder) countSmall(x, r []uint64, center, fold uint64) bool {
	// Two histograms, because an increment waits for the one before if that
	// was of the same place.
	var other [directRange + 1]uint32
	hist := &e.small
	clear(hist[:])
	x = x[:len(r)]
	i := 0
	for ; i+1 < len(r); i += 2 {
		a, b := r[i]-center, r[i+1]-center
		a = a<<(fold&1) ^ uint64(int64(a)>>63)&fold
		b = b<<(fold&1) ^ uint64(int64(b)>>63)&fold
		x[i], x[i+1] = a, b
		hist[min(a, directRange)]++
		other[min(b, directRange)]++
	}
	if i < len(r) {
		a := r[i] - center
		a = a<<(fold&1) ^ uint64(int64(a)>>63)&fold
		x[i] = a
		hist[min(a, directRange)]++
	}
	for i, c := range other {
		hist[i] += c
	}
	if int(hist[directRange])*16 > len(r) {
		return false
	}
	clear(e.buckets[:])
	for i, c := range hist {
		e.buckets[bucketOf(uint64(i))] += c
	}
	return true
}

// countBuckets is countSmall for residuals of any size: it counts buckets only
// and leaves those of all x in e.sym.
func (e *Encoder) countBuckets(x, r []uint64, center, fold uint64) {
	var other [256]uint32
	hist := &e.buckets
	clear(hist[:])
	e.sym = resize(e.sym, len(r))
	sym := e.sym
	x = x[:len(r)]
	for i := range r {
		a := r[i] - center
		a = a<<(fold&1) ^ uint64(int64(a)>>63)&fold
		b := bucketOf(a)
		x[i], sym[i] = a, b
		if i&1 == 0 {
			hist[b]++
		} else {
			other[b]++
		}
	}
	for i, c := range other {
		hist[i] += c
	}
}

// narrowest returns the width that packs n residuals in the fewest bits, where
// those that need more are outliers.
func narrowest(hist *[256]uint32, n int) (width int, bits float64) {
	width, bits = 64, float64(64*n)
	outliers, t := 0, bucketCount-1
	for w := 63; w >= 1; w-- {
		// The buckets of residuals that need more than w bits: each takes a gap
		// and a number of seven bits to the byte.
		for ; t >= 0 && bucketWidth(t) > w; t-- {
			outliers += int(hist[t]) * (8 + (bucketWidth(t)+6)/7*8)
		}
		if size := float64(w*n + outliers); w <= maxPackedWidth && size < bits {
			width, bits = w, size
		}
	}
	return width, bits
}

// patchedBits appends residuals in width bits, and those that need more beside.
func (e *Encoder) patchedBits(dst []byte, x []uint64, h header, width int) []byte {
	for i, w := range x {
		if w>>uint(width) != 0 {
			e.patchAt = append(e.patchAt, i)
			e.patchValue = append(e.patchValue, w)
			x[i] = 0
		}
	}
	h.pack = packBits
	return appendPacked(append(e.header(dst, h), byte(width)), x, width)
}
