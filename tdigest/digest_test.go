package tdigest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func digestOf(compression float64, values ...float64) *Digest {
	d := New(compression)
	for _, x := range values {
		d.Add(x)
	}
	return &d
}

func TestFewValuesAreInterpolated(t *testing.T) {
	for _, c := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{[]float64{5, 1, 9}, 0, 1},
		{[]float64{5, 1, 9}, 0.5, 5},
		{[]float64{5, 1, 9}, 1, 9},
		{[]float64{1, 2, 3, 4}, 0.5, 2.5},
		{[]float64{1, 1, 2, 2}, 0.4, 1.1}, // equal values stay apart
		{[]float64{7}, 0.3, 7},
		{[]float64{7, math.NaN()}, 0.9, 7},
		{[]float64{math.Inf(1), math.Inf(1), 0}, 1, math.Inf(1)},
	} {
		if got := digestOf(Compression, c.values...).Quantile(c.q); got != c.want && math.Abs(got-c.want) > 1e-12 {
			t.Errorf("quantile %g of %v: %g, want %g", c.q, c.values, got, c.want)
		}
	}
	if got := digestOf(Compression).Quantile(0.5); got == got {
		t.Errorf("a quantile of nothing is %g, want NaN", got)
	}
}

func TestManyValuesKeepTheirRanks(t *testing.T) {
	const n = 100_000
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, compression := range []float64{20, 100, 1000} {
		whole, parts := New(compression), New(compression)
		sorted := make([]float64, n)
		for p := range 4 {
			part := New(compression)
			for i := p * n / 4; i < (p+1)*n/4; i++ {
				sorted[i] = math.Exp(rnd.NormFloat64())
				whole.Add(sorted[i])
				part.Add(sorted[i])
			}
			parts.Merge(&part)
		}
		slices.Sort(sorted)
		for name, d := range map[string]*Digest{"whole": &whole, "in parts": &parts} {
			if have := len(d.Centroids()); have > 2*int(compression) {
				t.Errorf("compression %g, %s: %d centroids", compression, name, have)
			}
			for _, q := range []float64{0.001, 0.25, 0.5, 0.9, 0.999} {
				at, _ := slices.BinarySearch(sorted, d.Quantile(q))
				if off := math.Abs(float64(at)/n - q); off > 2/compression {
					t.Errorf("compression %g, %s: quantile %g is off by %g of the rank", compression, name, q, off)
				}
			}
			if lo, hi := d.Ends(); lo != sorted[0] || hi != sorted[n-1] {
				t.Errorf("compression %g, %s: ends %g and %g", compression, name, lo, hi)
			}
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	values := make([]float64, 1<<16)
	for i := range values {
		values[i] = rnd.Float64()
	}
	b.ReportAllocs()
	d := New(Compression)
	for i := range b.N {
		d.Add(values[i&(len(values)-1)])
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "values/s")
}
