package anncsv

import (
	"math"
	"strconv"
)

// Most values that people measure have few decimals. Up to maxDecimals of them
// are tried before the general method, which takes several times as long.
const maxDecimals = 4

// exact is below what floats multiplied by 10^maxDecimals stay whole numbers of
// at most 15 digits, of which two never are the same float.
const exact = 1e11

// powers are the powers of ten that are tried.
var powers = [maxDecimals + 1]float64{1, 10, 100, 1000, 10000}

// appendFloat appends the fewest digits that read back as f, without an
// exponent.
func appendFloat(b []byte, f float64) []byte {
	if abs := math.Abs(f); !(abs < exact) || abs < 1/powers[maxDecimals] {
		if f == 0 && !math.Signbit(f) {
			return append(b, '0')
		}
		if math.IsInf(f, 1) {
			return append(b, "+Inf"...)
		}
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	// If n/10^d, correctly rounded, is f, then so is what is written as n with
	// d decimals, and there is nothing shorter, for fewer were tried before.
	for d, p := range powers {
		n := math.Round(f * p)
		if n/p != f {
			continue
		}
		if d == 0 {
			return strconv.AppendInt(b, int64(n), 10)
		}
		if n < 0 {
			b, n = append(b, '-'), -n
		}
		whole, rest := uint64(n)/uint64(p), uint64(n)%uint64(p)
		b = append(strconv.AppendUint(b, whole, 10), '.')
		for at := uint64(p) / 10; at > 0; at /= 10 {
			b = append(b, byte('0'+rest/at%10))
		}
		return b
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}
