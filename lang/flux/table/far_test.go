package table

import (
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/value"
)

// TestFarTimes: times that 64 bits of nanoseconds do not hold stay what they are
// wherever rows go, and lie behind all others.
func TestFarTimes(t *testing.T) {
	far, farther := time.Date(2600, 7, 21, 23, 34, 33, 709551615, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	c := NewColumn("expires", value.Time)
	for _, at := range []time.Time{time.Unix(7, 0).UTC(), far, farther, time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		c.Append(value.OfClock(at))
	}
	one := &Table{Key: NewKey(nil, nil), Cols: []Column{c}, Rows: 4}
	both := NewBuilder(one.Key)
	for _, part := range []*Table{one.Slice(0, 2), one.Pick([]int{2, 3})} {
		if err := both.AppendTable(part); err != nil {
			t.Fatal(err)
		}
	}
	built := both.Table()
	for i, want := range []string{"1970-01-01T00:00:07Z", "2600-07-21T23:34:33.709551615Z", "9999-12-31T00:00:00Z", "1000-01-01T00:00:00Z"} {
		if got := built.Cols[0].Value(i).Text(); got != want {
			t.Errorf("row %d is %s: want %s", i, got, want)
		}
	}
	for _, tt := range []struct {
		i, j, want int
	}{{0, 1, -1}, {1, 2, -1}, {2, 2, 0}, {3, 0, -1}, {2, 1, 1}} {
		if got, ok := value.Compare(c.Value(tt.i), c.Value(tt.j)); !ok || got != tt.want {
			t.Errorf("rows %d and %d compare as %d: want %d", tt.i, tt.j, got, tt.want)
		}
	}
	if c.SameCell(1, &c, 2) || !c.SameCell(1, &built.Cols[0], 1) {
		t.Error("cells are told apart by their words alone")
	}
	key := func(i int) string { return NewKey([]string{"expires"}, []value.Value{c.Value(i)}).ID() }
	if key(1) == key(2) {
		t.Error("two times have one key")
	}
	same := Constant("expires", value.OfClock(far))
	if flat := same.Flat(2); flat.Value(1).Text() != "2600-07-21T23:34:33.709551615Z" {
		t.Error("a constant forgets its time")
	}
}
