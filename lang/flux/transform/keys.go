package transform

import (
	"fmt"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Labels lists the columns of each table, or those of its group key, one a row.
type Labels struct {
	Column string // where they are put
	Keys   bool   // of the group key only
}

// Name implements flow.Op.
func (l *Labels) Name() string {
	if l.Keys {
		return "keys"
	}
	return "columns"
}

// Details implements flow.Op.
func (l *Labels) Details() string { return fmt.Sprintf("column: %q", l.Column) }

// Open implements flow.Op.
func (l *Labels) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.PerTable(run, in[0], func(*flow.Account) flow.TableState { return &labelState{op: l} }), nil
}

type labelState struct {
	op     *Labels
	key    *table.Key
	labels []string
}

// Piece implements flow.TableState.
func (s *labelState) Piece(t *table.Table, _ func(*table.Table)) error {
	s.key = t.Key
	if s.op.Keys {
		s.labels = t.Key.Labels()
		return nil
	}
	for i := range t.Cols {
		if l := t.Cols[i].Label; !slices.Contains(s.labels, l) {
			s.labels = append(s.labels, l)
		}
	}
	return nil
}

// End implements flow.TableState.
func (s *labelState) End(emit func(*table.Table)) error {
	c := table.NewColumn(s.op.Column, value.String)
	for _, l := range s.labels {
		c.Vec.AppendString([]byte(l))
	}
	key := s.key.Keep(func(label string) bool { return label != s.op.Column })
	emit((&table.Table{Rows: len(s.labels), Cols: []table.Column{c}}).WithKey(key))
	return nil
}

// KeyValues lists the different values of some columns of each table, which are
// of one kind, with the labels of the columns.
type KeyValues struct {
	Columns []string
}

// Name implements flow.Op.
func (*KeyValues) Name() string { return "keyValues" }

// Details implements flow.Op.
func (k *KeyValues) Details() string { return "keyColumns: " + quote(k.Columns) }

// Open implements flow.Op.
func (k *KeyValues) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.PerTable(run, in[0], func(account *flow.Account) flow.TableState {
		return &keyValueState{op: k, account: account, seen: map[string]bool{}}
	}), nil
}

type keyValueState struct {
	op      *KeyValues
	account *flow.Account
	key     *table.Key
	seen    map[string]bool
	labels  table.Column
	values  table.Column
	rows    int
}

// Piece implements flow.TableState.
func (s *keyValueState) Piece(t *table.Table, _ func(*table.Table)) error {
	s.key = t.Key
	var cols []*table.Column
	for _, l := range s.op.Columns {
		if c := t.Col(l); c != nil {
			cols = append(cols, c)
		}
	}
	if len(cols) == 0 {
		return fmt.Errorf("received table with columns %v not having key columns %v", t.Labels(), s.op.Columns)
	}
	if s.values.Kind == value.Absent {
		s.labels = table.NewColumn("_key", value.String)
		s.values = table.NewColumn(valueLabel, cols[0].Kind)
	}
	for _, c := range cols {
		if c.Kind != s.values.Kind {
			return fmt.Errorf("keyColumns must all be the same type: column %q is of type %s, not %s", c.Label, c.Kind, s.values.Kind)
		}
	}
	var cell []byte
	for i := range t.Rows {
		if i > 0 && sameCells(cols, i, i-1) {
			continue
		}
		for _, c := range cols {
			cell = table.AppendCell(append(append(cell[:0], c.Label...), 0), c.Value(i))
			if s.seen[string(cell)] {
				continue
			}
			// Once in the map, once in the table.
			if err := s.account.Add(int64(2*len(cell) + 64)); err != nil {
				return err
			}
			s.seen[string(cell)] = true
			s.labels.Vec.AppendString([]byte(c.Label))
			s.values.AppendFrom(c, i)
			s.rows++
		}
	}
	return nil
}

// End implements flow.TableState.
func (s *keyValueState) End(emit func(*table.Table)) error {
	key := s.key.Keep(func(label string) bool { return label != s.labels.Label && label != s.values.Label })
	t := (&table.Table{Rows: s.rows}).WithKey(key)
	t.Cols = append(t.Cols, s.labels, s.values)
	emit(t)
	return nil
}
