package buckets_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/protocol/buckets"
)

func TestBound(t *testing.T) {
	for _, c := range []struct {
		scale int32
		index int64
		want  float64
	}{
		{0, 0, 1}, {0, 1, 2}, {0, -1, 0.5}, {1, 2, 2}, {1, 1, math.Sqrt2}, {3, 8, 2}, {3, -8, 0.5}, {3, -7, math.Exp2(-7. / 8)},
		{-1, 1, 4}, {-4, 1, 65536}, {-4, -1, 1. / 65536},
		{0, 1023, math.Ldexp(1, 1023)}, {0, 1024, math.Inf(1)}, {0, math.MaxInt32, math.Inf(1)}, {0, math.MinInt32, 0},
		{-10, 1, math.Inf(1)}, {-10, 0, 1}, {-10, -1, math.Ldexp(1, -1024)}, {-10, -2, 0}, {-20, 1, math.Inf(1)}, {-20, 0, 1},
		{20, 1 << 20, 2}, {20, math.MinInt32, 0},
	} {
		if got := buckets.Bound(c.scale, c.index); got != c.want && !(math.Abs(got-c.want) < c.want*1e-15) {
			t.Errorf("Bound(%d, %d) is %v, want %v", c.scale, c.index, got, c.want)
		}
	}
}

func TestCumulate(t *testing.T) {
	inf := math.Inf(1)
	for name, c := range map[string]struct {
		h    buckets.Histogram
		want [][2]float64
	}{
		"empty": {buckets.Histogram{}, [][2]float64{{inf, 0}}},
		"positive with a gap": {buckets.Histogram{
			Count: 6, Positive: buckets.Side{Spans: []buckets.Span{{First: 1, Count: 2}, {First: 5, Count: 1}}, Counts: []float64{1, 2, 3}},
		}, [][2]float64{{1, 0}, {2, 1}, {4, 3}, {16, 3}, {32, 6}, {inf, 6}}},
		"both sides and zero": {buckets.Histogram{
			Count: 10, ZeroThreshold: 0.125, ZeroCount: 4,
			Negative: buckets.Side{Spans: []buckets.Span{{First: 0, Count: 2}}, Counts: []float64{1, 2}},
			Positive: buckets.Side{Spans: []buckets.Span{{First: 0, Count: 1}}, Counts: []float64{3}},
		}, [][2]float64{{-2, 0}, {-1, 2}, {-0.5, 3}, {-0.125, 3}, {0.125, 7}, {0.5, 7}, {1, 10}, {inf, 10}}},
		"given bounds": {buckets.Histogram{
			Count: 6, Bounds: []float64{0.5, 1},
			Positive: buckets.Side{Spans: []buckets.Span{{First: 0, Count: 3}}, Counts: []float64{1, 2, 3}},
		}, [][2]float64{{0.5, 1}, {1, 3}, {inf, 6}}},
	} {
		var got [][2]float64
		c.h.Cumulate(func(bound, count float64) { got = append(got, [2]float64{bound, count}) })
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
