package pushdown

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/varvedb/varve/lang/flux/storage"
	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/value"
)

// asked is what a function of a row asks of rows of the store, as far as the store
// can tell: all rows for which it says yes meet the condition.
type asked struct {
	*storage.Condition
	// whole says that all rows that meet the condition are those for which the
	// function says yes, so that it need not be called.
	whole bool
	// columns are those that the condition was made of, also where they made no
	// difference.
	columns []string
	// Only rows from since on and before until are asked for.
	since, until int64
}

// ask reads a function of a row, and reports whether the store can tell anything.
func ask(fn *value.Func) (asked, bool) {
	p, body, ok := open(fn)
	if !ok {
		return asked{}, false
	}
	var parts []*storage.Condition
	out := asked{whole: true, since: math.MinInt64, until: math.MaxInt64}
	p.columns = &out.columns
	some := false
	p.split(body, func(e syntax.Expression) {
		n := len(out.columns)
		if since, until, ok := p.times(e); ok {
			out.since, out.until, some = max(out.since, since), min(out.until, until), true
			return
		}
		if c, ok := p.condition(e); ok {
			parts = append(parts, c)
			some = true
			return
		}
		out.whole = false
		out.columns = out.columns[:n]
	})
	if !some {
		return asked{}, false
	}
	out.Condition = storage.All(parts...)
	return out, true
}

// maxInlined is how deep functions that call functions with the row are looked
// into.
const maxInlined = 8

// predicate reads the body of a function of a row.
type predicate struct {
	source  storage.Source
	row     string
	own     []string // other parameters, which have no value that is known
	locals  map[string]syntax.Expression
	depth   int
	columns *[]string // that were named
}

// open returns the expression that a function of one row returns.
func open(fn *value.Func) (*predicate, syntax.Expression, bool) {
	source, ok := fn.Source.(storage.Source)
	if !ok {
		return nil, nil, false
	}
	f := source.Function()
	if len(f.Params) == 0 {
		return nil, nil, false
	}
	p := &predicate{source: source, row: f.Params[0].Name, locals: map[string]syntax.Expression{}}
	for _, other := range f.Params[1:] {
		p.own = append(p.own, other.Name)
	}
	if f.Block == nil {
		return p, f.Body, true
	}
	for _, s := range f.Block.Body {
		switch s := s.(type) {
		case *syntax.VariableAssignment:
			if _, twice := p.locals[s.ID.Name]; twice || s.ID.Name == p.row {
				return nil, nil, false
			}
			p.locals[s.ID.Name] = s.Init
		case *syntax.ReturnStatement:
			return p, s.Argument, true
		default:
			return nil, nil, false
		}
	}
	return nil, nil, false
}

// plain takes parentheses and names of local variables off an expression.
func (p *predicate) plain(e syntax.Expression) syntax.Expression {
	for range 64 {
		switch x := e.(type) {
		case *syntax.ParenExpression:
			e = x.Expression
			continue
		case *syntax.Identifier:
			if local, ok := p.locals[x.Name]; ok {
				e = local
				continue
			}
		}
		return e
	}
	return &syntax.BadExpression{}
}

// split calls fn with each of the expressions that all have to hold.
func (p *predicate) split(e syntax.Expression, fn func(syntax.Expression)) {
	e = p.plain(e)
	if l, ok := e.(*syntax.LogicalExpression); ok && l.Operator == "and" {
		p.split(l.Left, fn)
		p.split(l.Right, fn)
		return
	}
	fn(e)
}

// condition returns the condition that an expression is, if it is one.
func (p *predicate) condition(e syntax.Expression) (*storage.Condition, bool) {
	switch e := p.plain(e).(type) {
	case *syntax.LogicalExpression:
		var all []*storage.Condition
		if !p.operands(e, e.Operator, &all) {
			return nil, false
		}
		if e.Operator == "and" {
			return storage.All(all...), true
		}
		return storage.Any(all...), true
	case *syntax.UnaryExpression:
		switch e.Operator {
		case "not":
			c, ok := p.condition(e.Argument)
			if !ok {
				return nil, false
			}
			return storage.Not(c), true
		case "exists":
			name, ok := p.column(e.Argument)
			if !ok {
				return nil, false
			}
			return storage.Has(name), true
		}
	case *syntax.BinaryExpression:
		return p.comparison(e)
	case *syntax.CallExpression:
		return p.call(e)
	default:
		if v, ok := p.constant(e); ok && v.Kind() == value.Bool && !v.IsNull() {
			if v.Bool() {
				return storage.True(), true
			}
			return storage.False(), true
		}
		if name, ok := p.column(e); ok && name == storage.Value {
			return storage.Compared(name, value.Equal, value.OfBool(true)), true
		}
	}
	return nil, false
}

// operands collects the operands of a chain of one operator, and reports whether
// all of them are conditions.
func (p *predicate) operands(e syntax.Expression, operator string, all *[]*storage.Condition) bool {
	e = p.plain(e)
	if l, ok := e.(*syntax.LogicalExpression); ok && l.Operator == operator {
		return p.operands(l.Left, operator, all) && p.operands(l.Right, operator, all)
	}
	c, ok := p.condition(e)
	*all = append(*all, c)
	return ok
}

// column returns the column that an expression names, like r.host, and notes it.
func (p *predicate) column(e syntax.Expression) (string, bool) {
	name, ok := p.property(e)
	if ok {
		*p.columns = append(*p.columns, name)
	}
	return name, ok
}

func (p *predicate) property(e syntax.Expression) (string, bool) {
	of := func(object syntax.Expression) bool {
		id, ok := p.plain(object).(*syntax.Identifier)
		return ok && id.Name == p.row
	}
	switch e := p.plain(e).(type) {
	case *syntax.MemberExpression:
		if of(e.Object) {
			return e.Property, true
		}
	case *syntax.IndexExpression:
		if v, ok := p.constant(e.Index); ok && v.Kind() == value.String && !v.IsNull() && of(e.Array) {
			return v.Str(), true
		}
	}
	return "", false
}

// turned is what a comparison is with its sides the other way round.
func turned(o value.Operator) value.Operator {
	switch o {
	case value.Less:
		return value.Greater
	case value.LessEqual:
		return value.GreaterEqual
	case value.Greater:
		return value.Less
	case value.GreaterEqual:
		return value.LessEqual
	}
	return o
}

// comparison returns the condition that a comparison of a column with a constant
// is.
func (p *predicate) comparison(e *syntax.BinaryExpression) (*storage.Condition, bool) {
	o, ok := value.OperatorOf(e.Operator)
	if !ok || o < value.Equal {
		return nil, false
	}
	name, ok := p.column(e.Left)
	with := e.Right
	if !ok {
		if name, ok = p.column(e.Right); !ok || !o.Compares() {
			return nil, false
		}
		with, o = e.Left, turned(o)
	}
	v, ok := p.constant(with)
	if !ok || v.IsNull() {
		return nil, false
	}
	return compared(name, o, v)
}

// times returns the times of rows that a comparison of _time with a constant leaves:
// from since on, before until.
func (p *predicate) times(e syntax.Expression) (since, until int64, ok bool) {
	b, ok := p.plain(e).(*syntax.BinaryExpression)
	if !ok {
		return 0, 0, false
	}
	o, known := value.OperatorOf(b.Operator)
	if !known || !o.Compares() {
		return 0, 0, false
	}
	name, ok := p.column(b.Left)
	with := b.Right
	if !ok {
		name, ok = p.column(b.Right)
		with, o = b.Left, turned(o)
	}
	if !ok || name != storage.Time {
		return 0, 0, false
	}
	v, ok := p.constant(with)
	if !ok || v.Kind() != value.Time || v.IsNull() || v.Time() == math.MaxInt64 {
		return 0, 0, false
	}
	since, until = math.MinInt64, math.MaxInt64
	switch o {
	case value.Equal:
		return v.Time(), v.Time() + 1, true
	case value.Less:
		until = v.Time()
	case value.LessEqual:
		until = v.Time() + 1
	case value.Greater:
		since = v.Time() + 1
	case value.GreaterEqual:
		since = v.Time()
	default:
		return 0, 0, false
	}
	return since, until, true
}

// longText is as long as texts in fields may be for an expression that the store
// matches: longer ones than clients send.
const longText = 1 << 20

// compared returns the comparison of a column with a constant, if the store can
// make it.
func compared(name string, o value.Operator, v value.Value) (*storage.Condition, bool) {
	switch {
	case name == storage.Time || name == storage.Start || name == storage.Stop:
		return nil, false
	case name == storage.Value && v.Kind() == value.Regexp && value.Matchable(v.Regexp(), longText) != nil:
		return nil, false // a scan does not look how long the texts are; row by row it is an error
	case o == value.Match && v.Kind() == value.Regexp:
		return storage.Like(name, v.Regexp().String()), true
	case o == value.NotMatch && v.Kind() == value.Regexp:
		return storage.Not(storage.Like(name, v.Regexp().String())), true
	case !o.Compares() || !storage.Comparable(o, v):
		return nil, false
	case name != storage.Value && v.Kind() != value.String:
		return nil, false // an error for whoever has the column
	case o == value.Equal && v.Kind() == value.String:
		return storage.OneOf(name, v.Str()), true
	case o == value.NotEqual && v.Kind() == value.String:
		return storage.Not(storage.OneOf(name, v.Str())), true
	case name == storage.Value || name == storage.Field || name == storage.Measurement:
		return storage.Compared(name, o, v), true
	}
	return nil, false
}

// call returns the condition that a call is: contains, or of a function of the
// script with the row.
func (p *predicate) call(e *syntax.CallExpression) (*storage.Condition, bool) {
	callee, ok := p.constant(e.Callee)
	if !ok || callee.Kind() != value.Function {
		return nil, false
	}
	fn := callee.Func()
	if fn.Source == nil && fn.Name == "contains" {
		return p.contains(e)
	}
	inner, body, ok := open(fn)
	if !ok || p.depth == maxInlined || len(e.Arguments) != 1 || e.Arguments[0].Name != inner.row {
		return nil, false
	}
	given := e.Arguments[0].Value
	if given == nil {
		given = &syntax.Identifier{Name: e.Arguments[0].Name}
	}
	if id, ok := p.plain(given).(*syntax.Identifier); !ok || id.Name != p.row {
		return nil, false
	}
	inner.depth, inner.columns = p.depth+1, p.columns
	return inner.condition(body)
}

// contains returns the condition that a column has one of the values of a set. Of
// a null the function says no, and not nothing.
func (p *predicate) contains(e *syntax.CallExpression) (*storage.Condition, bool) {
	var name string
	var set value.Value
	found := 0
	for _, a := range e.Arguments {
		if a.Value == nil {
			return nil, false
		}
		var ok bool
		switch a.Name {
		case "value":
			name, ok = p.column(a.Value)
		case "set":
			set, ok = p.constant(a.Value)
		}
		if ok {
			found++
		}
	}
	if found != 2 || set.Kind() != value.Array {
		return nil, false
	}
	any := []*storage.Condition{storage.False()}
	for _, v := range set.Array() {
		if v.IsNull() {
			return nil, false
		}
		c, ok := compared(name, value.Equal, v)
		if !ok {
			return nil, false
		}
		any = append(any, c)
	}
	return storage.All(storage.Has(name), storage.Any(any...)), true
}

// constant returns the value of an expression that has nothing of the row in it.
func (p *predicate) constant(e syntax.Expression) (value.Value, bool) {
	switch e := p.plain(e).(type) {
	case *syntax.IntegerLiteral:
		return value.OfInt(e.Value), true
	case *syntax.UnsignedLiteral:
		return value.OfUint(e.Value), true
	case *syntax.FloatLiteral:
		return value.OfFloat(e.Value), true
	case *syntax.StringLiteral:
		return value.OfString(e.Value), true
	case *syntax.BooleanLiteral:
		return value.OfBool(e.Value), true
	case *syntax.DateTimeLiteral:
		return value.OfTime(e.Value.UnixNano()), true
	case *syntax.RegexpLiteral:
		re, err := regexp.Compile(e.Value)
		if err != nil {
			return value.Value{}, false
		}
		return value.OfRegexp(re), true
	case *syntax.Identifier:
		if e.Name == p.row || slices.Contains(p.own, e.Name) {
			return value.Value{}, false
		}
		return p.source.Lookup(e.Name)
	case *syntax.MemberExpression:
		return p.member(e)
	case *syntax.UnaryExpression:
		v, ok := p.constant(e.Argument)
		if !ok || e.Operator != "-" {
			return value.Value{}, false
		}
		n, err := v.Negate()
		return n, err == nil
	case *syntax.BinaryExpression:
		return p.computed(e)
	case *syntax.StringExpression:
		return p.text(e)
	case *syntax.CallExpression:
		return p.converted(e)
	case *syntax.ArrayExpression:
		list := make([]value.Value, len(e.Elements))
		for i := range list {
			var ok bool
			if list[i], ok = p.constant(e.Elements[i]); !ok {
				return value.Value{}, false
			}
		}
		return value.OfArray(list), true
	}
	return value.Value{}, false
}

// member returns what a record that is known has under a name.
func (p *predicate) member(e *syntax.MemberExpression) (value.Value, bool) {
	o, ok := p.constant(e.Object)
	if !ok || o.Kind() != value.Record || o.IsNull() {
		return value.Value{}, false
	}
	return o.Record().Get(e.Property)
}

// computed returns the value of an operation on constants.
func (p *predicate) computed(e *syntax.BinaryExpression) (value.Value, bool) {
	o, ok := value.OperatorOf(e.Operator)
	if !ok {
		return value.Value{}, false
	}
	a, ok := p.constant(e.Left)
	if !ok {
		return value.Value{}, false
	}
	b, ok := p.constant(e.Right)
	if !ok {
		return value.Value{}, false
	}
	v, err := o.Apply(a, b)
	return v, err == nil
}

// text returns a string with constants in it.
func (p *predicate) text(e *syntax.StringExpression) (value.Value, bool) {
	var b strings.Builder
	for _, part := range e.Parts {
		v, ok := p.constant(part)
		if !ok || v.IsNull() || v.Kind() > value.Duration {
			return value.Value{}, false
		}
		fmt.Fprint(&b, v.Text())
	}
	return value.OfString(b.String()), true
}

// converted returns what a conversion like float(v: 5) makes of a constant.
func (p *predicate) converted(e *syntax.CallExpression) (value.Value, bool) {
	callee, ok := p.constant(e.Callee)
	if !ok || callee.Kind() != value.Function || callee.Func().Source != nil || len(e.Arguments) != 1 || e.Arguments[0].Value == nil {
		return value.Value{}, false
	}
	fn := callee.Func()
	switch fn.Name {
	case "string", "int", "uint", "float", "bool", "time", "duration":
	default:
		return value.Value{}, false
	}
	v, ok := p.constant(e.Arguments[0].Value)
	if !ok || e.Arguments[0].Name != fn.Params[0].Name {
		return value.Value{}, false
	}
	out, err := fn.Do(&value.Call{Func: fn, Args: []value.Value{v}})
	return out, err == nil
}
