package fleet

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/protocol/lineproto"
)

func small(kind Kind) Config {
	c := Default(kind)
	c.Devices = 50
	return c
}

func render(t testing.TB, c Config, lines int) (string, []Row) {
	t.Helper()
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	var rows []Row
	for range lines {
		var r Row
		text, r = g.Append(text)
		rows = append(rows, r)
	}
	return string(text), rows
}

func TestSameSeedSameBytes(t *testing.T) {
	for _, kind := range []Kind{Host, Truck, Meter} {
		c := small(kind)
		a, _ := render(t, c, 1000)
		b, _ := render(t, c, 1000)
		if a != b {
			t.Errorf("%s: two generators of one configuration differ", kind)
		}
		c.Seed++
		if b, _ = render(t, c, 1000); a == b {
			t.Errorf("%s: another seed made the same bytes", kind)
		}
	}
}

// TestLinesAreValid reads every line with the server's own parser.
func TestLinesAreValid(t *testing.T) {
	for _, kind := range []Kind{Host, Truck, Meter} {
		c := small(kind)
		c.LateFraction, c.MaxLateness = 0.1, time.Hour
		c.MissingRows, c.MissingFields = 0.1, 0.5
		text, rows := render(t, c, 5000)
		batch, err := lineproto.NewParser(lineproto.Default()).Parse([]byte(text), lineproto.Nanosecond, 0)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if batch == nil {
			t.Fatalf("%s: no rows", kind)
		}
		for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			parts := strings.Split(line, " ")
			if len(parts) != 3 {
				t.Fatalf("%s: line %q has %d parts", kind, line, len(parts))
			}
			if got := strconv.FormatInt(rows[i].Time, 10); got != parts[2] || len(got) != stampLen {
				t.Fatalf("%s: line %q has another time than %s", kind, line, got)
			}
			if n := strings.Count(parts[1], ",") + 1; n != rows[i].Values {
				t.Fatalf("%s: line %q has %d fields, reported %d", kind, line, n, rows[i].Values)
			}
		}
	}
}

func TestLineLengths(t *testing.T) {
	for _, tt := range []struct {
		kind     Kind
		low, top float64
	}{{Host, 339, 349}, {Truck, 230, 250}, {Meter, 105, 125}} {
		c := Default(tt.kind)
		c.Devices = 4000
		text, _ := render(t, c, 40_000)
		if mean := float64(len(text)) / 40_000; mean < tt.low || mean > tt.top {
			t.Errorf("%s: a line has %.1f bytes, want %v to %v", tt.kind, mean, tt.low, tt.top)
		}
		for _, line := range strings.Split(text, "\n") {
			if len(line) > maxLine/2 {
				t.Errorf("%s: line of %d bytes: maxLine is too small", tt.kind, len(line))
			}
		}
	}
}

func TestHostsWalk(t *testing.T) {
	c := small(Host)
	const steps = 500
	text, rows := render(t, c, c.Devices*steps)
	last := map[string]int{}
	var squares, n float64
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if want := c.Start.UnixNano() + int64(i/c.Devices)*int64(c.Interval); rows[i].Time != want {
			t.Fatalf("row %d has time %d, want %d: time order, host by host", i, rows[i].Time, want)
		}
		host := strings.Split(line, ",")[1]
		if want := "hostname=host_" + strconv.Itoa(i%c.Devices); host != want {
			t.Fatalf("row %d is of %s, want %s", i, host, want)
		}
		for _, field := range strings.Split(strings.Split(line, " ")[1], ",") {
			name, text, _ := strings.Cut(strings.TrimSuffix(field, "i"), "=")
			v, err := strconv.Atoi(text)
			if err != nil || v < 0 || v > 100 {
				t.Fatalf("field %s: want a whole number of 0 to 100", field)
			}
			key := host + name
			if was, ok := last[key]; ok && v > 5 && v < 95 {
				squares += float64((v - was) * (v - was))
				n++
			}
			last[key] = v
		}
	}
	// A normal step of variance 1, cut down to whole numbers: 1 + 1/6.
	if v := squares / n; math.Abs(v-7.0/6) > 0.03 {
		t.Errorf("steps have variance %.3f, want 1.167", v)
	}
}

func TestLateAndMissingRows(t *testing.T) {
	c := small(Host)
	c.LateFraction, c.MaxLateness = 0.1, 30*24*time.Hour
	c.MissingRows = 0.05
	const lines = 100_000
	_, rows := render(t, c, lines)
	late := 0
	var furthest time.Duration
	for _, r := range rows {
		due := c.Start.UnixNano() + r.Step*int64(c.Interval)
		lag := time.Duration(due - r.Time)
		if r.Late != (lag > 0) || lag < 0 || lag > c.MaxLateness {
			t.Fatalf("row of step %d lags %s, late %v", r.Step, lag, r.Late)
		}
		if r.Late {
			late++
			furthest = max(furthest, lag)
		}
	}
	if f := float64(late) / lines; math.Abs(f-0.1) > 0.01 {
		t.Errorf("%.3f of the rows are late, want 0.1", f)
	}
	if furthest < 29*24*time.Hour {
		t.Errorf("the latest row is late by %s, want nearly 30 days", furthest)
	}
	steps := float64(rows[lines-1].Step + 1)
	if f := 1 - lines/(steps*float64(c.Devices)); math.Abs(f-0.05) > 0.01 {
		t.Errorf("%.3f of the rows are missing, want 0.05", f)
	}
}

func TestLateRowsRarelyRepeatAPoint(t *testing.T) {
	c := small(Truck)
	c.MaxLateness = 20 * time.Minute
	c.LateFraction = 0.1
	text, _ := render(t, c, 50_000)
	seen := map[string]bool{}
	repeated := 0
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		parts := strings.Split(line, " ")
		key := parts[0] + parts[2]
		if seen[key] {
			repeated++
		}
		seen[key] = true
	}
	// Late rows draw from the withheld ones with replacement.
	if f := float64(repeated) / 50_000; f > 0.045 {
		t.Errorf("%.3f of the rows repeat a point", f)
	}
}

func TestFieldsAreMissing(t *testing.T) {
	for _, kind := range []Kind{Host, Truck, Meter} {
		c := small(kind)
		c.LateFraction, c.MissingRows = 0, 0
		c.MissingFields = 0
		_, rows := render(t, c, 20_000)
		var all, some float64
		for _, r := range rows {
			all += float64(r.Values)
		}
		c.MissingFields = 0.1
		_, rows = render(t, c, 20_000)
		for _, r := range rows {
			some += float64(r.Values)
			if r.Values == 0 {
				t.Fatalf("%s: a row without a field", kind)
			}
		}
		if f := 1 - some/all; math.Abs(f-0.1) > 0.01 {
			t.Errorf("%s: %.3f of the fields are missing, want 0.1", kind, f)
		}
	}
}

func TestDecimalsAreTheShortest(t *testing.T) {
	for _, tt := range []struct {
		x        float64
		decimals int
		want     string
	}{
		{0, 5, "0"}, {52.318541, 5, "52.31854"}, {-0.00001, 5, "-0.00001"}, {1.5, 5, "1.5"},
		{12.96, 1, "13"}, {0.05, 1, "0.1"}, {221.4, 0, "221"}, {0.00100, 5, "0.001"}, {-0.000001, 5, "0"},
	} {
		if got := string(appendDecimal(nil, tt.x, tt.decimals)); got != tt.want {
			t.Errorf("%v to %d decimals is %s, want %s", tt.x, tt.decimals, got, tt.want)
		}
	}
}

func TestValidateNamesTheFault(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"kind":           func(c *Config) { c.Kind = "boat" },
		"devices":        func(c *Config) { c.Devices = 0 },
		"interval":       func(c *Config) { c.Interval = 0 },
		"late fraction":  func(c *Config) { c.LateFraction = math.NaN() },
		"missing rows":   func(c *Config) { c.MissingRows = 1 },
		"missing fields": func(c *Config) { c.MissingFields = -1 },
		"max lateness":   func(c *Config) { c.LateFraction = 0.1 },
		"start":          func(c *Config) { c.Start = time.Unix(999_999_999, 0) },
	} {
		c := Default(Host)
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

// TestPoolRoundsAreTheStreamMovedOn compares the first round with the
// generator, and every later one with the first.
func TestPoolRoundsAreTheStreamMovedOn(t *testing.T) {
	c := small(Truck)
	c.LateFraction, c.MaxLateness = 0.1, time.Hour
	const lines = 77
	p, err := NewPool(PoolConfig{Fleet: c, BodyLines: lines, MaxBytes: 1 << 20, MaxRows: 3000})
	if err != nil {
		t.Fatal(err)
	}
	if p.Bytes() > 1<<20 {
		t.Errorf("the pool has %d bytes", p.Bytes())
	}
	g := newGenerator(c, p.steps)
	var values int64
	for n := range int64(3 * p.Bodies()) {
		body := p.Take(n)
		round := n / int64(p.Bodies())
		shift := time.Duration(round) * p.Span()
		if round == 0 {
			var want []byte
			for range body.Rows() {
				var r Row
				want, r = g.Append(want)
				values += int64(r.Values)
			}
			if !bytes.Equal(body.Text(), want) {
				t.Fatalf("body %d differs from the stream", n)
			}
		}
		if full := n%int64(p.Bodies()) < int64(p.Bodies()-1); full && body.Rows() != lines {
			t.Fatalf("body %d has %d rows", n, body.Rows())
		}
		text := string(body.Text())
		body.Release()
		first := p.Take(n % int64(p.Bodies()))
		if got, want := text, moved(t, string(first.Text()), shift); got != want {
			t.Fatalf("body %d is not the first round moved on by %s", n, shift)
		}
		first.Release()
	}
	if values != p.Values() {
		t.Errorf("the pool counts %d values, it has %d", p.Values(), values)
	}
	if want := p.steps * int64(c.Interval); int64(p.Span()) != want {
		t.Errorf("a round spans %s", p.Span())
	}
}

func moved(t *testing.T, text string, by time.Duration) string {
	t.Helper()
	var out strings.Builder
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		i := strings.LastIndexByte(line, ' ') + 1
		ns, err := strconv.ParseInt(line[i:], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(line[:i] + strconv.FormatInt(ns+int64(by), 10) + "\n")
	}
	return out.String()
}

// TestPoolIsBounded renders fleets whose first devices have shorter names
// than the last, with more lines than the sample of roundOf.
func TestPoolIsBounded(t *testing.T) {
	c := Default(Meter)
	c.Devices = 60_000
	p, err := NewPool(PoolConfig{Fleet: c, BodyLines: 1000, MaxBytes: 24 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if p.Bytes() > 24<<20 || p.Bytes() < 16<<20 {
		t.Errorf("the pool has %d bytes of 24 MiB", p.Bytes())
	}
	if p.Rows()%60_000 != 0 || p.Rows() == 0 {
		t.Errorf("the pool has %d rows: not whole intervals", p.Rows())
	}
}

func TestStamps(t *testing.T) {
	for _, ns := range []int64{minStamp, maxStamp, 1_704_067_200_123_456_789} {
		text := appendStamp(nil, ns)
		if string(text) != strconv.FormatInt(ns, 10) {
			t.Errorf("%d is written %s", ns, text)
		}
		if got := stampAt(text); got != ns {
			t.Errorf("%s is read %d", text, got)
		}
	}
}

func TestEnd(t *testing.T) {
	c := small(Truck)
	if got, want := c.End(101), c.Start.Add(2*c.Interval); !got.Equal(want) {
		t.Errorf("101 rows of 50 trucks end at %s, want %s", got, want)
	}
}

func BenchmarkGenerator(b *testing.B) {
	for _, kind := range []Kind{Host, Truck, Meter} {
		b.Run(string(kind), func(b *testing.B) {
			g, err := New(Default(kind))
			if err != nil {
				b.Fatal(err)
			}
			var text []byte
			b.ReportAllocs()
			for b.Loop() {
				text, _ = g.Append(text[:0])
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func BenchmarkStamp(b *testing.B) {
	p, err := NewPool(PoolConfig{Fleet: Default(Host), BodyLines: 10_000, MaxBytes: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	rows := 0
	for n := int64(0); b.Loop(); n++ {
		body := p.Take(n + int64(p.Bodies()))
		rows += body.Rows()
		body.Release()
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
