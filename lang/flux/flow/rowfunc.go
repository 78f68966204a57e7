package flow

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// RowFunc calls a function of a script with the rows of tables, one at a time.
type RowFunc struct {
	call value.Call
	row  int // place of the parameter that takes the row
	view *table.Row
}

// checkEvery is after how many calls a loop over rows looks whether the run has
// ended: one call may match a long text, and the look costs some nanoseconds.
const checkEvery = 16

// NewRowFunc prepares to call fn, whose parameter param takes the row. Other
// parameters are set by Set or keep their defaults.
func NewRowFunc(run *Run, fn *value.Func, param string) (*RowFunc, error) {
	at := fn.Param(param)
	if at < 0 {
		return nil, fmt.Errorf("the function must have a parameter %s, as in (%s) => true", param, param)
	}
	return &RowFunc{call: value.Call{Env: run, Func: fn, Args: make([]value.Value, len(fn.Params))}, row: at}, nil
}

// Set gives another parameter a value for the calls that follow.
func (f *RowFunc) Set(param string, v value.Value) error {
	at := f.call.Func.Param(param)
	if at < 0 {
		return fmt.Errorf("the function must have a parameter %s", param)
	}
	f.call.Args[at] = v
	return nil
}

// Table makes t the table of the rows that follow.
func (f *RowFunc) Table(t *table.Table) {
	view, record := table.NewRow(t)
	f.view = view
	f.call.Args[f.row] = record
}

// Call calls the function with row i.
func (f *RowFunc) Call(i int) (value.Value, error) {
	if i%checkEvery == 0 {
		if err := f.call.Env.(*Run).Ended(); err != nil {
			return value.Value{}, err
		}
		if err := f.call.Func.CheckAll(f.call.Args); err != nil {
			return value.Value{}, err
		}
	}
	f.view.Stand(i)
	return f.call.Func.Do(&f.call)
}

// Test calls a function that says yes or no: a null is no.
func (f *RowFunc) Test(i int) (bool, error) {
	v, err := f.Call(i)
	if err != nil {
		return false, err
	}
	if v.IsNull() {
		return false, nil
	}
	if v.Kind() != value.Bool {
		return false, fmt.Errorf("the function must return bool, not %s", v.Kind())
	}
	return v.Bool(), nil
}
