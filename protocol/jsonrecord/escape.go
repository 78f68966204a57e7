package jsonrecord

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// unicodeEscape reads \uXXXX, or a pair of them that is one character, at the
// beginning of b, and returns how many bytes it took, 0 if it is none. Half a
// pair becomes the replacement character, as in encoding/json.
func unicodeEscape(b []byte) (r rune, n int) {
	high, ok := hex4(b)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(high) {
		return high, 6
	}
	if low, ok := hex4(b[6:]); ok {
		if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
			return r, 12
		}
	}
	return utf8.RuneError, 6
}

// hex4 reads \uXXXX.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 32)
	return rune(n), err == nil
}
