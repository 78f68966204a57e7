package aggregate

import (
	"slices"
	"strings"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Mode is the value that is most frequent in a column, or those that are, in
// order, in the column _value. If all values are equally frequent there is none,
// and the result is null; that of a column of the group key is its value.
type Mode struct{ By }

// Name implements flow.Op.
func (*Mode) Name() string { return "mode" }

// Open implements flow.Op.
func (m *Mode) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.PerTable(run, in[0], func(account *flow.Account) flow.TableState {
		return &modeState{label: m.Column, seen: newCells(account), counts: map[value.Value]int{}}
	}), nil
}

type modeState struct {
	label  string
	first  *table.Table
	kind   value.Kind // Absent: no piece had the column so far
	seen   *cells     // reserves what counts keeps
	counts map[value.Value]int
}

// Piece implements flow.TableState.
func (s *modeState) Piece(t *table.Table, _ func(*table.Table)) error {
	if s.first == nil || s.first.Rows == 0 {
		s.first = t
	}
	c := t.Col(s.label)
	switch {
	case c == nil:
		return nil
	case s.kind == value.Absent:
		s.kind = c.Kind
	case s.kind != c.Kind:
		return &table.KindError{Label: c.Label, A: s.kind, B: c.Kind}
	}
	err := s.seen.fresh(c, t.Rows, func(i int) {
		if v := c.Value(i); v.Kind() == value.String && !v.IsNull() {
			// The map must not hold the memory of the piece.
			s.counts[value.OfString(strings.Clone(v.Str()))] = 0
		}
	})
	for i := 0; i < t.Rows && err == nil; i++ {
		if !c.Null(i) {
			s.counts[c.Value(i)]++
		}
	}
	return err
}

// End implements flow.TableState.
func (s *modeState) End(emit func(*table.Table)) error {
	if s.kind == value.Absent {
		return noColumn(s.label)
	}
	values := table.NewColumn(valueLabel, s.kind)
	if s.first.Rows > 0 {
		for _, v := range s.modes() {
			values.Append(v)
		}
	}
	key := s.first.Key.Keep(func(label string) bool { return label != valueLabel })
	t := &table.Table{Key: key, Rows: values.Vec.Len()}
	for _, c := range keyColumns(s.first) {
		if c.Label != valueLabel {
			t.Cols = append(t.Cols, c)
		}
	}
	t.Cols = append(t.Cols, values)
	emit(t)
	return nil
}

// modes returns the most frequent values, or a null.
func (s *modeState) modes() []value.Value {
	if v, ok := s.first.Key.Get(s.label); ok {
		return []value.Value{v}
	}
	var most []value.Value
	top := 0
	for v, n := range s.counts {
		if n > top {
			most, top = most[:0], n
		}
		if n == top {
			most = append(most, v)
		}
	}
	if len(most) == len(s.counts) {
		return []value.Value{value.NullOf(s.kind)}
	}
	slices.SortFunc(most, func(a, b value.Value) int {
		c, _ := value.Compare(a, b)
		return c
	})
	return most
}
