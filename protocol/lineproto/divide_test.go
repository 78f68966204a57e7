package lineproto

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestDivide(t *testing.T) {
	text := "m,a=1,b=2 x=1 1\n" + // row 0
		"# comment\n\n \t\n" +
		"m,b=2,a=1 s=\"two\n# lines\",x=2 1\n" + // 4: the same series
		"m\\ 1,a=b\\ c x=3\r\n" + // 6
		"\x01m x=4 1\n" +
		"  m,a=1,b=2 x=5 1\n" +
		"m,a=1,b=2 x=6 1" // 9: without a newline
	want := []string{"0 m,a=1,b=2 x=1 1\n", "4 m,b=2,a=1 s=\"two\n# lines\",x=2 1\n", "6 m\\ 1,a=b\\ c x=3\r\n", "7 \x01m x=4 1\n", "8   m,a=1,b=2 x=5 1\n", "9 m,a=1,b=2 x=6 1\n"}
	for _, n := range []int{1, 2, 3, 16} {
		parts := make([]Part, n)
		for range 2 { // parts are used again
			Chunk{Data: []byte(text), Line: 1}.Divide(parts)
		}
		var got []string
		for i := range parts {
			p := &parts[i]
			var series []string
			for k := range p.Len() {
				line := string(p.Text(k, k+1))
				got = append(got, fmt.Sprintf("%d %s", p.Rows[k], line))
				if strings.HasPrefix(strings.TrimLeft(line, " "), "m,") {
					series = append(series, line)
				}
			}
			if len(series) != 0 && len(series) != 4 {
				t.Errorf("%d parts: a series is divided: %q", n, series)
			}
			if string(p.Text(0, p.Len())) != string(p.Data) {
				t.Errorf("%d parts: text is %q of %q", n, p.Text(0, p.Len()), p.Data)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%d parts: lines are\n%q\nwant\n%q", n, got, want)
		}
	}
}

// FuzzDivide compares what the parts parse to with what the whole does.
func FuzzDivide(f *testing.F) {
	f.Add("m,a=1 x=1 1\nm,a=2 x=2 2\n# c\n\nm s=\"a\nb\" 3")
	f.Add("m\\ ,a=1 x=1\nbad\n m x=1 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		cfg := Default()
		cfg.SkipBadLines = true
		count := func(body []byte) (rows, bad int) {
			p := NewParser(cfg)
			b, err := p.Parse(body, Nanosecond, 0)
			if b != nil {
				rows = b.Rows()
			}
			if e, ok := err.(*ParseError); ok {
				bad = len(e.Lines) + e.More
			}
			return rows + p.Dropped(), bad
		}
		rows, bad := count([]byte(text))
		parts := make([]Part, 3)
		Chunk{Data: []byte(text), Line: 1}.Divide(parts)
		gotRows, gotBad := 0, 0
		for i := range parts {
			r, b := count(parts[i].Data)
			gotRows, gotBad = gotRows+r, gotBad+b
		}
		if bad == 0 && (gotRows != rows || gotBad != 0) {
			t.Fatalf("%q: %d rows in parts with %d bad lines, want %d", text, gotRows, gotBad, rows)
		}
	})
}

func BenchmarkDivide(b *testing.B) {
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "cpu,hostname=host_%d,region=eu-central-1,rack=%d usage_user=%di,usage_system=2i %d\n", i%100, i%7, i, i)
	}
	c := Chunk{Data: []byte(text.String()), Line: 1}
	parts := make([]Part, 4)
	b.SetBytes(int64(len(c.Data)))
	b.ReportAllocs()
	for b.Loop() {
		c.Divide(parts)
	}
}

func TestByteSum(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 1023, 1024, 1025, 5000} {
		b := []byte(strings.Repeat("\xff", n))
		if got := byteSum(b); got != uint32(n)*255 {
			t.Errorf("sum of %d bytes is %d", n, got)
		}
		for i := range b {
			b[i] = byte(i * 7)
		}
		want := byteSum(b)
		slices.Sort(b)
		if got := byteSum(b); got != want {
			t.Errorf("sum of %d bytes in another order is %d, want %d", n, got, want)
		}
	}
}
