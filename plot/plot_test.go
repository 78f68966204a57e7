package plot

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file anew")

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC).UnixNano()

// wave has a gap of missing points and one of NaN.
func wave(amplitude float64, minutes int) []Point {
	var points []Point
	for i := range minutes {
		v := 50 + amplitude*math.Sin(float64(i)/12)
		if i > 80 && i < 90 {
			v = math.NaN()
		}
		if i < 40 || i > 60 {
			points = append(points, Point{noon + int64(i)*int64(time.Minute), v})
		}
	}
	return points
}

func two(a, b float64, apart time.Duration) []Series {
	return []Series{{"x", []Point{{noon, a}, {noon + int64(apart), b}}}}
}

func TestGolden(t *testing.T) {
	kyiv, err := time.LoadLocation("Europe/Kyiv")
	if err != nil {
		t.Fatal(err)
	}
	minute := int64(time.Minute)
	var out bytes.Buffer
	for _, c := range []struct {
		what   string
		config Config
		series []Series
	}{
		{"one line, with gaps", Config{Width: 78, Height: 10, Step: minute}, []Series{{"host=a", wave(40, 120)}}},
		{"letters without colour", Config{Width: 78, Height: 10, Step: minute}, []Series{{"host=a", wave(40, 120)}, {"host=b", wave(-20, 120)}}},
		{"colour", Config{Width: 78, Height: 6, Color: true}, []Series{{"host=a", wave(40, 120)}, {"host=b", wave(-20, 120)}}},
		{"one point", Config{Width: 60, Height: 5}, []Series{{"x", []Point{{noon, 5}}}}},
		{"a constant", Config{Width: 60, Height: 5}, two(0, 0, time.Hour)},
		{"large numbers over years", Config{Width: 78, Height: 8}, two(2e9, 5e9, 1200*24*time.Hour)},
		{"large numbers close together", Config{Width: 78, Height: 8}, two(1234567890, 1234567893, 40*time.Hour)},
		{"neighbouring floats", Config{Width: 78, Height: 5}, two(1e17, 1e17+16, 40*time.Hour)},
		{"small numbers in microseconds", Config{Width: 78, Height: 5}, two(1e-9, 3e-9, 50*time.Microsecond)},
		{"the ends of the number range", Config{Width: 78, Height: 5}, two(-math.MaxFloat64, math.MaxFloat64, 200*365*24*time.Hour)},
		{"another zone", Config{Width: 78, Height: 5, Zone: kyiv}, two(1, 2, 3*time.Hour)},
		{"a long name", Config{Width: 40, Height: 4}, []Series{{strings.Repeat("long ", 20), []Point{{noon, 1}}}}},
	} {
		if c.config.Zone == nil {
			c.config.Zone = time.UTC
		}
		fmt.Fprintf(&out, "# %s\n", c.what)
		if ok, err := Draw(&out, c.config, c.series); !ok || err != nil {
			t.Errorf("%s: %v, %v", c.what, ok, err)
		}
	}
	const name = "testdata/plots.txt"
	if *rewrite {
		if err := os.WriteFile(name, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("go test ./plot -rewrite writes the file anew:\n%s", diff)
	}
}

func TestNothingToDraw(t *testing.T) {
	for _, s := range [][]Series{nil, {{"x", nil}}, {{"x", []Point{{1, math.NaN()}, {2, math.Inf(1)}}}}} {
		var out bytes.Buffer
		if ok, err := Draw(&out, Config{Width: 80, Height: 5, Zone: time.UTC}, s); ok || err != nil || out.Len() > 0 {
			t.Errorf("%v: %v, %v, %q", s, ok, err, out.String())
		}
	}
}

// Whatever the points are, a plot comes out that is no wider than asked for.
func TestRandomSeries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{
			Width: rapid.IntRange(0, 200).Draw(t, "width"), Height: rapid.IntRange(0, 40).Draw(t, "height"),
			Zone: time.UTC, Step: rapid.Int64Range(0, 1<<40).Draw(t, "step"),
		}
		var series []Series
		for range rapid.IntRange(1, 2*MaxSeries).Draw(t, "series") {
			s := Series{Name: rapid.StringMatching(`[a-zä=]{0,60}`).Draw(t, "name")}
			at := rapid.Int64Range(-1<<62, 1<<62).Draw(t, "start")
			for range rapid.IntRange(0, 5).Draw(t, "points") {
				s.Points = append(s.Points, Point{at, rapid.Float64().Draw(t, "value")})
				at += rapid.Int64Range(0, 1<<rapid.IntRange(1, 58).Draw(t, "magnitude")).Draw(t, "step")
			}
			series = append(series, s)
		}
		var out bytes.Buffer
		if _, err := Draw(&out, c, series); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			// The name of the zone stands behind the labels.
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > max(c.Width, minWidth)+4 {
				t.Fatalf("a line of %d characters, want %d at most:\n%s", n, c.Width, out.String())
			}
		}
	})
}

func BenchmarkDraw(b *testing.B) {
	points := make([]Point, 100_000)
	for i := range points {
		points[i] = Point{int64(i) * 1e9, math.Sin(float64(i) / 1000)}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Draw(io.Discard, Config{Width: 120, Height: 20, Zone: time.UTC}, []Series{{"x", points}}); err != nil {
			b.Fatal(err)
		}
	}
}
