package segment

import (
	"math"
	"math/bits"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/encoding"
)

// spanStats holds the statistics of one field over the spans of one group.
// Words are those of the field's type. A slice that says nothing new is nil:
// count without nulls, firstTime and lastTime where they are the span's own,
// everything but counts for strings.
type spanStats struct {
	count               []uint32
	min, max, sum       []uint64
	first, last         []uint64
	firstTime, lastTime []int64
	noMinMax, overflow  []bool
}

// summarizer makes summaries. It is used again for the next, because a section
// with nulls has many and they would be most of its garbage.
type summarizer struct {
	times []int64 // of rows that are not null
	words []uint64
}

// summarize condenses rows of a vector of numbers or booleans; nulls in words
// are zero and told by valid.
func (z *summarizer) summarize(t column.Type, words []uint64, valid column.Bitmap, times []int64) column.Summary {
	var s column.Summary
	if !valid.All() && valid.Count(len(times)) < len(times) {
		words, times = z.dense(t, words, valid, times)
	}
	n := len(times)
	if n == 0 {
		return s
	}
	s.Count, s.FirstTime, s.LastTime = int64(n), times[0], times[n-1]
	if t == column.String {
		return s
	}
	s.First, s.Last = words[0], words[n-1]
	switch t {
	case column.Int64:
		s.HasMinMax = true
		lo, hi, sum := int64(words[0]), int64(words[0]), int64(0)
		for _, w := range words {
			v := int64(w)
			lo, hi = min(lo, v), max(hi, v)
			sum += v
		}
		s.Min, s.Max, s.Sum = uint64(lo), uint64(hi), uint64(sum)
		// A sum of n values within a bound b cannot leave 64 bits while n·b
		// does not.
		if limit := int64(math.MaxInt64 / n); lo < -limit || hi > limit {
			s.Overflow = overflows(words)
		}
	case column.Uint64:
		s.HasMinMax = true
		s.Min, s.Max = words[0], words[0]
		carry := uint64(0)
		for _, w := range words {
			s.Min, s.Max = min(s.Min, w), max(s.Max, w)
			var c uint64
			s.Sum, c = bits.Add64(s.Sum, w, 0)
			carry |= c
		}
		s.Overflow = carry != 0
	case column.Float64:
		lo, hi, sum := math.Inf(1), math.Inf(-1), 0.0
		for _, w := range words {
			v := math.Float64frombits(w)
			if v < lo {
				lo = v
			}
			if v > hi {
				hi = v
			}
			sum += v
		}
		s.Sum = math.Float64bits(sum)
		if lo > hi { // nothing but NaN, or nothing but one infinity
			lo, hi, s.HasMinMax = extremes(words)
		} else {
			s.HasMinMax = true
			if math.IsInf(lo, 1) || math.IsInf(hi, -1) {
				lo, hi, s.HasMinMax = extremes(words)
			}
		}
		if s.HasMinMax {
			s.Min, s.Max = math.Float64bits(lo), math.Float64bits(hi)
		}
	}
	return s
}

// extremes is the slow way to the least and the greatest float, for spans
// that hold infinities or nothing but NaN.
func extremes(words []uint64) (lo, hi float64, ok bool) {
	for _, w := range words {
		v := math.Float64frombits(w)
		if v != v {
			continue
		}
		if !ok {
			lo, hi, ok = v, v, true
			continue
		}
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
	}
	return lo, hi, ok
}

// overflows reports whether the sum of integers leaves 64 bits for good: the
// order of the addends does not matter.
func overflows(words []uint64) bool {
	hi, lo := int64(0), uint64(0)
	for _, w := range words {
		var c uint64
		lo, c = bits.Add64(lo, w, 0)
		hi += int64(w)>>63 + int64(c)
	}
	return hi != int64(lo)>>63
}

// dense returns the rows that are not null, valid until the next call.
func (z *summarizer) dense(t column.Type, words []uint64, valid column.Bitmap, times []int64) ([]uint64, []int64) {
	z.words, z.times = z.words[:0], z.times[:0]
	for i, at := range times {
		if !valid.Get(i) {
			continue
		}
		z.times = append(z.times, at)
		if t != column.String {
			z.words = append(z.words, words[i])
		}
	}
	return z.words, z.times
}

// The form of a statistics piece, its first byte: flags for what could not be
// implied and how numbers are written.
const (
	statsCounts   = 1 << 0 // counts and times of first and last value
	statsNoMinMax = 1 << 1
	statsOverflow = 1 << 2
	statsScaled   = 1 << 3 // floats as decimals: a byte says how many places
	statsFloatSum = 1 << 4 // with statsScaled: sums are floats all the same
)

// maxPlaces is how many decimal places are tried for floats; past that they
// are seldom decimals.
const maxPlaces = 6

// encodeStats returns the payload of a statistics piece: the summaries of one
// field over the spans of t, nil if all of them are empty.
//
// Integers are written as what the neighbours leave open: the maximum above
// the minimum, the sum above count times the minimum, the first value less
// the last of the span before (which belongs to the same walk), the last less
// the first. Floats that are decimals with few places are such integers, too.
func encodeStats(enc *encoding.Encoder, typ column.Type, t *spanTable, sums []column.Summary) []byte {
	form, any := byte(0), false
	for i := range sums {
		s := &sums[i]
		if s.Count > 0 {
			any = true
		}
		if s.Count != int64(t.rows[i]) {
			form |= statsCounts
		}
		if s.Count > 0 && typ.Numeric() && !s.HasMinMax {
			form |= statsNoMinMax
		}
		if s.Overflow {
			form |= statsOverflow
		}
	}
	if !any {
		return nil
	}
	var scaled *scaledStats
	if typ == column.Float64 && form&statsNoMinMax == 0 {
		if scaled = scaleStats(sums); scaled != nil {
			form |= statsScaled
			if scaled.sum == nil {
				form |= statsFloatSum
			}
		}
	}
	b := []byte{form}
	w := statsColumns{enc: enc, sums: sums}
	if form&statsCounts != 0 {
		b = w.ints(b, true, func(i int, s *column.Summary) int64 { return int64(t.rows[i]) - s.Count })
		b = w.ints(b, false, func(i int, s *column.Summary) int64 { return s.FirstTime - t.minTime[i] })
		b = w.ints(b, false, func(i int, s *column.Summary) int64 { return t.maxTime[i] - s.LastTime })
	}
	if form&statsNoMinMax != 0 {
		b = w.ints(b, false, func(_ int, s *column.Summary) int64 { return oneIf(!s.HasMinMax) })
	}
	if form&statsOverflow != 0 {
		b = w.ints(b, false, func(_ int, s *column.Summary) int64 { return oneIf(s.Overflow) })
	}
	switch {
	case typ == column.String:
	case typ == column.Bool:
		b = w.ints(b, false, func(_ int, s *column.Summary) int64 { return int64(s.First) })
		b = w.ints(b, false, func(_ int, s *column.Summary) int64 { return int64(s.Last) })
	case scaled != nil:
		b = append(b, byte(scaled.places))
		k := statsColumns{enc: enc, sums: scaled.sums}
		b = k.integers(b, !scaled.noSum())
		if scaled.noSum() {
			b = w.floats(b, func(s *column.Summary) uint64 { return s.Sum })
		}
	case typ == column.Float64:
		b = w.floats(b, func(s *column.Summary) uint64 { return s.Min })
		b = w.floats(b, func(s *column.Summary) uint64 { return s.Max })
		b = w.floats(b, func(s *column.Summary) uint64 { return s.First })
		b = w.floats(b, func(s *column.Summary) uint64 { return s.Last })
		b = w.floats(b, func(s *column.Summary) uint64 { return s.Sum })
	default:
		b = w.integers(b, true)
	}
	return b
}

func oneIf(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// statsColumns writes columns over the spans that have values.
type statsColumns struct {
	enc  *encoding.Encoder
	sums []column.Summary
	col  []int64
	f    []uint64
}

func (w *statsColumns) ints(b []byte, empty bool, value func(i int, s *column.Summary) int64) []byte {
	w.col = w.col[:0]
	for i := range w.sums {
		if empty || w.sums[i].Count > 0 {
			w.col = append(w.col, value(i, &w.sums[i]))
		}
	}
	return appendInts(b, w.enc, w.col)
}

func (w *statsColumns) floats(b []byte, value func(s *column.Summary) uint64) []byte {
	w.f = w.f[:0]
	for i := range w.sums {
		if w.sums[i].Count > 0 {
			w.f = append(w.f, value(&w.sums[i]))
		}
	}
	return appendWords(b, w.enc, column.Float64, w.f)
}

func (w *statsColumns) integers(b []byte, sum bool) []byte {
	b = w.ints(b, false, func(_ int, s *column.Summary) int64 { return int64(s.Min) })
	b = w.ints(b, false, func(_ int, s *column.Summary) int64 { return int64(s.Max - s.Min) })
	last := uint64(0)
	b = w.ints(b, false, func(_ int, s *column.Summary) int64 {
		d := int64(s.First - last)
		last = s.Last
		return d
	})
	b = w.ints(b, false, func(_ int, s *column.Summary) int64 { return int64(s.Last - s.First) })
	if sum {
		b = w.ints(b, false, func(_ int, s *column.Summary) int64 { return int64(s.Sum - uint64(s.Count)*s.Min) })
	}
	return b
}

// scaledStats are summaries of floats as integers: value times 10^places.
type scaledStats struct {
	places int
	sums   []column.Summary
	sum    []uint64 // nil if sums are not decimals
}

func (s *scaledStats) noSum() bool { return s.sum == nil }

var powersOf10 = [maxPlaces + 1]float64{1, 10, 100, 1e3, 1e4, 1e5, 1e6}

// scaleStats returns nil if the floats are not decimals of a few places.
func scaleStats(sums []column.Summary) *scaledStats {
	out := &scaledStats{sums: make([]column.Summary, len(sums)), sum: []uint64{}}
next:
	for out.places = 0; out.places <= maxPlaces; out.places++ {
		for i := range sums {
			s, k := &sums[i], &out.sums[i]
			if k.Count = s.Count; s.Count == 0 {
				continue
			}
			var ok [4]bool
			k.Min, ok[0] = scale(s.Min, out.places)
			k.Max, ok[1] = scale(s.Max, out.places)
			k.First, ok[2] = scale(s.First, out.places)
			k.Last, ok[3] = scale(s.Last, out.places)
			if ok != [4]bool{true, true, true, true} {
				continue next
			}
		}
		for i := range sums {
			s, k := &sums[i], &out.sums[i]
			if s.Count == 0 {
				continue
			}
			// The sum of decimals is a decimal; what addition in floats adds
			// to it is noise, which is worth six bytes less.
			v := math.Round(math.Float64frombits(s.Sum) * powersOf10[out.places])
			if !(math.Abs(v) < 1<<53) || !SumsAgree(s, math.Float64frombits(s.Sum), v/powersOf10[out.places]) {
				out.sum = nil
				break
			}
			k.Sum = uint64(int64(v))
		}
		return out
	}
	return nil
}

// scale returns a float as an integer count of 10^-places, if that is exact.
func scale(w uint64, places int) (uint64, bool) {
	v := math.Float64frombits(w)
	k := math.Round(v * powersOf10[places])
	if !(math.Abs(k) < 1<<53) || math.Float64bits(k/powersOf10[places]) != w {
		return 0, false
	}
	return uint64(int64(k)), true
}

func unscale(k uint64, places int) uint64 {
	return math.Float64bits(float64(int64(k)) / powersOf10[places])
}

// SumsAgree reports whether two sums of the floats that s describes are the
// same but for the rounding of the additions: a stored sum may be rounded to
// the decimal places that all values of its column have.
func SumsAgree(s *column.Summary, a, b float64) bool {
	if a == b || a != a && b != b {
		return true
	}
	most := math.Max(math.Abs(math.Float64frombits(s.Min)), math.Abs(math.Float64frombits(s.Max)))
	return math.Abs(a-b) <= 1e-14*most*float64(s.Count)
}

// decodeStats reads the statistics piece of one field and group.
func decodeStats(payload []byte, dec *encoding.Decoder, typ column.Type, t *spanTable) (*spanStats, int64, error) {
	p := parser{b: payload, dec: dec}
	form := p.byte()
	n := t.spans()
	if form >= 1<<5 || form&statsScaled != 0 && typ != column.Float64 {
		p.fail("unknown form of statistics %#x", form)
	}
	out := &spanStats{}
	r := statsReader{p: &p, n: n, k: n, count: t.rows}
	if form&statsCounts != 0 {
		out.count = make([]uint32, n)
		r.k = 0
		for i, v := range p.ints(n) {
			if v < 0 || v > int64(t.rows[i]) {
				p.fail("span %d lacks %d values", i, v)
				break
			}
			out.count[i] = t.rows[i] - uint32(v)
			if out.count[i] > 0 {
				r.k++
			}
		}
		r.count = out.count
		out.firstTime, out.lastTime = r.ints(), r.ints()
		if p.err != nil {
			return nil, 0, p.err
		}
		for i := range out.firstTime {
			out.firstTime[i] += t.minTime[i]
			out.lastTime[i] = t.maxTime[i] - out.lastTime[i]
		}
	}
	if form&statsNoMinMax != 0 {
		out.noMinMax = r.flags()
	}
	if form&statsOverflow != 0 {
		out.overflow = r.flags()
	}
	switch {
	case typ == column.String:
	case typ == column.Bool:
		out.first, out.last = r.words(column.Int64), r.words(column.Int64)
	case form&statsScaled != 0:
		places := int(p.byte())
		if places > maxPlaces {
			p.fail("decimals of %d places", places)
			break
		}
		r.integers(out, form&statsFloatSum == 0)
		for _, col := range [][]uint64{out.min, out.max, out.first, out.last, out.sum} {
			for i, k := range col {
				col[i] = unscale(k, places)
			}
		}
		if form&statsFloatSum != 0 {
			out.sum = r.words(column.Float64)
		}
	case typ == column.Float64:
		out.min, out.max = r.words(column.Float64), r.words(column.Float64)
		out.first, out.last = r.words(column.Float64), r.words(column.Float64)
		out.sum = r.words(column.Float64)
	default:
		r.integers(out, true)
	}
	return out, int64(n * 48), p.done()
}

// statsReader reads columns over the spans that have values and spreads them
// over all spans.
type statsReader struct {
	p     *parser
	n, k  int      // spans, and those with values
	count []uint32 // of values in each span
}

func (r *statsReader) ints() []int64 {
	v := r.p.ints(r.k)
	if r.k == r.n || r.p.err != nil {
		return v
	}
	out := make([]int64, r.n)
	j := 0
	for i := range out {
		if r.count[i] > 0 {
			out[i] = v[j]
			j++
		}
	}
	return out
}

func (r *statsReader) words(t column.Type) []uint64 {
	v := r.p.words(t, r.k)
	if r.k == r.n || r.p.err != nil {
		return v
	}
	out := make([]uint64, r.n)
	j := 0
	for i := range out {
		if r.count[i] > 0 {
			out[i] = v[j]
			j++
		}
	}
	return out
}

func (r *statsReader) flags() []bool {
	out := make([]bool, r.n)
	for i, v := range r.ints() {
		out[i] = v != 0
	}
	return out
}

func (r *statsReader) integers(out *spanStats, sum bool) {
	out.min, out.max = r.words(column.Int64), r.words(column.Int64)
	out.first, out.last = r.words(column.Int64), r.words(column.Int64)
	if sum {
		out.sum = r.words(column.Int64)
	}
	if r.p.err != nil {
		return
	}
	before := uint64(0)
	for i, count := range r.count {
		if count == 0 {
			continue
		}
		if sum {
			out.sum[i] += uint64(count) * out.min[i]
		}
		out.max[i] += out.min[i]
		out.first[i] += before
		out.last[i] += out.first[i]
		before = out.last[i]
	}
}

// summary returns the statistics of span i, which t describes.
func (s *spanStats) summary(t *spanTable, i int, typ column.Type) column.Summary {
	out := column.Summary{Count: int64(t.rows[i])}
	if s.count != nil {
		if out.Count = int64(s.count[i]); out.Count == 0 {
			return column.Summary{}
		}
		out.FirstTime, out.LastTime = s.firstTime[i], s.lastTime[i]
	} else {
		out.FirstTime, out.LastTime = t.minTime[i], t.maxTime[i]
	}
	if s.first != nil {
		out.First, out.Last = s.first[i], s.last[i]
	}
	if typ.Numeric() {
		out.Sum = s.sum[i]
		out.Overflow = s.overflow != nil && s.overflow[i]
		if s.noMinMax == nil || !s.noMinMax[i] {
			out.HasMinMax, out.Min, out.Max = true, s.min[i], s.max[i]
		}
	}
	return out
}
