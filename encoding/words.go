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

// minEntropy is the number of values from which entropy coding is considered.
const minEntropy = 64

// entropyGain is the share of the bit-packed size that entropy coding must
// stay under to be worth its time, by level.
var entropyGain = [...]float64{LevelBalanced: 0.92, LevelBest: 0.99}

// outlierBits is what one value outside the range of the symbols costs: a gap
// and a number, most often in two bytes each.
const outlierBits = 28

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
	scale, base := uint64(1), uint64(0)
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
	return e.residuals(dst, v, m, base, scale)
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
// appends the column. Values are base + scale·v.
func (e *Encoder) residuals(dst []byte, v []uint64, m model, base, scale uint64) []byte {
	h := header{order: m.order, scale: scale}
	e.res = resize(e.res, len(v)-m.order)
	r := e.res
	switch m.order {
	case 0:
		copy(r, v)
	case 1:
		prev := v[0]
		for i, w := range v[1:] {
			r[i] = w - prev
			prev = w
		}
		h.first = base + scale*v[0]
	case 2:
		prev, before := v[1], v[1]-v[0]
		for i, w := range v[2:] {
			d := w - prev
			r[i] = d - before
			prev, before = w, d
		}
		h.first, h.slope = base+scale*v[0], scale*(v[1]-v[0])
	}
	if m.order > 0 {
		base = 0
	}
	low, high := bounds(r)
	if low == high {
		h.pack, h.base = packSame, base+scale*uint64(low)
		return e.header(dst, h)
	}
	width := bitLen(uint64(high - low))
	packed := float64(len(r) * min(width, 64))
	if e.level >= LevelBalanced && len(r) >= minEntropy {
		most := packed * entropyGain[e.level]
		if out, ok := e.entropic(dst, r, h, m, base, uint64(low), uint64(high), most); ok {
			return out
		}
	}
	h.base = base + scale*uint64(low)
	return e.bits(dst, r, h, uint64(low), width)
}

// bits appends residuals, each less low, in width bits.
func (e *Encoder) bits(dst []byte, r []uint64, h header, low uint64, width int) []byte {
	if width > maxPackedWidth && h.order == 0 && h.scale <= 1 {
		dst = append(dst, packPlain)
		return appendPlain(dst, r, 0)
	}
	if width == 0 {
		return e.header(dst, h)
	}
	h.pack = packBits
	dst = e.header(dst, h)
	if width > maxPackedWidth {
		dst = append(dst, 64)
		return appendPlain(dst, r, low)
	}
	dst = append(dst, byte(width))
	e.less = resize(e.less, len(r))
	for i, w := range r {
		e.less[i] = w - low
	}
	return appendPacked(dst, e.less, width)
}

// entropic appends residuals as entropy-coded symbols if that takes fewer than
// most bits.
func (e *Encoder) entropic(dst []byte, r []uint64, h header, m model, base, low, high uint64, most float64) ([]byte, bool) {
	n := len(r)
	h.zigzag = true
	center := m.center
	if m.order == 0 && high-low < directRange {
		h.zigzag, center = false, low
	}
	h.base = base + scaleOf(h)*center

	// x holds the residuals as they will be packed, hist those that fit a byte.
	e.less = resize(e.less, n)
	x := e.less
	if h.zigzag {
		for i, w := range r {
			x[i] = zigzag(w - center)
		}
	} else {
		for i, w := range r {
			x[i] = w - center
		}
	}
	hist := &e.hist
	clear(hist[:])
	for _, w := range x {
		hist[min(w, directRange)]++
	}
	outliers := int(hist[directRange])
	if outliers*16 <= n {
		tuple, bits := chooseTuple(hist, n)
		if bits <= most && bits <= bucketBitsOf(hist, n) {
			h.pack = packTuple
			return e.tuples(dst, x, h, tuple), true
		}
	}
	var symbols [256]uint32
	for _, w := range x {
		symbols[bucketOf(w)]++
	}
	if bucketBits(&symbols, n, n) > most {
		return dst, false
	}
	h.pack = packBucket
	return e.appendBuckets(e.header(dst, h), x), true
}

// bucketBitsOf is the size in bucket packing of residuals known by hist only,
// less the raw bits of the outliers.
func bucketBitsOf(hist *[directRange + 1]uint32, n int) float64 {
	var symbols [256]uint32
	for x, c := range hist {
		symbols[bucketOf(uint64(x))] += c
	}
	return bucketBits(&symbols, n, n)
}

func scaleOf(h header) uint64 { return max(h.scale, 1) }
