// Package array is array of the standard library: tables from records, and
// functions of arrays.
package array

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Packages returns the packages array and experimental/array.
func Packages() []*lib.Package {
	return []*lib.Package{
		elements(lib.New("array").Func("from", "<-rows: [record|dynamic]", from)),
		elements(lib.New("experimental/array").Func("from", "<-rows: [record|dynamic]", from)).Flux(conversions),
	}
}

// From is a table of the records of an array.
type From struct{ Rows []value.Value }

func from(c *value.Call) (value.Value, error) {
	rows := c.Arg("rows").Array()
	if len(rows) == 0 {
		return value.Value{}, c.Errorf("rows must be non-empty")
	}
	return flow.New(c, &From{rows}), nil
}

// Name implements flow.Op.
func (f *From) Name() string { return "array.from" }

// Details implements flow.Op.
func (f *From) Details() string { return fmt.Sprintf("%d rows", len(f.Rows)) }

// Open implements flow.Op.
func (f *From) Open(*flow.Run, []table.Reader) (table.Reader, error) {
	b := table.NewBuilder(table.NewKey(nil, nil))
	for i, r := range f.Rows {
		if r.Kind() == value.Dynamic {
			r = r.Inner()
		}
		if r.Kind() != value.Record || r.IsNull() {
			return nil, fmt.Errorf("row %d is %s and not a record", i, r.Describe())
		}
		if err := b.AppendRecord(r.Record()); err != nil {
			return nil, fmt.Errorf("row %d: %w", i, err)
		}
	}
	return table.NewList(b.Table()), nil
}
