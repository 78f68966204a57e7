package transform

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
	"github.com/varvedb/varve/lang/flux/vector"
)

// Filter keeps the rows for which a function says yes.
type Filter struct {
	Fn *value.Func // of r
	// KeepEmpty passes tables on of which no row is left.
	KeepEmpty bool
}

// Name implements flow.Op.
func (*Filter) Name() string { return "filter" }

// Details implements flow.Op.
func (f *Filter) Details() string {
	if f.KeepEmpty {
		return `onEmpty: "keep"`
	}
	return ""
}

// Open implements flow.Op.
func (f *Filter) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	fn, err := flow.NewRowFunc(run, f.Fn, "r")
	if err != nil {
		return nil, err
	}
	program := vector.Compile(f.Fn, "r")
	var rows []int
	return flow.EachPiece(in[0], func(t *table.Table) (*table.Table, error) {
		all, ok := false, false
		if program != nil {
			if err := run.Ended(); err != nil {
				return nil, err
			}
			rows, all, ok = program.Test(run, t, rows[:0])
		}
		if !ok {
			var err error
			if rows, err = test(fn, t, rows[:0]); err != nil {
				return nil, err
			}
		}
		switch n := len(rows); {
		case t.Rows > 0 && (all || n == t.Rows):
			return t, nil
		case n > 0 && rows[n-1]-rows[0] == n-1:
			return t.Slice(rows[0], rows[n-1]+1), nil
		case n > 0:
			return t.Pick(rows), nil
		case f.KeepEmpty:
			return t.Slice(0, 0), nil
		}
		return nil, nil
	}), nil
}

// test appends the rows for which a function says yes.
func test(fn *flow.RowFunc, t *table.Table, rows []int) ([]int, error) {
	fn.Table(t)
	for i := range t.Rows {
		ok, err := fn.Test(i)
		if err != nil {
			return nil, err
		}
		if ok {
			rows = append(rows, i)
		}
	}
	return rows, nil
}
