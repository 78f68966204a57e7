// Package predicate owns conditions on tags: boolean expressions that are
// plain, serialisable data, and their evaluation over an index of postings or
// over single series keys.
//
// An absent tag equals an empty one throughout. An Expr may be shared by any
// number of goroutines; so may a Matcher.
package predicate

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/varvedb/varve/column"
)

// Op says what an Expr does.
type Op string

const (
	And    Op = "and"    // all of Args; true without any
	Or     Op = "or"     // one of Args; false without any
	Not    Op = "not"    // not Args[0]
	In     Op = "in"     // the tag Key has one of Values
	Regexp Op = "regexp" // the tag Key matches Pattern (RE2), anywhere unless anchored
)

// Expr is a condition on the tags of a series. A nil Expr holds for every
// series.
type Expr struct {
	Op      Op       `json:"op"`
	Key     string   `json:"key,omitempty"`
	Values  []string `json:"values,omitempty"`
	Pattern string   `json:"pattern,omitempty"`
	Args    []*Expr  `json:"args,omitempty"`
}

// Eq returns the condition that a tag has a value; the empty value means that
// it is absent.
func Eq(key, value string) *Expr { return &Expr{Op: In, Key: key, Values: []string{value}} }

// OneOf returns the condition that a tag has one of several values.
func OneOf(key string, values ...string) *Expr { return &Expr{Op: In, Key: key, Values: values} }

// Match returns the condition that a tag matches a regular expression.
func Match(key, pattern string) *Expr { return &Expr{Op: Regexp, Key: key, Pattern: pattern} }

// All returns the condition that all of args hold; nil args are left out.
func All(args ...*Expr) *Expr {
	args = slices.DeleteFunc(slices.Clone(args), func(e *Expr) bool { return e == nil })
	switch len(args) {
	case 0:
		return nil
	case 1:
		return args[0]
	}
	return &Expr{Op: And, Args: args}
}

// Any returns the condition that one of args holds.
func Any(args ...*Expr) *Expr { return &Expr{Op: Or, Args: args} }

// Negate returns the opposite of e.
func Negate(e *Expr) *Expr {
	if e == nil {
		return Any()
	}
	return &Expr{Op: Not, Args: []*Expr{e}}
}

// String renders e for explained plans and error texts.
func (e *Expr) String() string {
	if e == nil {
		return "true"
	}
	switch e.Op {
	case And, Or:
		if len(e.Args) == 0 {
			return strconv.FormatBool(e.Op == And)
		}
		parts := make([]string, len(e.Args))
		for i, a := range e.Args {
			parts[i] = a.String()
		}
		return "(" + strings.Join(parts, " "+string(e.Op)+" ") + ")"
	case Not:
		return "not " + e.Args[0].String()
	case In:
		if len(e.Values) == 1 {
			return fmt.Sprintf("%s = %q", e.Key, e.Values[0])
		}
		if n := len(e.Values) - maxShown; n > 0 {
			return fmt.Sprintf("%s in %q and %d more", e.Key, e.Values[:maxShown], n)
		}
		return fmt.Sprintf("%s in %q", e.Key, e.Values)
	case Regexp:
		return fmt.Sprintf("%s =~ /%s/", e.Key, e.Pattern)
	}
	return fmt.Sprintf("unknown(%q)", string(e.Op))
}

// maxShown is how many values of a list are rendered: a line of a log or a
// plan is for people.
const maxShown = 20

// maxDepth bounds the nesting of an expression from outside, so that
// evaluation cannot exhaust the stack.
const maxDepth = 1000

// Matcher is an Expr that was checked and whose regular expressions are
// compiled.
type Matcher struct {
	op     Op
	key    string
	values []string
	re     *regexp.Regexp
	args   []*Matcher
}

// Compile checks e. A nil Expr gives a nil Matcher, which matches everything.
func Compile(e *Expr) (*Matcher, error) { return compile(e, 0) }

func compile(e *Expr, depth int) (*Matcher, error) {
	if e == nil {
		return nil, nil
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("tag condition is nested deeper than %d", maxDepth)
	}
	m := &Matcher{op: e.Op, key: e.Key, values: e.Values}
	switch e.Op {
	case And, Or, Not:
		if e.Op == Not && len(e.Args) != 1 {
			return nil, fmt.Errorf("tag condition: \"not\" takes one argument, not %d", len(e.Args))
		}
		for _, a := range e.Args {
			if a == nil {
				return nil, fmt.Errorf("tag condition: %q has an empty argument", string(e.Op))
			}
			c, err := compile(a, depth+1)
			if err != nil {
				return nil, err
			}
			m.args = append(m.args, c)
		}
	case In, Regexp:
		if e.Key == "" {
			return nil, fmt.Errorf("tag condition: %q needs a tag key", string(e.Op))
		}
		if e.Op == Regexp {
			re, err := regexp.Compile(e.Pattern)
			if err != nil {
				return nil, fmt.Errorf("tag condition on %q: %w", e.Key, err)
			}
			m.re = re
		}
	default:
		return nil, fmt.Errorf("tag condition: unknown operation %q", string(e.Op))
	}
	return m, nil
}

// Match reports whether the series with this canonical key satisfies m.
func (m *Matcher) Match(seriesKey []byte) bool {
	if m == nil {
		return true
	}
	switch m.op {
	case And:
		for _, a := range m.args {
			if !a.Match(seriesKey) {
				return false
			}
		}
		return true
	case Or:
		for _, a := range m.args {
			if a.Match(seriesKey) {
				return true
			}
		}
		return false
	case Not:
		return !m.args[0].Match(seriesKey)
	}
	return m.matchValue(column.TagValue(seriesKey, m.key))
}

func (m *Matcher) matchValue(value []byte) bool {
	if m.op == Regexp {
		return m.re.Match(value)
	}
	for _, v := range m.values {
		if v == string(value) {
			return true
		}
	}
	return false
}

// Index is a set of series, numbered from 0, with postings by tag.
type Index interface {
	NumSeries() int
	// Postings returns the series whose tag key has value, which is not
	// empty; nil for none. The caller does not change the bitmap.
	Postings(key, value string) (*roaring.Bitmap, error)
	// Values calls fn with each value of a tag key and its postings, until fn
	// returns false. Neither argument is kept or changed by fn.
	Values(key string, fn func(value []byte, postings *roaring.Bitmap) bool) error
}

// Eval returns the series of ix that satisfy m, in a bitmap of the caller's.
func (m *Matcher) Eval(ix Index) (*roaring.Bitmap, error) {
	if m == nil {
		return everything(ix), nil
	}
	switch m.op {
	case And:
		return m.evalAnd(ix)
	case Or:
		out := roaring.New()
		for _, a := range m.args {
			b, err := a.Eval(ix)
			if err != nil {
				return nil, err
			}
			out.Or(b)
		}
		return out, nil
	case Not:
		b, err := m.args[0].Eval(ix)
		if err != nil {
			return nil, err
		}
		return complement(ix, b), nil
	case Regexp:
		return m.evalRegexp(ix)
	}
	return m.evalIn(ix)
}

func (m *Matcher) evalAnd(ix Index) (*roaring.Bitmap, error) {
	var out *roaring.Bitmap
	for _, a := range m.args {
		b, err := a.Eval(ix)
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = b
		} else {
			out.And(b)
		}
		if out.IsEmpty() {
			return out, nil
		}
	}
	if out == nil {
		return everything(ix), nil
	}
	return out, nil
}

func (m *Matcher) evalIn(ix Index) (*roaring.Bitmap, error) {
	out := roaring.New()
	for _, v := range m.values {
		if v == "" {
			have, err := union(ix, m.key, func([]byte) bool { return true })
			if err != nil {
				return nil, err
			}
			out.Or(complement(ix, have))
			continue
		}
		p, err := ix.Postings(m.key, v)
		if err != nil {
			return nil, err
		}
		if p != nil {
			out.Or(p)
		}
	}
	return out, nil
}

func (m *Matcher) evalRegexp(ix Index) (*roaring.Bitmap, error) {
	if !m.re.MatchString("") {
		return union(ix, m.key, m.re.Match)
	}
	// Series without the tag match too, so take away those that do not.
	unmatched, err := union(ix, m.key, func(v []byte) bool { return !m.re.Match(v) })
	if err != nil {
		return nil, err
	}
	return complement(ix, unmatched), nil
}

func union(ix Index, key string, want func([]byte) bool) (*roaring.Bitmap, error) {
	out := roaring.New()
	err := ix.Values(key, func(v []byte, p *roaring.Bitmap) bool {
		if want(v) {
			out.Or(p)
		}
		return true
	})
	return out, err
}

func everything(ix Index) *roaring.Bitmap {
	b := roaring.New()
	b.AddRange(0, uint64(ix.NumSeries()))
	return b
}

func complement(ix Index, b *roaring.Bitmap) *roaring.Bitmap {
	return roaring.Flip(b, 0, uint64(ix.NumSeries()))
}
