// Package value holds the values that a Flux script computes with: scalars,
// durations, records, arrays, dictionaries, functions, and a handle to streams
// of tables. It knows nothing of how they are computed.
//
// A Value is immutable, so goroutines may share it; a record that stands for a
// row (see Row) is valid only while the reader stands on that row.
package value

import (
	"math"
	"regexp"
	"time"
)

// Kind says what a value is.
type Kind uint8

// The kinds. The zero Kind is that of the zero Value, which is no value at
// all: an argument that was not given.
const (
	Absent Kind = iota
	Null        // a null of which no type is known
	Bool
	Int
	Uint
	Float
	String
	Time
	Duration
	Regexp
	Bytes
	Array
	Record
	Dict
	Function
	Stream
	Dynamic
)

// String returns the name that the documentation of Flux uses.
func (k Kind) String() string {
	switch k {
	case Absent:
		return "nothing"
	case Null:
		return "null"
	case Bool:
		return "bool"
	case Int:
		return "int"
	case Uint:
		return "uint"
	case Float:
		return "float"
	case String:
		return "string"
	case Time:
		return "time"
	case Duration:
		return "duration"
	case Regexp:
		return "regexp"
	case Bytes:
		return "bytes"
	case Array:
		return "array"
	case Record:
		return "record"
	case Dict:
		return "dict"
	case Function:
		return "function"
	case Stream:
		return "stream"
	case Dynamic:
		return "dynamic"
	}
	panic("BUG: unknown kind of value")
}

// Columnar reports whether a column of a table can hold values of kind k.
func (k Kind) Columnar() bool { return k >= Bool && k <= Time }

// Numeric reports whether k is one of the three kinds of numbers.
func (k Kind) Numeric() bool { return k == Int || k == Uint || k == Float }

// Value is a value of any kind. Numbers, booleans and times are in num, strings
// in str, the rest in ref.
type Value struct {
	kind Kind
	null bool
	num  uint64
	str  string
	ref  any
}

// OfBool returns a boolean.
func OfBool(b bool) Value {
	if b {
		return Value{kind: Bool, num: 1}
	}
	return Value{kind: Bool}
}

// OfInt returns a signed integer.
func OfInt(i int64) Value { return Value{kind: Int, num: uint64(i)} }

// OfUint returns an unsigned integer.
func OfUint(u uint64) Value { return Value{kind: Uint, num: u} }

// OfFloat returns a float.
func OfFloat(f float64) Value { return Value{kind: Float, num: math.Float64bits(f)} }

// OfString returns a string.
func OfString(s string) Value { return Value{kind: String, str: s} }

// OfTime returns a time in nanoseconds since 1970.
func OfTime(ns int64) Value { return Value{kind: Time, num: uint64(ns)} }

// OfClock returns a time. One outside the 64 bits of nanoseconds (the years 1677 to
// 2262) counts as the first or last of them in comparisons with others, and is
// itself when it is shown.
func OfClock(t time.Time) Value {
	switch {
	case t.After(time.Unix(0, math.MaxInt64)):
		return Value{kind: Time, num: math.MaxInt64, ref: t.UTC()}
	case t.Before(time.Unix(0, math.MinInt64)):
		return Value{kind: Time, num: 1 << 63, ref: t.UTC()}
	}
	return OfTime(t.UnixNano())
}

// OfDuration returns a duration.
func OfDuration(d Span) Value { return Value{kind: Duration, ref: d} }

// OfRegexp returns a regular expression.
func OfRegexp(r *regexp.Regexp) Value { return Value{kind: Regexp, ref: r} }

// OfBytes returns bytes, which nobody changes from then on.
func OfBytes(b []byte) Value { return Value{kind: Bytes, ref: b} }

// OfArray returns an array of elements, which nobody changes from then on.
func OfArray(elements []Value) Value {
	var m measure
	for i := range elements {
		m.add(elements[i])
	}
	return Value{kind: Array, num: m.num(), ref: elements}
}

// OfRecord returns a record.
func OfRecord(r *Fields) Value {
	var m measure
	for i := range r.values {
		m.add(r.values[i])
	}
	return Value{kind: Record, num: m.num(), ref: r}
}

// OfDict returns a dictionary.
func OfDict(d *Entries) Value {
	var m measure
	for i := range d.keys {
		m.add(d.keys[i])
		m.add(d.values[i])
	}
	return Value{kind: Dict, num: m.num(), ref: d}
}

// OfFunction returns a function.
func OfFunction(f *Func) Value { return Value{kind: Function, ref: f} }

// OfStream returns a stream of tables. tables is a *flow.Node.
func OfStream(tables any) Value { return Value{kind: Stream, ref: tables} }

// OfDynamic returns v wrapped so that its kind is known only when it is used.
func OfDynamic(v Value) Value {
	if v.kind == Dynamic {
		return v
	}
	var m measure
	m.add(v)
	return Value{kind: Dynamic, null: v.IsNull(), num: m.num(), ref: v}
}

// NullOf returns the null of a kind.
func NullOf(k Kind) Value {
	if k == Null {
		return Value{kind: Null, null: true}
	}
	return Value{kind: k, null: true}
}

// OfWord returns a value of a kind that has its number in 64 bits: Bool, Int,
// Uint, Float or Time.
func OfWord(k Kind, w uint64) Value { return Value{kind: k, num: w} }

// Kind returns the kind of v, also if it is null.
func (v Value) Kind() Kind { return v.kind }

// IsAbsent reports whether v is no value at all.
func (v Value) IsAbsent() bool { return v.kind == Absent }

// IsNull reports whether v is null.
func (v Value) IsNull() bool { return v.null }

// The methods below return what v holds. v must be of that kind; a null holds
// the zero value.

// Bool returns a boolean.
func (v Value) Bool() bool { return v.num != 0 }

// Int returns a signed integer.
func (v Value) Int() int64 { return int64(v.num) }

// Uint returns an unsigned integer.
func (v Value) Uint() uint64 { return v.num }

// Float returns a float.
func (v Value) Float() float64 { return math.Float64frombits(v.num) }

// Str returns a string.
func (v Value) Str() string { return v.str }

// Time returns a time in nanoseconds since 1970, the nearest that 64 bits hold.
func (v Value) Time() int64 { return int64(v.num) }

// Word returns the 64 bits of a boolean, number or time.
func (v Value) Word() uint64 { return v.num }

// Duration returns a duration.
func (v Value) Duration() Span { d, _ := v.ref.(Span); return d }

// Regexp returns a regular expression.
func (v Value) Regexp() *regexp.Regexp { r, _ := v.ref.(*regexp.Regexp); return r }

// Bytes returns bytes, which must not be changed.
func (v Value) Bytes() []byte { b, _ := v.ref.([]byte); return b }

// Array returns the elements of an array, which must not be changed.
func (v Value) Array() []Value { a, _ := v.ref.([]Value); return a }

// Record returns a record.
func (v Value) Record() *Fields { r, _ := v.ref.(*Fields); return r }

// Dict returns a dictionary.
func (v Value) Dict() *Entries { d, _ := v.ref.(*Entries); return d }

// Func returns a function.
func (v Value) Func() *Func { f, _ := v.ref.(*Func); return f }

// Stream returns the handle of a stream of tables, a *flow.Node.
func (v Value) Stream() any { return v.ref }

// Inner returns what a dynamic value wraps.
func (v Value) Inner() Value {
	if in, ok := v.ref.(Value); ok {
		return in
	}
	return NullOf(Null)
}

// Clock returns a time as package time has it, in UTC.
func (v Value) Clock() time.Time {
	if t, far := v.Far(); far {
		return t
	}
	return time.Unix(0, int64(v.num)).UTC()
}

// Far returns a time that 64 bits of nanoseconds do not hold; false if they do.
func (v Value) Far() (time.Time, bool) {
	t, far := v.ref.(time.Time)
	return t, far
}
