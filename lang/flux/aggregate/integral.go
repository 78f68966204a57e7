package aggregate

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Integral is the area below the line through the values of a column, whose
// rows are in the order of time, per unit of time.
type Integral struct {
	One
	Unit       value.Span
	TimeColumn string
	// Linear extends the line through the first and the last two points to the
	// bounds of the table, which its group key must have.
	Linear bool
	// Average divides by the length of the table: the average over time.
	Average bool
}

// Name implements flow.Op.
func (i *Integral) Name() string {
	if i.Average {
		return "timeWeightedAvg"
	}
	return "integral"
}

// Details implements flow.Op.
func (i *Integral) Details() string {
	text := with(i.One.Details(), "unit", "%s", i.Unit)
	if i.TimeColumn != "_time" {
		text = with(text, "timeColumn", "%q", i.TimeColumn)
	}
	if i.Linear && !i.Average {
		text = with(text, "interpolate", "%q", "linear")
	}
	return text
}

// Check reports what is wrong with the arguments.
func (i *Integral) Check() error {
	if n, ok := i.Unit.Fixed(); !ok || n <= 0 {
		return fmt.Errorf("unit must be a positive length of time without months: it is %s", i.Unit)
	}
	return nil
}

// Open implements flow.Op.
func (i *Integral) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.PerTable(run, in[0], func(*flow.Account) flow.TableState { return &integralState{op: i} }), nil
}

// point is a moment with a value.
type point struct {
	at int64
	v  float64
}

type integralState struct {
	op       *Integral
	first    *table.Table
	found    bool // the column
	n        int
	opening  [2]point // the first points
	previous point
	last     point
	area     float64 // in values times nanoseconds
}

// Piece implements flow.TableState.
func (s *integralState) Piece(t *table.Table, _ func(*table.Table)) error {
	if s.first == nil {
		s.first = t
	}
	at := t.Col(s.op.TimeColumn)
	switch {
	case at == nil:
		return noColumn(s.op.TimeColumn)
	case at.Kind != value.Time:
		return &table.ColumnError{Label: at.Label, Have: at.Kind, Want: value.Time.String()}
	}
	c := t.Col(s.op.Column)
	if c == nil {
		return nil
	}
	if !c.Kind.Numeric() {
		return unsupported(c.Kind)
	}
	s.found = true
	for i := range t.Rows {
		if !c.Null(i) && !at.Null(i) {
			s.push(point{at.Int(i), c.Number(i)})
		}
	}
	return nil
}

func (s *integralState) push(p point) {
	if s.n < len(s.opening) {
		s.opening[s.n] = p
	}
	if s.n > 0 {
		s.area += trapezoid(s.last, p)
	}
	s.previous, s.last = s.last, p
	s.n++
}

func trapezoid(a, b point) float64 { return (a.v + b.v) / 2 * float64(b.at-a.at) }

// line returns the point at a time on the line through two points.
func line(a, b point, at int64) point {
	if a.at == b.at {
		return point{at, b.v}
	}
	return point{at, a.v + (b.v-a.v)*float64(at-a.at)/float64(b.at-a.at)}
}

// End implements flow.TableState.
func (s *integralState) End(emit func(*table.Table)) error {
	if !s.found {
		return s.op.missing(s.op.Column)
	}
	var bounds flow.Bounds
	if s.op.Linear {
		var err error
		if bounds, err = boundsOf(s.first.Key); err != nil {
			return err
		}
		s.extend(bounds)
	}
	c := table.NewColumn(s.op.Column, value.Float)
	switch {
	case s.op.Average && s.n == 0:
		c.Vec.AppendNulls(1)
	case s.op.Average:
		c.Vec.AppendFloat(s.area / float64(bounds.Stop-bounds.Start))
	default:
		unit, _ := s.op.Unit.Fixed()
		c.Vec.AppendFloat(s.area / float64(unit))
	}
	emit(&table.Table{Key: s.first.Key, Rows: 1, Cols: append(keyColumns(s.first), c)})
	return nil
}

// extend adds what lies between the points and the bounds of the table. A line
// through one point is level.
func (s *integralState) extend(b flow.Bounds) {
	if s.n == 0 {
		return
	}
	first, second, previous := s.opening[0], s.opening[1], s.previous
	if s.n == 1 {
		second, previous = first, s.last
	}
	if b.Start < first.at {
		s.area += trapezoid(line(first, second, b.Start), first)
	}
	if b.Stop > s.last.at {
		s.area += trapezoid(s.last, line(previous, s.last, b.Stop))
	}
}

// boundsOf returns the bounds that a group key has.
func boundsOf(k *table.Key) (flow.Bounds, error) {
	var at [2]int64
	for i, label := range [...]string{startLabel, stopLabel} {
		v, ok := k.Get(label)
		if !ok || v.Kind() != value.Time || v.IsNull() {
			return flow.Bounds{}, fmt.Errorf("column %q must be a time in the group key: use range or window first", label)
		}
		at[i] = v.Time()
	}
	return flow.Bounds{Start: at[0], Stop: at[1]}, nil
}
