package transform

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// FillEmpty gives tables without rows one row, in which all columns outside the
// group key are null.
type FillEmpty struct{}

// Name implements flow.Op.
func (*FillEmpty) Name() string { return "fillEmpty" }

// Details implements flow.Op.
func (*FillEmpty) Details() string { return "" }

// Open implements flow.Op.
func (f *FillEmpty) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.PerTable(run, in[0], func(*flow.Account) flow.TableState { return &fillEmptyState{} }), nil
}

type fillEmptyState struct {
	empty *table.Table // nil: there were rows
	rows  bool
}

// Piece implements flow.TableState.
func (s *fillEmptyState) Piece(t *table.Table, emit func(*table.Table)) error {
	if t.Rows > 0 {
		s.rows = true
		emit(t)
	} else if s.empty == nil {
		s.empty = t
	}
	return nil
}

// End implements flow.TableState.
func (s *fillEmptyState) End(emit func(*table.Table)) error {
	if !s.rows {
		emit(OneNull(s.empty))
	}
	return nil
}

// OneNull returns a table with the columns of t and one row, in which those
// outside the group key are null.
func OneNull(t *table.Table) *table.Table {
	row := &table.Table{Key: t.Key, Rows: 1, Cols: make([]table.Column, len(t.Cols))}
	for i := range t.Cols {
		v, ok := t.Key.Get(t.Cols[i].Label)
		if !ok || v.Kind() != t.Cols[i].Kind {
			v = value.NullOf(t.Cols[i].Kind)
		}
		row.Cols[i] = table.Constant(t.Cols[i].Label, v)
	}
	return row
}
