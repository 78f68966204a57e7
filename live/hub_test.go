package live_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/ingest"
	"github.com/varvedb/varve/live"
	"github.com/varvedb/varve/memory"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/protocol/lineproto"
)

var _ ingest.Observer = (*live.Hub)(nil)

var seed = flag.Uint64("seed", 0, "seed of the random test; 0: another one each time")

const bucket = 7

// rig is a hub with its memory, all of which must have been given back at the
// end.
type rig struct {
	*live.Hub
	pool     *memory.Pool
	registry *prometheus.Registry
}

func newRig(t testing.TB, change func(*live.Config)) *rig {
	t.Helper()
	cfg := live.Default()
	if change != nil {
		change(&cfg)
	}
	r := &rig{pool: memory.NewPool("test", 64<<20), registry: prometheus.NewRegistry()}
	var err error
	if r.Hub, err = live.New(cfg, r.pool, r.registry); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if used := r.pool.Stats().Used; used != 0 {
			t.Errorf("%d bytes were not given back", used)
		}
		if r.Wants(bucket) {
			t.Error("somebody seems to listen still")
		}
	})
	return r
}

func (r *rig) subscribe(t testing.TB, change func(*plan.Plan)) *live.Subscription {
	t.Helper()
	p := plan.New(bucket, 0, 1)
	p.Rows = &plan.Rows{}
	if change != nil {
		change(p)
	}
	s, err := r.Subscribe(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func parse(t testing.TB, lines ...string) *column.Batch {
	t.Helper()
	b, err := lineproto.NewParser(lineproto.Default()).Parse([]byte(strings.Join(lines, "\n")), lineproto.Nanosecond, 0)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// drain takes what is there.
func drain(t testing.TB, s *live.Subscription) (lines []string, missed uint64, err error) {
	t.Helper()
	for {
		p, err := s.Take()
		if err != nil {
			return lines, missed, err
		}
		if p.Missed == 0 && p.Points == 0 {
			return lines, missed, nil
		}
		missed += p.Missed
		n := 0
		for line := range strings.Lines(string(p.Lines)) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
			n++
		}
		if n != p.Points {
			t.Errorf("%d lines of %d points", n, p.Points)
		}
	}
}

// short writes lines of JSON more shortly: m a=1 x=1 @1.
func short(t testing.TB, lines []string) (out []string) {
	for _, line := range lines {
		var p struct {
			Time        time.Time
			Measurement string
			Tags        map[string]string
			Fields      map[string]any
		}
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out = append(out, strings.ReplaceAll(strings.ReplaceAll(fmt.Sprintf("%s %v %v @%d", p.Measurement, p.Tags, p.Fields, p.Time.UnixNano()), "map", ""), ":", "="))
	}
	return out
}

func TestFilters(t *testing.T) {
	lines := []string{
		`m,host=a x=1,s="one" 1`, `m,host=b x=2 2`, `m,host=a,zone=1 x=3,y=1i 3`, `m y=7i 4`,
		`n,host=a x=1 5`, `n,host=b ok=true 6`,
	}
	for _, c := range []struct {
		name   string
		change func(*plan.Plan)
		want   []string
	}{
		{"all", nil, []string{"m [host=a] [s=one x=1] @1", "m [host=b] [x=2] @2", "m [host=a zone=1] [x=3 y=1] @3", "m [] [y=7] @4", "n [host=a] [x=1] @5", "n [host=b] [ok=true] @6"}},
		{"another bucket", func(p *plan.Plan) { p.Bucket = 8 }, nil},
		{"measurement", func(p *plan.Plan) { p.Measurements = []string{"x", "n", "n"} }, []string{"n [host=a] [x=1] @5", "n [host=b] [ok=true] @6"}},
		{"tags", func(p *plan.Plan) { p.Tags = predicate.Eq("host", "b") }, []string{"m [host=b] [x=2] @2", "n [host=b] [ok=true] @6"}},
		{"no tag", func(p *plan.Plan) { p.Tags = predicate.Eq("host", "") }, []string{"m [] [y=7] @4"}},
		{"pattern", func(p *plan.Plan) { p.Tags = predicate.Match("host", "^a$") }, []string{"m [host=a] [s=one x=1] @1", "m [host=a zone=1] [x=3 y=1] @3", "n [host=a] [x=1] @5"}},
		{"fields", func(p *plan.Plan) { p.Rows.Fields = []string{"y", "ok"} }, []string{"m [host=a zone=1] [y=1] @3", "m [] [y=7] @4", "n [host=b] [ok=true] @6"}},
		{"where", func(p *plan.Plan) { p.Where = plan.Compare("x", plan.Ge, plan.Int(2)) }, []string{"m [host=b] [x=2] @2", "m [host=a zone=1] [x=3 y=1] @3"}},
		{"where on another field", func(p *plan.Plan) {
			p.Where, p.Rows.Fields = plan.Compare("x", plan.Lt, plan.Float(3)), []string{"s"}
		}, []string{"m [host=a] [s=one] @1"}},
		{"where on a field of none", func(p *plan.Plan) { p.Where = plan.Has("none") }, nil},
		{"where without a field", func(p *plan.Plan) { p.Where = plan.Negate(plan.Has("x")) }, []string{"m [] [y=7] @4", "n [host=b] [ok=true] @6"}},
		{"all at once", func(p *plan.Plan) {
			p.Measurements, p.Tags, p.Where, p.Rows.Fields = []string{"m"}, predicate.Match("host", "a|b"), plan.Compare("x", plan.Gt, plan.Float(1)), []string{"x"}
		}, []string{"m [host=b] [x=2] @2", "m [host=a zone=1] [x=3] @3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			s := r.subscribe(t, c.change)
			for range 2 { // what is remembered of the first batch must not change the second
				if r.Wants(bucket) {
					r.Observe(bucket, parse(t, lines...))
				}
				got, missed, err := drain(t, s)
				if d := cmp.Diff(c.want, short(t, got)); d != "" || missed != 0 || err != nil {
					t.Errorf("missed %d, %v:\n%s", missed, err, d)
				}
			}
		})
	}
}

// Values of tags may be no UTF-8, and JSON, by which feeds are known, cannot
// tell them apart.
func TestConditionsOfOddBytes(t *testing.T) {
	r := newRig(t, nil)
	host := func(name string) *live.Subscription {
		return r.subscribe(t, func(p *plan.Plan) { p.Tags = predicate.Eq("host", name) })
	}
	first, second := host("\xff"), host("\xfe")
	r.Observe(bucket, parse(t, "m,host=\xff x=1 1", "m,host=\xfe x=2 2", "m,host=\xfe x=3 3"))
	if got, _, _ := drain(t, first); len(got) != 1 {
		t.Errorf("the first gets %q", got)
	}
	if got, _, _ := drain(t, second); len(got) != 2 {
		t.Errorf("the second gets %q", got)
	}
}

func TestConditionOfAnotherType(t *testing.T) {
	r := newRig(t, nil)
	about := func(measurements ...string) func(*plan.Plan) {
		return func(p *plan.Plan) { p.Measurements, p.Where = measurements, plan.Compare("x", plan.Gt, plan.Int(1)) }
	}
	named, all := r.subscribe(t, about("n")), r.subscribe(t, about())
	r.Observe(bucket, parse(t, `m x=2 1`, `n x="text" 2`, `o x=3i 3`))
	if _, _, err := drain(t, named); err == nil || !strings.Contains(err.Error(), `measurement "n": condition "x" > 1i: field "x" holds string values`) {
		t.Errorf("the error is %v", err)
	}
	got, _, err := drain(t, all)
	if d := cmp.Diff([]string{"m [] [x=2] @1", "o [] [x=3] @3"}, short(t, got)); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	// A type may be free again and be taken by another.
	r.Observe(bucket, parse(t, `m x=7i 4`, `n x=8 5`))
	got, _, err = drain(t, all)
	if d := cmp.Diff([]string{"m [] [x=7] @4", "n [] [x=8] @5"}, short(t, got)); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
}

func TestSlowReaderMissesTheOldest(t *testing.T) {
	r := newRig(t, func(c *live.Config) { c.BufferBytes = 128 << 10 })
	slow, quick := r.subscribe(t, nil), r.subscribe(t, nil)
	const batches, rows = 100, 100
	taken := 0
	for i := range batches {
		var lines []string
		for k := range rows {
			lines = append(lines, fmt.Sprintf(`m,host=h%d x=%d,text="%s" %d`, k, i, strings.Repeat("x", 100), i*rows+k))
		}
		r.Observe(bucket, parse(t, lines...))
		got, missed, err := drain(t, quick)
		if err != nil || missed != 0 {
			t.Fatalf("the quick one missed %d, %v", missed, err)
		}
		taken += len(got)
	}
	if taken != batches*rows {
		t.Errorf("the quick one got %d points", taken)
	}
	p, err := slow.Take()
	if err != nil || p.Missed == 0 || p.Points == 0 {
		t.Fatalf("the slow one gets %d points and missed %d, %v", p.Points, p.Missed, err)
	}
	rest, more, err := drain(t, slow)
	if err != nil || more != 0 {
		t.Errorf("it missed %d more, %v", more, err)
	}
	if sum := int(p.Missed) + p.Points + len(rest); sum != batches*rows {
		t.Errorf("it missed %d of %d points and got %d", p.Missed, batches*rows, p.Points+len(rest))
	}
	if last := short(t, rest)[len(rest)-1]; !strings.HasSuffix(last, "@9999") {
		t.Errorf("the newest point is not the last: %s", last)
	}
	if size := len(p.Lines) + len(strings.Join(rest, "\n")); size > 128<<10 || size < 64<<10 {
		t.Errorf("%d bytes waited for it", size)
	}
	if got, _, err := drain(t, slow); err != nil || got != nil {
		t.Errorf("then there are %d points more, %v", len(got), err)
	}
	want := map[string]float64{"varve_live_subscribers": 2, "varve_live_points_total": 2 * batches * rows, "varve_live_missed_points_total": float64(p.Missed)}
	if d := cmp.Diff(want, r.metrics(t)); d != "" {
		t.Errorf("metrics:\n%s", d)
	}
}

// metrics returns each metric by its name.
func (r *rig) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		all[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	return all
}

func TestPointLargerThanTheBuffer(t *testing.T) {
	r := newRig(t, func(c *live.Config) { c.BufferBytes = 128 << 10 })
	s := r.subscribe(t, nil)
	long := strings.Repeat("x", 60_000)
	b := parse(t, `m a="`+long+`" 1`)
	for _, name := range []string{"b", "c"} {
		f := column.Field{Name: name, Vector: column.Vector{Type: column.String}}
		f.AppendString([]byte(long))
		b.Tables[0].Fields = append(b.Tables[0].Fields, f)
	}
	r.Observe(bucket, b)
	if got, missed, err := drain(t, s); len(got) != 0 || missed != 1 || err != nil {
		t.Errorf("%d points, missed %d, %v", len(got), missed, err)
	}
	r.Observe(bucket, parse(t, `m x=1 4`))
	if got, missed, err := drain(t, s); len(got) != 1 || missed != 0 || err != nil {
		t.Errorf("then %v, missed %d, %v", got, missed, err)
	}
}

func TestMemory(t *testing.T) {
	r := newRig(t, nil)
	s := r.subscribe(t, nil)
	big := parse(t, strings.Repeat(`m,host=a s="`+strings.Repeat("x", 1000)+"\" 1\n", 2000))
	r.Observe(bucket, big)
	if used := r.pool.Stats().Used; used < 2e6 || used > 4<<20 {
		t.Errorf("2 MB that wait take %d bytes of the budget", used)
	}
	if got, missed, _ := drain(t, s); len(got) != 2000 || missed != 0 {
		t.Errorf("%d points, missed %d", len(got), missed)
	}
	if used := r.pool.Stats().Used; used > 3<<20 {
		t.Errorf("%d bytes are taken by an empty queue", used)
	}
	// Others have taken all: what there is room for is kept.
	free := r.pool.Stats().Limit - r.pool.Stats().Used
	if err := r.pool.Reserve(free); err != nil {
		t.Fatal(err)
	}
	r.Observe(bucket, big)
	if got, missed, _ := drain(t, s); len(got)+int(missed) != 2000 || len(got) < 1000 {
		t.Errorf("%d points, missed %d", len(got), missed)
	}
	r.pool.Release(free)
}

// Slow readers together take no more than they may, and still get what there
// is room for.
func TestMemoryOfAll(t *testing.T) {
	r := newRig(t, func(c *live.Config) { c.MemoryBytes = 1 << 20 })
	var all []*live.Subscription
	for range 4 {
		all = append(all, r.subscribe(t, nil))
	}
	r.Observe(bucket, parse(t, strings.Repeat(`m,host=a s="`+strings.Repeat("x", 1000)+"\" 1\n", 1000)))
	if used := r.pool.Stats().Used; used > 1<<20 || used < 1<<19 {
		t.Errorf("%d bytes are taken", used)
	}
	// A fifth is left for those that come.
	late := r.subscribe(t, func(p *plan.Plan) { p.Measurements = []string{"late"} })
	r.Observe(bucket, parse(t, strings.Repeat(`late s="`+strings.Repeat("x", 1000)+"\" 1\n", 80)))
	if got, missed, err := drain(t, late); len(got) < 70 || err != nil {
		t.Errorf("who comes late gets %d points, missed %d, %v", len(got), missed, err)
	}
	for _, s := range all {
		if got, missed, err := drain(t, s); len(got)+int(missed) != 1080 || len(got) < 100 || err != nil {
			t.Errorf("%d points, missed %d, %v", len(got), missed, err)
		}
	}
}

func TestLimitsAndStop(t *testing.T) {
	r := newRig(t, func(c *live.Config) { c.MaxSubscribers = 2 })
	p := plan.New(bucket, 0, 1)
	if _, err := r.Subscribe(p); err == nil {
		t.Error("a plan that is not about rows was taken")
	}
	p.Rows = &plan.Rows{}
	p.Tags = predicate.Match("host", "(")
	if _, err := r.Subscribe(p); err == nil {
		t.Error("a pattern that does not compile was taken")
	}
	p.Tags = nil
	first, err := r.Subscribe(p)
	if err != nil {
		t.Fatal(err)
	}
	second := r.subscribe(t, nil)
	if _, err := r.Subscribe(p); !errors.Is(err, live.ErrFull) || !strings.Contains(err.Error(), "at most 2") {
		t.Errorf("the third gets %v", err)
	}
	first.Close()
	if !r.Wants(bucket) || r.Wants(8) {
		t.Error("the second is forgotten, or another bucket is listened to")
	}
	r.Observe(bucket, parse(t, `m x=1 1`))
	<-second.Ready()
	told := 0
	second.WhenEnded(func() { told++ })
	r.Stop()
	r.Stop()
	second.WhenEnded(func() { told += 10 })
	if told != 11 {
		t.Errorf("the end was told %d times before and %d times after it", told%10, told/10)
	}
	if got, _, err := drain(t, second); len(got) != 1 || !errors.Is(err, live.ErrStopped) {
		t.Errorf("at the stop it gets %v, %v", got, err)
	}
	r.Observe(bucket, parse(t, `m x=1 1`))
	if got, _, err := drain(t, second); len(got) != 0 || !errors.Is(err, live.ErrStopped) {
		t.Errorf("after the stop it gets %v, %v", got, err)
	}
	if _, err := r.Subscribe(p); !errors.Is(err, live.ErrStopped) {
		t.Errorf("after the stop: %v", err)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []live.Config{{-1, 1 << 20, 1 << 20}, {1, 1, 1 << 20}, {1, 1 << 20, 1}} {
		if _, err := live.New(c, nil, prometheus.NewRegistry()); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

// TestComingAndGoing has writers and subscribers side by side. Who is there
// all the time must get or miss each point.
func TestComingAndGoing(t *testing.T) {
	r := newRig(t, func(c *live.Config) { c.BufferBytes = 128 << 10 })
	const writers, batches, rows = 4, 200, 50
	steady := []*live.Subscription{r.subscribe(t, nil), r.subscribe(t, func(p *plan.Plan) { p.Tags = predicate.Match("host", "h[0-4]$") })}
	var writing, reading sync.WaitGroup
	done := make(chan struct{})
	for w := range writers {
		b := make([]*column.Batch, batches)
		for i := range b {
			var lines []string
			for k := range rows {
				lines = append(lines, fmt.Sprintf(`m,host=h%d x=%d %d`, k%10, i, w))
			}
			b[i] = parse(t, lines...)
		}
		writing.Go(func() {
			for i := range b {
				if r.Wants(bucket) {
					r.Observe(bucket, b[i])
				}
			}
		})
	}
	sums := make([]int, len(steady))
	for i, s := range steady {
		reading.Go(func() {
			for {
				got, missed, _ := drain(t, s)
				sums[i] += len(got) + int(missed)
				select {
				case <-s.Ready():
				case <-done:
					got, missed, _ := drain(t, s)
					sums[i] += len(got) + int(missed)
					return
				}
			}
		})
	}
	for i := range 4 {
		reading.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				p := plan.New(bucket, 0, 1)
				p.Rows, p.Tags = &plan.Rows{}, predicate.Eq("host", fmt.Sprintf("h%d", i%2))
				s, err := r.Subscribe(p)
				if err != nil {
					t.Error(err)
					return
				}
				s.Take()
				s.Close()
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	if want := []int{writers * batches * rows, writers * batches * rows / 2}; !slices.Equal(sums, want) {
		t.Errorf("points that came or were missed are %v, want %v", sums, want)
	}
}

// TestRandom compares what comes with a look at each row on its own.
func TestRandom(t *testing.T) {
	n := *seed
	if n == 0 {
		n = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", n)
	rng := rand.New(rand.NewPCG(n, 0))
	any := 0
	for range 300 {
		r := newRig(t, nil)
		hosts := []string{"a", "b", "c"}
		host, least := hosts[rng.IntN(3)], rng.IntN(4)
		kind, measured, field := rng.IntN(5), rng.IntN(3), rng.IntN(3)
		s := r.subscribe(t, func(p *plan.Plan) {
			switch kind {
			case 0:
				p.Tags = predicate.Eq("host", host)
			case 1:
				p.Tags = predicate.Negate(predicate.Match("host", "^"+host+"$"))
			case 2:
				p.Where = plan.Compare("x", plan.Ge, plan.Int(int64(least)))
			case 3:
				p.Tags, p.Where = predicate.OneOf("host", host, ""), plan.Negate(plan.Compare("x", plan.Ge, plan.Int(int64(least))))
			case 4:
				p.Tags = predicate.All(predicate.Match("host", "."), predicate.OneOf("host", host, "b"))
			}
			if measured > 0 {
				p.Measurements = []string{"m"}
			}
			if field > 0 {
				p.Rows.Fields = []string{"y"}
			}
		})
		var want []string
		for i := range 3 {
			var lines []string
			for k := range rng.IntN(200) {
				m, tag, x, y := []string{"m", "n"}[rng.IntN(2)], append(hosts, "")[rng.IntN(4)], rng.IntN(5)-1, rng.IntN(3)
				line, fields := m, []string{}
				tags := ""
				if tag != "" {
					line, tags = line+",host="+tag, "host="+tag
				}
				if x >= 0 {
					fields = append(fields, fmt.Sprintf("x=%d", x))
				}
				if y > 0 || x < 0 {
					fields = append(fields, fmt.Sprintf("y=%d", y))
				}
				lines = append(lines, fmt.Sprintf("%s %s %d", line, strings.Join(fields, ","), i*1000+k))
				var ok bool
				switch kind {
				case 0:
					ok = tag == host
				case 1:
					ok = tag != host
				case 2:
					ok = x >= least
				case 3:
					ok = (tag == host || tag == "") && x >= 0 && x < least
				case 4:
					ok = tag == host || tag == "b"
				}
				if field > 0 {
					fields = slices.DeleteFunc(fields, func(f string) bool { return f[0] != 'y' })
				}
				if ok && (measured == 0 || m == "m") && len(fields) > 0 {
					want = append(want, fmt.Sprintf("%s [%s] [%s] @%d", m, tags, strings.Join(fields, " "), i*1000+k))
				}
			}
			if len(lines) > 0 {
				r.Observe(bucket, parse(t, lines...))
			}
		}
		got, missed, err := drain(t, s)
		// Within a batch, measurement comes after measurement.
		got = short(t, got)
		slices.Sort(got)
		slices.Sort(want)
		if d := cmp.Diff(want, got); d != "" || missed > 0 || err != nil {
			t.Fatalf("kind %d, host %s, least %d, measurement %d, field %d: missed %d, %v\n%s", kind, host, least, measured, field, missed, err, d)
		}
		any += len(got)
	}
	if any == 0 {
		t.Error("no point ever came")
	}
}

// BenchmarkObserve is what a writer pays for a batch of 1,000 points of 1,000
// series: with nobody, with subscribers that take everything as fast as they
// can or not at all, and with a hundred that each want another series.
func BenchmarkObserve(b *testing.B) {
	var lines []string
	for i := range 1000 {
		lines = append(lines, fmt.Sprintf(`sensor_data,device=d%03d,location=seoul,sensor_type=temperature value=21.5,quality=97.25 %d`, i, i))
	}
	batch := parse(b, lines...)
	for _, bc := range []struct {
		name  string
		quick int
		slow  int
		own   bool
	}{{"subscribers=0", 0, 0, false}, {"subscribers=1", 1, 0, false}, {"subscribers=1/slow", 0, 1, false},
		{"subscribers=100", 100, 0, false}, {"subscribers=100/one-slow", 99, 1, false}, {"subscribers=100/own-series", 100, 0, true}} {
		b.Run(bc.name, func(b *testing.B) {
			r := newRig(b, nil)
			var readers sync.WaitGroup
			done := make(chan struct{})
			defer readers.Wait()
			defer close(done)
			for i := range bc.quick + bc.slow {
				s := r.subscribe(b, func(p *plan.Plan) {
					if bc.own {
						p.Tags = predicate.Eq("device", fmt.Sprintf("d%03d", i))
					}
				})
				if i >= bc.quick {
					continue
				}
				readers.Go(func() {
					for {
						select {
						case <-s.Ready():
						case <-done:
							return
						}
						for {
							if p, err := s.Take(); err != nil || p.Points == 0 {
								break
							}
						}
					}
				})
			}
			b.ReportAllocs()
			for b.Loop() {
				if r.Wants(bucket) {
					r.Observe(bucket, batch)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/point")
		})
	}
}
