package encoding

import (
	"encoding/binary"
	"errors"
	"testing"
)

// TestDamaged changes and cuts columns: decoders may accept or refuse, with
// ErrCorrupt, and must not panic.
func TestDamaged(t *testing.T) {
	e := NewEncoder(LevelBalanced)
	var d Decoder
	ends, data := statuses(1, 300)
	idEnds, idData := ids(1, 300)
	runs, times := evenTimes(300, 70, 0, 1e9)
	times = append(jitter(1, times[:140], 50, 1e6), times[140:]...)
	decoders := map[string]struct {
		src    []byte
		decode func(src []byte) error
	}{
		"host": {e.Ints(nil, hostInts(1, 300, 100)), func(src []byte) error {
			_, err := d.Ints(nil, 300, src)
			return err
		}},
		"decimals": {e.Floats(nil, decimals(1, 300, 5, 50, 1)), func(src []byte) error {
			_, err := d.Floats(nil, 300, src)
			return err
		}},
		"status": {e.Strings(nil, ends, data), func(src []byte) error {
			_, _, err := d.Strings(nil, nil, 300, src)
			return err
		}},
		"ids": {e.Strings(nil, idEnds, idData), func(src []byte) error {
			_, _, err := d.Strings(nil, nil, 300, src)
			return err
		}},
		"times": {e.Times(nil, runs, times), func(src []byte) error {
			_, err := d.Times(nil, runs, src)
			return err
		}},
	}
	for name, c := range decoders {
		t.Run(name, func(t *testing.T) {
			if err := c.decode(c.src); err != nil {
				t.Fatal(err)
			}
			for i := range c.src {
				if err := c.decode(c.src[:i]); !errors.Is(err, ErrCorrupt) {
					t.Fatalf("cut to %d of %d bytes: %v", i, len(c.src), err)
				}
				for _, flip := range []byte{1, 0x10, 0x80, 0xff} {
					bad := append([]byte(nil), c.src...)
					bad[i] ^= flip
					if err := c.decode(bad); err != nil && !errors.Is(err, ErrCorrupt) {
						t.Fatalf("byte %d: %v", i, err)
					}
				}
			}
			if err := c.decode(append(append([]byte(nil), c.src...), 0)); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("a byte too many: %v", err)
			}
		})
	}
}

// TestBomb has a dictionary whose one value, repeated, would take 4 GiB.
func TestBomb(t *testing.T) {
	const length = 1 << 16
	src := []byte{textDict, 1}
	part := func(b []byte) {
		src = binary.AppendUvarint(src, uint64(len(b)))
		src = append(src, b...)
	}
	part(NewEncoder(LevelFast).Uints(nil, []uint64{length}))
	part(append([]byte{bytesRaw}, make([]byte, length)...))
	src = NewEncoder(LevelFast).Uints(src, make([]uint64, MaxValues))
	var d Decoder
	if _, _, err := d.Strings(nil, nil, MaxValues, src); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("4 GiB of strings: %v", err)
	}
	if _, _, err := d.Strings(nil, nil, 10, src[:len(src):len(src)]); err != nil {
		t.Fatalf("10 of the same strings: %v", err)
	}
}

func TestCountRefused(t *testing.T) {
	var d Decoder
	for _, n := range []int{-1, MaxValues + 1, 1 << 40} {
		if _, err := d.Ints(nil, n, []byte{0, 0}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d values: %v", n, err)
		}
	}
}

func TestLevels(t *testing.T) {
	for _, l := range allLevels {
		if got, err := ParseLevel(l.String()); err != nil || got != l {
			t.Errorf("level %v comes back as %v, %v", l, got, err)
		}
	}
	if _, err := ParseLevel("fastest"); err == nil {
		t.Error("an unknown level was accepted")
	}
}
