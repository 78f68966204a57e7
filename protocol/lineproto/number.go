package lineproto

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"unsafe"

	"github.com/varvedb/varve/column"
)

// Digits are read eight at a time, as bytes of one word, so that the usual
// number costs no branch per digit (Lemire, "Quickly parsing eight digits").

// maxExactDigits is how many decimal digits always fit into 64 bits.
const maxExactDigits = 19

// digitCount returns how many of the eight characters in x, first character
// lowest, are digits before the first other one.
func digitCount(x uint64) int {
	t := x ^ 0x3030303030303030
	// A byte above 9 reaches its top bit, or has it set. A carry out of it
	// spoils only bytes above, which no longer matter.
	other := ((t + 0x7676767676767676) | t) & 0x8080808080808080
	return bits.TrailingZeros64(other) >> 3
}

// eightDigits returns the number whose decimal digits are the low halves of
// the bytes of x, first digit lowest.
func eightDigits(x uint64) uint64 {
	x = (x & 0x0F0F0F0F0F0F0F0F) * (1 + 10<<8) >> 8
	x = (x & 0x00FF00FF00FF00FF) * (1 + 100<<16) >> 16
	return (x & 0x0000FFFF0000FFFF) * (1 + 10000<<32) >> 32
}

// digits reads the digits of b from i on. It returns their number n and, if
// n <= maxExactDigits, their value.
func digits(b []byte, i int) (v uint64, n int) {
	start := i
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		k := digitCount(x)
		if k == 8 {
			v = v*1e8 + eightDigits(x)
			i += 8
			continue
		}
		return v*pow10[k] + eightDigits(x<<uint(64-8*k)), i - start + k
	}
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		v = v*10 + uint64(b[i]-'0')
	}
	return v, i - start
}

// pow10 are the powers of ten that a word shift of digits needs.
var pow10 = [9]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8}

// exactPow10 are the powers of ten that a float holds exactly.
var exactPow10 = [23]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// ends reports whether a value may end before b[i].
func ends(b []byte, i int) bool {
	if i >= len(b) {
		return true
	}
	switch b[i] {
	case ',', ' ', '\n':
		return true
	case '\r':
		return i+1 == len(b) || b[i+1] == '\n'
	}
	return false
}

// number reads the number at b[i], as a word of the type returned, and where
// it ends. Type 0 means that it is not of the usual kind, and slowNumber is
// to be asked.
func number(b []byte, i int) (w uint64, t column.Type, end int) {
	neg := b[i] == '-'
	if neg {
		i++
	}
	v, n := digits(b, i)
	i += n
	if n > maxExactDigits {
		return 0, 0, 0
	}
	if i < len(b) {
		switch b[i] {
		case 'i':
			if n == 0 || v > math.MaxInt64 || !ends(b, i+1) {
				return 0, 0, 0
			}
			if neg {
				v = -v
			}
			return v, column.Int64, i + 1
		case 'u':
			if n == 0 || neg || !ends(b, i+1) {
				return 0, 0, 0
			}
			return v, column.Uint64, i + 1
		case '.':
			f, m := digits(b, i+1)
			i += 1 + m
			if n+m == 0 || n+m > maxExactDigits {
				return 0, 0, 0
			}
			// The integer and the power of ten are exact, so that their
			// quotient is rounded once, as it must be (Clinger).
			for d := m; d > 0; d -= 8 {
				v *= pow10[min(d, 8)]
			}
			v += f
			if v > 1<<53 || !ends(b, i) {
				return 0, 0, 0
			}
			x := float64(v) / exactPow10[m]
			if neg {
				x = -x
			}
			return math.Float64bits(x), column.Float64, i
		}
	}
	if n == 0 || v > 1<<53 || !ends(b, i) {
		return 0, 0, 0
	}
	x := float64(v)
	if neg {
		x = -x
	}
	return math.Float64bits(x), column.Float64, i
}

// slowNumber reads any number at b[i] or says what is wrong with it.
func slowNumber(b []byte, i int) (w uint64, t column.Type, end int, reason string) {
	end = i
	for !ends(b, end) {
		end++
	}
	text := b[i:end]
	body := text
	if body[0] == '-' {
		body = body[1:]
	}
	if len(body) == 0 {
		return 0, 0, end, invalidNumber
	}
	suffix := body[len(body)-1]
	if suffix == 'i' || suffix == 'u' {
		body = body[:len(body)-1]
		text = text[:len(text)-1]
	} else {
		suffix = 0
	}
	digits, points, exponent := 0, 0, false
	for k, c := range body {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.' && points == 0:
			points++
		case c == 'e' || c == 'E':
			exponent = true
		case (c == '+' || c == '-') && k > 0 && body[k-1]|0x20 == 'e':
		default:
			return 0, 0, end, invalidNumber
		}
	}
	// The text is not kept by strconv but in errors, which are turned into
	// text here.
	s := unsafe.String(unsafe.SliceData(text), len(text))
	switch {
	case suffix != 0 && (points > 0 || exponent || digits == 0),
		suffix == 'u' && text[0] == '-',
		digits == 0 && !exponent:
		return 0, 0, end, invalidNumber
	case suffix == 'i':
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, 0, end, fmt.Sprintf("unable to parse integer %s: %v", s, err)
		}
		return uint64(v), column.Int64, end, ""
	case suffix == 'u':
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return 0, 0, end, fmt.Sprintf("unable to parse unsigned %s: %v", s, err)
		}
		return v, column.Uint64, end, ""
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, 0, end, invalidFloat
	}
	return math.Float64bits(v), column.Float64, end, ""
}

// boolean reads the boolean at b[i].
func boolean(b []byte, i int) (w uint64, end int, ok bool) {
	end = i
	for !ends(b, end) {
		end++
	}
	switch string(b[i:end]) {
	case "t", "T", "true", "True", "TRUE":
		return 1, end, true
	case "f", "F", "false", "False", "FALSE":
		return 0, end, true
	}
	return 0, end, false
}

// timestamp reads the timestamp at b[i], of which there is at least one
// character. It returns where it ends.
func timestamp(b []byte, i int, unit Precision) (t int64, end int, reason string) {
	start := i
	neg := b[i] == '-'
	if neg {
		i++
	}
	v, n := digits(b, i)
	i += n
	if n == 0 || !ends(b, i) || i < len(b) && b[i] == ',' {
		return 0, i, badTimestamp
	}
	if n > maxExactDigits {
		var err error
		text := string(b[start:i])
		if t, err = strconv.ParseInt(text, 10, 64); err != nil {
			return 0, i, err.Error()
		}
		if v = uint64(t); neg {
			v = -v
		}
	}
	hi, lo := bits.Mul64(v, uint64(unit))
	if hi != 0 || lo > MaxTime {
		return 0, i, fmt.Sprintf("time outside range %d - %d", int64(MinTime), int64(MaxTime))
	}
	if neg {
		return -int64(lo), i, ""
	}
	return int64(lo), i, ""
}
