package storage

import (
	"fmt"
	"math"
	"regexp"
	"slices"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/predicate"
)

// reduced is what is left of a Condition for one field of one measurement: the
// rows in question are those of series that satisfy tags and of times at which
// the value satisfies where. There may be several of them, which no series has
// in common. none: no row is in question.
type reduced struct {
	tags  *predicate.Expr
	where *plan.Condition
}

// maxMixed bounds how many conditions on tags may stand in one alternative with
// conditions on values: for each combination of them there is a plan.
const maxMixed = 4

// errMixed says that a filter mixes too many conditions on tags and on values.
var errMixed = fmt.Errorf("more than %d conditions on tags are mixed with conditions on values", maxMixed)

// patterns compiles regular expressions once.
type patterns map[string]*regexp.Regexp

func (p patterns) of(pattern string) *regexp.Regexp {
	re := p[pattern]
	if re == nil {
		re = regexp.MustCompile(pattern)
		p[pattern] = re
	}
	return re
}

// names replaces what c says of the measurement and, if field is not nil, of the
// field, by true and false.
func (c *Condition) names(measurement string, field *string, re patterns) *Condition {
	if c == nil {
		return nil
	}
	decided := func(s string) *Condition {
		var r *regexp.Regexp
		if c.Op == Match {
			r = re.of(c.Pattern)
		}
		if c.Holds(s, r) {
			return True()
		}
		return False()
	}
	switch {
	case c.Op == And || c.Op == Or:
		args := make([]*Condition, len(c.Args))
		for i, a := range c.Args {
			args[i] = a.names(measurement, field, re)
		}
		return join(c.Op, args)
	case c.Column == Measurement:
		return decided(measurement)
	case c.Column == Field && field != nil:
		return decided(*field)
	}
	return c
}

// none reports whether no row can meet c.
func (c *Condition) none() bool { return c != nil && c.Op == Or && len(c.Args) == 0 }

// every reports whether all rows meet c.
func (c *Condition) every() bool { return c == nil || c.Op == And && len(c.Args) == 0 }

// ofTags reports whether c speaks of tags and nothing else.
func (c *Condition) ofTags() bool {
	is := true
	c.Columns(func(name string) { is = is && name != Value && name != Field && name != Measurement })
	return is
}

// ofValue reports whether c speaks of the value and nothing else.
func (c *Condition) ofValue() bool {
	is := true
	c.Columns(func(name string) { is = is && name == Value })
	return is
}

// conjuncts returns the conditions that all have to hold.
func (c *Condition) conjuncts() []*Condition {
	switch {
	case c == nil:
		return nil
	case c.Op == And:
		return c.Args
	}
	return []*Condition{c}
}

// reduce turns a condition on tags and the value of a field into plans' parts.
// It returns none if no row can meet it.
func (c *Condition) reduce(field string, kind column.Type) ([]reduced, error) {
	var tags, values, mixed []*Condition
	for _, a := range c.conjuncts() {
		switch {
		case a.ofTags():
			tags = append(tags, a)
		case a.ofValue():
			values = append(values, a)
		default:
			mixed = append(mixed, a)
		}
	}
	base := reduced{tags: All(tags...).predicate()}
	if len(mixed) == 0 {
		where := All(values...).where(field, kind)
		if never(where) {
			return nil, nil
		}
		base.where = where
		return []reduced{base}, nil
	}
	cells := All(mixed...)
	var switches []*Condition
	cells.switches(&switches)
	if len(switches) > maxMixed {
		return nil, errMixed
	}
	var out []reduced
	for set := range 1 << len(switches) {
		cell := base
		for i, s := range switches {
			p := s.predicate()
			if set>>i&1 == 0 {
				p = predicate.Negate(p)
			}
			cell.tags = predicate.All(cell.tags, p)
		}
		left := cells.turned(switches, set)
		cell.where = All(All(values...), left).where(field, kind)
		if !never(cell.where) {
			out = append(out, cell)
		}
	}
	return out, nil
}

// switches collects the largest parts of c that speak of tags alone.
func (c *Condition) switches(dst *[]*Condition) {
	if c.ofTags() {
		if !slices.ContainsFunc(*dst, func(o *Condition) bool { return o.String() == c.String() }) {
			*dst = append(*dst, c)
		}
		return
	}
	for _, a := range c.Args {
		a.switches(dst)
	}
}

// turned replaces switches by true and false, bit by bit of set.
func (c *Condition) turned(switches []*Condition, set int) *Condition {
	if i := slices.IndexFunc(switches, func(s *Condition) bool { return s.String() == c.String() }); i >= 0 {
		if set>>i&1 == 1 {
			return True()
		}
		return False()
	}
	if c.Op != And && c.Op != Or {
		return c
	}
	args := make([]*Condition, len(c.Args))
	for i, a := range c.Args {
		args[i] = a.turned(switches, set)
	}
	return join(c.Op, args)
}

// predicate returns which series meet a condition on tags; nil is all. What the
// store calls an empty tag is one that a row does not have, which meets neither
// a comparison nor its negation.
func (c *Condition) predicate() *predicate.Expr {
	if c.every() {
		return nil
	}
	absent := predicate.Eq(c.Column, "")
	switch c.Op {
	case And, Or:
		args := make([]*predicate.Expr, len(c.Args))
		for i, a := range c.Args {
			args[i] = a.predicate()
		}
		if c.Op == And {
			return predicate.All(args...)
		}
		return predicate.Any(args...)
	case In:
		if c.Negated {
			return predicate.Negate(predicate.OneOf(c.Column, append([]string{""}, c.Texts...)...))
		}
		return predicate.OneOf(c.Column, c.Texts...)
	case Match:
		like := predicate.Match(c.Column, c.Pattern)
		switch {
		case c.Negated:
			return predicate.Negate(predicate.Any(absent, like))
		case regexp.MustCompile(c.Pattern).MatchString(""):
			return predicate.All(predicate.Negate(absent), like)
		}
		return like
	case Exists:
		if c.Negated {
			return absent
		}
		return predicate.Negate(absent)
	}
	panic("BUG: a comparison of tags by order was pushed down")
}

// where returns which values of a field meet a condition on the value; nil is
// all. A value of a kind that does not go together with the constant meets
// neither the comparison nor its negation.
func (c *Condition) where(field string, kind column.Type) *plan.Condition {
	if c.every() {
		return nil
	}
	var w *plan.Condition
	switch c.Op {
	case And, Or:
		args := make([]*plan.Condition, len(c.Args))
		for i, a := range c.Args {
			args[i] = a.where(field, kind)
		}
		return joinWhere(c.Op, args)
	case In:
		if kind != column.String {
			return plan.Any()
		}
		args := make([]*plan.Condition, len(c.Texts))
		for i, s := range c.Texts {
			args[i] = plan.Compare(field, plan.Eq, plan.Text(s))
		}
		if w = plan.Any(args...); len(args) == 1 {
			w = args[0]
		}
	case Match:
		if kind != column.String {
			return plan.Any()
		}
		w = plan.Like(field, c.Pattern)
	case Exists:
		if c.Negated {
			return plan.Any()
		}
		return nil
	case Is:
		v, ok := constant(c.Value, kind)
		if !ok {
			return plan.Any()
		}
		w = plan.Compare(field, planOp(c.Compare), v)
	}
	if c.Negated {
		return plan.Negate(w)
	}
	return w
}

// planOp returns the comparison of plans for one of scripts; != is a negation.
func planOp(o value.Operator) plan.Op {
	switch o {
	case value.Less:
		return plan.Lt
	case value.LessEqual:
		return plan.Le
	case value.Greater:
		return plan.Gt
	case value.GreaterEqual:
		return plan.Ge
	}
	return plan.Eq
}

// never reports whether no value meets w.
func never(w *plan.Condition) bool { return w != nil && w.Op == plan.Or && len(w.Args) == 0 }

// joinWhere puts conditions together, of which nil is true.
func joinWhere(op Op, args []*plan.Condition) *plan.Condition {
	var some []*plan.Condition
	for _, a := range args {
		switch {
		case op == And && never(a):
			return a
		case op == Or && a == nil:
			return nil
		case a != nil && !never(a):
			some = append(some, a)
		}
	}
	if len(some) == 1 {
		return some[0]
	}
	if op == And {
		return plan.All(some...)
	}
	return plan.Any(some...)
}

// constant returns v as what a field of a type is compared with.
func constant(v value.Value, kind column.Type) (plan.Value, bool) {
	of := table.KindOf(kind)
	if of.Numeric() != v.Kind().Numeric() || !of.Numeric() && of != v.Kind() {
		return plan.Value{}, false
	}
	switch v.Kind() {
	case value.Int:
		return plan.Int(v.Int()), true
	case value.Uint:
		return plan.Uint(v.Uint()), true
	case value.Float:
		return plan.Float(v.Float()), true
	case value.String:
		return plan.Text(v.Str()), true
	case value.Bool:
		return plan.Bool(v.Bool()), true
	}
	return plan.Value{}, false
}

// Comparable reports whether the store compares a field with v as scripts do.
// Scripts compare integers with floats as floats, the store by their exact
// values: beyond 53 bits these differ.
func Comparable(o value.Operator, v value.Value) bool {
	const exact = 1 << 53
	switch v.Kind() {
	case value.Int:
		return v.Int() < exact && v.Int() > -exact
	case value.Uint:
		return v.Uint() < exact
	case value.Float:
		return math.Abs(v.Float()) < exact
	case value.String:
		return true
	case value.Bool:
		return o == value.Equal || o == value.NotEqual
	}
	return false
}
