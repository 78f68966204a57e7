package server

import "testing"

func TestGCShare(t *testing.T) {
	for _, c := range []struct {
		alive uint64
		want  int
	}{{0, gcMost}, {1 << 20, gcMost}, {16 << 20, 200}, {64 << 20, 50}, {128 << 20, gcPercent}, {4 << 30, gcPercent}} {
		if got := gcShare(c.alive); got != c.want {
			t.Errorf("%d bytes alive: %d%%, want %d%%", c.alive, got, c.want)
		}
	}
}
