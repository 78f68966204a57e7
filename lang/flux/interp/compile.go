package interp

import (
	"fmt"
	"maps"

	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/value"
)

// eval computes an expression in a frame; nil outside functions.
type eval func(f *frame) (value.Value, error)

// compiler turns the statements of one file into steps.
type compiler struct {
	in      *Interp
	module  *module
	imports map[string]*module
	scope   *scope // nil outside functions
	deep    int    // of nested expressions
	own     map[string]bool
	library bool // places in the file mean nothing to who wrote the script
}

// at gives an error the place of a part of the script.
func (c *compiler) at(s syntax.Span, err error) error {
	if c.library {
		return err
	}
	return at(s, err)
}

// maxNesting is how deep expressions may nest: deeper ones are made to exhaust
// the stack, not to be read.
const maxNesting = 1000

// statement compiles a statement of a file.
func (c *compiler) statement(s syntax.Statement) (func() error, error) {
	switch s := s.(type) {
	case *syntax.ExpressionStatement:
		e, err := c.expression(s.Expression)
		if err != nil {
			return nil, err
		}
		return func() error {
			v, err := e(nil)
			if err == nil {
				c.in.expression(v)
			}
			return err
		}, nil
	case *syntax.VariableAssignment:
		e, err := c.expression(s.Init)
		if err != nil {
			return nil, err
		}
		if c.own == nil {
			c.own = map[string]bool{}
		}
		if c.own[s.ID.Name] {
			return nil, c.at(s.Span, fmt.Errorf("variable %q is defined already", s.ID.Name))
		}
		c.own[s.ID.Name] = true
		to := c.module.define(s.ID.Name)
		return c.set(to, s.ID.Name, e), nil
	case *syntax.OptionStatement:
		return c.option(s)
	case *syntax.ReturnStatement:
		return nil, c.at(s.Span, fmt.Errorf("return stands outside a function"))
	case *syntax.BuiltinStatement:
		return nil, nil // a promise that the name is there
	case *syntax.TestCaseStatement:
		return nil, c.at(s.Span, fmt.Errorf("test cases are not run"))
	}
	return nil, c.at(s.Location(), fmt.Errorf("a statement is expected"))
}

func (c *compiler) set(to *cell, name string, e eval) func() error {
	m := c.module
	return func() error {
		v, err := e(nil)
		if err != nil {
			return err
		}
		// What a file defines is there to the end.
		if n := v.Size(); n >= namedBytes {
			if err := c.in.run.Keep(n); err != nil {
				return err
			}
		}
		m.called(name, v)
		to.value = v
		c.in.notice(v)
		return nil
	}
}

// namedBytes is from which size on the value of a variable is reserved: far more
// than the text of the statement.
const namedBytes = 1 << 10

// option compiles an option statement: of a package, of the prelude, or one
// that the file declares.
func (c *compiler) option(s *syntax.OptionStatement) (func() error, error) {
	switch a := s.Assignment.(type) {
	case *syntax.VariableAssignment:
		e, err := c.expression(a.Init)
		if err != nil {
			return nil, err
		}
		if p := c.module.prelude; p != nil {
			if to := p.cell(a.ID.Name); to != nil {
				return c.set(to, a.ID.Name, e), nil
			}
		}
		return c.set(c.module.define(a.ID.Name), a.ID.Name, e), nil
	case *syntax.MemberAssignment:
		id, ok := a.Member.Object.(*syntax.Identifier)
		if !ok || c.imports[id.Name] == nil {
			return nil, c.at(s.Span, fmt.Errorf("an option is set as package.name, and the package must be imported"))
		}
		to := c.imports[id.Name].cell(a.Member.Property)
		if to == nil {
			return nil, c.at(a.Member.Span, fmt.Errorf("package %s has no option %q%s", id.Name, a.Member.Property, near(a.Member.Property, c.imports[id.Name].names())))
		}
		e, err := c.expression(a.Init)
		if err != nil {
			return nil, err
		}
		return c.set(to, a.Member.Property, e), nil
	}
	return nil, c.at(s.Span, fmt.Errorf("an option is set by an assignment"))
}

// name compiles a reference to a variable.
func (c *compiler) name(id *syntax.Identifier) (eval, error) {
	if up, place, ok := c.scope.find(id.Name); ok {
		switch up {
		case 0:
			return func(f *frame) (value.Value, error) { return f.values[place], nil }, nil
		case 1:
			return func(f *frame) (value.Value, error) { return f.up.values[place], nil }, nil
		}
		return func(f *frame) (value.Value, error) { return f.at(up).values[place], nil }, nil
	}
	if of := c.imports[id.Name]; of != nil && c.module.cells[id.Name] == nil {
		return func(*frame) (value.Value, error) { return of.record(), nil }, nil
	}
	for m := c.module; m != nil; m = m.prelude {
		if found := m.cell(id.Name); found != nil && found.defined {
			return func(*frame) (value.Value, error) { return found.value, nil }, nil
		}
	}
	return nil, c.at(id.Span, fmt.Errorf("undefined identifier %q%s", id.Name, c.meant(id.Name)))
}

// function compiles a function expression.
func (c *compiler) function(e *syntax.FunctionExpression) (eval, error) {
	k := &code{tree: e, params: make([]value.Param, len(e.Params)), imports: maps.Clone(c.imports)}
	inner := &scope{up: c.scope}
	for i, p := range e.Params {
		k.params[i] = value.Param{Name: p.Name, Kinds: value.AnyKind}
		if inner.has(p.Name) {
			return nil, c.at(p.Span, fmt.Errorf("parameter %q stands twice", p.Name))
		}
		inner.define(p.Name)
		if p.Default == nil {
			continue
		}
		if _, pipe := p.Default.(*syntax.PipeLiteral); pipe {
			k.params[i].Pipe = true
			continue
		}
		d, err := c.expression(p.Default)
		if err != nil {
			return nil, err
		}
		if k.defaults == nil {
			k.defaults = make([]eval, len(e.Params))
		}
		k.params[i].Optional, k.defaults[i] = true, d
	}
	outer := c.scope
	c.scope = inner
	defer func() { c.scope = outer }()
	var err error
	if e.Block != nil {
		k.body, err = c.block(e.Block)
	} else {
		k.result = resultOf(e.Body)
		k.body, err = c.expression(e.Body)
	}
	if err != nil {
		return nil, err
	}
	k.size = len(inner.names)
	in, m := c.in, c.module
	return func(f *frame) (value.Value, error) { return k.make(in, m, outer, f) }, nil
}

func (s *scope) has(name string) bool {
	for _, n := range s.names {
		if n == name {
			return true
		}
	}
	return false
}

// resultOf names the kind of what an expression comes to, where it can be told
// from the expression alone.
func resultOf(e syntax.Expression) string {
	switch e := e.(type) {
	case *syntax.BooleanLiteral, *syntax.LogicalExpression:
		return value.Bool.String()
	case *syntax.IntegerLiteral:
		return value.Int.String()
	case *syntax.UnsignedLiteral:
		return value.Uint.String()
	case *syntax.FloatLiteral:
		return value.Float.String()
	case *syntax.StringLiteral, *syntax.StringExpression:
		return value.String.String()
	case *syntax.DateTimeLiteral:
		return value.Time.String()
	case *syntax.DurationLiteral:
		return value.Duration.String()
	case *syntax.ParenExpression:
		return resultOf(e.Expression)
	case *syntax.BinaryExpression:
		if o, ok := value.OperatorOf(e.Operator); ok && o >= value.Equal {
			return value.Bool.String()
		}
		return resultOf(e.Left)
	}
	return ""
}

// block compiles the body of a function in braces.
func (c *compiler) block(b *syntax.Block) (eval, error) {
	var steps []func(f *frame) error
	locals := map[string]bool{}
	for _, s := range b.Body {
		switch s := s.(type) {
		case *syntax.ReturnStatement:
			result, err := c.expression(s.Argument)
			if err != nil {
				return nil, err
			}
			return func(f *frame) (value.Value, error) {
				for _, step := range steps {
					if err := step(f); err != nil {
						return value.Value{}, err
					}
				}
				return result(f)
			}, nil
		case *syntax.VariableAssignment:
			e, err := c.expression(s.Init)
			if err != nil {
				return nil, err
			}
			if locals[s.ID.Name] {
				return nil, c.at(s.Span, fmt.Errorf("variable %q is defined already", s.ID.Name))
			}
			locals[s.ID.Name] = true
			place := c.scope.define(s.ID.Name)
			steps = append(steps, func(f *frame) error {
				v, err := e(f)
				f.values[place] = v
				return err
			})
		case *syntax.ExpressionStatement:
			e, err := c.expression(s.Expression)
			if err != nil {
				return nil, err
			}
			in := c.in
			steps = append(steps, func(f *frame) error {
				v, err := e(f)
				if err == nil {
					in.notice(v)
				}
				return err
			})
		default:
			return nil, c.at(s.Location(), fmt.Errorf("a function holds assignments, expressions and a return"))
		}
	}
	return nil, c.at(b.Span, fmt.Errorf("the function has no return statement"))
}
