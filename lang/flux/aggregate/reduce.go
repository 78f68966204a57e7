package aggregate

import (
	"fmt"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Reduce calls a function with each row of a table and what it returned for the
// row before; what it returns last, a record, is the one row of the result,
// besides the group key. Fields that are columns of the key replace those.
type Reduce struct {
	Fn       *value.Func // of r and accumulator
	Identity *value.Fields
}

// Name implements flow.Op.
func (*Reduce) Name() string { return "reduce" }

// Details implements flow.Op.
func (r *Reduce) Details() string {
	return "fn: " + r.Fn.Signature() + ", identity: " + value.OfRecord(r.Identity).Display()
}

// Open implements flow.Op.
func (r *Reduce) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	row, err := flow.NewRowFunc(run, r.Fn, "r")
	if err != nil {
		return nil, err
	}
	made := map[string]bool{}
	account := run.Account()
	return closing{flow.PerTable(run, in[0], func(*flow.Account) flow.TableState {
		return &reduceState{op: r, row: row, made: made, account: &account, acc: value.OfRecord(r.Identity)}
	}), &account}, nil
}

// closing gives memory back when a reader is closed.
type closing struct {
	table.Reader
	account *flow.Account
}

// Close implements table.Reader.
func (c closing) Close() {
	c.Reader.Close()
	c.account.Clear()
}

type reduceState struct {
	op      *Reduce
	row     *flow.RowFunc
	made    map[string]bool // keys of results, lest there are two of one
	account *flow.Account
	first   *table.Table
	acc     value.Value
}

// Piece implements flow.TableState.
func (s *reduceState) Piece(t *table.Table, _ func(*table.Table)) error {
	if s.first == nil {
		s.first = t
	}
	s.row.Table(t)
	for i := range t.Rows {
		if err := s.row.Set("accumulator", s.acc); err != nil {
			return err
		}
		v, err := s.row.Call(i)
		if err != nil {
			return err
		}
		if v.Kind() != value.Record || v.IsNull() {
			return fmt.Errorf("the function must return a record, not %s", v.Describe())
		}
		s.acc = value.OfRecord(v.Record().Fixed())
	}
	return nil
}

// End implements flow.TableState.
func (s *reduceState) End(emit func(*table.Table)) error {
	key, cols := s.first.Key, keyColumns(s.first)
	acc := s.acc.Record()
	for i := range acc.Len() {
		label, v := acc.Label(i), acc.At(i)
		if v.Kind() == value.Null {
			// Only the identity tells the kind.
			id, ok := s.op.Identity.Get(label)
			if !ok || id.Kind() == value.Null {
				continue
			}
			v = value.NullOf(id.Kind())
		}
		if !v.Kind().Columnar() {
			return fmt.Errorf("column %q cannot hold a value of type %s", label, v.Kind())
		}
		c := table.Constant(label, v)
		c.Same = false // a row of its own
		at := slices.IndexFunc(cols, func(have table.Column) bool { return have.Label == label })
		if at < 0 {
			cols = append(cols, c)
			continue
		}
		c.Same = true
		cols[at], key = c, key.Set(label, v)
	}
	if s.made[key.ID()] {
		return fmt.Errorf("two reducers writing result to the same table: %s", key)
	}
	s.made[key.ID()] = true
	emit(&table.Table{Key: key, Rows: 1, Cols: cols})
	return s.account.Add(int64(len(key.ID())) + cellBytes)
}
