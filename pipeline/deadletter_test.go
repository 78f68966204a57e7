package pipeline

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestPrintable: a long text is cut between two characters, and stays readable.
func TestPrintable(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"short", "값은 3", "값은 3"},
		{"whole characters", strings.Repeat("a", 11), strings.Repeat("a", 10)},
		{"in a character of two", strings.Repeat("a", 9) + "é", strings.Repeat("a", 9)},
		{"in a character of three", "값값값값", "값값값"},
		{"in a character of four", "abcdefg😀h", "abcdefg"},
		{"no text", "a\xff", `"a\xff"`},
		{"no text, and long", strings.Repeat("\x80", 20), `"` + strings.Repeat(`\x80`, 6) + `"`},
	} {
		got := printable(c.text, 10)
		if got != c.want || !utf8.ValidString(got) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestKeptText: so is the payload of a refused message; what is no text is kept as
// bytes.
func TestKeptText(t *testing.T) {
	whole := strings.Repeat("a", maxKeptPayload-1)
	if got := keptText([]byte(whole + "값")); got != whole {
		t.Errorf("a text is kept as %d bytes that end in %q", len(got), got[len(got)-3:])
	}
	if got := keptText([]byte("a\xff")); got != "Yf8=" {
		t.Errorf("bytes are kept as %q", got)
	}
}
