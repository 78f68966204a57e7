// Package buckets turns histograms whose bounds grow exponentially, as the
// native histograms of Prometheus and the exponential ones of OpenTelemetry
// are, into the classic form, in which a row says how many values are at most
// its bound. What reads classic histograms, histogramQuantile of Flux among
// them, then reads these.
//
// It is pure and keeps nothing.
package buckets

import "math"

// Span is a run of neighbouring buckets.
type Span struct {
	First int64 // index of the first; bucket i ends at Bound(scale, i)
	Count int
}

// Side is the buckets of positive or of negative values, ascending by index.
type Side struct {
	Spans  []Span
	Counts []float64 // of all spans, one behind the other
}

// Histogram is one of exponential bounds, or of given ones.
type Histogram struct {
	Scale         int32
	Bounds        []float64 // upper bounds of buckets 0 and on, instead of those of Scale; nil for none
	ZeroThreshold float64   // the bucket around zero reaches so far in both directions
	ZeroCount     float64
	Count         float64 // of all values
	Positive      Side
	Negative      Side
}

// Bound returns 2^(index·2^-scale), the upper bound of a bucket, to the last
// bit or the one beside it; infinity where a float ends, 0 where it begins.
func Bound(scale int32, index int64) float64 {
	if scale <= 0 {
		shift := min(uint(-scale), 11) // 2^11 is beyond what a float has
		return math.Ldexp(1, clamp(index)<<shift)
	}
	whole := index >> uint(scale)
	part := index - whole<<uint(scale)
	return math.Ldexp(math.Exp2(float64(part)/float64(uint64(1)<<uint(scale))), clamp(whole))
}

// clamp keeps the sign of an exponent, and the exponent where a float has it.
func clamp(exponent int64) int { return int(min(max(exponent, -1200), 1200)) }

// Cumulate calls emit with each bound and the number of values up to it, in
// ascending order, infinity last. Both ends of a bucket are among the bounds.
func (h *Histogram) Cumulate(emit func(bound, count float64)) {
	var sum float64
	last := math.Inf(-1)
	tell := func(bound float64) {
		if bound > last && !math.IsInf(bound, 0) {
			last = bound
			emit(bound, sum)
		}
	}
	at := len(h.Negative.Counts)
	for i := len(h.Negative.Spans) - 1; i >= 0; i-- {
		s := h.Negative.Spans[i]
		for b := s.First + int64(s.Count) - 1; b >= s.First; b-- {
			tell(-h.bound(b))
			at--
			sum += h.Negative.Counts[at]
			tell(-h.bound(b - 1))
		}
	}
	if h.ZeroCount > 0 || at < len(h.Negative.Counts) {
		tell(-h.ZeroThreshold)
		sum += h.ZeroCount
		tell(h.ZeroThreshold)
	}
	at = 0
	for _, s := range h.Positive.Spans {
		for b := s.First; b < s.First+int64(s.Count); b++ {
			if h.Bounds == nil || b > 0 {
				tell(h.bound(b - 1))
			}
			sum += h.Positive.Counts[at]
			at++
			tell(h.bound(b))
		}
	}
	emit(math.Inf(1), h.Count)
}

func (h *Histogram) bound(i int64) float64 {
	if h.Bounds == nil {
		return Bound(h.Scale, i)
	}
	if i < int64(len(h.Bounds)) {
		return h.Bounds[i]
	}
	return math.Inf(1)
}
