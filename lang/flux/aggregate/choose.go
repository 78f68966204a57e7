package aggregate

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// chooser is an operator that keeps one row of a table, told by the values of
// one column: rows in which it is null are not chosen. A table of which nothing
// is chosen is left without rows.
type chooser interface {
	flow.Op
	// reads returns the label of the column.
	reads() string
	// begin returns the state for a column of a kind.
	begin(kind value.Kind) (choice, error)
}

// choice is the state of a chooser, which looks at rows in the order of the
// table.
type choice interface {
	// look looks at rows from to to-1 and returns the one that is chosen now, or
	// -1 if none of them is better than what was chosen before.
	look(c *table.Column, from, to int) int
}

// noColumn says that a table has no column of that label.
func noColumn(label string) error { return fmt.Errorf("no column %q exists", label) }

// By is a selector by the values of one column.
type By struct{ Column string }

func (b *By) reads() string { return b.Column }

// Details implements flow.Op.
func (b *By) Details() string { return column(b.Column) }

// openChooser runs a chooser over whole tables.
func openChooser(run *flow.Run, in []table.Reader, c chooser) (table.Reader, error) {
	return flow.PerTable(run, in[0], func(*flow.Account) flow.TableState { return &chooseState{op: c} }), nil
}

// chooseState chooses a row of one table.
type chooseState struct {
	op     chooser
	kind   value.Kind // Absent: no piece had the column so far
	choice choice
	first  *table.Table
	from   *table.Table // the piece with the row that is chosen; nil: none
	row    int
}

// Piece implements flow.TableState.
func (s *chooseState) Piece(t *table.Table, _ func(*table.Table)) error {
	if s.first == nil {
		s.first = t
	}
	c := t.Col(s.op.reads())
	if c == nil {
		return nil
	}
	if s.choice == nil {
		var err error
		if s.choice, err = s.op.begin(c.Kind); err != nil {
			return err
		}
		s.kind = c.Kind
	}
	if c.Kind != s.kind {
		return &table.KindError{Label: c.Label, A: s.kind, B: c.Kind}
	}
	if at := s.choice.look(c, 0, t.Rows); at >= 0 {
		s.from, s.row = t, at
	}
	return nil
}

// End implements flow.TableState.
func (s *chooseState) End(emit func(*table.Table)) error {
	switch {
	case s.choice == nil:
		return noColumn(s.op.reads())
	case s.from == nil:
		emit(s.first.Slice(0, 0))
	default:
		emit(s.from.Pick([]int{s.row}))
	}
	return nil
}

// First keeps the first row.
type First struct{ By }

// Name implements flow.Op.
func (*First) Name() string { return "first" }

// Open implements flow.Op.
func (f *First) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return openChooser(run, in, f)
}

func (*First) begin(value.Kind) (choice, error) { return new(firstRow), nil }

type firstRow struct{ found bool }

func (f *firstRow) look(c *table.Column, from, to int) int {
	for i := from; i < to && !f.found; i++ {
		if !c.Null(i) {
			f.found = true
			return i
		}
	}
	return -1
}

// Last keeps the last row.
type Last struct{ By }

// Name implements flow.Op.
func (*Last) Name() string { return "last" }

// Open implements flow.Op.
func (l *Last) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return openChooser(run, in, l)
}

func (*Last) begin(value.Kind) (choice, error) { return lastRow{}, nil }

type lastRow struct{}

func (lastRow) look(c *table.Column, from, to int) int {
	for i := to - 1; i >= from; i-- {
		if !c.Null(i) {
			return i
		}
	}
	return -1
}

// Min keeps the first row with the least number or time.
type Min struct{ By }

// Name implements flow.Op.
func (*Min) Name() string { return "min" }

// Open implements flow.Op.
func (m *Min) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return openChooser(run, in, m)
}

func (*Min) begin(k value.Kind) (choice, error) { return newExtreme(k, false) }

// Max keeps the first row with the greatest number or time.
type Max struct{ By }

// Name implements flow.Op.
func (*Max) Name() string { return "max" }

// Open implements flow.Op.
func (m *Max) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return openChooser(run, in, m)
}

func (*Max) begin(k value.Kind) (choice, error) { return newExtreme(k, true) }

// extreme is the least or the greatest value so far.
type extreme[T number] struct {
	max  bool
	some bool
	best T
}

func newExtreme(k value.Kind, max bool) (choice, error) {
	switch k {
	case value.Int, value.Time:
		return &extreme[int64]{max: max}, nil
	case value.Uint:
		return &extreme[uint64]{max: max}, nil
	case value.Float:
		return &extreme[float64]{max: max}, nil
	}
	// The text is that of influxd, by which people search.
	name := "Min"
	if max {
		name = "Max"
	}
	return nil, fmt.Errorf("invalid use of function: *universe.%sSelector has no implementation for type %s", name, k)
}

func (e *extreme[T]) look(c *table.Column, from, to int) int {
	if from == to || isNull(c) {
		return -1
	}
	if c.Same {
		if !e.better(numbers[T](c.Vec.Words)[0]) {
			return -1
		}
		return from
	}
	words, all, at := numbers[T](c.Vec.Words), c.Vec.Valid.All(), -1
	for i := from; i < to; i++ {
		if x := words[i]; (all || !c.Null(i)) && e.better(x) {
			at = i
		}
	}
	return at
}

// better takes a value that is better than the best so far.
func (e *extreme[T]) better(x T) bool {
	if e.some && (e.max && !(x > e.best) || !e.max && !(x < e.best)) {
		return false
	}
	e.some, e.best = true, x
	return true
}
