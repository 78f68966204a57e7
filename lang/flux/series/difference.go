package series

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Difference is the difference between each value and the one before it: an
// integer for integers of either kind, a float for floats. The first row of a
// table has none and is left out.
type Difference struct {
	Columns     []string
	NonNegative bool // a fall is null
	InitialZero bool // with NonNegative: a fall is a counter that began at zero again
	KeepFirst   bool // the first row stays, with null
}

// Name implements flow.Op.
func (d *Difference) Name() string { return "difference" }

// Details implements flow.Op.
func (d *Difference) Details() string {
	text := "columns: " + quoted(d.Columns)
	if d.NonNegative {
		text += ", nonNegative: true"
	}
	if d.InitialZero {
		text += ", initialZero: true"
	}
	if d.KeepFirst {
		text += ", keepFirst: true"
	}
	return text
}

// Open implements flow.Op.
func (d *Difference) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	return walk(in[0], func() walker { return &differing{of: d, last: states[seen]{}} }), nil
}

// seen is the last value of a column that was not null.
type seen struct {
	any  bool
	kind value.Kind
	word uint64
	time int64 // when that was; Derivative only
}

// take says that a column of a kind goes on.
func (s *seen) take(label string, kind value.Kind) error {
	if s.any && s.kind != kind {
		return fmt.Errorf("column %q has values of type %s and of type %s", label, s.kind, kind)
	}
	s.kind = kind
	return nil
}

type differing struct {
	of    *Difference
	last  states[seen]
	begun bool
}

func (d *differing) piece(t *table.Table) (*table.Table, error) {
	for _, label := range d.of.Columns {
		if c := t.Col(label); c != nil && c.Kind == value.Time {
			return nil, fmt.Errorf("column %q is of times: use elapsed() for them", label)
		}
	}
	cols, err := numbers(t, d.of.Columns)
	if err != nil {
		return nil, err
	}
	out := t
	for i := range cols {
		c, last := &cols[i], d.last.of(cols[i].Label)
		if err := last.take(c.Label, c.Kind); err != nil {
			return nil, err
		}
		switch c.Kind {
		case value.Int:
			out = out.With(differences[int64, int64](d.of, c, value.Int, last))
		case value.Uint:
			out = out.With(differences[uint64, int64](d.of, c, value.Int, last))
		default:
			out = out.With(differences[float64, float64](d.of, c, value.Float, last))
		}
	}
	if !d.begun && t.Rows > 0 {
		d.begun = true
		if !d.of.KeepFirst {
			out = out.Slice(1, t.Rows)
		}
	}
	return out, nil
}

func (d *differing) end() (*table.Table, error) { return nil, nil }

// differences computes one column. Differences of unsigned integers come out
// right as signed ones as long as these can hold them.
func differences[T, R number](d *Difference, c *table.Column, kind value.Kind, last *seen) table.Column {
	in := cells[T](c.Vec.Words)
	out := make([]R, len(in))
	var none gaps
	prev := cells[T]([]uint64{last.word})[0]
	for i, v := range in {
		if !c.Vec.Valid.Get(i) {
			none.add(i, len(in))
			continue
		}
		switch {
		case !last.any:
			none.add(i, len(in))
			last.any = true
		case v >= prev || !d.NonNegative:
			out[i] = R(v) - R(prev)
		case d.InitialZero && v >= 0:
			out[i] = R(v)
		default:
			none.add(i, len(in))
		}
		prev = v
	}
	last.word = wordOf(prev)
	return made(c.Label, kind, out, &none)
}
