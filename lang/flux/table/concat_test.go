package table

import (
	"errors"
	"testing"

	"github.com/varvedb/varve/lang/flux/value"
)

func TestConcat(t *testing.T) {
	key := NewKey([]string{"host"}, []value.Value{value.OfString("a")})
	host := Constant("host", value.OfString("a"))
	one := &Table{Key: key, Rows: 2, Cols: []Column{host, Ints("n", []int64{1, 2}), Constant("tag", value.OfString("x"))}}
	two := &Table{Key: key, Rows: 1, Cols: []Column{host, Floats("f", []float64{3}), Constant("tag", value.OfString("y"))}}
	none := &Table{Key: key, Rows: 0, Cols: []Column{host, NewColumn("n", value.Int)}}
	got, err := Concat(key, []*Table{one, none, two})
	if err != nil {
		t.Fatal(err)
	}
	if got.Rows != 3 || !got.Col("host").Same {
		t.Fatalf("rows %d, host constant %v: want 3, true", got.Rows, got.Col("host").Same)
	}
	want := map[string][]string{
		"host": {"a", "a", "a"}, "n": {"1", "2", "<null>"}, "tag": {"x", "x", "y"}, "f": {"<null>", "<null>", "3"},
	}
	for label, cells := range want {
		for i, w := range cells {
			if g := got.Col(label).Value(i).Text(); g != w {
				t.Errorf("%s of row %d is %s: want %s", label, i, g, w)
			}
		}
	}

	other := &Table{Key: key, Rows: 1, Cols: []Column{host, Floats("n", []float64{3})}}
	_, err = Concat(key, []*Table{one, other})
	if kinds := (*KindError)(nil); !errors.As(err, &kinds) || kinds.Label != "n" {
		t.Errorf("an int column behind a float column gave %v", err)
	}
}

// What Whole puts together is reserved, pieces and copy.
func TestWholeReserves(t *testing.T) {
	key := NewKey(nil, nil)
	piece := &Table{Key: key, Rows: 100, Cols: []Column{Ints("n", make([]int64, 100))}}
	flat, err := Concat(key, []*Table{
		{Key: key, Rows: 100, Cols: []Column{Constant("s", value.OfString("a long string")), Ints("n", make([]int64, 100))}},
		{Key: key, Rows: 100, Cols: []Column{Constant("s", value.OfString("another long one"))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := ConcatMemory([]*Table{
		{Key: key, Rows: 100, Cols: []Column{Constant("s", value.OfString("a long string")), Ints("n", make([]int64, 100))}},
		{Key: key, Rows: 100, Cols: []Column{Constant("s", value.OfString("another long one"))}},
	}); n < flat.Memory()-64 || n > flat.Memory()+256 {
		t.Errorf("a copy of %d bytes is estimated at %d", flat.Memory(), n)
	}
	var reserved int64
	w := NewWhole(NewList(piece, piece, piece), func(n int64) error { reserved += n; return nil })
	got, err := w.Next()
	if err != nil || got.Rows != 300 {
		t.Fatalf("%v rows, %v: want 300", got, err)
	}
	if least := 3*piece.Memory() + got.Memory(); reserved < least {
		t.Errorf("%d bytes were reserved: want %d at least", reserved, least)
	}
	if end, err := w.Next(); end != nil || err != nil {
		t.Errorf("behind the end: %v, %v", end, err)
	}
}
