// Package transform has the operators that reshape streams of tables: which
// rows, which columns, which group keys, in which order. Each is a struct whose
// fields are the arguments of the function that makes it; planners read them.
//
// An operator keeps the order of rows and, where it merges tables, the order in
// which their keys first came. One whose new group keys may be equal where the
// old ones were not collects the stream (regroup.go) and reserves what it
// keeps; the others pass pieces on as they come.
package transform

import (
	"fmt"
	"strings"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/value"
)

// The labels that columns have unless a script says otherwise.
const (
	startLabel = "_start"
	stopLabel  = "_stop"
	timeLabel  = "_time"
	valueLabel = "_value"
	fieldLabel = "_field"
)

// quote renders labels as a script would write them.
func quote(labels []string) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, l := range labels {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", l)
	}
	b.WriteByte(']')
	return b.String()
}

// labelFunc returns fn, a function of a script with a parameter column, as a
// function of labels.
func labelFunc(run *flow.Run, fn *value.Func) (func(label string) (value.Value, error), error) {
	at := fn.Param("column")
	if at < 0 {
		return nil, fmt.Errorf("the function must have a parameter column, as in (column) => true")
	}
	call := value.Call{Env: run, Func: fn, Args: make([]value.Value, len(fn.Params))}
	return func(label string) (value.Value, error) {
		call.Args[at] = value.OfString(label)
		if err := fn.CheckAll(call.Args); err != nil {
			return value.Value{}, err
		}
		return fn.Do(&call)
	}, nil
}
