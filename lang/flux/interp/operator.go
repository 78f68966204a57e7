package interp

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/value"
)

func (c *compiler) unary(e *syntax.UnaryExpression) (eval, error) {
	x, err := c.expression(e.Argument)
	if err != nil {
		return nil, err
	}
	var apply func(v value.Value) (value.Value, error)
	switch e.Operator {
	case "exists":
		apply = func(v value.Value) (value.Value, error) { return value.OfBool(!v.IsNull()), nil }
	case "not":
		apply = func(v value.Value) (value.Value, error) {
			switch {
			case v.IsNull():
				return value.NullOf(value.Bool), nil
			case v.Kind() != value.Bool:
				return value.Value{}, fmt.Errorf("not is not an operation on %s", v.Kind())
			}
			return value.OfBool(!v.Bool()), nil
		}
	case "-":
		apply = value.Value.Negate
	case "+":
		apply = func(v value.Value) (value.Value, error) { return v, nil }
	default:
		return nil, c.at(e.Span, fmt.Errorf("there is no operator %s", e.Operator))
	}
	return func(f *frame) (value.Value, error) {
		v, err := x(f)
		if err != nil {
			return v, err
		}
		if v, err = apply(v); err != nil {
			return v, c.at(e.Span, err)
		}
		return v, nil
	}, nil
}

func (c *compiler) binary(e *syntax.BinaryExpression) (eval, error) {
	o, ok := value.OperatorOf(e.Operator)
	if !ok {
		return nil, c.at(e.Span, fmt.Errorf("there is no operator %s", e.Operator))
	}
	left, err := c.expression(e.Left)
	if err != nil {
		return nil, err
	}
	right, err := c.expression(e.Right)
	if err != nil {
		return nil, err
	}
	in := c.in
	return func(f *frame) (value.Value, error) {
		a, err := left(f)
		if err != nil {
			return a, err
		}
		b, err := right(f)
		if err != nil {
			return b, err
		}
		v, err := o.Apply(a, b)
		if err != nil {
			return v, c.at(e.Span, err)
		}
		if o == value.Add && v.Kind() == value.String {
			return in.sized(v)
		}
		return v, nil
	}, nil
}

// logical compiles and, or. As in SQL a null may turn out either way: false and
// null is false, true and null is null.
func (c *compiler) logical(e *syntax.LogicalExpression) (eval, error) {
	left, err := c.expression(e.Left)
	if err != nil {
		return nil, err
	}
	right, err := c.expression(e.Right)
	if err != nil {
		return nil, err
	}
	decides := e.Operator == "or" // the operand that decides without the other
	side := func(v value.Value, of syntax.Expression) error {
		if v.Kind() != value.Bool && !v.IsNull() {
			return c.at(of.Location(), fmt.Errorf("%s takes bool, not %s", e.Operator, v.Kind()))
		}
		return nil
	}
	return func(f *frame) (value.Value, error) {
		a, err := left(f)
		if err != nil {
			return a, err
		}
		if err := side(a, e.Left); err != nil {
			return a, err
		}
		if !a.IsNull() && a.Bool() == decides {
			return a, nil
		}
		b, err := right(f)
		if err != nil {
			return b, err
		}
		switch err := side(b, e.Right); {
		case err != nil:
			return b, err
		case b.IsNull():
			return value.NullOf(value.Bool), nil
		case b.Bool() == decides:
			return b, nil
		case a.IsNull():
			return value.NullOf(value.Bool), nil
		}
		return b, nil
	}, nil
}

// conditional compiles if then else. A null is not true.
func (c *compiler) conditional(e *syntax.ConditionalExpression) (eval, error) {
	parts, err := c.all([]syntax.Expression{e.Test, e.Consequent, e.Alternate})
	if err != nil {
		return nil, err
	}
	return func(f *frame) (value.Value, error) {
		t, err := parts[0](f)
		switch {
		case err != nil:
			return t, err
		case t.Kind() != value.Bool && !t.IsNull():
			return t, c.at(e.Test.Location(), fmt.Errorf("if takes bool, not %s", t.Kind()))
		case t.Bool() && !t.IsNull():
			return parts[1](f)
		}
		return parts[2](f)
	}, nil
}
