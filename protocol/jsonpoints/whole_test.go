package jsonpoints

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
)

// FuzzWhole: what is whole is the number that exact arithmetic finds, and no other
// text is.
func FuzzWhole(f *testing.F) {
	for _, s := range []string{"0", "-0.0e5", "1.767366245e18", "1767366245000000000.0", "1767366245000000001.00", "9007199254740993.5", "1e3", "12.5e1",
		"18446744073709551615.0", "18446744073709551616.0", "100e-2", "1e-2", "1e99999999999999999999", "0e99999999999999999999", "-9223372036854775808.0",
		"", "-", ".", "-.", "e", "e5", "E", "Early", "error", "12eggs", "1e", "0e:", "1e+", "1e-", "1.", ".5", "00", "01", "+1", "1 ", "0x1", "1_0", "0.e1", "1e1.5", "1e5x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, negative, ok := Whole(s)
		first, last := strings.IndexAny(s, "-0123456789"), strings.LastIndexAny(s, "0123456789")
		if !json.Valid([]byte(s)) || first != 0 || last != len(s)-1 { // no number, or one with spaces
			if ok {
				t.Fatalf("%q is no number and is whole: %d", s, m)
			}
			return
		}
		if len(s) > 40 {
			return // the other way takes too long
		}
		if _, exponent := cutExponent(s); len(exponent) > 4 {
			return // the other way takes too long
		}
		want, isNumber := new(big.Rat).SetString(s)
		if !isNumber {
			t.Fatalf("%q is JSON and no number", s)
		}
		fits := want.IsInt() && new(big.Int).Abs(want.Num()).IsUint64()
		if ok != fits {
			t.Fatalf("%s is whole and fits: %t, want %t", s, ok, fits)
		}
		got := new(big.Int).SetUint64(m)
		if negative {
			got.Neg(got)
		}
		if ok && got.Cmp(want.Num()) != 0 {
			t.Fatalf("%s is %s", s, got)
		}
	})
}

func cutExponent(s string) (mantissa, exponent string) {
	for i, c := range s {
		if c == 'e' || c == 'E' {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
