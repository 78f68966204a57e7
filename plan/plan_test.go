package plan

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/predicate"
)

func full() *Plan {
	p := New(7, 0, 86_400_000_000_000)
	p.Measurements = []string{"cpu"}
	p.Tags = predicate.OneOf("host", "a", "b")
	p.Where = All(
		Compare("usage", Gt, Float(math.Inf(-1))),
		Any(Compare("n", Le, Int(math.MinInt64)), Compare("u", Ne, Uint(math.MaxUint64))),
		Negate(Like("state", "^ok")), Has("x"), Compare("s", Eq, Text(`"q"`)), Compare("b", Eq, Bool(true)))
	p.Aggregate = &Aggregate{
		Calls: []Call{{Func: Mean, Field: "usage"}, {Func: Quantile, Quantile: 0.99, Method: TDigest}},
		Window: &Window{Every: Months(1), Period: Duration{Months: 1, Nanos: 5}, Offset: Nanos(time.Hour),
			Zone: "Europe/Berlin", StartOpen: true, StopClosed: true, ByClock: true, CreateEmpty: true},
		Group: ByTags("host"),
	}
	p.Desc = true
	p.Each, p.Groups, p.Total = Page{Limit: 1}, Page{Offset: 2}, Page{Limit: 3, Offset: 4}
	return p
}

func TestPlanSurvivesJSON(t *testing.T) {
	want := full()
	b, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(Value{})); d != "" {
		t.Errorf("decoded plan differs (-want +got):\n%s", d)
	}
}

func TestDecodeRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, s := range []string{
		`{"version":1,"start":0,"stop":1,"rows":{},"having":1}`,
		`{"version":2,"start":0,"stop":1,"rows":{}}`,
		`{"version":1,"start":0,"stop":1,"rows":{}} {}`,
		`{"version":1,"start":0,"stop":1,"rows":{},"where":{"op":"=","field":"a","value":{"type":"complex","value":"1"}}}`,
		`{"version":1,"start":0,"stop":1,"rows":{},"where":{"op":"=","field":"a","value":{"type":"integer","value":"1.5"}}}`,
	} {
		if _, err := Decode([]byte(s)); err == nil {
			t.Errorf("decoded %s without an error", s)
		}
	}
}

func TestValidateSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		change func(*Plan)
		want   string
	}{
		{func(p *Plan) { p.Stop = p.Start }, "range is empty"},
		{func(p *Plan) { p.Version = 0 }, "version 0"},
		{func(p *Plan) { p.Rows = &Rows{} }, "exactly one"},
		{func(p *Plan) { p.Aggregate = nil }, "exactly one"},
		{func(p *Plan) { p.Aggregate.Calls = nil }, "no function"},
		{func(p *Plan) { p.Aggregate.Calls[0].Func = "median" }, `unknown function "median"`},
		{func(p *Plan) { p.Aggregate.Calls[0].Method = Sample }, "has no method"},
		{func(p *Plan) { p.Aggregate.Calls[1].Quantile = math.NaN() }, "not between 0 and 1"},
		{func(p *Plan) { p.Aggregate.Window.Every = Duration{1, 1} }, "mixes months"},
		{func(p *Plan) { p.Aggregate.Window.Every = Duration{} }, "must be positive"},
		{func(p *Plan) { p.Aggregate.Window.Zone = "Mars" }, `time zone "Mars"`},
		{func(p *Plan) { p.Aggregate.Group = Group{Series: true, Tags: []string{"a"}} }, "takes no tags"},
		{func(p *Plan) { p.Aggregate.Group.Tags = []string{"a", "a"} }, "stands twice"},
		{func(p *Plan) { p.Each.Limit = -1 }, "may be negative"},
		{func(p *Plan) { p.Tags = &predicate.Expr{Op: "xor"} }, `"xor"`},
		{func(p *Plan) { p.Where = &Condition{Op: Not} }, "one argument"},
		{func(p *Plan) { p.Where = &Condition{Op: Eq, Field: "a"} }, "needs a value"},
		{func(p *Plan) { p.Where = &Condition{Op: Eq, Value: &Value{}} }, "needs a field"},
		{func(p *Plan) { p.Where = Like("a", "(") }, `condition on "a"`},
		{func(p *Plan) { p.Where = Compare("a", Lt, Bool(true)) }, "no order"},
		{func(p *Plan) { p.Where = Any(nil) }, "empty argument"},
		{func(p *Plan) { p.Aggregate, p.List = nil, &List{What: TagValues} }, "needs a tag key"},
		{func(p *Plan) { p.Aggregate, p.List = nil, &List{What: Fields, From: "a"} }, "takes no least value"},
		{func(p *Plan) { p.Aggregate, p.List = nil, &List{What: "shards"} }, `unknown list "shards"`},
	} {
		p := full()
		c.change(p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Validate = %v, want something about %q", err, c.want)
		}
	}
}

func TestString(t *testing.T) {
	p := full()
	p.Where = Compare("usage", Gt, Float(5))
	want := `page of all rows: limit 3 offset 4
  page of groups: offset 2
    page of each group: limit 1
      order: newest first
        aggregate: mean("usage"), quantile(every field, 0.99, estimate_tdigest) every 1mo period 1mo5ns offset 1h0m0s in Europe/Berlin by the clock bounds (] with empty windows by tags "host"
          scan: bucket 0000000000000007, "cpu", from 1970-01-01T00:00:00Z until 1970-01-02T00:00:00Z, tags host in ["a" "b"], where "usage" > 5`
	if d := cmp.Diff(want, p.String()); d != "" {
		t.Errorf("plan reads differently (-want +got):\n%s", d)
	}
}

func at(t *testing.T, s string) int64 {
	t.Helper()
	x, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return x.UnixNano()
}

func TestGridBounds(t *testing.T) {
	day, hour := Nanos(24*time.Hour), Nanos(time.Hour)
	for _, c := range []struct {
		name        string
		w           Window
		t           string
		start, stop string
	}{
		{"hour", Window{Every: hour}, "2024-05-01T10:59:59Z", "2024-05-01T10:00:00Z", "2024-05-01T11:00:00Z"},
		{"before 1970", Window{Every: hour}, "1969-12-31T23:10:00Z", "1969-12-31T23:00:00Z", "1970-01-01T00:00:00Z"},
		{"offset", Window{Every: hour, Offset: Nanos(10 * time.Minute)}, "2024-05-01T10:05:00Z", "2024-05-01T09:10:00Z", "2024-05-01T10:10:00Z"},
		{"month", Window{Every: Months(1)}, "2024-02-29T23:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"},
		{"quarter", Window{Every: Months(3)}, "2024-02-29T23:00:00Z", "2024-01-01T00:00:00Z", "2024-04-01T00:00:00Z"},
		{"month from day 30 on", Window{Every: Months(1), Offset: Nanos(29 * 24 * time.Hour)}, "2023-02-28T01:00:00Z", "2023-02-28T00:00:00Z", "2023-03-30T00:00:00Z"},
		{"month in a zone", Window{Every: Months(1), Zone: "Europe/Berlin"}, "2024-03-31T23:00:00Z", "2024-03-31T22:00:00Z", "2024-04-30T22:00:00Z"},
		{"short day", Window{Every: day, Zone: "Europe/Berlin"}, "2024-03-31T12:00:00Z", "2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z"},
		{"long day", Window{Every: day, Zone: "Europe/Berlin"}, "2024-10-27T12:00:00Z", "2024-10-26T22:00:00Z", "2024-10-27T23:00:00Z"},
		{"midnight is left out", Window{Every: day, Zone: "America/Sao_Paulo"}, "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},
		{"midnight comes twice", Window{Every: day, Zone: "America/Havana"}, "2023-11-05T12:00:00Z", "2023-11-05T04:00:00Z", "2023-11-06T05:00:00Z"},
		{"hour that comes twice, by the clock", Window{Every: hour, Zone: "Europe/Berlin", ByClock: true}, "2024-10-27T01:30:00Z", "2024-10-27T00:00:00Z", "2024-10-27T02:00:00Z"},
		{"hour that is left out, by the clock", Window{Every: hour, Offset: Nanos(30 * time.Minute), Zone: "Europe/Berlin", ByClock: true}, "2024-03-31T01:15:00Z", "2024-03-31T01:00:00Z", "2024-03-31T01:30:00Z"},
		{"millisecond that comes twice, by the clock", Window{Every: Nanos(time.Millisecond), Zone: "Europe/Berlin", ByClock: true}, "2024-10-27T01:00:00Z", "2024-10-27T00:59:59.999Z", "2024-10-27T02:00:00Z"},
		{"hour that comes twice", Window{Every: hour, Zone: "Europe/Berlin"}, "2024-10-27T01:30:00Z", "2024-10-27T01:00:00Z", "2024-10-27T02:00:00Z"},
		{"hour of a half-hour zone", Window{Every: hour, Zone: "Asia/Kolkata"}, "2024-10-27T01:10:00Z", "2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z"},
		{"six hours over a change", Window{Every: Nanos(6 * time.Hour), Zone: "Europe/Berlin"}, "2024-10-27T02:00:00Z", "2024-10-26T22:00:00Z", "2024-10-27T05:00:00Z"},
		{"closed end", Window{Every: hour, StartOpen: true, StopClosed: true}, "2024-05-01T10:00:00Z", "2024-05-01T09:00:00Z", "2024-05-01T10:00:00Z"},
		{"earliest of overlapping ones", Window{Every: hour, Period: Nanos(150 * time.Minute)}, "2024-05-01T10:15:00Z", "2024-05-01T08:00:00Z", "2024-05-01T10:30:00Z"},
		{"gap", Window{Every: hour, Period: Nanos(10 * time.Minute)}, "2024-05-01T10:15:00Z", "2024-05-01T11:00:00Z", "2024-05-01T11:10:00Z"},
	} {
		g, err := c.w.Grid(column.MaxTime)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		start, stop := g.Bounds(g.Earliest(at(t, c.t)))
		if start != at(t, c.start) || stop != at(t, c.stop) {
			t.Errorf("%s: window of %s is [%s, %s), want [%s, %s)", c.name, c.t, timeText(start), timeText(stop), c.start, c.stop)
		}
	}
}

// Earliest must agree with walking along the windows, and windows of a period
// like every must follow on each other without gaps.
func TestGridIsComplete(t *testing.T) {
	zones := []string{"", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu"}
	rapid.Check(t, func(t *rapid.T) {
		w := Window{Zone: rapid.SampledFrom(zones).Draw(t, "zone"), StartOpen: rapid.Bool().Draw(t, "open"), ByClock: rapid.Bool().Draw(t, "by clock")}
		w.StopClosed = w.StartOpen
		if rapid.Bool().Draw(t, "calendar") {
			w.Every = Months(rapid.Int64Range(1, 30).Draw(t, "months"))
		} else {
			w.Every.Nanos = rapid.Int64Range(1, 1000).Draw(t, "minutes") * int64(time.Minute)
		}
		if rapid.Bool().Draw(t, "fine") && w.Every.Months == 0 {
			w.Every.Nanos = rapid.Int64Range(1, 1000).Draw(t, "ns")
		}
		w.Offset.Nanos = rapid.Int64Range(-1e18, 1e18).Draw(t, "offset")
		at := rapid.Int64Range(column.MinTime, column.MaxTime).Draw(t, "at")
		if rapid.Bool().Draw(t, "now") {
			at = rapid.Int64Range(1_500_000_000, 1_800_000_000).Draw(t, "near") * 1e9
		}
		g, err := w.Grid(at)
		if err != nil {
			t.Fatal(err)
		}
		i := g.Earliest(at)
		start, stop := g.Bounds(i)
		if first, last := g.Span(start, stop); at < first && first != math.MinInt64 || at > last {
			t.Fatalf("window %d [%d, %d) of %+v does not hold %d", i, start, stop, w, at)
		}
		for k := i; k < i+5 && i < math.MaxInt64-6; k++ {
			_, stop := g.Bounds(k)
			if next, _ := g.Bounds(k + 1); next != stop {
				t.Fatalf("window %d of %+v ends at %s, the next starts at %s", k, w, timeText(stop), timeText(next))
			}
		}
	})
}

func TestPageCut(t *testing.T) {
	for _, c := range []struct {
		p      Page
		at     int64
		n      int
		lo, hi int
	}{
		{Page{}, 5, 3, 0, 3},
		{Page{Offset: 2}, 0, 5, 2, 5},
		{Page{Offset: 2, Limit: 2}, 0, 5, 2, 4},
		{Page{Offset: 2, Limit: 2}, 3, 5, 0, 1},
		{Page{Offset: 2, Limit: 2}, 9, 5, 0, 0},
		{Page{Offset: 20}, 0, 5, 5, 5},
	} {
		if lo, hi := c.p.Cut(c.at, c.n); lo != c.lo || hi != c.hi {
			t.Errorf("%+v.Cut(%d, %d) = %d, %d, want %d, %d", c.p, c.at, c.n, lo, hi, c.lo, c.hi)
		}
	}
}

func FuzzDecode(f *testing.F) {
	if b, err := full().Encode(); err == nil {
		f.Add(b)
	}
	f.Add([]byte(`{"version":1,"start":0,"stop":1,"list":{"what":"fields"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Decode(b)
		if err != nil {
			return
		}
		_ = p.String()
		if p.Aggregate != nil && p.Aggregate.Window != nil {
			if _, err := p.Aggregate.Window.Grid(p.Stop); err != nil {
				t.Fatalf("a valid plan has no grid: %v", err)
			}
		}
		again, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		q, err := Decode(again)
		if err != nil {
			t.Fatalf("decode %s again: %v", again, err)
		}
		if p.String() != q.String() {
			t.Fatalf("plan changed on the way: %s", again)
		}
	})
}
