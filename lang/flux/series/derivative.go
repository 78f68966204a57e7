package series

import (
	"errors"
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Derivative is how much each value differs from the one before it, for each
// unit of the time between them, as a float. The first row of a table is left
// out, and so are rows of the same time as the row before them. Times must not
// fall.
type Derivative struct {
	Unit        value.Span
	Columns     []string
	TimeColumn  string
	NonNegative bool // a fall is null
	InitialZero bool // with NonNegative: a fall is a counter that began at zero again
}

// What times of rows must not be.
var (
	errNullTime  = errors.New("found null time in time column")
	errTimesFall = errors.New("found out-of-order times in time column: sort by it first")
)

// Name implements flow.Op.
func (d *Derivative) Name() string { return "derivative" }

// Details implements flow.Op.
func (d *Derivative) Details() string {
	text := fmt.Sprintf("unit: %s, columns: %s, timeColumn: %q", d.Unit, quoted(d.Columns), d.TimeColumn)
	if d.NonNegative {
		text += ", nonNegative: true"
	}
	if d.InitialZero {
		text += ", initialZero: true"
	}
	return text
}

// Open implements flow.Op.
func (d *Derivative) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	unit, err := perUnit(d.Unit)
	if err != nil {
		return nil, err
	}
	return walk(in[0], func() walker { return &deriving{of: d, unit: float64(unit), last: states[seen]{}} }), nil
}

type deriving struct {
	of    *Derivative
	unit  float64
	last  states[seen]
	begun bool
	time  int64 // of the last row that counted
}

func (d *deriving) piece(t *table.Table) (*table.Table, error) {
	at, err := t.Need(d.of.TimeColumn, value.Time)
	if err != nil {
		return nil, err
	}
	cols, err := numbers(t, d.of.Columns)
	if err != nil {
		return nil, err
	}
	// Which rows count: the first, and those with a later time than before.
	before := d.begun
	rows := make([]int, 0, t.Rows)
	for i := range t.Rows {
		if at.Null(i) {
			return nil, errNullTime
		}
		switch now := at.Int(i); {
		case !d.begun || now > d.time:
			d.begun, d.time = true, now
			rows = append(rows, i)
		case now < d.time:
			return nil, errTimesFall
		}
	}
	out := t
	if len(rows) < t.Rows {
		out = t.Pick(rows)
	}
	times := out.Col(d.of.TimeColumn)
	for i := range cols {
		c, last := out.Col(cols[i].Label).Flat(out.Rows), d.last.of(cols[i].Label)
		if err := last.take(c.Label, c.Kind); err != nil {
			return nil, err
		}
		switch c.Kind {
		case value.Int:
			c = derivatives[int64, int64](d, &c, times, last)
		case value.Uint:
			c = derivatives[uint64, int64](d, &c, times, last)
		default:
			c = derivatives[float64, float64](d, &c, times, last)
		}
		out = out.With(c)
	}
	if !before && out.Rows > 0 {
		out = out.Slice(1, out.Rows)
	}
	return out, nil
}

func (d *deriving) end() (*table.Table, error) { return nil, nil }

// derivatives computes one column.
func derivatives[T, R number](d *deriving, c *table.Column, times *table.Column, last *seen) table.Column {
	in := cells[T](c.Vec.Words)
	out := make([]float64, len(in))
	var none gaps
	prev := cells[T]([]uint64{last.word})[0]
	for i, v := range in {
		if !c.Vec.Valid.Get(i) {
			none.add(i, len(in))
			continue
		}
		now := times.Int(i)
		switch {
		case !last.any:
			none.add(i, len(in))
			last.any = true
		case v >= prev || !d.of.NonNegative:
			out[i] = float64(R(v)-R(prev)) / (float64(now-last.time) / d.unit)
		case d.of.InitialZero && v >= 0:
			out[i] = float64(v) / (float64(now-last.time) / d.unit)
		default:
			none.add(i, len(in))
		}
		prev, last.time = v, now
	}
	last.word = wordOf(prev)
	return made(c.Label, value.Float, out, &none)
}
