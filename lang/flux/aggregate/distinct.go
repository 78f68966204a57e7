package aggregate

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Distinct lists the values of a column, each once, in the order in which they
// come, in the column _value. A table without the column has none.
type Distinct struct{ By }

// Name implements flow.Op.
func (*Distinct) Name() string { return "distinct" }

// Open implements flow.Op.
func (d *Distinct) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.PerTable(run, in[0], func(account *flow.Account) flow.TableState {
		return &distinctState{label: d.Column, seen: newCells(account)}
	}), nil
}

type distinctState struct {
	label  string
	first  *table.Table
	seen   *cells
	kind   value.Kind // Absent: no piece had the column so far
	values table.Column
}

// Piece implements flow.TableState.
func (s *distinctState) Piece(t *table.Table, _ func(*table.Table)) error {
	if s.first == nil {
		s.first = t
	}
	c := t.Col(s.label)
	switch {
	case c == nil:
		return nil
	case s.kind == value.Absent:
		s.kind, s.values = c.Kind, table.NewColumn(valueLabel, c.Kind)
	case s.kind != c.Kind:
		return &table.KindError{Label: c.Label, A: s.kind, B: c.Kind}
	}
	return s.seen.fresh(c, t.Rows, func(i int) { s.values.AppendFrom(c, i) })
}

// End implements flow.TableState.
func (s *distinctState) End(emit func(*table.Table)) error {
	if s.kind == value.Absent {
		s.values = table.NewColumn(valueLabel, value.String)
	}
	key := s.first.Key.Keep(func(label string) bool { return label != valueLabel })
	t := &table.Table{Key: key, Rows: s.values.Vec.Len()}
	for _, c := range keyColumns(s.first) {
		if c.Label != valueLabel {
			t.Cols = append(t.Cols, c)
		}
	}
	t.Cols = append(t.Cols, s.values)
	emit(t)
	return nil
}

// Unique keeps the first row of each value of a column, a null being a value
// too.
type Unique struct{ By }

// Name implements flow.Op.
func (*Unique) Name() string { return "unique" }

// Open implements flow.Op.
func (u *Unique) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.PerTable(run, in[0], func(account *flow.Account) flow.TableState {
		return &uniqueState{label: u.Column, seen: newCells(account)}
	}), nil
}

type uniqueState struct {
	label string
	found bool // the column
	seen  *cells
}

// Piece implements flow.TableState.
func (s *uniqueState) Piece(t *table.Table, emit func(*table.Table)) error {
	c := t.Col(s.label)
	if c == nil {
		return nil
	}
	s.found = true
	var rows []int
	if err := s.seen.fresh(c, t.Rows, func(i int) { rows = append(rows, i) }); err != nil {
		return err
	}
	emit(t.Pick(rows))
	return nil
}

// End implements flow.TableState.
func (s *uniqueState) End(func(*table.Table)) error {
	if !s.found {
		return noColumn(s.label)
	}
	return nil
}

// cells is a set of values of one column.
type cells struct {
	memory advance
	words  map[uint64]bool
	texts  map[string]bool
	null   bool
}

func newCells(account *flow.Account) *cells {
	return &cells{memory: advance{account: account}, words: map[uint64]bool{}, texts: map[string]bool{}}
}

const (
	// cellBytes is about what a value takes in a map, and beside it.
	cellBytes = 40
	// textBytes is about what a string takes in a map besides its bytes.
	textBytes = 64
)

// advance reserves memory ahead, because to reserve for each value by itself
// would take as long as to keep it.
type advance struct {
	account *flow.Account
	left    int64 // bytes, of what is reserved
	step    int64
}

// take uses some bytes of what is reserved, of which there may be more to come.
func (a *advance) take(bytes int64) error {
	if a.left < bytes {
		const least, most = 1 << 10, 1 << 18
		a.step = min(max(2*a.step, least), most)
		if err := a.account.Add(bytes + a.step); err != nil {
			return err
		}
		a.left += bytes + a.step
	}
	a.left -= bytes
	return nil
}

// fresh calls use with the rows whose value is not in the set, and adds it.
func (s *cells) fresh(c *table.Column, rows int, use func(i int)) error {
	if c.Same {
		rows = min(rows, 1)
	}
	for i := range rows {
		switch {
		case c.Null(i):
			if s.null {
				continue
			}
			s.null = true
		case c.Kind == value.String:
			text := c.Bytes(i)
			if s.texts[string(text)] {
				continue
			}
			if err := s.memory.take(textBytes + 2*int64(len(text))); err != nil {
				return err
			}
			s.texts[string(text)] = true
		default:
			before := len(s.words)
			if s.words[c.Word(i)] = true; len(s.words) == before {
				continue
			}
			if err := s.memory.take(cellBytes); err != nil {
				return err
			}
		}
		use(i)
	}
	return nil
}
