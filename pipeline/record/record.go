// Package record holds a reading on its way through a pipeline: what decoders
// make, rules look at, and sinks store or pass on. Values are not boxed, and a
// list of records is used again for the next messages, so that a record costs
// no memory once a pipeline has warmed up.
//
// A List belongs to one goroutine at a time.
package record

import (
	"fmt"
	"math"
	"strconv"

	"github.com/varvedb/varve/column"
)

// Value is a value of a field; the zero Value is none.
type Value struct {
	Type column.Type // 0: there is no value
	Word uint64      // all types but String, as column.Vector keeps them
	Str  string      // String; it may share memory with a message
}

// Float returns a value.
func Float(f float64) Value { return Value{Type: column.Float64, Word: math.Float64bits(f)} }

// Int returns a value.
func Int(i int64) Value { return Value{Type: column.Int64, Word: uint64(i)} }

// Uint returns a value.
func Uint(u uint64) Value { return Value{Type: column.Uint64, Word: u} }

// Bool returns a value.
func Bool(b bool) Value {
	if b {
		return Value{Type: column.Bool, Word: 1}
	}
	return Value{Type: column.Bool}
}

// String returns a value.
func String(s string) Value { return Value{Type: column.String, Str: s} }

// Number returns v as a float, and whether it is a number.
func (v Value) Number() (float64, bool) {
	switch v.Type {
	case column.Float64:
		return math.Float64frombits(v.Word), true
	case column.Int64:
		return float64(int64(v.Word)), true
	case column.Uint64:
		return float64(v.Word), true
	}
	return 0, false
}

// Any returns v for rules: float64, int64 (uint64 beyond its range), bool,
// string, or nil.
func (v Value) Any() any {
	switch v.Type {
	case column.Float64:
		return math.Float64frombits(v.Word)
	case column.Int64:
		return int64(v.Word)
	case column.Uint64:
		if v.Word > math.MaxInt64 {
			return v.Word
		}
		return int64(v.Word)
	case column.Bool:
		return v.Word != 0
	case column.String:
		return v.Str
	}
	return nil
}

// Of returns what a rule gave: a number, bool, string, or nil for none.
func Of(x any) (Value, error) {
	switch x := x.(type) {
	case nil:
		return Value{}, nil
	case float64:
		return Float(x), nil
	case float32:
		return Float(float64(x)), nil
	case int:
		return Int(int64(x)), nil
	case int64:
		return Int(x), nil
	case int32:
		return Int(int64(x)), nil
	case uint64:
		return Uint(x), nil
	case bool:
		return Bool(x), nil
	case string:
		return String(x), nil
	}
	return Value{}, fmt.Errorf("a value may be a number, a text, true or false, not %T", x)
}

// Text returns v as people write it, "" if there is none.
func (v Value) Text() string {
	switch v.Type {
	case column.Float64:
		return strconv.FormatFloat(math.Float64frombits(v.Word), 'g', -1, 64)
	case column.Int64:
		return strconv.FormatInt(int64(v.Word), 10)
	case column.Uint64:
		return strconv.FormatUint(v.Word, 10)
	case column.Bool:
		return strconv.FormatBool(v.Word != 0)
	case column.String:
		return v.Str
	}
	return ""
}

// Tag is a tag of a record. The texts may share memory with a message.
type Tag struct{ Key, Value string }

// Field is a field of a record.
type Field struct {
	Name string
	Value
}

// Record is a reading.
type Record struct {
	Measurement string
	// Time is in nanoseconds since 1970, valid if Timed; a record that is not
	// timed takes the time of its message, else that of its arrival.
	Time  int64
	Timed bool
	// Lent says that the time is that of the message, because the record has
	// none of its own.
	Lent bool
	// Delete says that the source took the reading back: the points of the tags
	// at the time are deleted, or the fields of it that Fields names.
	Delete bool
	// All, with Delete, says that all points of the measurement are taken back,
	// whatever their tags and time.
	All    bool
	Tags   []Tag   // in the order of the message, no key twice, no empty value
	Fields []Field // in the order of the message, no name twice
	// ID is a number that no other record has of those that a list has held.
	ID uint64
	// Message is which of the messages it is from, counted from 0, and Number which
	// of the Of records that the message makes.
	Message, Number, Of int
}

// Tag returns the value of a tag, "" if there is none.
func (r *Record) Tag(key string) string {
	for i := range r.Tags {
		if r.Tags[i].Key == key {
			return r.Tags[i].Value
		}
	}
	return ""
}

// SetTag gives a tag a value; an empty one removes it.
func (r *Record) SetTag(key, value string) {
	for i := range r.Tags {
		if r.Tags[i].Key == key {
			if value == "" {
				r.Tags = append(r.Tags[:i], r.Tags[i+1:]...)
			} else {
				r.Tags[i].Value = value
			}
			return
		}
	}
	if value != "" {
		r.Tags = append(r.Tags, Tag{key, value})
	}
}

// Field returns the value of a field, the zero Value if there is none.
func (r *Record) Field(name string) Value {
	for i := range r.Fields {
		if r.Fields[i].Name == name {
			return r.Fields[i].Value
		}
	}
	return Value{}
}

// Set gives a field a value; the zero Value removes it.
func (r *Record) Set(name string, v Value) {
	for i := range r.Fields {
		if r.Fields[i].Name == name {
			if v.Type == 0 {
				r.Fields = append(r.Fields[:i], r.Fields[i+1:]...)
			} else {
				r.Fields[i].Value = v
			}
			return
		}
	}
	if v.Type != 0 {
		r.Fields = append(r.Fields, Field{name, v})
	}
}

// List holds records one behind the other and keeps their memory.
type List struct {
	records []Record
	n       int
	bound   int    // no more than these; 0: any number
	over    bool   // more were added
	spare   Record // that was added beyond the bound
	added   uint64
}

// Reset empties l, which may hold any number of records again.
func (l *List) Reset() { l.n, l.bound, l.over = 0, 0, false }

// Bound lets l hold n records at most. Those that are added beyond are lost, and
// Over reports that there were some: few bytes of a message can stand for very
// many records.
func (l *List) Bound(n int) { l.bound, l.over = n, false }

// Over reports whether records were lost since Bound.
func (l *List) Over() bool { return l.over }

// Cap returns the number of records that l has memory for.
func (l *List) Cap() int { return cap(l.records) }

// Len returns the number of records.
func (l *List) Len() int { return l.n }

// At returns record i, which is valid until the next Add or Reset.
func (l *List) At(i int) *Record { return &l.records[i] }

// Add appends an empty record, which is valid until the next Add.
func (l *List) Add(message int) *Record {
	r := &l.spare
	if l.bound > 0 && l.n >= l.bound {
		l.over = true
	} else {
		if l.n == len(l.records) {
			l.records = append(l.records, Record{})
		}
		r = &l.records[l.n]
		l.n++
	}
	l.added++
	*r = Record{Tags: r.Tags[:0], Fields: r.Fields[:0], Message: message, ID: l.added}
	return r
}

// Truncate drops all records from n on: those of a message that turned out to
// be bad.
func (l *List) Truncate(n int) { l.n = min(l.n, n) }

// As returns v as a value of another type, and whether that type holds exactly
// what v is: numbers only.
func (v Value) As(t column.Type) (Value, bool) {
	if v.Type == t {
		return v, true
	}
	switch {
	case v.Type == column.Float64:
		f := math.Float64frombits(v.Word)
		if f != math.Trunc(f) {
			return v, false
		}
		if t == column.Int64 && f >= -1<<63 && f < 1<<63 {
			return Int(int64(f)), true
		}
		if t == column.Uint64 && f >= 0 && f < 1<<64 {
			return Uint(uint64(f)), true
		}
	case v.Type == column.Int64 && t == column.Float64:
		i := int64(v.Word)
		return Float(float64(i)), i >= -1<<53 && i <= 1<<53
	case v.Type == column.Int64 && t == column.Uint64:
		return Uint(v.Word), int64(v.Word) >= 0
	case v.Type == column.Uint64 && t == column.Float64:
		return Float(float64(v.Word)), v.Word <= 1<<53
	case v.Type == column.Uint64 && t == column.Int64:
		return Int(int64(v.Word)), v.Word <= math.MaxInt64
	}
	return v, false
}
