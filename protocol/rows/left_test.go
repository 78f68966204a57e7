package rows_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/varvedb/varve/protocol/rows"
)

// TestLeftovers: what is left out is bounded, by itself and together, and counted to
// the end.
func TestLeftovers(t *testing.T) {
	var l rows.Leftovers
	why := errors.New("too old")
	long := strings.Repeat("ü", 100<<10)
	calls := 0
	for range 1000 {
		l.Add(3, why, func(dst []byte, enough int) []byte {
			calls++
			return append(append(dst, 'x'), long...)
		})
	}
	l.Add(0, why, nil)
	all, points := l.All(), 0
	for _, one := range all {
		points += one.Points
		if len(one.Text) > 64<<10+2 || !strings.HasPrefix(one.Text, "xü") || one.Reason != "too old" {
			t.Fatalf("%d bytes of text, %.10q, because %s", len(one.Text), one.Text, one.Reason)
		}
	}
	if points != 3000 || len(all) != calls || len(all) != 64 || l.MemoryBytes() > 5<<20 {
		t.Errorf("%d points in %d, %d asked for their text, %d bytes", points, len(all), calls, l.MemoryBytes())
	}
	if l.Reset(); len(l.All()) != 0 || l.MemoryBytes() != 0 {
		t.Errorf("%d of the batch before", len(l.All()))
	}
}
