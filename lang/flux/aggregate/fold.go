package aggregate

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// fold is an operator that makes one value of some columns of a table.
type fold interface {
	flow.Op
	// reads returns the labels of the columns that it takes.
	reads() []string
	// writes returns the label of the column of the result.
	writes() string
	// missing says that a table has no column of that label.
	missing(label string) error
	// result returns the kind of the result for columns of those kinds.
	result(kinds []value.Kind) (value.Kind, error)
	// begin returns an accumulator for columns of those kinds.
	begin(kinds []value.Kind) accumulator
}

// accumulator is the state of a fold. It takes rows in the order of the table.
type accumulator interface {
	// add takes rows from to to-1 of the columns.
	add(cols []*table.Column, from, to int)
	// value returns what was taken so far comes to; an absent or null value
	// is the null.
	value() value.Value
	// size returns how many bytes it has come to take.
	size() int64
}

// One is an aggregate of one column, whose result has the label of that column.
type One struct{ Column string }

func (o *One) reads() []string { return []string{o.Column} }
func (o *One) writes() string  { return o.Column }
func (o *One) missing(label string) error {
	return fmt.Errorf("column %q does not exist", label)
}

// Details implements flow.Op.
func (o *One) Details() string { return column(o.Column) }

// numeric checks that the one kind is of numbers.
func numeric(kinds []value.Kind) error {
	if !kinds[0].Numeric() {
		return unsupported(kinds[0])
	}
	return nil
}

// binding finds the columns of a fold in the pieces of one table. A column that
// a piece does not have is null in it.
type binding struct {
	fold  fold
	kinds []value.Kind // Absent: no piece had the column so far
	cols  []*table.Column
	known bool // all kinds
	to    value.Kind
}

func newBinding(f fold) *binding {
	n := len(f.reads())
	return &binding{fold: f, kinds: make([]value.Kind, n), cols: make([]*table.Column, n)}
}

// bind turns to a piece and reports whether all columns have been seen.
func (b *binding) bind(t *table.Table) (bool, error) {
	known := true
	for i, label := range b.fold.reads() {
		if t.Key.Has(label) {
			return false, fmt.Errorf("cannot aggregate columns that are part of the group key: %q is one", label)
		}
		c := t.Col(label)
		switch {
		case c != nil && b.kinds[i] == value.Absent:
			b.kinds[i] = c.Kind
		case c != nil && b.kinds[i] != c.Kind:
			return false, &table.KindError{Label: label, A: b.kinds[i], B: c.Kind}
		case c == nil && b.kinds[i] == value.Absent:
			known = false
		case c == nil:
			null := table.Constant(label, value.NullOf(b.kinds[i]))
			c = &null
		}
		b.cols[i] = c
	}
	if !known || b.known {
		return known, nil
	}
	b.known = true
	var err error
	b.to, err = b.fold.result(b.kinds)
	return true, err
}

// missing says which column no piece had.
func (b *binding) missing() error {
	for i, label := range b.fold.reads() {
		if b.kinds[i] == value.Absent {
			return b.fold.missing(label)
		}
	}
	return nil
}

// nulls hands an accumulator rows that came before the column was known.
func (b *binding) nulls(a accumulator, rows int) {
	if rows == 0 {
		return
	}
	cols := make([]*table.Column, len(b.kinds))
	for i, k := range b.kinds {
		null := table.Constant("", value.NullOf(k))
		cols[i] = &null
	}
	a.add(cols, 0, rows)
}

// column returns the column of results.
func (b *binding) column() table.Column { return table.NewColumn(b.fold.writes(), b.to) }

// openFold runs a fold over whole tables.
func openFold(run *flow.Run, in []table.Reader, f fold) (table.Reader, error) {
	return flow.PerTable(run, in[0], func(account *flow.Account) flow.TableState {
		return &foldState{binding: newBinding(f), account: account}
	}), nil
}

// foldState folds one table.
type foldState struct {
	*binding
	account *flow.Account
	first   *table.Table
	acc     accumulator
	early   int // rows before all columns were known
	held    int64
}

// Piece implements flow.TableState.
func (s *foldState) Piece(t *table.Table, _ func(*table.Table)) error {
	if s.first == nil {
		s.first = t
	}
	known, err := s.bind(t)
	if err != nil {
		return err
	}
	if !known {
		s.early += t.Rows
		return nil
	}
	if s.acc == nil {
		s.acc = s.fold.begin(s.kinds)
		s.nulls(s.acc, s.early)
	}
	s.acc.add(s.cols, 0, t.Rows)
	return grow(s.account, &s.held, s.acc.size())
}

// grow reserves what something has grown by.
func grow(account *flow.Account, held *int64, size int64) error {
	if size <= *held {
		return nil
	}
	err := account.Add(size - *held)
	*held = size
	return err
}

// End implements flow.TableState.
func (s *foldState) End(emit func(*table.Table)) error {
	if s.acc == nil {
		return s.missing()
	}
	c := s.column()
	c.Append(s.acc.value())
	emit(&table.Table{Key: s.first.Key, Rows: 1, Cols: append(keyColumns(s.first), c)})
	return nil
}
