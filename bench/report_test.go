package bench

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHistogramQuantiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	var whole, a, b Histogram
	for i := range 20_000 {
		d := time.Duration(math.Exp(rng.Float64() * 25)) // 1 ns to 72 s
		all = append(all, d)
		whole.Add(d)
		if i%3 == 0 {
			a.Add(d)
		} else {
			b.Add(d)
		}
	}
	slices.Sort(all)
	a.Merge(&b)
	for _, q := range []float64{0, 0.001, 0.5, 0.9, 0.99, 0.9999, 1} {
		want := all[max(0, int(math.Ceil(q*float64(len(all))))-1)]
		got := whole.Quantile(q)
		if got < want || float64(got) > float64(want)*1.008 {
			t.Errorf("quantile %v is %s, want %s to 0.8 %% more", q, got, want)
		}
		if m := a.Quantile(q); m != got {
			t.Errorf("quantile %v of the merged halves is %s, of the whole %s", q, m, got)
		}
	}
	if got := whole.Quantile(1); got != all[len(all)-1] {
		t.Errorf("the longest is %s, want %s", got, all[len(all)-1])
	}
}

func TestHistogramBucketsHoldTheirDurations(t *testing.T) {
	last := time.Duration(-1)
	for i := range buckets {
		top := upper(i)
		if top <= last {
			t.Fatalf("bucket %d ends at %d, the one before at %d", i, top, last)
		}
		if got := bucketOf(top); got != i {
			t.Fatalf("%d, the end of bucket %d, falls into %d", top, i, got)
		}
		if got := bucketOf(last + 1); got != i {
			t.Fatalf("%d, the start of bucket %d, falls into %d", last+1, i, got)
		}
		last = top
	}
	if got := bucketOf(math.MaxInt64); got != buckets-1 {
		t.Errorf("the longest duration falls into bucket %d of %d", got, buckets)
	}
}

func TestHistogramEmpty(t *testing.T) {
	var h, o Histogram
	h.Merge(&o)
	if h.Latency() != (Latency{}) || h.Quantile(0.5) != 0 {
		t.Errorf("no durations give %+v", h.Latency())
	}
	o.Add(3 * time.Millisecond)
	h.Merge(&o)
	if want := (Latency{3, 3, 3, 3, 3}); h.Latency() != want {
		t.Errorf("one duration of 3 ms gives %+v", h.Latency())
	}
}

func TestReportArithmetic(t *testing.T) {
	r := WriteReport{
		Seconds: 4, Rows: 1000, Values: 10_000, Bytes: 344_000, LoaderCPUSeconds: 0.5,
		Servers: []ServerReport{
			{Rows: 600, Values: 6000, CPUSeconds: 2, DiskBytes: 3000},
			{Rows: 400, Values: 4000},
		},
	}
	r.derive()
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"rows/s", r.RowsPerSecond, 250}, {"values/s", r.ValuesPerSecond, 2500}, {"bytes/s", r.BytesPerSecond, 86_000},
		{"server CPU", r.ServerCPUSeconds, 2},
		{"rows by CPU of the known server", r.RowsPerServerCPUSecond, 300},
		{"share", r.LoaderShare, 0.25}, {"bytes/value", r.Servers[0].BytesPerValue, 0.5},
		{"rows/s of a server", r.Servers[1].RowsPerSecond, 100},
	} {
		if c.got != c.want {
			t.Errorf("%s is %v, want %v", c.name, c.got, c.want)
		}
	}
	var empty WriteReport
	empty.derive()
	if empty.RowsPerSecond != 0 || math.IsNaN(empty.LoaderShare) {
		t.Errorf("an empty report gives %+v", empty)
	}
}

func TestLastToFirst(t *testing.T) {
	course := func(values ...float64) []float64 { return values }
	for _, tt := range []struct {
		course []float64
		slice  float64
		want   float64
	}{
		{course(100, 90), 60, 0.9},
		{course(100, 50, 90, 3), 60, 0.9}, // the last is a rest
		{course(100), 60, 0},
		{course(1, 1, 1, 1, 1, 1, 9, 2, 2, 2, 2, 2, 2), 10, 19.0 / 6},
		{nil, 10, 0},
	} {
		if got := lastToFirst(tt.course, tt.slice); got != tt.want {
			t.Errorf("%v by %v s: %v, want %v", tt.course, tt.slice, got, tt.want)
		}
	}
}

func TestGrouped(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.4: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := grouped(x); got != want {
			t.Errorf("%v is %s, want %s", x, got, want)
		}
	}
}

func TestTallyIsBounded(t *testing.T) {
	a := tally{}
	for i := range 10 * maxReasons {
		a.add(strings.Repeat("x", i), 1)
	}
	list := a.list()
	if len(list) > maxReasons+1 || list[0] != (Reason{"other", 9 * maxReasons}) {
		t.Errorf("%d reasons, the first %v", len(list), list[0])
	}
}

func TestProcess(t *testing.T) {
	stat := "123 (a ) b) S 1 123 123 0 -1 4194560 88 0 0 0 250 31 0 0 20 0 9 0 100 1 2"
	if got, err := parseStat([]byte(stat)); err != nil || got != 2810*time.Millisecond {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := parseStat([]byte("1 (x) S 1 2")); err == nil {
		t.Error("a short stat was read")
	}
	m, err := parseStatus([]byte("Name:\tx\nVmHWM:\t  2048 kB\nRssAnon:\t1024 kB\n"))
	if err != nil || m != (memory{peak: 2 << 20, anon: 1 << 20}) {
		t.Errorf("got %+v, %v", m, err)
	}
	if _, err := parseStatus([]byte("Name:\tx\nState:\tZ (zombie)\n")); err == nil {
		t.Error("the memory of a zombie was read")
	}
	me := process{os.Getpid()}
	if _, err := me.cpu(); err != nil {
		t.Error(err)
	}
	if m, err := me.memory(); err != nil || m.peak == 0 {
		t.Errorf("own memory %+v, %v", m, err)
	}
}

func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": 0, "2": 2 * time.Second, "0.5": 500 * time.Millisecond, "-1": 0, "NaN": 0,
		"1e300": time.Hour, "Wed, 21 Oct 2015 07:28:00 GMT": 0,
	} {
		if got := retryAfter(header); got != want {
			t.Errorf("%q means %s, want %s", header, got, want)
		}
	}
}
