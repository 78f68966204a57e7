package meta

import (
	"bytes"
	"testing"
)

func FuzzDecodeColumn(f *testing.F) {
	f.Add(appendColumn(nil, &Column{"cpu", "host", Tag}))
	f.Add(appendColumn(nil, &Column{"", "", 5}))
	f.Add([]byte{columnVersion, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeColumn(b)
		if err != nil {
			return
		}
		// A length may be written longer than needed, so the bytes can differ.
		again, err := decodeColumn(appendColumn(nil, &c))
		if err != nil || again != c {
			t.Fatalf("%q gives %+v, then %+v, %v", b, c, again, err)
		}
	})
}

func FuzzKeyName(f *testing.F) {
	f.Add("cpu", "c=pu")
	f.Add("a/b", "=2e")
	f.Fuzz(func(t *testing.T, a, b string) {
		if (a == b) != (keyName(a) == keyName(b)) {
			t.Fatalf("names %q and %q give %q and %q", a, b, keyName(a), keyName(b))
		}
		if back, ok := parseKeyName(keyName(a)); ok && back != a || !ok && !bytes.HasPrefix([]byte(keyName(a)), []byte("=.")) {
			t.Fatalf("%q comes back as %q, %v", a, back, ok)
		}
	})
}
