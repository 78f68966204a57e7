package aggregate

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// What HistogramQuantile does with counts that decrease.
const (
	NonmonotonicError = "error" // ends the run
	NonmonotonicForce = "force" // raises them to the one before
	NonmonotonicDrop  = "drop"  // leaves the table out
)

// HistogramQuantile estimates a quantile of the values that a cumulative
// histogram counted: each row has how many of them are at most an upper bound.
type HistogramQuantile struct {
	Quantile         float64
	CountColumn      string
	UpperBoundColumn string
	ValueColumn      string
	MinValue         float64
	OnNonmonotonic   string
}

// Name implements flow.Op.
func (*HistogramQuantile) Name() string { return "histogramQuantile" }

// Details implements flow.Op.
func (h *HistogramQuantile) Details() string {
	return fmt.Sprintf("quantile: %g, countColumn: %q, upperBoundColumn: %q, valueColumn: %q, minValue: %g, onNonmonotonic: %q",
		h.Quantile, h.CountColumn, h.UpperBoundColumn, h.ValueColumn, h.MinValue, h.OnNonmonotonic)
}

// Check reports what is wrong with the arguments.
func (h *HistogramQuantile) Check() error {
	if !slices.Contains([]string{NonmonotonicError, NonmonotonicForce, NonmonotonicDrop}, h.OnNonmonotonic) {
		return fmt.Errorf("onNonmonotonic must be %q, %q or %q, not %q", NonmonotonicError, NonmonotonicForce, NonmonotonicDrop, h.OnNonmonotonic)
	}
	return nil
}

// bucket is a row of a histogram.
type bucket struct{ bound, count float64 }

// Open implements flow.Op.
func (h *HistogramQuantile) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.EachTable(run, in[0], func(t *table.Table, emit func(*table.Table) error) error {
		buckets, err := h.buckets(t)
		if err != nil {
			return err
		}
		q, ok, err := h.quantile(buckets)
		if !ok || err != nil {
			return err
		}
		c := table.NewColumn(h.ValueColumn, value.Float)
		c.Vec.AppendFloat(q)
		return emit(&table.Table{Key: t.Key, Rows: 1, Cols: append(keyColumns(t), c)})
	}), nil
}

// buckets returns the histogram that a table is, by upper bound.
func (h *HistogramQuantile) buckets(t *table.Table) ([]bucket, error) {
	var cols [2]*table.Column
	for i, p := range [...][2]string{{h.CountColumn, "count"}, {h.UpperBoundColumn, "upper bound"}} {
		c := t.Col(p[0])
		switch {
		case c == nil:
			return nil, fmt.Errorf("table is missing %s column %q", p[1], p[0])
		case c.Kind != value.Float:
			return nil, fmt.Errorf("%s column %q must be of type float, not %s", p[1], p[0], c.Kind)
		}
		cols[i] = c
	}
	list := make([]bucket, t.Rows)
	for i := range list {
		switch {
		case cols[0].Null(i):
			return nil, fmt.Errorf("unexpected null in the countColumn %q", h.CountColumn)
		case cols[1].Null(i):
			return nil, fmt.Errorf("unexpected null in the upperBoundColumn %q", h.UpperBoundColumn)
		}
		list[i] = bucket{count: cols[0].Float(i), bound: cols[1].Float(i)}
	}
	slices.SortStableFunc(list, func(a, b bucket) int { return cmp.Compare(a.bound, b.bound) })
	return list, nil
}

// quantile returns the estimate, unless the table is to be left out.
func (h *HistogramQuantile) quantile(list []bucket) (float64, bool, error) {
	if len(list) == 0 {
		return 0, false, fmt.Errorf("histogram is empty")
	}
	before := 0.0
	for i := range list {
		if list[i].count < before {
			switch h.OnNonmonotonic {
			case NonmonotonicError:
				return 0, false, fmt.Errorf("histogram records counts are not monotonic")
			case NonmonotonicDrop:
				return 0, false, nil
			}
			list[i].count = before
		}
		before = list[i].count
	}
	rank := h.Quantile * before
	// The buckets around the rank: below has at most that many values.
	below := bucket{bound: h.MinValue}
	at := 0
	for at < len(list) && rank >= list[at].count {
		below = list[at]
		at++
	}
	switch {
	case at == len(list), rank == below.count:
		return below.bound, true, nil
	case math.IsInf(below.bound, -1):
		return list[at].bound, true, nil
	case math.IsInf(list[at].bound, 1):
		return below.bound, true, nil
	}
	part := (rank - below.count) / (list[at].count - below.count)
	return below.bound + (list[at].bound-below.bound)*part, true, nil
}
