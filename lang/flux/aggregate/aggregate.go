// Package aggregate has the operators that make few rows of many: aggregates,
// of which each makes one value of a table (fold.go), selectors, of which each
// keeps some of its rows (choose.go), and AggregateWindow, which runs one of
// either over windows without making a table of each.
//
// Each is a struct whose fields are the arguments of the function that makes it;
// planners read them. A column that is null in a row does not take part in an
// aggregate, except in count.
package aggregate

import (
	"fmt"
	"unsafe"

	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// The labels that columns have unless a script says otherwise.
const (
	startLabel = "_start"
	stopLabel  = "_stop"
	valueLabel = "_value"
)

// number is a type that words hold.
type number interface{ int64 | uint64 | float64 }

// numbers returns words as numbers; they share memory.
func numbers[T number](words []uint64) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(words))), len(words))
}

// wordOf returns the word that holds a number.
func wordOf[T number](x T) uint64 { return *(*uint64)(unsafe.Pointer(&x)) }

// isNull reports whether a whole column is null because it says so once.
func isNull(c *table.Column) bool { return c.Same && c.Null(0) }

// taker takes words of values that are not null.
type taker interface{ take(words []uint64) }

// takeValid hands the words of rows from to to-1 of a column that is not of
// strings to t, without the nulls, in order.
func takeValid(t taker, c *table.Column, from, to int) {
	valid := c.Vec.Valid
	switch {
	case c.Same:
		if isNull(c) {
			return
		}
		for range to - from {
			t.take(c.Vec.Words[:1])
		}
	case valid.All():
		t.take(c.Vec.Words[from:to])
	default:
		for i := from; i < to; {
			if !valid.Get(i) {
				i++
				continue
			}
			first := i
			for i++; i < to && valid.Get(i); i++ {
			}
			t.take(c.Vec.Words[first:i])
		}
	}
}

// keyColumns returns the columns of the group key of t, in the order of t, each
// a constant.
func keyColumns(t *table.Table) []table.Column {
	cols := make([]table.Column, 0, t.Key.Len()+1)
	for i := range t.Cols {
		if v, ok := t.Key.Get(t.Cols[i].Label); ok && v.Kind().Columnar() {
			cols = append(cols, table.Constant(t.Cols[i].Label, v))
		}
	}
	return cols
}

// column renders the argument of that name, if it is not the usual one.
func column(label string) string {
	if label == valueLabel {
		return ""
	}
	return fmt.Sprintf("column: %q", label)
}

// with appends an argument to those that an operator renders.
func with(details, name, format string, arg any) string {
	if details != "" {
		details += ", "
	}
	return details + name + ": " + fmt.Sprintf(format, arg)
}

// unsupported says that an aggregate has no values of a kind.
func unsupported(k value.Kind) error {
	return fmt.Errorf("unsupported aggregate column type %s: filter such fields out before, or convert them", k)
}
