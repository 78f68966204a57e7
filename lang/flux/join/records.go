package join

import (
	"errors"
	"fmt"
	"strings"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Records joins the rows of tables of two streams that have the same group key
// and equal values in pairs of columns. A function makes a row of two.
type Records struct {
	Title string // of the function that made it
	On    []Pair
	As    *value.Func // of Params, to a record
	// Params are the names of As' parameters for rows of the left and the right.
	Params [2]string
	// Left and Right say whether rows of that side that have no match are passed
	// on, together with a row of nulls.
	Left, Right bool
	// Rekey lets the new rows lack columns of the group key, which leave it.
	Rekey bool
}

// Pair is two columns whose values have to be equal.
type Pair struct{ Left, Right string }

// Name implements flow.Op.
func (r *Records) Name() string { return r.Title }

// Details implements flow.Op.
func (r *Records) Details() string {
	parts := make([]string, len(r.On))
	for i, p := range r.On {
		parts[i] = r.Params[0] + "." + p.Left + " == " + r.Params[1] + "." + p.Right
	}
	method := map[[2]bool]string{{}: "inner", {true, false}: "left", {false, true}: "right", {true, true}: "full"}
	return fmt.Sprintf("method: %s, on: %s", method[[2]bool{r.Left, r.Right}], strings.Join(parts, " and "))
}

// Open implements flow.Op.
func (r *Records) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	j := &recordJoin{op: r, run: run, call: value.Call{Env: run, Func: r.As, Args: make([]value.Value, len(r.As.Params))}}
	for i, name := range r.Params {
		if j.params[i] = r.As.Param(name); j.params[i] < 0 {
			return nil, fmt.Errorf("the function must have parameters %s and %s", r.Params[0], r.Params[1])
		}
	}
	return pull(run, in, func(account *flow.Account, yield func(*table.Table) bool) error {
		j.account, j.yield = account, yield
		for i := range j.sides {
			var err error
			if j.sides[i], err = read(account, in[i]); err != nil {
				return err
			}
		}
		err := j.all()
		if errors.Is(err, errStopped) {
			return nil
		}
		return err
	}), nil
}

// recordJoin is a join that runs.
type recordJoin struct {
	op      *Records
	run     *flow.Run
	account *flow.Account
	yield   func(*table.Table) bool
	call    value.Call
	params  [2]int // places of the rows
	sides   [2]*side
	key     *table.Key // of the tables that are being joined
	out     *table.Builder
	rows    int // calls
}

func (j *recordJoin) all() error {
	for _, l := range j.sides[0].order {
		if err := j.pair(l, j.sides[1].groups[l.key.ID()]); err != nil {
			return err
		}
	}
	for _, r := range j.sides[1].order {
		if j.sides[0].groups[r.key.ID()] == nil {
			if err := j.pair(nil, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// pair joins two tables, of which one may be missing.
func (j *recordJoin) pair(l, r *group) error {
	groups := [2]*group{l, r}
	var views [2]*table.Row
	var blanks [2]value.Value // rows of nulls but for the group key
	var records [2]value.Value
	for i, g := range groups {
		if g != nil {
			j.key = g.key
			cols, err := j.columns(i, g)
			if err != nil {
				return err
			}
			if err := g.sort(j.run, j.account, cols); err != nil {
				return err
			}
			views[i], records[i] = table.NewRow(g.table)
		} else {
			groups[i] = &group{cols: columnsOf(j.sides[i], j.op.On, i)}
		}
	}
	for i := range blanks {
		blanks[i] = j.blank(i)
	}
	for i := range groups[0].cols {
		if a, b := groups[0].cols[i], groups[1].cols[i]; a != nil && b != nil && a.Kind != b.Kind {
			return fmt.Errorf("cannot join column %s of type %s with column %s of type %s", a.Label, a.Kind, b.Label, b.Kind)
		}
	}
	j.out = table.NewBuilder(table.NewKey(nil, nil))
	err := match(groups[0], groups[1], func(left, right []int) error {
		switch {
		case len(left) == 0:
			if !j.op.Right {
				return nil
			}
			j.call.Args[j.params[0]], j.call.Args[j.params[1]] = blanks[0], records[1]
			for _, row := range right {
				views[1].Stand(row)
				if err := j.row(); err != nil {
					return err
				}
			}
			return nil
		case len(right) == 0:
			if !j.op.Left {
				return nil
			}
			j.call.Args[j.params[0]], j.call.Args[j.params[1]] = records[0], blanks[1]
			for _, row := range left {
				views[0].Stand(row)
				if err := j.row(); err != nil {
					return err
				}
			}
			return nil
		}
		j.call.Args[j.params[0]], j.call.Args[j.params[1]] = records[0], records[1]
		for _, a := range left {
			views[0].Stand(a)
			for _, b := range right {
				views[1].Stand(b)
				if err := j.row(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return j.flush()
}

// columns returns the columns of a table that are joined on.
func (j *recordJoin) columns(i int, g *group) ([]*table.Column, error) {
	cols := make([]*table.Column, len(j.op.On))
	for n, p := range j.op.On {
		label := [2]string{p.Left, p.Right}[i]
		if cols[n] = g.table.Col(label); cols[n] == nil {
			return nil, fmt.Errorf("cannot set join columns in %s table stream: table is missing column '%s'", [2]string{"left", "right"}[i], label)
		}
	}
	return cols, nil
}

// columnsOf returns columns without rows for a table that is missing.
func columnsOf(s *side, on []Pair, i int) []*table.Column {
	cols := make([]*table.Column, len(on))
	for n, p := range on {
		for at := range s.schema {
			if s.schema[at].Label == [2]string{p.Left, p.Right}[i] {
				cols[n] = &s.schema[at]
			}
		}
	}
	return cols
}

// blank returns the row that stands for one that is missing: it has the columns
// of its side, nulls but for the group key.
func (j *recordJoin) blank(i int) value.Value {
	var labels []string
	var values []value.Value
	for _, c := range j.sides[i].schema {
		v := value.NullOf(c.Kind)
		if k, ok := j.key.Get(c.Label); ok {
			v = k
		}
		labels, values = append(labels, c.Label), append(values, v)
	}
	return value.OfRecord(value.NewRecord(labels, values))
}

// row makes a row of the two that the arguments of the call stand on.
func (j *recordJoin) row() error {
	if j.rows++; j.rows%256 == 0 {
		if err := j.run.Ended(); err != nil {
			return err
		}
	}
	v, err := j.op.As.Do(&j.call)
	if err != nil {
		return err
	}
	if v.Kind() != value.Record || v.IsNull() {
		return fmt.Errorf("the function must return a record, not %s", v.Describe())
	}
	for i := range j.key.Len() {
		have, ok := v.Record().Get(j.key.Label(i))
		if !ok && j.op.Rekey {
			continue
		}
		if !ok || !value.Same(have, j.key.Value(i)) {
			return fmt.Errorf("join cannot modify group key: output record has a missing or invalid value for column '%s:%s'", j.key.Label(i), j.key.Value(i).Kind())
		}
	}
	if err := j.out.AppendRecord(v.Record()); err != nil {
		return err
	}
	if j.out.Rows() == chunkRows {
		return j.flush()
	}
	return nil
}

// flush hands out the rows that were made.
func (j *recordJoin) flush() error {
	if j.out.Rows() == 0 {
		return nil
	}
	t := j.out.Table()
	key := j.key.Keep(func(label string) bool { return !j.op.Rekey || t.Find(label) >= 0 })
	for i := range t.Cols {
		if v, ok := j.key.Get(t.Cols[i].Label); ok {
			t.Cols[i] = table.Constant(t.Cols[i].Label, v)
		}
	}
	j.out = table.NewBuilder(table.NewKey(nil, nil))
	if !j.yield(t.WithKey(key)) {
		return errStopped
	}
	return nil
}

// PairsOf reads the condition of a join: comparisons by == of a column of the
// left row with one of the right row, put together by and.
func PairsOf(fn *value.Func) ([]Pair, error) {
	const want = "it must compare columns of l and r like l.a == r.a and l.b == r.b"
	script, ok := fn.Source.(interface {
		Function() *syntax.FunctionExpression
	})
	if !ok {
		return nil, fmt.Errorf("the condition of the join must be written as a function: %s", want)
	}
	body := script.Function().Body
	if b := script.Function().Block; b != nil && len(b.Body) == 1 {
		if r, ok := b.Body[0].(*syntax.ReturnStatement); ok {
			body = r.Argument
		}
	}
	if body == nil {
		return nil, fmt.Errorf("the condition of the join must be a single expression: %s", want)
	}
	pairs, err := pairs(body, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, want)
	}
	return pairs, nil
}

func pairs(e syntax.Expression, to []Pair) ([]Pair, error) {
	switch e := e.(type) {
	case *syntax.ParenExpression:
		return pairs(e.Expression, to)
	case *syntax.LogicalExpression:
		if e.Operator != "and" {
			return nil, fmt.Errorf("the condition of the join has %s in it", e.Operator)
		}
		to, err := pairs(e.Left, to)
		if err != nil {
			return nil, err
		}
		return pairs(e.Right, to)
	case *syntax.BinaryExpression:
		if e.Operator != "==" {
			return nil, fmt.Errorf("the condition of the join has %s in it", e.Operator)
		}
		a, left := member(e.Left)
		b, right := member(e.Right)
		switch {
		case a == "l" && b == "r":
			return append(to, Pair{left, right}), nil
		case a == "r" && b == "l":
			return append(to, Pair{right, left}), nil
		}
	}
	return nil, fmt.Errorf("the condition of the join is not supported")
}

// member returns x and a of x.a.
func member(e syntax.Expression) (object, property string) {
	switch e := e.(type) {
	case *syntax.ParenExpression:
		return member(e.Expression)
	case *syntax.MemberExpression:
		if id, ok := e.Object.(*syntax.Identifier); ok {
			return id.Name, e.Property
		}
	}
	return "", ""
}
