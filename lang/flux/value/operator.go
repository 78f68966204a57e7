package value

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
)

// What dividing integers by zero, and asking for the rest, come to.
var (
	ErrDivideByZero = errors.New("cannot divide by zero")
	ErrModuloZero   = errors.New("cannot mod zero")
)

// Operator is a binary operator other than and, or.
type Operator uint8

// The operators.
const (
	Add Operator = iota
	Subtract
	Multiply
	Divide
	Modulo
	Power
	Equal
	NotEqual
	Less
	LessEqual
	Greater
	GreaterEqual
	Match
	NotMatch
)

var operatorNames = [...]string{"+", "-", "*", "/", "%", "^", "==", "!=", "<", "<=", ">", ">=", "=~", "!~"}

// String returns the operator as scripts write it.
func (o Operator) String() string { return operatorNames[o] }

// OperatorOf returns the operator that scripts write as text.
func OperatorOf(text string) (Operator, bool) {
	for i, n := range operatorNames {
		if n == text {
			return Operator(i), true
		}
	}
	return 0, false
}

// Compares reports whether the operator asks for equality or order.
func (o Operator) Compares() bool { return o >= Equal && o <= GreaterEqual }

// Apply computes a o b. What is computed with a null is null. The kinds must go
// together; numbers of different kinds can be compared and nothing else. Floats
// follow IEEE 754, division by zero included; a power of integers is a float.
func (o Operator) Apply(a, b Value) (Value, error) {
	if a.kind == Dynamic || b.kind == Dynamic {
		return Value{}, mismatch(o, a, b)
	}
	if a.null || b.null {
		if o >= Equal {
			return NullOf(Bool), nil
		}
		of := a.kind
		if of == Null {
			of = b.kind
		}
		if o == Power && of != Null {
			of = Float
		}
		return NullOf(of), nil
	}
	switch {
	case o.Compares():
		return o.compare(a, b)
	case o >= Match:
		if a.kind != String || b.kind != Regexp {
			return Value{}, mismatch(o, a, b)
		}
		if err := Matchable(b.Regexp(), len(a.str)); err != nil {
			return Value{}, err
		}
		return OfBool(b.Regexp().MatchString(a.str) == (o == Match)), nil
	case a.kind != b.kind:
		return Value{}, mismatch(o, a, b)
	}
	switch a.kind {
	case Int:
		return o.ints(a.Int(), b.Int())
	case Uint:
		return o.uints(a.num, b.num)
	case Float:
		return o.floats(a.Float(), b.Float()), nil
	case String:
		if o == Add {
			return OfString(a.str + b.str), nil
		}
	case Duration:
		switch o {
		case Add:
			return OfDuration(a.Duration().Plus(b.Duration())), nil
		case Subtract:
			return OfDuration(a.Duration().Plus(b.Duration().Negate())), nil
		}
	}
	return Value{}, mismatch(o, a, b)
}

func mismatch(o Operator, a, b Value) error {
	if a.kind == b.kind {
		return fmt.Errorf("%s is not an operation on %s%s", o, a.kind, o.mended(a.kind, b.kind))
	}
	return fmt.Errorf("type conflict: %s %s %s%s", a.kind, o, b.kind, o.mended(a.kind, b.kind))
}

// mended says what to write for a o b instead.
func (o Operator) mended(a, b Kind) string {
	switch {
	case a.Numeric() && b.Numeric():
		return "; convert one of them, as by float(v: ...)"
	case o == Add && (a == String || b == String):
		return "; make a text of it by string(v: ...)"
	case o == Subtract && a == Time && b == Duration:
		return "; date.sub(d: ..., from: ...) moves a time back"
	case o == Add && (a == Time && b == Duration || a == Duration && b == Time):
		return "; date.add(d: ..., to: ...) moves a time on"
	case (o == Match || o == NotMatch) && a == String && b == String:
		return "; a pattern stands between slashes, as in r.host =~ /^web/"
	}
	return ""
}

func (o Operator) byZero() error {
	if o == Modulo {
		return ErrModuloZero
	}
	return ErrDivideByZero
}

func (o Operator) ints(a, b int64) (Value, error) {
	switch o {
	case Add:
		return OfInt(a + b), nil
	case Subtract:
		return OfInt(a - b), nil
	case Multiply:
		return OfInt(a * b), nil
	case Divide, Modulo:
		if b == 0 {
			return Value{}, o.byZero()
		}
		if o == Divide {
			return OfInt(a / b), nil
		}
		return OfInt(a % b), nil
	}
	return OfFloat(math.Pow(float64(a), float64(b))), nil
}

func (o Operator) uints(a, b uint64) (Value, error) {
	switch o {
	case Add:
		return OfUint(a + b), nil
	case Subtract:
		return OfUint(a - b), nil
	case Multiply:
		return OfUint(a * b), nil
	case Divide, Modulo:
		if b == 0 {
			return Value{}, o.byZero()
		}
		if o == Divide {
			return OfUint(a / b), nil
		}
		return OfUint(a % b), nil
	}
	return OfFloat(math.Pow(float64(a), float64(b))), nil
}

func (o Operator) floats(a, b float64) Value {
	switch o {
	case Add:
		return OfFloat(a + b)
	case Subtract:
		return OfFloat(a - b)
	case Multiply:
		return OfFloat(a * b)
	case Divide:
		return OfFloat(a / b)
	case Modulo:
		return OfFloat(math.Mod(a, b))
	}
	return OfFloat(math.Pow(a, b))
}

func (o Operator) compare(a, b Value) (Value, error) {
	if a.kind == Float && b.kind == Float {
		return OfBool(o.holdsFloats(a.Float(), b.Float())), nil
	}
	if o == Equal || o == NotEqual {
		if err := Comparable(a, b); err != nil {
			return Value{}, err
		}
		same, err := a.Equals(b)
		if err != nil {
			return Value{}, mismatch(o, a, b)
		}
		return OfBool(same == (o == Equal)), nil
	}
	if a.kind.Numeric() && b.kind.Numeric() && (a.kind == Float || b.kind == Float) {
		return OfBool(o.holdsFloats(a.asFloat(), b.asFloat())), nil
	}
	c, ok := Compare(a, b)
	if !ok {
		return Value{}, mismatch(o, a, b)
	}
	return OfBool(o.Holds(c)), nil
}

// Holds reports whether the operator, one that compares, holds for two values
// of which Compare says c.
func (o Operator) Holds(c int) bool {
	switch o {
	case Equal:
		return c == 0
	case NotEqual:
		return c != 0
	case Less:
		return c < 0
	case LessEqual:
		return c <= 0
	case Greater:
		return c > 0
	}
	return c >= 0
}

// holdsFloats compares as IEEE 754 does: NaN equals nothing.
func (o Operator) holdsFloats(a, b float64) bool {
	switch o {
	case Equal:
		return a == b
	case NotEqual:
		return a != b
	case Less:
		return a < b
	case LessEqual:
		return a <= b
	case Greater:
		return a > b
	}
	return a >= b
}

func (v Value) asFloat() float64 {
	switch v.kind {
	case Int:
		return float64(v.Int())
	case Uint:
		return float64(v.num)
	}
	return v.Float()
}

// Compare orders two scalars that are not null: below zero if a comes first. It
// reports false if they have no order. NaN comes before other floats.
func Compare(a, b Value) (int, bool) {
	if a.kind != b.kind {
		switch {
		case !a.kind.Numeric() || !b.kind.Numeric():
			return 0, false
		case a.kind == Float || b.kind == Float:
			return cmp.Compare(a.asFloat(), b.asFloat()), true
		case a.kind == Int:
			if a.Int() < 0 {
				return -1, true
			}
			return cmp.Compare(a.num, b.num), true
		}
		if b.Int() < 0 {
			return 1, true
		}
		return cmp.Compare(a.num, b.num), true
	}
	switch a.kind {
	case Bool, Uint:
		return cmp.Compare(a.num, b.num), true
	case Int:
		return cmp.Compare(a.Int(), b.Int()), true
	case Time:
		if a.num == b.num && (a.ref != nil || b.ref != nil) {
			return a.Clock().Compare(b.Clock()), true
		}
		return cmp.Compare(a.Int(), b.Int()), true
	case Float:
		return cmp.Compare(a.Float(), b.Float()), true
	case String:
		return cmp.Compare(a.str, b.str), true
	case Duration:
		x, y := a.Duration(), b.Duration()
		if c := cmp.Compare(x.Months, y.Months); c != 0 {
			return c, true
		}
		return cmp.Compare(x.Nanos, y.Nanos), true
	case Bytes:
		return bytes.Compare(a.Bytes(), b.Bytes()), true
	}
	return 0, false
}

// errNoEquality says that two values cannot be compared.
var errNoEquality = errors.New("values of these kinds cannot be compared")

// Equals reports whether v and o, neither of them null, are equal: scalars by
// value, arrays, records and dictionaries part by part, where two nulls are
// equal. NaN equals nothing.
func (v Value) Equals(o Value) (bool, error) {
	if v.kind != o.kind {
		if v.kind.Numeric() && o.kind.Numeric() {
			c, _ := Compare(v, o)
			return c == 0, nil
		}
		return false, errNoEquality
	}
	switch v.kind {
	case Float:
		return v.Float() == o.Float(), nil
	case Regexp:
		return v.Regexp().String() == o.Regexp().String(), nil
	case Array:
		a, b := v.Array(), o.Array()
		if len(a) != len(b) {
			return false, nil
		}
		for i := range a {
			if !Same(a[i], b[i]) {
				return false, nil
			}
		}
		return true, nil
	case Record:
		a, b := v.Record(), o.Record()
		if a.Len() != b.Len() {
			return false, nil
		}
		for i := range a.Len() {
			other, ok := b.Get(a.Label(i))
			if !ok || !Same(a.At(i), other) {
				return false, nil
			}
		}
		return true, nil
	case Dict:
		a, b := v.Dict(), o.Dict()
		if a.Len() != b.Len() {
			return false, nil
		}
		for i := range a.Len() {
			k, x := a.At(i)
			other, ok := b.Get(k)
			if !ok || !Same(x, other) {
				return false, nil
			}
		}
		return true, nil
	case Function:
		return v.Func() == o.Func(), nil
	case Stream:
		return v.ref == o.ref, nil
	case Dynamic:
		return Same(v.Inner(), o.Inner()), nil
	}
	c, ok := Compare(v, o)
	if !ok {
		return false, errNoEquality
	}
	return c == 0, nil
}

// Same reports whether a and b are equal or both null.
func Same(a, b Value) bool {
	if a.null || b.null {
		return a.null && b.null
	}
	same, err := a.Equals(b)
	return err == nil && same
}

// Negate returns -v, for numbers and durations.
func (v Value) Negate() (Value, error) {
	switch {
	case v.null:
		return v, nil
	case v.kind == Int:
		return OfInt(-v.Int()), nil
	case v.kind == Float:
		return OfFloat(-v.Float()), nil
	case v.kind == Duration:
		return OfDuration(v.Duration().Negate()), nil
	}
	return Value{}, fmt.Errorf("- is not an operation on %s", v.kind)
}
