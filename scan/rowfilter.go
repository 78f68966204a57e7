package scan

import (
	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
)

// RowFilter is a condition on values for rows that no scan has read: those
// that were just written. It is immutable.
type RowFilter struct {
	// Fields are the columns that Select looks at, in this order.
	Fields []column.FieldInfo
	filter *filter
}

// BindRows binds a condition, which is valid, to the types of fields. A field
// without a type has no values. A comparison of values that have no order
// among them, such as of a string with a number, is a *PlanError.
func BindRows(c *plan.Condition, types map[string]column.Type) (*RowFilter, error) {
	src := &source{types: types}
	f, err := bind(c, src, false)
	if err != nil {
		return nil, err
	}
	return &RowFilter{Fields: src.read, filter: f}, nil
}

// Selection is memory for Select, of one goroutine at a time. Its zero value
// is ready.
type Selection struct{ of selection }

// Select returns which rows satisfy the condition, bit by bit; the bits behind
// the last row are clear. The columns of rows are those of Fields; one that is
// missing is a Vector without a type. The slice is valid until the next call.
func (f *RowFilter) Select(s *Selection, rows *column.Rows) []uint64 {
	return f.filter.eval(&s.of, rows)
}
