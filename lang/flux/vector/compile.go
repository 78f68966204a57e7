package vector

import (
	"regexp"

	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// node is a compiled expression.
type node interface {
	// eval computes it for all rows, and reports whether it can tell.
	eval(x *exec) (operand, bool)
}

// exec is a run of a program over a table.
type exec struct {
	env    value.Env
	table  *table.Table
	locals []operand
}

// newExec computes the variables of a function.
func newExec(env value.Env, t *table.Table, locals []node) (*exec, bool) {
	x := &exec{env: env, table: t}
	for _, l := range locals {
		o, ok := l.eval(x)
		if !ok {
			return nil, false
		}
		x.locals = append(x.locals, o)
	}
	return x, true
}

// The nodes that are not computed from others.
type (
	literal struct{ v value.Value }
	// cell is a column of the row.
	cell struct{ label string }
	// local is a variable of the function.
	local struct{ at int }
)

func (n *literal) eval(*exec) (operand, bool) { return constant(n.v), true }

func (n *cell) eval(x *exec) (operand, bool) {
	c := x.table.Col(n.label)
	if c == nil {
		return constant(value.NullOf(value.Null)), true
	}
	return ofColumn(c), true
}

func (n *local) eval(x *exec) (operand, bool) { return x.locals[n.at], true }

// maxInline is how deep functions of the script are compiled into those that
// call them.
const maxInline = 8

// compiler compiles one function.
type compiler struct {
	src    Source
	param  string          // the row; empty within a function that is compiled in
	names  map[string]node // variables and parameters
	locals []node
	depth  int
}

// newCompiler returns a compiler of fn, its variables compiled, and the
// expression that it returns. It is nil if fn cannot be compiled.
func newCompiler(fn *value.Func, param string) (*compiler, syntax.Expression) {
	src, ok := fn.Source.(Source)
	if !ok || len(fn.Params) != 1 || fn.Params[0].Name != param {
		return nil, nil
	}
	c := &compiler{src: src, param: param, names: map[string]node{}}
	e, ok := c.body(src.Function())
	if !ok {
		return nil, nil
	}
	return c, e
}

// body compiles the variables of a function and returns what it returns.
func (c *compiler) body(fn *syntax.FunctionExpression) (syntax.Expression, bool) {
	e, locals := bodyOf(fn)
	for _, l := range locals {
		v, ok := c.expression(l.Init)
		if !ok {
			return nil, false
		}
		if _, fixed := v.(*literal); !fixed {
			c.locals = append(c.locals, v)
			v = &local{len(c.locals) - 1}
		}
		c.names[l.ID.Name] = v
		if l.ID.Name == c.param {
			return nil, false
		}
	}
	return e, e != nil
}

// bodyOf returns what a function returns and the variables that it defines, nil
// if it does anything else.
func bodyOf(fn *syntax.FunctionExpression) (syntax.Expression, []*syntax.VariableAssignment) {
	if fn.Block == nil {
		return fn.Body, nil
	}
	var locals []*syntax.VariableAssignment
	for _, s := range fn.Block.Body {
		switch s := s.(type) {
		case *syntax.VariableAssignment:
			locals = append(locals, s)
		case *syntax.ReturnStatement:
			return s.Argument, locals
		default:
			return nil, nil
		}
	}
	return nil, nil
}

func unwrap(e syntax.Expression) syntax.Expression {
	for {
		p, ok := e.(*syntax.ParenExpression)
		if !ok {
			return e
		}
		e = p.Expression
	}
}

// object returns the record that an expression is, and whether it is the row
// with columns set.
func (c *compiler) object(e syntax.Expression) (o *syntax.ObjectExpression, with, ok bool) {
	o, ok = unwrap(e).(*syntax.ObjectExpression)
	if !ok {
		return nil, false, false
	}
	if o.With == nil {
		return o, false, true
	}
	return o, true, o.With.Name == c.param
}

// property compiles the value of a property.
func (c *compiler) property(p *syntax.Property) (node, bool) {
	if p.Value == nil {
		return c.expression(&syntax.Identifier{Span: p.Span, Name: p.Name})
	}
	return c.expression(p.Value)
}

// expression compiles an expression, and reports whether that is possible.
func (c *compiler) expression(e syntax.Expression) (node, bool) {
	switch e := e.(type) {
	case *syntax.ParenExpression:
		return c.expression(e.Expression)
	case *syntax.IntegerLiteral:
		return &literal{value.OfInt(e.Value)}, true
	case *syntax.UnsignedLiteral:
		return &literal{value.OfUint(e.Value)}, true
	case *syntax.FloatLiteral:
		return &literal{value.OfFloat(e.Value)}, true
	case *syntax.StringLiteral:
		return &literal{value.OfString(e.Value)}, true
	case *syntax.BooleanLiteral:
		return &literal{value.OfBool(e.Value)}, true
	case *syntax.DateTimeLiteral:
		return &literal{value.OfTime(e.Value.UnixNano())}, true
	case *syntax.DurationLiteral:
		d, err := value.SpanOf(e.Terms)
		return &literal{value.OfDuration(d)}, err == nil
	case *syntax.RegexpLiteral:
		r, err := regexp.Compile(e.Value)
		return &literal{value.OfRegexp(r)}, err == nil
	case *syntax.Identifier:
		return c.name(e.Name)
	case *syntax.MemberExpression:
		return c.member(e.Object, e.Property)
	case *syntax.IndexExpression:
		if s, ok := unwrap(e.Index).(*syntax.StringLiteral); ok {
			return c.member(e.Array, s.Value)
		}
	case *syntax.UnaryExpression:
		a, ok := c.expression(e.Argument)
		if !ok {
			return nil, false
		}
		return fold(&unary{e.Operator, a}, a)
	case *syntax.BinaryExpression:
		o, ok := value.OperatorOf(e.Operator)
		if !ok {
			return nil, false
		}
		sides, ok := c.all(e.Left, e.Right)
		if !ok {
			return nil, false
		}
		return fold(&binary{o, sides[0], sides[1]}, sides...)
	case *syntax.LogicalExpression:
		sides, ok := c.all(e.Left, e.Right)
		if !ok {
			return nil, false
		}
		return fold(&logical{e.Operator == "or", sides[0], sides[1]}, sides...)
	case *syntax.ConditionalExpression:
		parts, ok := c.all(e.Test, e.Consequent, e.Alternate)
		if !ok {
			return nil, false
		}
		return &conditional{parts[0], parts[1], parts[2]}, true
	case *syntax.StringExpression:
		parts, ok := c.all(e.Parts...)
		return &text{parts}, ok
	case *syntax.ArrayExpression:
		return c.array(e)
	case *syntax.CallExpression:
		return c.call(e, nil)
	case *syntax.PipeExpression:
		return c.call(e.Call, e.Argument)
	}
	return nil, false
}

func (c *compiler) all(list ...syntax.Expression) ([]node, bool) {
	nodes := make([]node, len(list))
	for i, e := range list {
		var ok bool
		if nodes[i], ok = c.expression(e); !ok {
			return nil, false
		}
	}
	return nodes, true
}

// fold computes a node all of whose operands are known.
func fold(n node, operands ...node) (node, bool) {
	for _, o := range operands {
		if _, ok := o.(*literal); !ok {
			return n, true
		}
	}
	o, ok := n.eval(&exec{})
	if !ok || o.col != nil {
		return nil, false // an error, which has to come from the row that makes it
	}
	return &literal{o.val}, true
}

// name compiles a reference to a variable.
func (c *compiler) name(name string) (node, bool) {
	if n, ok := c.names[name]; ok {
		return n, true
	}
	if name == c.param {
		return nil, false // the row as a whole
	}
	v, ok := c.src.Lookup(name)
	if !ok || v.IsAbsent() {
		return nil, false
	}
	return &literal{v}, true
}

// member compiles object.property.
func (c *compiler) member(object syntax.Expression, property string) (node, bool) {
	object = unwrap(object)
	if id, ok := object.(*syntax.Identifier); ok && id.Name == c.param && c.param != "" {
		return &cell{property}, true
	}
	n, ok := c.expression(object)
	if !ok {
		return nil, false
	}
	known, ok := n.(*literal)
	if !ok || known.v.Kind() != value.Record || known.v.IsNull() {
		return nil, false
	}
	v, ok := known.v.Record().Get(property)
	return &literal{v}, ok
}

// array compiles an array of which all elements are known.
func (c *compiler) array(e *syntax.ArrayExpression) (node, bool) {
	nodes, ok := c.all(e.Elements...)
	if !ok {
		return nil, false
	}
	list := make([]value.Value, len(nodes))
	for i, n := range nodes {
		known, ok := n.(*literal)
		if !ok || known.v.Kind() == value.Null || i > 0 && known.v.Kind() != list[0].Kind() {
			return nil, false
		}
		list[i] = known.v
	}
	return &literal{value.OfArray(list)}, true
}
