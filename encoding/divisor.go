package encoding

import "math/bits"

// divisor divides exactly, which takes one multiplication and a rotation
// instead of a division: modulo 2^64 an odd number has an inverse (Granlund
// and Montgomery, "Division by invariant integers using multiplication").
type divisor struct {
	value   uint64
	shift   uint
	inverse uint64 // of value >> shift
}

func divisorOf(value uint64) divisor {
	shift := uint(bits.TrailingZeros64(value))
	odd := value >> shift
	inverse := odd // right in 3 bits, each step doubles them
	for range 5 {
		inverse *= 2 - odd*inverse
	}
	return divisor{value: value, shift: shift, inverse: inverse}
}

// quotient returns the signed quotient of r, if r is a multiple. Otherwise
// the result, multiplied by the value, is not r.
func (d divisor) quotient(r uint64) uint64 {
	return uint64(int64(r)>>d.shift) * d.inverse
}

// divides reports whether the signed r is a multiple whose quotient, times
// the value, is r.
func (d divisor) divides(r uint64) bool {
	q := d.quotient(r)
	if q*d.value != r {
		return false
	}
	hi, _ := bits.Mul64(magnitude(q), d.value)
	return hi == 0
}

func magnitude(r uint64) uint64 {
	if int64(r) < 0 {
		return -r
	}
	return r
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
