package jsonpoints

import (
	"strconv"
	"strings"

	"github.com/varvedb/varve/protocol/jsontape"
)

// maxExponent is more than a message has digits, so that what is beyond it is zero
// or has no place in 64 bits.
const maxExponent = 1 << 30

// Whole returns a number of JSON that is whole, in whichever way it is written
// (1767366245000000000.0, 1.767366245e18), to the last digit; ok is false if it is
// not whole or beyond 64 bits and a sign, or if s is no number of JSON.
func Whole(s string) (magnitude uint64, negative, ok bool) {
	if !jsontape.IsNumber([]byte(s)) {
		return 0, false, false
	}
	s, negative = strings.CutPrefix(s, "-")
	exponent := 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		// What does not fit is cut off at the largest or smallest int.
		exponent, _ = strconv.Atoi(s[i+1:])
		exponent = min(max(exponent, -maxExponent), maxExponent)
		s = s[:i]
	}
	before, behind, _ := strings.Cut(s, ".")
	digits := strings.TrimLeft(before+behind, "0")
	exponent -= len(behind)
	short := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(short)
	switch {
	case short == "":
		return 0, negative, true
	case exponent < 0 || len(short)+exponent > maxExactDigits+1:
		return 0, negative, false
	}
	magnitude, err := strconv.ParseUint(short+strings.Repeat("0", exponent), 10, 64)
	return magnitude, negative, err == nil
}
