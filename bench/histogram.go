package bench

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets whose width grows with the duration:
// every octave is cut into 128, so that a percentile is off by less than 0.8 %
// and never by sampling. Not safe for concurrent use: each worker has its own,
// merged at the end.
type Histogram struct {
	counts   [buckets]uint64
	n        uint64
	sum      time.Duration
	shortest time.Duration
	longest  time.Duration
}

const (
	subBits = 7
	// Durations of 2^octaves nanoseconds (18 minutes) and more share the last
	// bucket; Max is exact all the same.
	octaves = 40
	buckets = (octaves - subBits + 1) << subBits
)

func bucketOf(d time.Duration) int {
	u := uint64(max(d, 0))
	if u < 1<<subBits {
		return int(u)
	}
	shift := bits.Len64(u) - subBits - 1
	return min((shift+1)<<subBits+int(u>>shift)-1<<subBits, buckets-1)
}

// upper is the longest duration of a bucket.
func upper(bucket int) time.Duration {
	if bucket < 1<<subBits {
		return time.Duration(bucket)
	}
	shift := bucket>>subBits - 1
	low := uint64(bucket&(1<<subBits-1)+1<<subBits) << shift
	return time.Duration(low + 1<<shift - 1)
}

// Add counts one duration.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucketOf(d)]++
	if h.n == 0 || d < h.shortest {
		h.shortest = d
	}
	h.n++
	h.sum += d
	h.longest = max(h.longest, d)
}

// Merge adds what o has counted.
func (h *Histogram) Merge(o *Histogram) {
	if o.n == 0 {
		return
	}
	for i, n := range o.counts {
		h.counts[i] += n
	}
	if h.n == 0 || o.shortest < h.shortest {
		h.shortest = o.shortest
	}
	h.n += o.n
	h.sum += o.sum
	h.longest = max(h.longest, o.longest)
}

// Count is the number of durations.
func (h *Histogram) Count() uint64 { return h.n }

// Quantile returns the duration that a share q of all do not exceed, 0 when
// there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := uint64(q*float64(h.n) + 0.999999)
	rank = min(max(rank, 1), h.n)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(max(upper(i), h.shortest), h.longest)
		}
	}
	return h.longest
}

// Latency is the summary of a histogram, in milliseconds.
type Latency struct {
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	Max  float64 `json:"max_ms"`
	Mean float64 `json:"mean_ms"`
}

// Latency summarises the histogram.
func (h *Histogram) Latency() Latency {
	if h.n == 0 {
		return Latency{}
	}
	return Latency{
		P50:  milliseconds(h.Quantile(0.50)),
		P90:  milliseconds(h.Quantile(0.90)),
		P99:  milliseconds(h.Quantile(0.99)),
		Max:  milliseconds(h.longest),
		Mean: milliseconds(h.sum) / float64(h.n),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
