package promql

import (
	"math"
	"testing"
	"time"
)

// every returns samples of a value each ten seconds, beginning ten seconds into
// a range of a minute.
func every(values ...float64) *sampled {
	s := &sampled{stop: int64(time.Minute), values: values}
	for i := range values {
		s.times = append(s.times, int64(i+1)*10*int64(time.Second))
	}
	return s
}

func TestReduce(t *testing.T) {
	nan := math.NaN()
	for _, test := range []struct {
		name string
		of   func(*sampled) (float64, bool)
		in   *sampled
		want float64
		none bool
	}{
		{"changes", changes, every(1, 1, 2, nan, nan, 1), 3, false},
		{"changes of nothing", changes, every(), 0, true},
		{"resets", resets, every(3, 1, 2, 0), 2, false},
		// 10 s before the first and 20 s after the last sample: 1.1 steps are
		// filled whole, more than that by half a step.
		{"delta", func(s *sampled) (float64, bool) { return s.extrapolated(false, false) }, every(9, 6, 3, 0), -9 * 45. / 30, false},
		{"increase", func(s *sampled) (float64, bool) { return s.extrapolated(true, false) }, every(10, 20, 5, 10), 20 * 45. / 30, false},
		{"increase from zero", func(s *sampled) (float64, bool) { return s.extrapolated(true, false) }, every(0, 10, 20, 30), 30 * 35. / 30, false},
		{"rate", func(s *sampled) (float64, bool) { return s.extrapolated(true, true) }, every(10, 20, 5, 10), 20 * 45. / 30 / 60, false},
		{"rate of one", func(s *sampled) (float64, bool) { return s.extrapolated(true, true) }, every(1), 0, true},
		{"idelta", func(s *sampled) (float64, bool) { return s.instant(false) }, every(1, 5, 2), -3, false},
		{"irate", func(s *sampled) (float64, bool) { return s.instant(true) }, every(1, 5, 2), 0.2, false},
		{"deriv", func(s *sampled) (float64, bool) { return s.regression(false, 0) }, every(1, 3, 5), 0.2, false},
		{"predict_linear", func(s *sampled) (float64, bool) { return s.regression(true, 30) }, every(1, 3, 5), 5 + 0.2*60, false},
		{"holt_winters", func(s *sampled) (float64, bool) { return s.smoothed(0.1, 0.2) }, every(1, 1, 1, 100, 100, 100), 32.78296, false},
		{"quantile", func(s *sampled) (float64, bool) { return s.quantile(0.25) }, every(4, 1, 2, 3, 9), 2, false},
		{"quantile below", func(s *sampled) (float64, bool) { return s.quantile(-1) }, every(4), math.Inf(-1), false},
		{"quantile above", func(s *sampled) (float64, bool) { return s.quantile(2) }, every(4), math.Inf(1), false},
	} {
		got, ok := test.of(test.in)
		if ok == test.none || (ok && got != test.want && math.Abs(got-test.want) > 1e-12) {
			t.Errorf("%s is %v (%t): want %v", test.name, got, ok, test.want)
		}
	}
}
