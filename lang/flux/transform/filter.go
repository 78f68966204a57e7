package transform

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
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
	var rows []int
	return flow.EachPiece(in[0], func(t *table.Table) (*table.Table, error) {
		rows = rows[:0]
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
		switch {
		case len(rows) == t.Rows && t.Rows > 0:
			return t, nil
		case len(rows) == 0 && !f.KeepEmpty:
			return nil, nil
		}
		return t.Pick(rows), nil
	}), nil
}
