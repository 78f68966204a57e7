package storage

import (
	"regexp"
	"testing"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
	"github.com/varvedb/varve/plan"
)

// whereHolds judges a condition of a plan on the only field.
func whereHolds(t *testing.T, w *plan.Condition, v value.Value) bool {
	if w == nil {
		return true
	}
	switch w.Op {
	case plan.And, plan.Or:
		for _, a := range w.Args {
			if whereHolds(t, a, v) == (w.Op == plan.Or) {
				return w.Op == plan.Or
			}
		}
		return w.Op == plan.And
	case plan.Not: // the value is there, and of the right type
		return !whereHolds(t, w.Args[0], v)
	case plan.Match:
		return regexp.MustCompile(w.Pattern).MatchString(v.Str())
	}
	var c value.Value
	if w.Value.Type() == column.String {
		c = value.OfString(w.Value.Text())
	} else {
		c = value.OfWord(table.KindOf(w.Value.Type()), w.Value.Word())
	}
	text := string(w.Op)
	if w.Op == plan.Eq {
		text = "=="
	}
	o, ok := value.OperatorOf(text)
	if !ok {
		t.Fatalf("no operator %s", text)
	}
	out, err := o.Apply(v, c)
	if err != nil {
		t.Fatalf("%s was planned for %s", w, v.Kind())
	}
	return out.Bool()
}
