package jsonpoints

import (
	"fmt"
	"math"
	"strconv"
	"unsafe"
)

// number is a JSON number.
type number struct {
	text []byte // in the body
	// whole says that the value is an integer of at most 64 bits and a sign.
	whole     bool
	negative  bool
	magnitude uint64
	// exact says that the value is magnitude divided by ten to the places,
	// both of which a float holds exactly.
	exact  bool
	places int
	// literal says that the text has neither a fraction nor an exponent.
	literal bool
}

// maxExactDigits is how many decimal digits always fit into 64 bits.
const maxExactDigits = 19

// exactPow10 are the powers of ten that a float holds exactly and that
// maxExactDigits can ask for.
var exactPow10 = [maxExactDigits + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10,
	1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// number reads the number at the present byte.
func (d *Decoder) number() (number, error) {
	b, i := d.b, d.i
	n := number{literal: true}
	if b[i] == '-' {
		n.negative = true
		i++
	}
	digits := i
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		n.magnitude = n.magnitude*10 + uint64(b[i]-'0')
	}
	count := i - digits
	if count == 0 {
		return n, d.errorf("%s is not a number in JSON", d.found())
	}
	if count > 1 && b[digits] == '0' {
		return n, d.errorf("number %s begins with 0, which JSON does not allow", d.found())
	}
	if i < len(b) && b[i] == '.' {
		n.literal = false
		i++
		from := i
		for ; i < len(b) && b[i]-'0' <= 9; i++ {
			n.magnitude = n.magnitude*10 + uint64(b[i]-'0')
		}
		if n.places = i - from; n.places == 0 {
			return n, d.errorf("number %s has no digit behind the point", d.found())
		}
		count += n.places
	}
	exponent := false
	if i < len(b) && b[i]|0x20 == 'e' {
		exponent, n.literal = true, false
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		from := i
		for ; i < len(b) && b[i]-'0' <= 9; i++ {
		}
		if i == from {
			return n, d.errorf("number %s has an exponent without a digit", d.found())
		}
	}
	n.text = b[d.i:i]
	d.i = i
	fits := count <= maxExactDigits
	n.exact = fits && !exponent && n.magnitude <= 1<<53
	switch {
	case n.literal:
		n.whole = fits
		if !fits {
			// Up to 20 digits may fit too.
			m, err := strconv.ParseUint(unsafeString(b[digits:i]), 10, 64)
			n.magnitude, n.whole = m, err == nil
		}
	default:
		// 3.0 and 3e2 are whole too. A float that is whole says so only if it is
		// exact: that of 9007199254740991.4 is whole as well.
		if f, ok := n.float(); ok && f == math.Trunc(f) {
			if n.exact {
				n.whole, n.magnitude, n.places = true, uint64(math.Abs(f)), 0
			} else if m, _, whole := Whole(unsafeString(n.text)); whole {
				n.whole, n.exact, n.magnitude, n.places = true, m <= 1<<53, m, 0
			}
		}
	}
	return n, nil
}

// float returns n as a float; false if it is too large for one.
func (n *number) float() (float64, bool) {
	if n.exact {
		// Both parts are exact, so that the quotient is rounded once, as it must
		// be (Clinger).
		f := float64(n.magnitude) / exactPow10[n.places]
		if n.negative {
			f = -f
		}
		return f, true
	}
	f, err := strconv.ParseFloat(unsafeString(n.text), 64)
	return f, err == nil
}

// time returns the time that n means in nanoseconds since 1970.
func (n *number) time() (int64, error) {
	if n.literal || n.whole {
		at, ok := int64(n.magnitude), n.whole && n.magnitude <= math.MaxInt64
		if n.negative {
			at = -at
		}
		if ok {
			at, ok = Since1970(at)
		}
		if !ok || !inRange(at) {
			return 0, fmt.Errorf("%s is outside of the years 1677 to 2262", quote(n.text))
		}
		return at, nil
	}
	f, ok := n.float()
	if !ok || math.Abs(f) >= 1<<63 {
		return 0, fmt.Errorf("%s is outside of the years 1677 to 2262", quote(n.text))
	}
	if math.Abs(f) >= BelowIsSeconds {
		return 0, fmt.Errorf("%s is not whole and too large for seconds", quote(n.text))
	}
	// Parts of a second to the microsecond, which is what a float holds.
	micros := int64(math.Round(f * 1e6))
	if micros > math.MaxInt64/1000 || micros < math.MinInt64/1000 || !inRange(micros*1000) {
		return 0, fmt.Errorf("%s is outside of the years 1677 to 2262", quote(n.text))
	}
	return micros * 1000, nil
}

// unsafeString returns b as a string for strconv, which keeps it in errors
// only, and those are not kept here.
func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
