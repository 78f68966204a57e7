package series

import (
	"fmt"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Histogram counts how many values of a table are not above each of some
// bounds. The result has a row for each bound, the columns of the group key, the
// bound and the count.
type Histogram struct {
	Column           string
	UpperBoundColumn string
	CountColumn      string
	Bins             []float64 // ascending
	Normalize        bool      // counts are shares of all values
}

// Name implements flow.Op.
func (h *Histogram) Name() string { return "histogram" }

// Details implements flow.Op.
func (h *Histogram) Details() string {
	return fmt.Sprintf("column: %q, upperBoundColumn: %q, countColumn: %q, bins: %v, normalize: %t", h.Column, h.UpperBoundColumn, h.CountColumn, h.Bins, h.Normalize)
}

// Open implements flow.Op.
func (h *Histogram) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	if len(h.Bins) == 0 {
		return nil, fmt.Errorf("bins must hold at least one bound")
	}
	bins := slices.Sorted(slices.Values(h.Bins))
	return walk(in[0], func() walker { return &counting{of: h, bins: bins, counts: make([]float64, len(bins))} }), nil
}

type counting struct {
	of     *Histogram
	bins   []float64
	counts []float64 // of values in each bin alone
	total  float64
	key    *table.Key
}

func (h *counting) piece(t *table.Table) (*table.Table, error) {
	h.key = t.Key
	c, err := t.Need(h.of.Column, value.Float)
	if err != nil {
		return nil, err
	}
	flat := c.Flat(t.Rows)
	for i, v := range flat.Vec.Floats() {
		if !flat.Vec.Valid.Get(i) {
			continue
		}
		bin, _ := slices.BinarySearch(h.bins, v)
		if bin == len(h.bins) {
			return nil, fmt.Errorf("found value greater than any bin: %v is above %v; make the last bin infinite", v, h.bins[bin-1])
		}
		h.counts[bin]++
		h.total++
	}
	return nil, nil
}

func (h *counting) end() (*table.Table, error) {
	counts := make([]float64, len(h.counts))
	sum := 0.0
	for i, n := range h.counts {
		sum += n
		counts[i] = sum
		if h.of.Normalize && h.total > 0 {
			counts[i] /= h.total
		}
	}
	out := &table.Table{Key: h.key, Rows: len(h.bins)}
	out = out.WithKey(h.key)
	out = out.With(table.Floats(h.of.UpperBoundColumn, h.bins))
	return out.With(table.Floats(h.of.CountColumn, counts)), nil
}
