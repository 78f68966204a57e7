// Package join is the package join of the standard library.
package join

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/join"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

// Packages returns the package join.
func Packages() []*lib.Package {
	p := lib.New("join")
	const streams = "<-left: stream, right: stream, "
	p.Func("tables", streams+"on: function, as: function, method: string", func(c *value.Call) (value.Value, error) {
		return tables(c, c.Str("method", "inner"))
	})
	p.Func("time", streams+"as: function, ?method: string", func(c *value.Call) (value.Value, error) {
		return records(c, c.Str("method", "inner"), []join.Pair{{Left: "_time", Right: "_time"}})
	})
	for _, method := range []string{"inner", "left", "right", "full"} {
		p.Func(method, streams+"on: function, as: function", func(c *value.Call) (value.Value, error) { return tables(c, method) })
	}
	return []*lib.Package{p}
}

// tables joins on what the function on of the call says.
func tables(c *value.Call, method string) (value.Value, error) {
	on, err := join.PairsOf(c.Arg("on").Func())
	if err != nil {
		return value.Value{}, c.Errorf("%w", err)
	}
	return records(c, method, on)
}

func records(c *value.Call, method string, on []join.Pair) (value.Value, error) {
	op := &join.Records{Title: c.Func.Name, On: on, As: c.Arg("as").Func(), Params: [2]string{"l", "r"}}
	switch method {
	case "inner":
	case "left":
		op.Left = true
	case "right":
		op.Right = true
	case "full":
		op.Left, op.Right = true, true
	default:
		return value.Value{}, c.Errorf("invalid join method %q: use inner, left, right or full", method)
	}
	return flow.New(c, op, flow.Input(c, "left"), flow.Input(c, "right")), nil
}
