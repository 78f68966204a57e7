package storage

import (
	"cmp"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/varvedb/varve/lang/flux/value"
)

// Labels of the columns that every table of the store has.
const (
	Start       = "_start"
	Stop        = "_stop"
	Time        = "_time"
	Value       = "_value"
	Field       = "_field"
	Measurement = "_measurement"
)

// Op says what a Condition does.
type Op uint8

// The operations. A comparison with a null is neither true nor false, and so is
// its negation; a row is kept if the whole is true. Not is pushed down to the
// leaves when a Condition is made, so that what is left are these:
const (
	And    Op = iota // all of Args; true without any
	Or               // one of Args; false without any
	In               // the string in Column is one of Texts
	Match            // the string in Column matches Pattern
	Exists           // Column has a value
	Is               // the value in Column compares with Value as Compare says
)

// Condition is a condition on rows of tables from the store: of their
// measurement, field, tags and value. It is made by the functions below, which
// bring equivalent conditions to one form as far as they can, and is immutable.
// nil is true.
type Condition struct {
	Op      Op
	Args    []*Condition // And, Or: in the order of their text, none twice
	Negated bool         // of leaves
	Column  string
	Texts   []string // In: ascending
	Pattern string
	Compare value.Operator
	Value   value.Value

	text string // String, once it was needed
}

// True and False are the conditions that all and no rows meet.
func True() *Condition  { return finish(&Condition{Op: And}) }
func False() *Condition { return finish(&Condition{Op: Or}) }

// OneOf returns the condition that a column of strings has one of some values.
// No string of the store's is empty but that of a field.
func OneOf(column string, texts ...string) *Condition {
	texts = slices.Clone(texts)
	slices.Sort(texts)
	texts = slices.Compact(texts)
	if column != Value {
		texts = slices.DeleteFunc(texts, func(s string) bool { return s == "" })
	}
	return finish(&Condition{Op: In, Column: column, Texts: texts})
}

// Like returns the condition that a column of strings matches a regular
// expression. One that asks for whole words is an OneOf.
func Like(column, pattern string) *Condition {
	if texts, ok := words(pattern); ok {
		return OneOf(column, texts...)
	}
	return finish(&Condition{Op: Match, Column: column, Pattern: pattern})
}

// Has returns the condition that a column has a value.
func Has(column string) *Condition {
	if column == Measurement || column == Field || column == Value {
		return True()
	}
	return finish(&Condition{Op: Exists, Column: column})
}

// Compared returns the comparison of a column with a constant that is neither
// null nor, for = and !=, a string.
func Compared(column string, o value.Operator, v value.Value) *Condition {
	c := &Condition{Op: Is, Column: column, Compare: o, Value: v}
	if o == value.NotEqual {
		c.Compare, c.Negated = value.Equal, true
	}
	return finish(c)
}

// All returns the condition that all of args hold. nil is true.
func All(args ...*Condition) *Condition { return join(And, args) }

// Any returns the condition that one of args holds.
func Any(args ...*Condition) *Condition { return join(Or, args) }

// Not returns the negation of c: where c is neither true nor false, so is it.
func Not(c *Condition) *Condition {
	if c == nil {
		return False()
	}
	if c.Op != And && c.Op != Or {
		n := *c
		n.Negated, n.text = !c.Negated, ""
		return finish(&n)
	}
	args := make([]*Condition, len(c.Args))
	for i, a := range c.Args {
		args[i] = Not(a)
	}
	if c.Op == And {
		return Any(args...)
	}
	return All(args...)
}

// join puts conditions together: it flattens, drops what is the same twice or
// does not matter, and makes one leaf of several that speak of one column.
func join(op Op, args []*Condition) *Condition {
	var flat []*Condition
	for _, a := range args {
		switch {
		case a == nil && op == And:
		case a == nil:
			return True()
		case a.Op == op:
			flat = append(flat, a.Args...)
		case a.Op == And || a.Op == Or:
			if len(a.Args) == 0 { // the one that decides
				return a
			}
			flat = append(flat, a)
		default:
			flat = append(flat, a)
		}
	}
	flat = merge(op, flat)
	for i, a := range flat {
		if a.text == "" {
			named := *a
			named.text = a.render()
			flat[i] = &named
		}
	}
	slices.SortFunc(flat, func(a, b *Condition) int { return cmp.Compare(a.text, b.text) })
	flat = slices.CompactFunc(flat, func(a, b *Condition) bool { return a.text == b.text })
	for _, a := range flat {
		if (a.Op == And || a.Op == Or) && a.Op != op && len(a.Args) == 0 {
			return a
		}
	}
	if len(flat) == 1 {
		return flat[0]
	}
	whole := &Condition{Op: op, Args: flat}
	whole.text = whole.render()
	return whole
}

// merge makes one In of several that speak of one column: of values that are
// asked for the union or the intersection, of those that are left out the other.
func merge(op Op, args []*Condition) []*Condition {
	var out []*Condition
	var sets []mergedSet
	for _, a := range args {
		if a.Op != In {
			out = append(out, a)
			continue
		}
		at := slices.IndexFunc(sets, func(s mergedSet) bool { return s.column == a.Column && s.negated == a.Negated })
		switch {
		case at < 0:
			sets = append(sets, mergedSet{a.Column, a.Negated, slices.Clone(a.Texts)})
		case (op == And) == a.Negated:
			sets[at].texts = append(sets[at].texts, a.Texts...)
		default:
			sets[at].texts = slices.DeleteFunc(sets[at].texts, func(s string) bool { _, ok := slices.BinarySearch(a.Texts, s); return !ok })
		}
	}
	for _, s := range sets {
		m := OneOf(s.column, s.texts...)
		if s.negated {
			m = Not(m)
		}
		out = append(out, m)
	}
	return out
}

// mergedSet is an In that is being made.
type mergedSet struct {
	column  string
	negated bool
	texts   []string
}

// finish simplifies a leaf that is decided by itself. To ask
// a tag for one of no strings is not decided: of a row without the tag that is
// neither true nor false, and so is its negation.
func finish(c *Condition) *Condition {
	if c.Op == In && len(c.Texts) == 0 && (c.Column == Measurement || c.Column == Field) {
		op := Or
		if c.Negated {
			op = And
		}
		c = &Condition{Op: op}
	}
	return c
}

// String renders c for explained plans.
func (c *Condition) String() string {
	switch {
	case c == nil:
		return "true"
	case c.text == "":
		return c.render()
	}
	return c.text
}

func (c *Condition) render() string {
	var s string
	switch c.Op {
	case And, Or:
		if len(c.Args) == 0 {
			return strconv.FormatBool(c.Op == And)
		}
		parts := make([]string, len(c.Args))
		for i, a := range c.Args {
			parts[i] = a.String()
		}
		return "(" + strings.Join(parts, [...]string{" and ", " or "}[c.Op]) + ")"
	case In:
		quoted := make([]string, len(c.Texts))
		for i, t := range c.Texts {
			quoted[i] = strconv.Quote(t)
		}
		s = c.Column + " in [" + strings.Join(quoted, ", ") + "]"
	case Match:
		s = c.Column + " =~ /" + c.Pattern + "/"
	case Exists:
		s = "exists " + c.Column
	case Is:
		s = c.Column + " " + c.Compare.String() + " " + c.Value.Kind().String() + "(" + c.Value.Display() + ")"
	}
	if c.Negated {
		return "not " + s
	}
	return s
}

// Columns calls fn with each column that c speaks of.
func (c *Condition) Columns(fn func(string)) {
	if c == nil {
		return
	}
	if c.Op != And && c.Op != Or {
		fn(c.Column)
	}
	for _, a := range c.Args {
		a.Columns(fn)
	}
}

// Holds reports what a leaf says of a string that is there.
func (c *Condition) Holds(s string, re *regexp.Regexp) bool {
	ok := true
	switch c.Op {
	case In:
		_, ok = slices.BinarySearch(c.Texts, s)
	case Match:
		ok = re.MatchString(s)
	case Is:
		v, err := c.Compare.Apply(value.OfString(s), c.Value)
		if err != nil {
			return false
		}
		ok = v.Bool()
	}
	return ok != c.Negated
}

// words returns the strings that a regular expression matches if it matches
// some whole strings and nothing else, like ^(a|b)$.
func words(pattern string) ([]string, bool) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, false
	}
	re = re.Simplify()
	if re.Op != syntax.OpConcat || len(re.Sub) < 3 || re.Sub[0].Op != syntax.OpBeginText || re.Sub[len(re.Sub)-1].Op != syntax.OpEndText {
		return nil, false
	}
	all := []string{""}
	for _, part := range re.Sub[1 : len(re.Sub)-1] {
		some, ok := alternatives(part)
		if !ok || len(some)*len(all) > maxWords {
			return nil, false
		}
		var next []string
		for _, a := range all {
			for _, s := range some {
				next = append(next, a+s)
			}
		}
		all = next
	}
	return all, true
}

// maxWords is up to how many strings a set is quicker to look up than an
// expression is to match.
const maxWords = 256

// alternatives returns the strings that an expression without anchors matches,
// if they are few and known.
func alternatives(re *syntax.Regexp) ([]string, bool) {
	switch re.Op {
	case syntax.OpLiteral:
		return []string{string(re.Rune)}, re.Flags&syntax.FoldCase == 0
	case syntax.OpEmptyMatch:
		return []string{""}, true
	case syntax.OpCapture:
		return alternatives(re.Sub[0])
	case syntax.OpAlternate:
		var all []string
		for _, s := range re.Sub {
			some, ok := alternatives(s)
			if !ok {
				return nil, false
			}
			all = append(all, some...)
		}
		return all, len(all) <= maxWords
	case syntax.OpConcat:
		all := []string{""}
		for _, s := range re.Sub {
			some, ok := alternatives(s)
			if !ok || len(some)*len(all) > maxWords {
				return nil, false
			}
			var next []string
			for _, a := range all {
				for _, b := range some {
					next = append(next, a+b)
				}
			}
			all = next
		}
		return all, true
	case syntax.OpCharClass:
		var all []string
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if all = append(all, string(r)); len(all) > maxWords {
					return nil, false
				}
			}
		}
		return all, true
	}
	return nil, false
}
