package interp

import (
	"fmt"
	"regexp"

	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/value"
)

func constant(v value.Value) (eval, error) {
	return func(*frame) (value.Value, error) { return v, nil }, nil
}

// expression compiles an expression.
func (c *compiler) expression(e syntax.Expression) (eval, error) {
	if c.deep++; c.deep > maxNesting {
		return nil, c.at(e.Location(), fmt.Errorf("expressions are nested more than %d deep", maxNesting))
	}
	defer func() { c.deep-- }()
	switch e := e.(type) {
	case *syntax.Identifier:
		return c.name(e)
	case *syntax.IntegerLiteral:
		return constant(value.OfInt(e.Value))
	case *syntax.UnsignedLiteral:
		return constant(value.OfUint(e.Value))
	case *syntax.FloatLiteral:
		return constant(value.OfFloat(e.Value))
	case *syntax.StringLiteral:
		return constant(value.OfString(e.Value))
	case *syntax.BooleanLiteral:
		return constant(value.OfBool(e.Value))
	case *syntax.DateTimeLiteral:
		return constant(value.OfClock(e.Value))
	case *syntax.RegexpLiteral:
		r, err := regexp.Compile(e.Value)
		if err != nil {
			return nil, c.at(e.Span, fmt.Errorf("invalid regular expression: %w", err))
		}
		return constant(value.OfRegexp(r))
	case *syntax.DurationLiteral:
		d, err := value.SpanOf(e.Terms)
		if err != nil {
			return nil, c.at(e.Span, err)
		}
		return constant(value.OfDuration(d))
	case *syntax.LabelLiteral:
		return constant(value.OfString(e.Value))
	case *syntax.ParenExpression:
		return c.expression(e.Expression)
	case *syntax.StringExpression:
		return c.text(e)
	case *syntax.ArrayExpression:
		return c.array(e)
	case *syntax.DictExpression:
		return c.dict(e)
	case *syntax.ObjectExpression:
		return c.record(e)
	case *syntax.FunctionExpression:
		return c.function(e)
	case *syntax.CallExpression:
		return c.call(e, nil)
	case *syntax.PipeExpression:
		return c.call(e.Call, e.Argument)
	case *syntax.MemberExpression:
		return c.member(e)
	case *syntax.IndexExpression:
		return c.index(e)
	case *syntax.UnaryExpression:
		return c.unary(e)
	case *syntax.BinaryExpression:
		return c.binary(e)
	case *syntax.LogicalExpression:
		return c.logical(e)
	case *syntax.ConditionalExpression:
		return c.conditional(e)
	case *syntax.PipeLiteral:
		return nil, c.at(e.Span, fmt.Errorf("<- stands for what is piped, as the default of a parameter"))
	}
	return nil, c.at(e.Location(), fmt.Errorf("an expression is expected"))
}

func (c *compiler) all(list []syntax.Expression) ([]eval, error) {
	out := make([]eval, len(list))
	for i, e := range list {
		var err error
		if out[i], err = c.expression(e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// text compiles a string with expressions in it. If one of them is null, so is
// the string.
func (c *compiler) text(e *syntax.StringExpression) (eval, error) {
	parts, err := c.all(e.Parts)
	if err != nil {
		return nil, err
	}
	in := c.in
	return func(f *frame) (value.Value, error) {
		var b []byte
		for i, p := range parts {
			v, err := p(f)
			if err != nil {
				return value.Value{}, err
			}
			switch {
			case v.IsNull():
				return value.NullOf(value.String), nil
			case v.Kind() > value.Duration && v.Kind() != value.Dynamic:
				return value.Value{}, c.at(e.Parts[i].Location(), fmt.Errorf("a string cannot have a value of type %s in it", v.Kind()))
			}
			b = append(b, v.Text()...)
		}
		return in.sized(value.OfString(string(b)))
	}, nil
}

// longString and longArray are from which size on a value is reserved from the
// run's memory. Scripts hold few values below.
const (
	longString = 64 << 10
	longArray  = 4 << 10
	// valueBytes is about what an element of an array takes.
	valueBytes = 64
)

// sized reserves the memory of a large value.
func (in *Interp) sized(v value.Value) (value.Value, error) {
	if err := v.Nested(); err != nil {
		return value.Value{}, err
	}
	var n int
	switch v.Kind() {
	case value.Stream:
		return v, in.run.Failed()
	case value.String:
		if n = len(v.Str()); n < longString {
			return v, nil
		}
	case value.Bytes:
		if n = len(v.Bytes()); n < longString {
			return v, nil
		}
	case value.Array:
		if n = int(v.Size()); n < longString {
			if n = len(v.Array()); n < longArray {
				return v, nil
			}
			n *= valueBytes
		}
	default:
		return v, nil
	}
	return v, in.run.Keep(int64(n))
}

// whole returns a compound value, unless it nests too deep.
func whole(v value.Value) (value.Value, error) {
	if err := v.Nested(); err != nil {
		return value.Value{}, err
	}
	return v, nil
}

func (c *compiler) array(e *syntax.ArrayExpression) (eval, error) {
	elements, err := c.all(e.Elements)
	if err != nil {
		return nil, err
	}
	in := c.in
	return func(f *frame) (value.Value, error) {
		list := make([]value.Value, len(elements))
		for i, el := range elements {
			var err error
			if list[i], err = el(f); err != nil {
				return value.Value{}, err
			}
			if i > 0 && list[i].Kind() != list[0].Kind() && list[i].Kind() != value.Null && list[0].Kind() != value.Null {
				return value.Value{}, c.at(e.Elements[i].Location(), fmt.Errorf("expected %s but found %s: elements of an array have one type", list[0].Kind(), list[i].Kind()))
			}
		}
		return in.sized(value.OfArray(list))
	}, nil
}

func (c *compiler) dict(e *syntax.DictExpression) (eval, error) {
	keys, values := make([]eval, len(e.Elements)), make([]eval, len(e.Elements))
	for i, item := range e.Elements {
		var err error
		if keys[i], err = c.expression(item.Key); err != nil {
			return nil, err
		}
		if values[i], err = c.expression(item.Value); err != nil {
			return nil, err
		}
	}
	return func(f *frame) (value.Value, error) {
		k, v := make([]value.Value, len(keys)), make([]value.Value, len(keys))
		for i := range keys {
			var err error
			if k[i], err = keys[i](f); err != nil {
				return value.Value{}, err
			}
			if k[i].IsNull() || k[i].Kind() > value.Duration {
				return value.Value{}, c.at(e.Elements[i].Key.Location(), fmt.Errorf("%s cannot be a key of a dictionary", k[i].Describe()))
			}
			if v[i], err = values[i](f); err != nil {
				return value.Value{}, err
			}
		}
		return whole(value.OfDict(value.NewDict(k, v)))
	}, nil
}

func (c *compiler) record(e *syntax.ObjectExpression) (eval, error) {
	var with eval
	if e.With != nil {
		var err error
		if with, err = c.name(e.With); err != nil {
			return nil, err
		}
	}
	labels, values := make([]string, len(e.Properties)), make([]eval, len(e.Properties))
	have := map[string]bool{}
	for i, p := range e.Properties {
		labels[i] = p.Name
		if have[p.Name] {
			return nil, c.at(p.Span, fmt.Errorf("the record has %q twice", p.Name))
		}
		have[p.Name] = true
		var err error
		if values[i], err = c.property(p); err != nil {
			return nil, err
		}
	}
	return func(f *frame) (value.Value, error) {
		list := make([]value.Value, len(values))
		for i, v := range values {
			var err error
			if list[i], err = v(f); err != nil {
				return value.Value{}, err
			}
		}
		if with == nil {
			return whole(value.OfRecord(value.NewRecord(labels, list).Close()))
		}
		base, err := with(f)
		switch {
		case err != nil:
			return value.Value{}, err
		case base.Kind() != value.Record || base.IsNull():
			return value.Value{}, c.at(e.With.Span, fmt.Errorf("only a record can be extended by with, not %s", base.Describe()))
		}
		return whole(value.OfRecord(base.Record().With(labels, list)))
	}, nil
}

// property compiles the value of an entry, which may be short for a variable of
// the same name.
func (c *compiler) property(p *syntax.Property) (eval, error) {
	if p.Value == nil {
		return c.name(&syntax.Identifier{Span: p.Span, Name: p.Name})
	}
	return c.expression(p.Value)
}

func (c *compiler) member(e *syntax.MemberExpression) (eval, error) {
	if id, ok := e.Object.(*syntax.Identifier); ok {
		_, _, local := c.scope.find(id.Name)
		if of := c.imports[id.Name]; of != nil && !local && c.module.cells[id.Name] == nil {
			found := of.cell(e.Property)
			if found == nil {
				return nil, c.at(e.Span, fmt.Errorf("package %s has no %q%s", id.Name, e.Property, near(e.Property, of.names())))
			}
			return func(*frame) (value.Value, error) { return found.value, nil }, nil
		}
	}
	object, err := c.expression(e.Object)
	if err != nil {
		return nil, err
	}
	return func(f *frame) (value.Value, error) {
		o, err := object(f)
		if err != nil {
			return value.Value{}, err
		}
		v, err := property(o, e.Property)
		if err != nil {
			return value.Value{}, c.at(e.Span, err)
		}
		return v, nil
	}, nil
}

// property returns a property of a record or of a dynamic value that holds one.
func property(o value.Value, name string) (value.Value, error) {
	switch {
	case o.Kind() == value.Record && !o.IsNull():
		r := o.Record()
		if v, ok := r.Get(name); ok {
			return v, nil
		}
		if r.Closed() {
			return value.Value{}, fmt.Errorf("record %s has no property %q", o.Display(), name)
		}
		return value.NullOf(value.Null), nil
	case o.Kind() == value.Dynamic:
		inner := o.Inner()
		if inner.IsNull() || inner.Kind() != value.Record {
			return value.Value{}, fmt.Errorf("cannot access property %q on value of type %s", name, inner.Describe())
		}
		if v, ok := inner.Record().Get(name); ok {
			return value.OfDynamic(v), nil
		}
		return value.OfDynamic(value.NullOf(value.Null)), nil
	case o.Kind() == value.Null || o.IsNull():
		return value.NullOf(value.Null), nil
	}
	return value.Value{}, fmt.Errorf("cannot access property %q on value of type %s", name, o.Describe())
}

func (c *compiler) index(e *syntax.IndexExpression) (eval, error) {
	array, err := c.expression(e.Array)
	if err != nil {
		return nil, err
	}
	index, err := c.expression(e.Index)
	if err != nil {
		return nil, err
	}
	return func(f *frame) (value.Value, error) {
		a, err := array(f)
		if err != nil {
			return value.Value{}, err
		}
		i, err := index(f)
		if err != nil {
			return value.Value{}, err
		}
		v, err := element(a, i)
		if err != nil {
			return value.Value{}, c.at(e.Span, err)
		}
		return v, nil
	}, nil
}

func element(a, i value.Value) (value.Value, error) {
	if i.Kind() == value.String && !i.IsNull() {
		return property(a, i.Str())
	}
	dynamic := a.Kind() == value.Dynamic
	if dynamic {
		a = a.Inner()
	}
	if a.Kind() != value.Array || a.IsNull() {
		return value.Value{}, fmt.Errorf("cannot access element %s on value of type %s", i.Display(), a.Describe())
	}
	if i.Kind() != value.Int || i.IsNull() {
		return value.Value{}, fmt.Errorf("the place of an element is an int, not %s", i.Describe())
	}
	list := a.Array()
	if i.Int() < 0 || i.Int() >= int64(len(list)) {
		return value.Value{}, fmt.Errorf("cannot access element %d in array of length %d", i.Int(), len(list))
	}
	if v := list[i.Int()]; !dynamic {
		return v, nil
	}
	return value.OfDynamic(list[i.Int()]), nil
}
