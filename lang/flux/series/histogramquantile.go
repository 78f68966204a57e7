package series

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// HistogramQuantile estimates a quantile from a table that is a cumulative
// histogram: how many values are not above each of some bounds. Values are taken
// to lie evenly between two bounds. The result has the columns of the group key
// and the quantile.
type HistogramQuantile struct {
	Quantile         float64
	CountColumn      string
	UpperBoundColumn string
	ValueColumn      string
	MinValue         float64 // where the first bin begins
	OnNonmonotonic   string  // error, force or drop: what counts that fall come to
}

var errCountsFall = errors.New("histogram records counts are not monotonic")

// Name implements flow.Op.
func (h *HistogramQuantile) Name() string { return "histogramQuantile" }

// Details implements flow.Op.
func (h *HistogramQuantile) Details() string {
	return fmt.Sprintf("quantile: %v, countColumn: %q, upperBoundColumn: %q, valueColumn: %q, minValue: %v, onNonmonotonic: %q",
		h.Quantile, h.CountColumn, h.UpperBoundColumn, h.ValueColumn, h.MinValue, h.OnNonmonotonic)
}

// Open implements flow.Op.
func (h *HistogramQuantile) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	if !(h.Quantile >= 0 && h.Quantile <= 1) {
		return nil, fmt.Errorf("quantile is %v: it must be between 0.0 and 1.0", h.Quantile)
	}
	if !slices.Contains([]string{"error", "force", "drop"}, h.OnNonmonotonic) {
		return nil, fmt.Errorf("onNonmonotonic is %q: it must be error, force or drop", h.OnNonmonotonic)
	}
	return flow.EachTable(run, in[0], func(t *table.Table, emit func(*table.Table) error) error {
		if t.Rows == 0 {
			return nil
		}
		bins, err := h.bins(t)
		if err != nil {
			return err
		}
		for i := 1; i < len(bins); i++ {
			if bins[i].count >= bins[i-1].count {
				continue
			}
			switch h.OnNonmonotonic {
			case "error":
				return errCountsFall
			case "drop":
				return nil
			}
			bins[i].count = bins[i-1].count
		}
		return emit(OneRow(t.Key, h.ValueColumn, value.OfFloat(h.of(bins))))
	}), nil
}

// OneRow returns a table of one row: the columns of the key and one more.
func OneRow(key *table.Key, label string, v value.Value) *table.Table {
	return (&table.Table{Key: key, Rows: 1}).WithKey(key).With(table.Constant(label, v))
}

// bin is how many values are not above a bound.
type bin struct{ bound, count float64 }

// bins returns the rows of t by bound.
func (h *HistogramQuantile) bins(t *table.Table) ([]bin, error) {
	bound, err := t.Need(h.UpperBoundColumn, value.Float)
	if err != nil {
		return nil, err
	}
	count, err := t.Need(h.CountColumn, value.Float)
	if err != nil {
		return nil, err
	}
	bins := make([]bin, t.Rows)
	for i := range bins {
		if bound.Null(i) || count.Null(i) {
			return nil, fmt.Errorf("unexpected null in column %q or %q", h.UpperBoundColumn, h.CountColumn)
		}
		bins[i] = bin{bound.Float(i), count.Float(i)}
	}
	slices.SortStableFunc(bins, func(a, b bin) int { return cmp.Compare(a.bound, b.bound) })
	return bins, nil
}

// of returns the quantile.
func (h *HistogramQuantile) of(bins []bin) float64 {
	total := bins[len(bins)-1].count
	if total == 0 {
		return math.NaN()
	}
	rank := h.Quantile * total
	at := 0
	for at < len(bins)-1 && bins[at].count < rank {
		at++
	}
	below := bin{h.MinValue, 0}
	if at > 0 {
		below = bins[at-1]
	}
	switch up := bins[at]; {
	case math.IsInf(below.bound, -1):
		return up.bound
	case math.IsInf(up.bound, 1), up.count == below.count:
		return below.bound
	default:
		return below.bound + (up.bound-below.bound)*(rank-below.count)/(up.count-below.count)
	}
}
