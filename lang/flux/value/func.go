package value

import (
	"context"
	"fmt"
	"strings"

	"github.com/varvedb/varve/lang/flux/syntax"
)

// Func is a function: one that is built in, or one that a script wrote.
type Func struct {
	Name   string // with its package, as strings.split; empty if a script wrote it
	Known  string // what a function that a script wrote was called first; for messages
	Params []Param
	// Do computes the result. The arguments of the call stand in the order
	// of Params and were checked against them.
	Do func(c *Call) (Value, error)
	// Source is the closure of a function of a script (an *interp.Closure), by
	// which a planner sees what it does. nil if it is built in.
	Source any
	// Result names the kind of what it returns, if that is known; for messages.
	Result string
}

// Param is a parameter.
type Param struct {
	Name     string
	Pipe     bool  // takes what is piped
	Optional bool  // a call may leave it out; the argument is then Absent
	Kinds    Kinds // what it takes; of functions of a script: everything
	Of       Kinds // what the elements of an array are; 0: anything
}

// Kinds is a set of kinds.
type Kinds uint32

// AnyKind is the set of all kinds.
const AnyKind Kinds = 1<<32 - 1

// Set returns the set of some kinds.
func Set(kinds ...Kind) Kinds {
	var s Kinds
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// Has reports whether k is in the set.
func (s Kinds) Has(k Kind) bool { return s&(1<<k) != 0 }

// String renders the set like "int or float".
func (s Kinds) String() string {
	if s == AnyKind {
		return "anything"
	}
	var names []string
	for k := Null; k <= Dynamic; k++ {
		if s.Has(k) {
			names = append(names, k.String())
		}
	}
	return strings.Join(names, " or ")
}

// Env is what a script runs in, which functions that are built in may need.
// It is a *flow.Run.
type Env interface{ Context() context.Context }

// Call is a call of a function.
type Call struct {
	Env  Env
	Func *Func
	Args []Value // parallel to Func.Params
	At   syntax.Span
	// Depth is how many calls of functions of the script this one stands in.
	Depth int
}

// Arg returns an argument by name, which is Absent if it was not given.
func (c *Call) Arg(name string) Value {
	for i := range c.Func.Params {
		if c.Func.Params[i].Name == name {
			return c.Args[i]
		}
	}
	panic("BUG: " + c.Func.Name + " has no parameter " + name)
}

// Has reports whether an argument was given and is not null.
func (c *Call) Has(name string) bool {
	v := c.Arg(name)
	return !v.IsAbsent() && !v.IsNull()
}

// The methods below return an argument, or a default if it was not given or is
// null.

// Int returns an integer argument.
func (c *Call) Int(name string, otherwise int64) int64 {
	if !c.Has(name) {
		return otherwise
	}
	return c.Arg(name).Int()
}

// Float returns a float argument.
func (c *Call) Float(name string, otherwise float64) float64 {
	if !c.Has(name) {
		return otherwise
	}
	return c.Arg(name).Float()
}

// Bool returns a boolean argument.
func (c *Call) Bool(name string, otherwise bool) bool {
	if !c.Has(name) {
		return otherwise
	}
	return c.Arg(name).Bool()
}

// Str returns a string argument.
func (c *Call) Str(name, otherwise string) string {
	if !c.Has(name) {
		return otherwise
	}
	return c.Arg(name).Str()
}

// Strings returns an argument that is an array of strings.
func (c *Call) Strings(name string, otherwise ...string) []string {
	if !c.Has(name) {
		return otherwise
	}
	elements := c.Arg(name).Array()
	list := make([]string, len(elements))
	for i, e := range elements {
		list[i] = e.Str()
	}
	return list
}

// Span returns an argument that is a duration.
func (c *Call) Span(name string, otherwise Span) Span {
	if !c.Has(name) {
		return otherwise
	}
	return c.Arg(name).Duration()
}

// Errorf returns an error that begins with the name of the function.
func (c *Call) Errorf(format string, args ...any) error {
	return fmt.Errorf(c.Func.Name+": "+format, args...)
}

// Invoke calls f with arguments by position in f.Params, from within a call.
func (c *Call) Invoke(f *Func, args []Value) (Value, error) {
	in := Call{Env: c.Env, Func: f, Args: args, At: c.At, Depth: c.Depth + 1}
	return f.Do(&in)
}

// InvokeNamed calls f with arguments by name. Those that f has no parameter for
// are an error, as are parameters that must be given and are not.
func (c *Call) InvokeNamed(f *Func, args map[string]Value) (Value, error) {
	list, err := f.Arrange(args)
	if err != nil {
		return Value{}, err
	}
	return c.Invoke(f, list)
}

// Arrange puts arguments by name into the order of the parameters and checks
// them.
func (f *Func) Arrange(args map[string]Value) ([]Value, error) {
	list := make([]Value, len(f.Params))
	found := 0
	for i := range f.Params {
		v, ok := args[f.Params[i].Name]
		if ok {
			found++
		}
		if err := f.Params[i].Check(v); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Title(), err)
		}
		list[i] = v
	}
	if found < len(args) {
		for name := range args {
			if f.Param(name) < 0 {
				return nil, fmt.Errorf("%s: found unexpected argument %s", f.Title(), name)
			}
		}
	}
	return list, nil
}

// Param returns the place of a parameter, or -1.
func (f *Func) Param(name string) int {
	for i := range f.Params {
		if f.Params[i].Name == name {
			return i
		}
	}
	return -1
}

// Title returns the name of f for messages.
func (f *Func) Title() string {
	switch {
	case f.Name != "":
		return f.Name
	case f.Known != "":
		return f.Known
	}
	return "function"
}

// whole is the kinds of which functions take no null: there is nothing that they
// could do with it.
const whole Kinds = 1<<Regexp | 1<<Record | 1<<Dict | 1<<Function | 1<<Stream

// CheckAll reports why args, in the order of the parameters, cannot be the
// arguments of f.
func (f *Func) CheckAll(args []Value) error {
	for i := range f.Params {
		if err := f.Params[i].Check(args[i]); err != nil {
			return fmt.Errorf("%s: %w", f.Title(), err)
		}
	}
	return nil
}

// Check reports why v cannot be the argument of p.
func (p *Param) Check(v Value) error {
	switch {
	case v.kind == Absent:
		if !p.Optional {
			return fmt.Errorf("missing required argument %s", p.Name)
		}
		return nil
	case p.Kinds == AnyKind || p.Kinds.Has(v.kind) && !v.null:
	case v.null && (p.Optional || p.Kinds&^whole != 0):
	case v.null:
		return fmt.Errorf("argument %s must be %s, not null", p.Name, p.Kinds)
	default:
		return fmt.Errorf("argument %s must be %s, not %s", p.Name, p.Kinds, v.kind)
	}
	if p.Of != 0 && v.kind == Array {
		for i, e := range v.Array() {
			if !p.Of.Has(e.kind) || e.null {
				return fmt.Errorf("argument %s must be an array of %s: element %d is %s", p.Name, p.Of, i, e.Describe())
			}
		}
	}
	return nil
}

// Describe names the kind of v, or says that it is null.
func (v Value) Describe() string {
	if v.null {
		return "null"
	}
	return v.kind.String()
}
