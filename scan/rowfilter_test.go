package scan

import (
	"errors"
	"testing"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
)

func TestRowFilter(t *testing.T) {
	types := map[string]column.Type{"x": column.Float64, "s": column.String}
	rows := func(f *RowFilter) *column.Rows {
		x, s := column.Vector{Type: column.Float64}, column.Vector{Type: column.String}
		x.AppendFloat(1)
		x.AppendNulls(1)
		x.AppendFloat(3)
		for _, text := range []string{"a", "b", "ab"} {
			s.AppendString([]byte(text))
		}
		r := &column.Rows{Time: []int64{1, 2, 3}}
		for _, info := range f.Fields {
			r.Cols = append(r.Cols, map[string]column.Vector{"x": x, "s": s}[info.Name])
		}
		return r
	}
	for _, c := range []struct {
		condition *plan.Condition
		want      uint64
	}{
		{plan.Compare("x", plan.Gt, plan.Int(2)), 0b100},
		{plan.Negate(plan.Compare("x", plan.Gt, plan.Int(2))), 0b001}, // a null is neither
		{plan.All(plan.Has("x"), plan.Like("s", "^a")), 0b101},
		{plan.Any(plan.Compare("s", plan.Eq, plan.Text("b")), plan.Compare("x", plan.Eq, plan.Float(1))), 0b011},
		{plan.Has("missing"), 0},
		{plan.Negate(plan.Has("missing")), 0b111},
	} {
		f, err := BindRows(c.condition, types)
		if err != nil {
			t.Fatalf("%s: %v", c.condition, err)
		}
		var s Selection
		if got := f.Select(&s, rows(f)); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s selects %b, want %b", c.condition, got, c.want)
		}
		// The columns may be missing from a batch although the type is known.
		if got := f.Select(&s, &column.Rows{Time: []int64{1}, Cols: make([]column.Vector, len(f.Fields))}); len(got) != 1 {
			t.Errorf("%s selects %b of rows without its fields", c.condition, got)
		}
	}
	_, err := BindRows(plan.Compare("s", plan.Gt, plan.Int(2)), types)
	var asked *PlanError
	if !errors.As(err, &asked) {
		t.Errorf("a string compared with a number gives %v", err)
	}
}
