package interp

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/value"
)

// maxDepth is how deep calls of functions that a script wrote may nest. Scripts
// need some tens; a stack of Go has room for far more than this.
const maxDepth = 500

// checkEvery is after how many calls a look is taken whether the run has ended.
const checkEvery = 512

// Closure is a function of a script with what it captured.
type Closure struct {
	code   *code
	up     *frame
	module *module
	static *scope // the names around it
	values []value.Value
	fn     value.Func
}

// code is the compiled form of a function expression, which all closures of it
// share.
type code struct {
	tree     *syntax.FunctionExpression
	params   []value.Param
	defaults []eval // nil: none
	size     int    // of a frame
	body     eval
	result   string
	imports  map[string]*module
}

// Function returns the tree of the function.
func (c *Closure) Function() *syntax.FunctionExpression { return c.code.tree }

// Lookup returns the value that a name that is not a parameter or variable of
// the function has within it.
func (c *Closure) Lookup(name string) (value.Value, bool) {
	if up, place, ok := c.static.find(name); ok {
		return c.up.at(up).values[place], true
	}
	if of := c.code.imports[name]; of != nil {
		return of.record(), true
	}
	for m := c.module; m != nil; m = m.prelude {
		if found := m.cell(name); found != nil {
			return found.value, true
		}
	}
	return value.Value{}, false
}

// make returns the function that code is in a frame.
func (c *code) make(in *Interp, m *module, static *scope, up *frame) (value.Value, error) {
	f := &Closure{code: c, up: up, module: m, static: static}
	f.fn = value.Func{Params: c.params, Source: f, Result: c.result}
	for i, d := range c.defaults {
		if d == nil {
			continue
		}
		if f.values == nil {
			f.values = make([]value.Value, len(c.params))
		}
		v, err := d(up)
		if err != nil {
			return value.Value{}, err
		}
		f.values[i] = v
	}
	f.fn.Do = func(call *value.Call) (value.Value, error) { return f.do(in, call) }
	return value.OfFunction(&f.fn), nil
}

// do calls the function.
func (c *Closure) do(in *Interp, call *value.Call) (value.Value, error) {
	if call.Depth > maxDepth {
		return value.Value{}, at(call.At, fmt.Errorf("calls are nested more than %d deep", maxDepth))
	}
	if in.calls++; in.calls%checkEvery == 0 {
		if err := in.run.Ended(); err != nil {
			return value.Value{}, err
		}
	}
	f := &frame{up: c.up, values: make([]value.Value, c.code.size), depth: call.Depth, called: call.At}
	copy(f.values, call.Args)
	for i := range c.values {
		if f.values[i].IsAbsent() {
			f.values[i] = c.values[i]
		}
	}
	for i := range c.code.params {
		if f.values[i].IsAbsent() {
			return value.Value{}, at(call.At, fmt.Errorf("missing required argument %s", c.code.params[i].Name))
		}
	}
	return c.code.body(f)
}
