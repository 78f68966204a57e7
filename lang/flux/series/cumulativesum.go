package series

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// CumulativeSum is the sum of each value and those before it. A null adds
// nothing: its row has the sum so far.
type CumulativeSum struct{ Columns []string }

// Name implements flow.Op.
func (s *CumulativeSum) Name() string { return "cumulativeSum" }

// Details implements flow.Op.
func (s *CumulativeSum) Details() string { return "columns: " + quoted(s.Columns) }

// Open implements flow.Op.
func (s *CumulativeSum) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	return walk(in[0], func() walker { return &summing{of: s, sum: states[seen]{}} }), nil
}

type summing struct {
	of  *CumulativeSum
	sum states[seen]
}

func (s *summing) piece(t *table.Table) (*table.Table, error) {
	cols, err := numbers(t, s.of.Columns)
	if err != nil {
		return nil, err
	}
	out := t
	for i := range cols {
		c, sum := &cols[i], s.sum.of(cols[i].Label)
		if err := sum.take(c.Label, c.Kind); err != nil {
			return nil, err
		}
		sum.any = true
		switch c.Kind {
		case value.Int:
			out = out.With(sums[int64](c, sum))
		case value.Uint:
			out = out.With(sums[uint64](c, sum))
		default:
			out = out.With(sums[float64](c, sum))
		}
	}
	return out, nil
}

func (s *summing) end() (*table.Table, error) { return nil, nil }

// sums computes one column. The word of sum is the total so far.
func sums[T number](c *table.Column, sum *seen) table.Column {
	in := cells[T](c.Vec.Words)
	out := make([]T, len(in))
	total := cells[T]([]uint64{sum.word})[0]
	for i, v := range in {
		if c.Vec.Valid.Get(i) {
			total += v
		}
		out[i] = total
	}
	sum.word = wordOf(total)
	return made(c.Label, c.Kind, out, &gaps{})
}
