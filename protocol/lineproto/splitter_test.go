package lineproto

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// checkSplit cuts body and reports a chunk that does not end with a line.
func checkSplit(t *testing.T, body []byte, size int) {
	t.Helper()
	ends := map[int]int{0: 1} // offset of a line, its number
	at, number := 0, 1
	for _, l := range refLines(string(body)) {
		at += len(l) + 1
		number += strings.Count(l, "\n") + 1
		ends[min(at, len(body))] = number
	}
	s := NewSplitter(iotest.OneByteReader(bytes.NewReader(body)), size, len(body))
	var all, buf []byte
	for {
		c, err := s.Next(buf)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("size %d: %v\n%q", size, err, body)
		}
		if want, ok := ends[len(all)]; !ok || want != c.Line {
			t.Fatalf("size %d: chunk at %d, line %d; want line %d\n%q", size, len(all), c.Line, want, body)
		}
		all = append(all, c.Data...)
		buf = c.Data
	}
	if !bytes.Equal(all, body) {
		t.Fatalf("size %d: got %q\nwant %q", size, all, body)
	}
}

func TestSplitter(t *testing.T) {
	all := strings.Join(bodies, "\n")
	for _, size := range []int{1, 2, 7, 64, 500, 100000} {
		for _, body := range append(bodies, all, "", "\n", "x") {
			checkSplit(t, []byte(body), size)
		}
	}
}

func TestSplitterErrors(t *testing.T) {
	s := NewSplitter(strings.NewReader("a b=1\na b=\"x\n"+strings.Repeat("a b=1\n", 100)), 16, 100)
	c, err := s.Next(nil)
	if err != nil || string(c.Data) != "a b=1\n" {
		t.Fatalf("got %q, %v", c.Data, err)
	}
	if _, err = s.Next(nil); err == nil || !strings.Contains(err.Error(), "line 2 is longer than 100 bytes") {
		t.Errorf("got %v", err)
	}
	broken := errors.New("broken")
	s = NewSplitter(io.MultiReader(strings.NewReader("a b=1\n"), iotest.ErrReader(broken)), 100, 100)
	if _, err = s.Next(nil); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func FuzzSplitter(f *testing.F) {
	for _, b := range bodies {
		f.Add([]byte(b), uint8(20))
	}
	f.Fuzz(func(t *testing.T, body []byte, size uint8) { checkSplit(t, body, int(size)) })
}

func BenchmarkSplitter(b *testing.B) {
	body := threeTagBody(100000)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	b.ResetTimer()
	var buf []byte
	for range b.N {
		s := NewSplitter(bytes.NewReader(body), 1<<20, 1<<20)
		for {
			c, err := s.Next(buf)
			if err == io.EOF {
				break
			}
			buf = c.Data[:0]
		}
	}
}
