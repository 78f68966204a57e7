package vector

import (
	"slices"
	"strings"

	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/value"
)

// pure are the functions of the prelude, and the packages, whose functions do
// nothing but compute a scalar from scalars. A call of one may be made for rows
// that the script would not make it for.
var (
	pureFunctions = []string{"bool", "contains", "display", "duration", "float", "int", "length", "string", "time", "uint"}
	purePackages  = []string{"bitwise", "date", "math", "regexp", "strings"}
)

// call is a call of a function that is built in.
type call struct {
	fn   *value.Func
	args []node // parallel to the parameters; nil: not given
}

// call compiles a call, to which a value may be piped.
func (c *compiler) call(e *syntax.CallExpression, piped syntax.Expression) (node, bool) {
	callee, ok := c.expression(e.Callee)
	if !ok {
		return nil, false
	}
	known, ok := callee.(*literal)
	if !ok || known.v.Kind() != value.Function || known.v.IsNull() {
		return nil, false
	}
	fn := known.v.Func()
	args := make([]node, len(fn.Params))
	for _, p := range e.Arguments {
		at := fn.Param(p.Name)
		if at < 0 || args[at] != nil {
			return nil, false
		}
		if args[at], ok = c.property(p); !ok {
			return nil, false
		}
	}
	if piped != nil {
		at := slices.IndexFunc(fn.Params, func(p value.Param) bool { return p.Pipe })
		if at < 0 || args[at] != nil {
			return nil, false
		}
		if args[at], ok = c.expression(piped); !ok {
			return nil, false
		}
	}
	if fn.Source != nil {
		return c.inline(fn, args)
	}
	pkg, _, qualified := strings.Cut(fn.Name, ".")
	if qualified && !slices.Contains(purePackages, pkg) || !qualified && !slices.Contains(pureFunctions, fn.Name) {
		return nil, false
	}
	return &call{fn, args}, true
}

// inline compiles the body of a function that the script wrote in place of its
// call.
func (c *compiler) inline(fn *value.Func, args []node) (node, bool) {
	src, ok := fn.Source.(Source)
	if !ok || c.depth == maxInline {
		return nil, false
	}
	in := &compiler{src: src, names: map[string]node{}, locals: c.locals, depth: c.depth + 1}
	for i, p := range fn.Params {
		if args[i] == nil {
			return nil, false // a default is known to the closure alone
		}
		a := args[i]
		if _, fixed := a.(*literal); !fixed {
			in.locals = append(in.locals, a)
			a = &local{len(in.locals) - 1}
		}
		in.names[p.Name] = a
	}
	e, ok := in.body(src.Function())
	if !ok {
		return nil, false
	}
	n, ok := in.expression(e)
	c.locals = in.locals
	return n, ok
}

func (n *call) eval(x *exec) (operand, bool) {
	args := make([]operand, len(n.args))
	fixed := true
	for i, a := range n.args {
		if a == nil {
			continue
		}
		var ok bool
		if args[i], ok = a.eval(x); !ok || args[i].loose {
			return args[i], false
		}
		fixed = fixed && args[i].col == nil
	}
	if n.fn.Name == "float" && !fixed && args[0].kind().Numeric() {
		return toFloat(args[0], x.table.Rows), true
	}
	c := value.Call{Env: x.env, Func: n.fn, Args: make([]value.Value, len(args))}
	do := func(row int) (value.Value, bool) {
		for i := range args {
			c.Args[i] = args[i].value(row)
			if err := n.fn.Params[i].Check(c.Args[i]); err != nil {
				return value.Value{}, false
			}
		}
		v, err := n.fn.Do(&c)
		return v, err == nil
	}
	if fixed {
		v, ok := do(0)
		return constant(v), ok
	}
	var out collector
	for i := range x.table.Rows {
		v, ok := do(i)
		if !ok || !out.add(v) {
			return operand{}, false
		}
	}
	return out.operand(), true
}

// toFloat is float() of a column of numbers.
func toFloat(a operand, rows int) operand {
	if a.kind() == value.Float {
		return a
	}
	v, _ := a.numbers(rows)
	return floats(v, common(a.bitmap(), a.bitmap(), rows))
}
