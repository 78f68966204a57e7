package series

import (
	"fmt"
	"math"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// HoltWinters predicts N values, an interval apart, by the method of Holt and
// Winters. Rows are put into buckets of an interval, the first of which begins
// at the first row; the first value in a bucket counts, a bucket without one is
// missing. A table with less than two buckets, or less than a season of them,
// has no prediction.
type HoltWinters struct {
	N           int64
	Interval    value.Span
	Seasonality int64 // buckets in a season; below 2: there are no seasons
	Column      string
	TimeColumn  string
	WithFit     bool // what the model says of the past comes first
	WithMinSSE  bool // with a column minSSE: the sum of the squared errors
}

// Name implements flow.Op.
func (h *HoltWinters) Name() string { return "holtWinters" }

// Details implements flow.Op.
func (h *HoltWinters) Details() string {
	return fmt.Sprintf("n: %d, interval: %s, seasonality: %d, column: %q, timeColumn: %q, withFit: %t, withMinSSE: %t",
		h.N, h.Interval, h.Seasonality, h.Column, h.TimeColumn, h.WithFit, h.WithMinSSE)
}

// maxBuckets is how many points a model is fitted to at most. A search looks
// at each of them up to some tens of thousands of times.
const maxBuckets = 1 << 20

// Open implements flow.Op.
func (h *HoltWinters) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	switch {
	case h.N <= 0 || h.N > maxBuckets:
		return nil, fmt.Errorf("n is %d: it must be between 1 and %d", h.N, maxBuckets)
	case h.Interval.IsZero() || h.Interval.Negative():
		return nil, fmt.Errorf("interval must be above zero, not %s", h.Interval)
	case h.Seasonality < 0 || h.Seasonality > maxBuckets:
		return nil, fmt.Errorf("seasonality is %d: it must be between 0 and %d", h.Seasonality, maxBuckets)
	}
	return flow.EachTable(run, in[0], func(t *table.Table, emit func(*table.Table) error) error {
		out, err := h.predict(run, t)
		if err != nil {
			return err
		}
		return emit(out)
	}), nil
}

func (h *HoltWinters) predict(run *flow.Run, t *table.Table) (*table.Table, error) {
	c, err := t.Need(h.Column, value.Int, value.Uint, value.Float)
	if err != nil {
		return nil, err
	}
	at, err := t.Need(h.TimeColumn, value.Time)
	if err != nil {
		return nil, err
	}
	first, y, err := h.buckets(t, c, at)
	if err != nil {
		return nil, err
	}
	var times []int64
	var values, errors []float64
	var none gaps
	season := 0
	if h.Seasonality >= 2 {
		season = int(h.Seasonality)
	}
	if len(y) >= max(2, season) {
		f := forecast{y: y, season: season}
		sse, p, err := f.fit(run.Ended)
		if err != nil {
			return nil, err
		}
		all := f.run(int(h.N), p)
		from := len(y)
		if h.WithFit {
			from = 0
		}
		for i := from; i < len(all); i++ {
			if math.IsNaN(all[i]) {
				none.add(len(values), len(all)-from)
				all[i] = 0
			}
			times = append(times, h.Interval.Times(int64(i)).AddTo(first, time.UTC))
			values, errors = append(values, all[i]), append(errors, sse)
		}
	}
	out := (&table.Table{Key: t.Key, Rows: len(times)}).WithKey(t.Key)
	out = out.With(table.Times(h.TimeColumn, times)).With(made(h.Column, value.Float, values, &none))
	if h.WithMinSSE {
		out = out.With(table.Floats("minSSE", errors))
	}
	return out, nil
}

// buckets returns where the first bucket begins, and the value of each.
func (h *HoltWinters) buckets(t *table.Table, c, at *table.Column) (first int64, y []float64, err error) {
	filled := false
	var end int64 // of the last bucket
	for i := range t.Rows {
		if at.Null(i) {
			continue
		}
		now := at.Int(i)
		if y == nil {
			first = now
		}
		for y == nil || now >= end {
			if len(y) == maxBuckets {
				return 0, nil, fmt.Errorf("rows span more than %d intervals of %s: use a longer one", maxBuckets, h.Interval)
			}
			y, filled = append(y, math.NaN()), false
			end = h.Interval.Times(int64(len(y))).AddTo(first, time.UTC)
		}
		if !filled {
			filled = true
			if !c.Null(i) {
				y[len(y)-1] = c.Number(i)
			}
		}
	}
	return first, y, nil
}
