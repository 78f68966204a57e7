package httpapi

import "testing"

func TestShelf(t *testing.T) {
	var s shelf
	buffer := func(n int) *[]byte {
		b := make([]byte, 0, n)
		return &b
	}
	a, b, c := buffer(10), buffer(20), buffer(30)
	for _, x := range []*[]byte{a, b, c} {
		s.give(x, 60)
	}
	if got := s.take(15); got != c {
		t.Errorf("taken was one of %d, want the last one given", cap(*got))
	}
	if got := s.take(25); cap(*got) != 0 {
		t.Errorf("taken was one of %d although none is large enough", cap(*got))
	}
	s.give(c, 55) // a has to go
	if got := s.take(0); got != c {
		t.Errorf("taken was one of %d", cap(*got))
	}
	if got := s.take(0); got != b {
		t.Errorf("taken was one of %d", cap(*got))
	}
	if got := s.take(0); cap(*got) != 0 || s.bytes != 0 {
		t.Errorf("taken was one of %d, %d bytes are left", cap(*got), s.bytes)
	}
	s.give(c, 29)
	if got := s.take(0); cap(*got) != 0 {
		t.Error("a buffer above the limit was kept")
	}
}
