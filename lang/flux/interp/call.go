package interp

import (
	"fmt"
	"strings"

	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/value"
)

// site is a place where a function is called.
type site struct {
	in     *Interp
	at     syntax.Span
	callee eval
	pipe   eval // nil: nothing is piped
	names  []string
	args   []eval
	// The function that was called last mostly is the next one: where its
	// parameters get their arguments.
	params *value.Param // the first one
	from   []int        // places in args; -1: none, -2: the pipe
}

const (
	fromNowhere = -1
	fromPipe    = -2
)

// call compiles a call, to which a value may be piped.
func (c *compiler) call(e *syntax.CallExpression, piped syntax.Expression) (eval, error) {
	s := &site{in: c.in, at: e.Span}
	if c.library {
		s.at = syntax.Span{}
	}
	var err error
	if piped != nil {
		if s.pipe, err = c.expression(piped); err != nil {
			return nil, err
		}
	}
	if s.callee, err = c.expression(e.Callee); err != nil {
		return nil, err
	}
	have := map[string]bool{}
	for _, p := range e.Arguments {
		if have[p.Name] {
			return nil, c.at(p.Span, fmt.Errorf("argument %q stands twice", p.Name))
		}
		have[p.Name] = true
		a, err := c.property(p)
		if err != nil {
			return nil, err
		}
		s.names, s.args = append(s.names, p.Name), append(s.args, a)
	}
	return s.call, nil
}

func (s *site) call(f *frame) (value.Value, error) {
	where := s.at
	if f != nil && where == (syntax.Span{}) {
		where = f.called // the script knows its own text, not that of the library
	}
	var piped value.Value
	var err error
	if s.pipe != nil {
		if piped, err = s.pipe(f); err != nil {
			return piped, err
		}
	}
	callee, err := s.callee(f)
	if err != nil {
		return callee, err
	}
	if callee.Kind() != value.Function || callee.IsNull() {
		return value.Value{}, at(where, fmt.Errorf("expected a function to call but found %s", callee.Describe()))
	}
	fn := callee.Func()
	if err := s.match(fn); err != nil {
		return value.Value{}, at(where, fmt.Errorf("%s: %w", fn.Title(), err))
	}
	c := value.Call{Env: s.in.run, Func: fn, Args: make([]value.Value, len(fn.Params)), At: where}
	if f != nil {
		c.Depth = f.depth + 1
	}
	for i, from := range s.from {
		switch from {
		case fromNowhere:
		case fromPipe:
			c.Args[i] = piped
		default:
			if c.Args[i], err = s.args[from](f); err != nil {
				return value.Value{}, err
			}
		}
		if err := fn.Params[i].Check(c.Args[i]); err != nil {
			return value.Value{}, at(where, fmt.Errorf("%s: %w", fn.Title(), err))
		}
	}
	v, err := fn.Do(&c)
	if err != nil {
		return v, at(where, err)
	}
	if fn.Source == nil {
		return s.in.sized(v)
	}
	return v, nil
}

// match finds where the parameters of a function get their arguments.
func (s *site) match(fn *value.Func) error {
	if len(fn.Params) == 0 {
		s.params, s.from = nil, s.from[:0]
		if len(s.names) > 0 {
			return fmt.Errorf("found unexpected argument %s; %s", s.names[0], takes(fn))
		}
		if s.pipe != nil {
			return fmt.Errorf("nothing can be piped to it: it has no parameter for that")
		}
		return nil
	}
	if s.params == &fn.Params[0] {
		return nil
	}
	from := make([]int, len(fn.Params))
	used, pipes := 0, false
	for i := range fn.Params {
		from[i] = fromNowhere
		for j, n := range s.names {
			if n == fn.Params[i].Name {
				from[i] = j
				used++
			}
		}
		if fn.Params[i].Pipe && s.pipe != nil {
			if from[i] != fromNowhere {
				return fmt.Errorf("argument %s is given by name and piped", fn.Params[i].Name)
			}
			from[i], pipes = fromPipe, true
		}
	}
	if s.pipe != nil && !pipes {
		return fmt.Errorf("nothing can be piped to it: it has no parameter for that")
	}
	if used < len(s.names) {
		for _, n := range s.names {
			if fn.Param(n) < 0 {
				return fmt.Errorf("found unexpected argument %s; %s", n, takes(fn))
			}
		}
	}
	s.params, s.from = &fn.Params[0], from
	return nil
}

// takes says which arguments a function has.
func takes(fn *value.Func) string {
	var names []string
	for _, p := range fn.Params {
		if !p.Pipe {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return "it takes none"
	}
	return "it takes " + strings.Join(names, ", ")
}
