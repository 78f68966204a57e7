package promql

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/series"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Reduce makes one row of each table of samples, with the columns of the group
// key and a value. A table of too few samples for the function has none. The
// functions are those of PromQL (https://prometheus.io/docs/prometheus/latest/querying/functions/).
type Reduce struct {
	Function string
	Range    bool // the function needs _start and _stop
	of       func(*sampled) (float64, bool)
}

// Name implements flow.Op.
func (r *Reduce) Name() string { return "promql." + r.Function }

// Details implements flow.Op.
func (r *Reduce) Details() string { return "" }

// sampled is the samples of a table, in order of time.
type sampled struct {
	start, stop int64 // of the range, nanoseconds since 1970
	times       []int64
	values      []float64
}

// Open implements flow.Op.
func (r *Reduce) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.EachTable(run, in[0], func(t *table.Table, emit func(*table.Table) error) error {
		s, err := r.read(t)
		if err != nil {
			return err
		}
		v, ok := r.of(s)
		if !ok {
			return nil
		}
		return emit(series.OneRow(t.Key, "_value", value.OfFloat(v)))
	}), nil
}

func (r *Reduce) read(t *table.Table) (*sampled, error) {
	at, err := t.Need("_time", value.Time)
	if err != nil {
		return nil, err
	}
	c, err := t.Need("_value", value.Float)
	if err != nil {
		return nil, err
	}
	s := &sampled{}
	if r.Range {
		for _, b := range []struct {
			label string
			to    *int64
		}{{"_start", &s.start}, {"_stop", &s.stop}} {
			v, ok := t.Key.Get(b.label)
			if !ok || v.Kind() != value.Time || v.IsNull() {
				return nil, fmt.Errorf("tables must have a time %s in their group key, as range() puts there", b.label)
			}
			*b.to = v.Time()
		}
	}
	for i := range t.Rows {
		if !at.Null(i) && !c.Null(i) {
			s.times, s.values = append(s.times, at.Int(i)), append(s.values, c.Float(i))
		}
	}
	return s, nil
}

// seconds returns a time in nanoseconds in seconds.
func seconds(ns int64) float64 { return float64(ns) / float64(time.Second) }

// changes counts how often the value changed. NaN after NaN is no change.
func changes(s *sampled) (float64, bool) {
	n := 0.0
	for i := 1; i < len(s.values); i++ {
		if a, b := s.values[i-1], s.values[i]; a != b && !(math.IsNaN(a) && math.IsNaN(b)) {
			n++
		}
	}
	return n, len(s.values) > 0
}

// resets counts how often a counter fell.
func resets(s *sampled) (float64, bool) {
	n := 0.0
	for i := 1; i < len(s.values); i++ {
		if s.values[i] < s.values[i-1] {
			n++
		}
	}
	return n, len(s.values) > 0
}

// extrapolated returns delta, increase or rate: the difference of the last and
// first sample, taken to the bounds of the range as far as samples can be
// thought to have gone on.
func (s *sampled) extrapolated(counter, rate bool) (float64, bool) {
	n := len(s.values)
	if n < 2 {
		return 0, false
	}
	v := s.values[n-1] - s.values[0]
	if counter {
		for i := 1; i < n; i++ {
			if s.values[i] < s.values[i-1] {
				v += s.values[i-1]
			}
		}
	}
	before, after := seconds(s.times[0]-s.start), seconds(s.stop-s.times[n-1])
	span := seconds(s.times[n-1] - s.times[0])
	step := span / float64(n-1)
	if counter && v > 0 && s.values[0] >= 0 {
		// A counter was not below zero before the first sample either.
		before = min(before, span*s.values[0]/v)
	}
	whole := span
	for _, gap := range []float64{before, after} {
		if gap < step*1.1 {
			whole += gap
		} else {
			whole += step / 2
		}
	}
	v *= whole / span
	if rate {
		v /= seconds(s.stop - s.start)
	}
	return v, true
}

// instant returns idelta or irate: what the last two samples differ by.
func (s *sampled) instant(rate bool) (float64, bool) {
	n := len(s.values)
	if n < 2 {
		return 0, false
	}
	span := seconds(s.times[n-1] - s.times[n-2])
	if span == 0 {
		return 0, false
	}
	v := s.values[n-1] - s.values[n-2]
	if !rate {
		return v, true
	}
	if v < 0 { // a counter that was reset
		v = s.values[n-1]
	}
	return v / span, true
}

// regression returns the slope of the line of least squares per second, or the
// value that it has ahead seconds after the end of the range.
func (s *sampled) regression(predict bool, ahead float64) (float64, bool) {
	n := float64(len(s.values))
	if n < 2 {
		return 0, false
	}
	zero := s.times[0]
	if predict {
		zero = s.stop
	}
	var sx, sy, sxy, sxx float64
	for i, y := range s.values {
		x := seconds(s.times[i] - zero)
		sx += x
		sy += y
		sxy += x * y
		sxx += x * x
	}
	slope := (sxy - sx*sy/n) / (sxx - sx*sx/n)
	if !predict {
		return slope, true
	}
	return sy/n - slope*sx/n + slope*ahead, true
}

// smoothed returns the last value of a double exponential smoothing.
func (s *sampled) smoothed(smoothing, trend float64) (float64, bool) {
	if len(s.values) < 2 {
		return 0, false
	}
	last, level, step := 0.0, s.values[0], s.values[1]-s.values[0]
	for i, v := range s.values[1:] {
		if i > 0 {
			step = trend*(level-last) + (1-trend)*step
		}
		last, level = level, smoothing*v+(1-smoothing)*(level+step)
	}
	return level, true
}

// quantile returns a quantile, on the straight line between two values.
func (s *sampled) quantile(q float64) (float64, bool) {
	n := len(s.values)
	switch {
	case n == 0:
		return 0, false
	case math.IsNaN(q):
		return q, true
	case q < 0:
		return math.Inf(-1), true
	case q > 1:
		return math.Inf(1), true
	}
	sorted := slices.Sorted(slices.Values(s.values))
	rank := q * float64(n-1)
	at := int(rank)
	part := rank - float64(at)
	return sorted[at]*(1-part) + sorted[min(at+1, n-1)]*part, true
}
