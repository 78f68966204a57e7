package detect

import (
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", 0, "of random tests; 0 chooses one")

func random(t *testing.T) *rand.Rand {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", s)
	return rand.New(rand.NewPCG(s, 1))
}

type past struct {
	t int64
	v float64
}

// expected is a window as one would write it down: all earlier readings of the
// series (and slot), those that are too old or too many taken away.
func expected(c Window, before []past, t int64) []float64 {
	var in []float64
	for _, p := range before[max(0, len(before)-c.Readings):] {
		if c.Span == 0 || t-p.t <= int64(c.Span) {
			in = append(in, p.v)
		}
	}
	return in
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

func TestWindowsEqualReference(t *testing.T) {
	r := random(t)
	for round := range 60 {
		c := Window{Readings: 2 + r.IntN(40)}
		c.Least = 2 + r.IntN(c.Readings-1)
		if round%3 == 1 {
			c.Span = time.Duration(1+r.IntN(60)) * time.Second
		}
		z := NewZScore(ZScoreConfig{Deviation: Deviation{Track: Track{Series: 3}, Window: c, Threshold: 3}})
		m := NewMAD(Deviation{Track: Track{Series: 3}, Window: c, Threshold: 3.5})
		before := map[uint64][]past{}
		kinds := 1 + r.IntN(30) // few values: many ties
		now := int64(0)
		for range 2000 {
			series := r.Uint64N(3)
			now += int64(r.IntN(3)) * 1e9 * int64(r.IntN(4))
			v := math.Round(r.NormFloat64()*float64(kinds)) + 1000*float64(round)
			p := before[series]
			window := expected(c, p, now)
			var wantZ, wantM Finding
			if len(window) >= c.Least {
				wantZ = naiveZ(window, v)
				wantM = naiveMAD(window, v)
			}
			// The window of a series is as old as its newest reading.
			if !near(z.Observe(series, now, v), wantZ) {
				t.Fatalf("round %d: zscore of %g in %v: want %+v", round, v, window, wantZ)
			}
			if !near(m.Observe(series, now, v), wantM) {
				t.Fatalf("round %d: mad of %g in %v: want %+v", round, v, window, wantM)
			}
			if len(p) == 0 || now > p[len(p)-1].t {
				before[series] = append(p, past{now, v})
			}
		}
	}
}

func naiveZ(window []float64, v float64) Finding {
	if slices.Min(window) == slices.Max(window) {
		return flat(v-window[0], 3)
	}
	var mean, squares float64
	for _, x := range window {
		mean += x / float64(len(window))
	}
	for _, x := range window {
		squares += (x - mean) * (x - mean)
	}
	return judgement((v-mean)/math.Sqrt(squares/float64(len(window)-1)), 3)
}

// flat is what is said of a reading that is so far off equal ones.
func flat(distance, threshold float64) Finding {
	if distance == 0 {
		return Finding{Judged: true}
	}
	return Finding{math.Copysign(threshold, distance), true, true}
}

func naiveMAD(window []float64, v float64) Finding {
	m := median(window)
	if slices.Min(window) == slices.Max(window) {
		return flat(v-m, 3.5)
	}
	var far []float64
	var sum float64
	for _, x := range window {
		far = append(far, math.Abs(x-m))
		sum += math.Abs(x - m)
	}
	d := median(far) / 0.6744897501960817
	if d == 0 {
		d = math.Sqrt(math.Pi/2) * sum / float64(len(window))
	}
	return judgement((v-m)/d, 3.5)
}

func judgement(score, threshold float64) Finding {
	if math.IsNaN(score) || math.Abs(score) > 1e9 {
		return Finding{}
	}
	return Finding{score, true, math.Abs(score) >= threshold}
}

// near allows for rounding, also about the threshold and where all values are
// equal.
func near(got, want Finding) bool {
	if got.Judged && !want.Judged {
		return false
	}
	if !got.Judged && !want.Judged {
		return true
	}
	if math.Abs(got.Score-want.Score) > 1e-6*max(1, math.Abs(want.Score)) {
		return false
	}
	return got.Judged == want.Judged && (got.Found == want.Found || math.Abs(math.Abs(want.Score)-3.25) < 0.26)
}

func TestZScoreStaysExact(t *testing.T) {
	z := NewZScore(ZScoreConfig{Deviation: Deviation{Track: Track{Series: 1}, Window: Window{Readings: 50, Least: 2}, Threshold: 3}})
	r := random(t)
	// Large values first: what they leave behind by rounding would drown the rest.
	for i := range 1000 {
		z.Observe(1, int64(i), 1e12*r.NormFloat64())
	}
	var window []float64
	for i := range 200 {
		v := r.Float64()
		if len(window) == 50 && i > 150 {
			if got, want := z.Observe(1, int64(1000+i), v), naiveZ(window, v); math.Abs(got.Score-want.Score) > 1e-9 {
				t.Fatalf("got %g, want %g", got.Score, want.Score)
			}
		} else {
			z.Observe(1, int64(1000+i), v)
		}
		if window = append(window, v); len(window) > 50 {
			window = window[1:]
		}
	}
	// Values whose squares have no place leave, and it judges again.
	z.Observe(1, 5000, math.MaxFloat64)
	for i := range 100 {
		z.Observe(1, int64(5001+i), r.Float64())
	}
	if f := z.Observe(1, 6000, 100); !f.Found {
		t.Errorf("got %+v", f)
	}
}

func TestOutliersLeftOut(t *testing.T) {
	c := ZScoreConfig{Deviation: Deviation{Track: Track{Series: 1}, Window: Window{Readings: 20, Least: 5}, Threshold: 3}, LeaveOut: true}
	z := NewZScore(c)
	for i := range 20 {
		z.Observe(1, int64(i), float64(i%3))
	}
	// A new level: found until as many as the least have been, then it is normal.
	var found []bool
	for i := range 14 {
		found = append(found, z.Observe(1, int64(100+i), 50+float64(i%3)).Found)
	}
	if want := []bool{true, true, true, true, true, false, false, false, false, false, false, false, false, false}; !slices.Equal(found, want) {
		t.Errorf("got %v, want %v", found, want)
	}
}

func TestLeastDeviation(t *testing.T) {
	z := NewZScore(ZScoreConfig{Deviation: Deviation{Track: Track{Series: 1}, Window: Window{Readings: 20, Least: 5}, Threshold: 3}})
	m := NewMAD(Deviation{Track: Track{Series: 1}, Window: Window{Readings: 20, Least: 5}, Threshold: 3, LeastDeviation: 0.5})
	for i := range 20 {
		z.Observe(1, int64(i), 7)
		m.Observe(1, int64(i), 7)
	}
	// Off a flat window is found, how far off cannot be said.
	if f := z.Observe(1, 99, 7); f != (Finding{0, true, false}) {
		t.Errorf("got %+v", f)
	}
	if f := z.Observe(1, 100, 6.9); f != (Finding{-3, true, true}) {
		t.Errorf("got %+v", f)
	}
	if f := m.Observe(1, 100, 8); f != (Finding{2, true, false}) {
		t.Errorf("got %+v", f)
	}
	if f := m.Observe(1, 101, 9); f != (Finding{4, true, true}) {
		t.Errorf("got %+v", f)
	}
}

func TestSeason(t *testing.T) {
	// Noon is warm and midnight is cold; a warm midnight is odd only by the season.
	plain := NewMAD(Deviation{Track: Track{Series: 100}, Window: Window{Readings: 96, Least: 5}, Threshold: 3.5})
	season := NewMAD(Deviation{Track: Track{Series: 100}, Window: Window{Readings: 20, Least: 5, Season: 24 * time.Hour, Slots: 24}, Threshold: 3.5})
	r := random(t)
	hour := int64(time.Hour)
	for h := int64(-300); h < 300; h++ {
		v := 20 - 10*math.Cos(2*math.Pi*float64(h)/24) + r.Float64()
		if h == 240 {
			v = 30
		}
		p, s := plain.Observe(1, h*hour, v), season.Observe(1, h*hour, v)
		if h == 240 && (p.Found || !s.Found) {
			t.Errorf("a warm midnight: %+v without and %+v with the season", p, s)
		}
	}
	if n := season.Stats().Series; n != 24 {
		t.Errorf("%d states for a day of hours", n)
	}
}

func TestTableHoldsNoMore(t *testing.T) {
	d := NewStuck(StuckConfig{Track: Track{Series: 10}, Readings: 2})
	for round := range 3 {
		for s := range uint64(5) { // few that come always
			d.Observe(s, int64(round), 1)
		}
		for s := range uint64(4) {
			d.Observe(100+4*uint64(round)+s, 0, 1)
		}
	}
	if s := d.Stats(); s.Series != 10 || s.Evicted != 7 {
		t.Errorf("got %+v", s)
	}
	for s := range uint64(5) {
		if !d.Observe(s, 10, 1).Found {
			t.Errorf("series %d, which is seen always, was forgotten", s)
		}
	}
	large := NewStuck(StuckConfig{Track: Track{Series: 20_000}, Readings: 2})
	for s := range uint64(100_000) {
		large.Observe(mix(s, s), 0, 1)
	}
	if s := large.Stats(); s.Series > 20_000 || s.Series < 19_000 || s.Evicted != uint64(100_000-s.Series) {
		t.Errorf("got %+v", s)
	}
}
