package plan

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/varvedb/varve/column"
)

// Op says what a Condition does.
type Op string

const (
	And    Op = "and"    // all of Args; true without any
	Or     Op = "or"     // one of Args; false without any
	Not    Op = "not"    // not Args[0]
	Exists Op = "exists" // Field has a value
	Eq     Op = "="
	Ne     Op = "!="
	Lt     Op = "<"
	Le     Op = "<="
	Gt     Op = ">"
	Ge     Op = ">="
	Match  Op = "=~" // the string matches Pattern (RE2), anywhere unless anchored
)

// Condition is a condition on the values of a row: comparisons of a field with
// a constant, and their combinations. What is compared with a field that has
// no value is neither true nor false, and neither is its negation (as in SQL);
// a row is kept if the whole is true. Numbers compare by their exact values
// whatever their types, and NaN equals nothing.
type Condition struct {
	Op      Op           `json:"op"`
	Field   string       `json:"field,omitempty"`
	Value   *Value       `json:"value,omitempty"`
	Pattern string       `json:"pattern,omitempty"`
	Args    []*Condition `json:"args,omitempty"`
}

// Compare returns the comparison of a field with a constant.
func Compare(field string, op Op, v Value) *Condition {
	return &Condition{Op: op, Field: field, Value: &v}
}

// Like returns the condition that a string matches a regular expression.
func Like(field, pattern string) *Condition {
	return &Condition{Op: Match, Field: field, Pattern: pattern}
}

// Has returns the condition that a field has a value.
func Has(field string) *Condition { return &Condition{Op: Exists, Field: field} }

// All returns the condition that all of args hold; nil args are left out.
func All(args ...*Condition) *Condition {
	var some []*Condition
	for _, a := range args {
		if a != nil {
			some = append(some, a)
		}
	}
	switch len(some) {
	case 0:
		return nil
	case 1:
		return some[0]
	}
	return &Condition{Op: And, Args: some}
}

// Any returns the condition that one of args holds.
func Any(args ...*Condition) *Condition { return &Condition{Op: Or, Args: args} }

// Negate returns the opposite of c.
func Negate(c *Condition) *Condition {
	if c == nil {
		return Any()
	}
	return &Condition{Op: Not, Args: []*Condition{c}}
}

// Reads appends the fields that c compares to dst, each once.
func (c *Condition) Reads(dst []string) []string {
	if c == nil {
		return dst
	}
	if c.Field != "" {
		for _, f := range dst {
			if f == c.Field {
				return dst
			}
		}
		return append(dst, c.Field)
	}
	for _, a := range c.Args {
		dst = a.Reads(dst)
	}
	return dst
}

// String renders c for explained plans and error texts.
func (c *Condition) String() string {
	if c == nil {
		return "true"
	}
	switch c.Op {
	case And, Or:
		if len(c.Args) == 0 {
			return strconv.FormatBool(c.Op == And)
		}
		parts := make([]string, len(c.Args))
		for i, a := range c.Args {
			parts[i] = a.String()
		}
		return "(" + strings.Join(parts, " "+string(c.Op)+" ") + ")"
	case Not:
		if len(c.Args) == 1 {
			return "not " + c.Args[0].String()
		}
	case Exists:
		return fmt.Sprintf("%q exists", c.Field)
	case Match:
		return fmt.Sprintf("%q =~ /%s/", c.Field, c.Pattern)
	}
	if c.Value == nil {
		return fmt.Sprintf("%q %s nothing", c.Field, c.Op)
	}
	return fmt.Sprintf("%q %s %s", c.Field, c.Op, c.Value)
}

// maxDepth bounds the nesting of a condition from outside, so that evaluation
// cannot exhaust the stack.
const maxDepth = 1000

func (c *Condition) validate(depth int) error {
	if c == nil {
		return fmt.Errorf("condition has an empty argument")
	}
	if depth > maxDepth {
		return fmt.Errorf("condition is nested deeper than %d", maxDepth)
	}
	switch c.Op {
	case And, Or, Not:
		if c.Op == Not && len(c.Args) != 1 {
			return fmt.Errorf("condition: \"not\" takes one argument, not %d", len(c.Args))
		}
		if c.Field != "" {
			return fmt.Errorf("condition: %q takes no field, but names %q", string(c.Op), c.Field)
		}
		for _, a := range c.Args {
			if err := a.validate(depth + 1); err != nil {
				return err
			}
		}
		return nil
	case Exists, Match, Eq, Ne, Lt, Le, Gt, Ge:
	default:
		return fmt.Errorf("condition: unknown operation %q", string(c.Op))
	}
	if c.Field == "" {
		return fmt.Errorf("condition: %q needs a field", string(c.Op))
	}
	switch c.Op {
	case Exists:
		return nil
	case Match:
		if _, err := regexp.Compile(c.Pattern); err != nil {
			return fmt.Errorf("condition on %q: %w", c.Field, err)
		}
		return nil
	}
	switch {
	case c.Value == nil || !c.Value.Type().Known():
		return fmt.Errorf("condition on %q: %q needs a value", c.Field, string(c.Op))
	case c.Value.Type() == column.Bool && c.Op != Eq && c.Op != Ne:
		return fmt.Errorf("condition on %q: booleans have no order, only = and !=", c.Field)
	}
	return nil
}

// Value is a constant of one of the types that fields have.
type Value struct {
	kind column.Type
	word uint64
	text string
}

// Float returns a constant.
func Float(v float64) Value { return Value{kind: column.Float64, word: math.Float64bits(v)} }

// Int returns a constant.
func Int(v int64) Value { return Value{kind: column.Int64, word: uint64(v)} }

// Uint returns a constant.
func Uint(v uint64) Value { return Value{kind: column.Uint64, word: v} }

// Text returns a string constant.
func Text(v string) Value { return Value{kind: column.String, text: v} }

// Bool returns a constant.
func Bool(v bool) Value {
	if v {
		return Value{kind: column.Bool, word: 1}
	}
	return Value{kind: column.Bool}
}

// Type returns the type of the constant.
func (v Value) Type() column.Type { return v.kind }

// Word returns the constant as a Vector holds it, if it is not a string.
func (v Value) Word() uint64 { return v.word }

// Text returns the constant if it is a string.
func (v Value) Text() string { return v.text }

// String renders v as explained plans show it.
func (v Value) String() string {
	switch v.kind {
	case column.Float64:
		return strconv.FormatFloat(math.Float64frombits(v.word), 'g', -1, 64)
	case column.Int64:
		return strconv.FormatInt(int64(v.word), 10) + "i"
	case column.Uint64:
		return strconv.FormatUint(v.word, 10) + "u"
	case column.String:
		return strconv.Quote(v.text)
	case column.Bool:
		return strconv.FormatBool(v.word != 0)
	}
	return "nothing"
}

// valueJSON is a Value in JSON. The constant is text whatever its type, so
// that no 64-bit integer, infinity or NaN is lost on the way.
type valueJSON struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) {
	j := valueJSON{Type: v.kind.String(), Value: v.text}
	switch v.kind {
	case column.Float64:
		j.Value = strconv.FormatFloat(math.Float64frombits(v.word), 'g', -1, 64)
	case column.Int64:
		j.Value = strconv.FormatInt(int64(v.word), 10)
	case column.Uint64:
		j.Value = strconv.FormatUint(v.word, 10)
	case column.Bool:
		j.Value = strconv.FormatBool(v.word != 0)
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *Value) UnmarshalJSON(b []byte) error {
	var j valueJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return fmt.Errorf("decode constant: %w", err)
	}
	var err error
	switch j.Type {
	case column.Float64.String():
		var f float64
		f, err = strconv.ParseFloat(j.Value, 64)
		*v = Float(f)
	case column.Int64.String():
		var i int64
		i, err = strconv.ParseInt(j.Value, 10, 64)
		*v = Int(i)
	case column.Uint64.String():
		var u uint64
		u, err = strconv.ParseUint(j.Value, 10, 64)
		*v = Uint(u)
	case column.String.String():
		*v = Text(j.Value)
	case column.Bool.String():
		var t bool
		t, err = strconv.ParseBool(j.Value)
		*v = Bool(t)
	default:
		return fmt.Errorf("decode constant: unknown type %q", j.Type)
	}
	if err != nil {
		return fmt.Errorf("decode %s constant: %w", j.Type, err)
	}
	return nil
}
