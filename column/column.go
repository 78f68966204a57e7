// Package column holds the vocabulary in which rows travel through Varve:
// field types, series keys, typed vectors with validity bitmaps, and the
// batch that a protocol decoder produces and the log carries.
//
// Everything here is plain data. A value may be read by many goroutines as
// long as none changes it; nothing locks.
package column

import "fmt"

// Type is the type of a field. The numbers are part of every format on disk.
type Type uint8

// 6 (bytes) and 7 (histogram) are reserved for later formats.
const (
	Float64 Type = 1
	Int64   Type = 2
	Uint64  Type = 3
	String  Type = 4
	Bool    Type = 5
)

// String returns the name that error messages and schemas use.
func (t Type) String() string {
	switch t {
	case Float64:
		return "float"
	case Int64:
		return "integer"
	case Uint64:
		return "unsigned"
	case String:
		return "string"
	case Bool:
		return "boolean"
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// TypeOf returns the type whose String is name.
func TypeOf(name string) (Type, bool) {
	for t := Float64; t.Known(); t++ {
		if t.String() == name {
			return t, true
		}
	}
	return 0, false
}

// Known reports whether t is a type that this version stores.
func (t Type) Known() bool { return t >= Float64 && t <= Bool }

// Numeric reports whether arithmetic on values of t has a meaning.
func (t Type) Numeric() bool { return t == Float64 || t == Int64 || t == Uint64 }

// FieldInfo names a field and its type.
type FieldInfo struct {
	Name string
	Type Type
}

// MinTime and MaxTime bound the times of points, in nanoseconds since 1970:
// the years 1677 to 2262, less the ends, which stand for "unbounded" in
// comparisons. They are InfluxDB's.
const (
	MinTime int64 = -1<<63 + 2
	MaxTime int64 = 1<<63 - 2
)
