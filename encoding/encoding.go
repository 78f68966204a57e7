// Package encoding owns the codecs of segment columns: pure functions from a
// vector of values to bytes and back. It knows nothing of files, blocks or
// types of fields; package segment calls it for every column of every block.
//
// An Encoder chooses the codec of a column from a cheap analysis (a sample for
// the order of differences, one histogram for the packing) and the result
// describes itself, so a Decoder needs the bytes and the number of values
// only. Values are exact: floats keep every bit. Layouts stand in FORMAT.md.
//
// There is no checksum here, because the block around a column has one. A
// decoder still never panics or allocates beyond what the caller's count of
// values justifies, whatever the bytes are.
//
// Encoder and Decoder own scratch memory: reuse them, one per goroutine.
package encoding

import (
	"errors"
	"fmt"
	"math/bits"
	"unsafe"
)

// MaxValues is the greatest number of values in one column. Positions inside
// a column then fit 16 bits and the symbols of a column fit one huff0 block.
const MaxValues = 1 << 16

// MaxStringBytes bounds the bytes of one column of strings, once decoded: a
// dictionary could otherwise make a few bytes of a damaged file ask for
// gigabytes. 8192 values of the longest string that a write accepts, 32 KiB
// each, stay below it.
const MaxStringBytes = 1 << 28

// ErrCorrupt is the error that every decoder wraps when bytes are not what an
// encoder wrote. The caller, which knows them, adds file and offset.
var ErrCorrupt = errors.New("corrupt column")

func corrupt(what string) error { return fmt.Errorf("%w: %s", ErrCorrupt, what) }

// Level trades size for speed.
type Level uint8

const (
	// LevelNone stores numbers less their minimum in whole bits: any value is
	// one shift away. Floats and strings are stored as they are.
	LevelNone Level = iota
	// LevelFast adds differences, run length, decimal scaling, dictionaries
	// and S2, all without entropy coding.
	LevelFast
	// LevelBalanced, the default, adds entropy coding where it gains.
	LevelBalanced
	// LevelBest looks at the whole column instead of a sample, takes any gain
	// and compresses strings with zstd.
	LevelBest
)

// String returns the name of the level as it stands in configurations.
func (l Level) String() string {
	switch l {
	case LevelNone:
		return "none"
	case LevelFast:
		return "fast"
	case LevelBalanced:
		return "balanced"
	case LevelBest:
		return "best"
	}
	return fmt.Sprintf("level %d", uint8(l))
}

// ParseLevel is the inverse of String.
func ParseLevel(s string) (Level, error) {
	for l := LevelNone; l <= LevelBest; l++ {
		if l.String() == s {
			return l, nil
		}
	}
	return 0, fmt.Errorf("parse compression level %q: want none, fast, balanced or best", s)
}

// zigzag folds the sign into the lowest bit, so that values around zero become
// small numbers.
func zigzag(r uint64) uint64 { return r<<1 ^ uint64(int64(r)>>63) }

func unzigzag(x uint64) uint64 { return x>>1 ^ -(x & 1) }

func bitLen(x uint64) int { return bits.Len64(x) }

// All numbers are 64-bit words inside: the same memory, another type.

func intWords(v []int64) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(v))), len(v))
}

func floatWords(v []float64) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(v))), len(v))
}

// grow returns s with room for n more elements, and those n as a slice of
// their own: what they hold is undefined.
func grow[T any](s []T, n int) (all, tail []T) {
	if have := len(s) + n; have > cap(s) {
		bigger := make([]T, have, have+have/4)
		copy(bigger, s)
		s = bigger[:len(s)]
	}
	all = s[:len(s)+n]
	return all, all[len(s):]
}

// resize returns s with exactly n elements of undefined content.
func resize[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	return make([]T, n, n+n/4)
}
