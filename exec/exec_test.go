package exec

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/run/runtest"
	"github.com/varvedb/varve/scan"
	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/tombstone"
)

// snapshot is one shard of a test: runs in the order of precedence.
type snapshot struct {
	inputs map[string][]shard.Input
}

func (s *snapshot) Runs(_ uint64, measurement string, lo, hi int64) ([]shard.Input, error) {
	var out []shard.Input
	for _, in := range s.inputs[measurement] {
		if m := in.Run.Meta(); m.MinTime <= hi && m.MaxTime >= lo {
			out = append(out, in)
		}
	}
	return out, nil
}

func (s *snapshot) Measurements(uint64, int64, int64) ([]string, error) {
	return sortedKeys(s.inputs), nil
}

// begin is where the times of tests lie: the weekend on which clocks in Berlin
// go back.
var begin = time.Date(2024, 10, 26, 0, 0, 0, 0, time.UTC).UnixNano()

const day = int64(24 * time.Hour)

var (
	seriesKeys = []string{"", "host=a", "host=a,region=x", "host=b,region=x", "host=b,region=y", "host=c", `host=d\,e,region=y`}
	fieldNames = []string{"b", "f", "i", "s", "u"}
)

func drawValue(t *rapid.T, field string) any {
	switch field {
	case "f":
		switch rapid.IntRange(0, 30).Draw(t, "special") {
		case 0:
			return math.NaN()
		case 1:
			return math.Copysign(0, -1)
		}
		return float64(rapid.IntRange(-4, 12).Draw(t, "f")) / 2
	case "i":
		if rapid.IntRange(0, 40).Draw(t, "special") == 0 {
			return rapid.SampledFrom([]int64{math.MaxInt64, math.MinInt64, math.MaxInt64 - 1}).Draw(t, "big")
		}
		return rapid.Int64Range(-5, 9).Draw(t, "i")
	case "u":
		if rapid.IntRange(0, 40).Draw(t, "special") == 0 {
			return uint64(math.MaxUint64)
		}
		return rapid.Uint64Range(0, 9).Draw(t, "u")
	case "s":
		return rapid.SampledFrom([]string{"", "ok", "okay", "bad"}).Draw(t, "s")
	}
	return rapid.Bool().Draw(t, "b")
}

func drawTime(t *rapid.T) int64 {
	// Some regular, so that times repeat and windows are full; some not.
	switch rapid.IntRange(0, 3).Draw(t, "grid") {
	case 0:
		return begin + rapid.Int64Range(0, 3*day-1).Draw(t, "time")
	case 1:
		return begin + rapid.Int64Range(0, 71).Draw(t, "hour")*int64(time.Hour)
	}
	return begin + rapid.Int64Range(0, 40).Draw(t, "minute")*int64(10*time.Minute)
}

func drawTags(t *rapid.T, depth int) *predicate.Expr {
	switch n := rapid.IntRange(0, 7).Draw(t, "tags"); {
	case n < 2:
		return predicate.Eq(rapid.SampledFrom([]string{"host", "region"}).Draw(t, "key"), rapid.SampledFrom([]string{"", "a", "b", "x"}).Draw(t, "value"))
	case n == 2:
		return predicate.Match("host", rapid.SampledFrom([]string{"^[ab]$", "", ",", "z"}).Draw(t, "pattern"))
	case n == 3 && depth > 0:
		return predicate.Negate(drawTags(t, depth-1))
	case n == 4 && depth > 0:
		return predicate.All(drawTags(t, depth-1), drawTags(t, depth-1))
	case n == 5 && depth > 0:
		return predicate.Any(drawTags(t, depth-1), drawTags(t, depth-1))
	}
	return predicate.Negate(predicate.Eq("host", "nowhere"))
}

// build draws data: what was written and deleted, and the snapshots of two
// shards that hold it.
func build(t *rapid.T) (*store, []scan.Snapshot) {
	s := &store{measurements: map[string][]event{}}
	shards := []*snapshot{{inputs: map[string][]shard.Input{}}, {inputs: map[string][]shard.Input{}}}
	for _, m := range []string{"m", "n"}[:rapid.IntRange(1, 2).Draw(t, "measurements")] {
		type piece struct {
			points []runtest.Point
			seq    uint64
			wide   bool // not cut by partitions: a memtable
		}
		var pieces []piece
		var deletes []*tombstone.Tombstone
		n := rapid.IntRange(1, 7).Draw(t, "events")
		memtables := rapid.IntRange(0, n).Draw(t, "memtables")
		for i := range n {
			seq := uint64(i + 1)
			if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
				d := &tombstone.Tombstone{Seq: seq, Min: drawTime(t), Where: nil}
				d.Max = d.Min + rapid.Int64Range(0, day).Draw(t, "width")
				if rapid.Bool().Draw(t, "where") {
					d.Where = drawTags(t, 1)
				}
				if rapid.Bool().Draw(t, "fields") {
					d.Fields = rapid.SliceOfNDistinct(rapid.SampledFrom(fieldNames), 1, 2, rapid.ID).Draw(t, "deleted")
				}
				deletes = append(deletes, d)
				s.measurements[m] = append(s.measurements[m], event{delete: d})
				continue
			}
			p := piece{seq: seq, wide: i >= n-memtables}
			for range rapid.IntRange(1, 40).Draw(t, "points") {
				pt := runtest.Point{Series: rapid.SampledFrom(seriesKeys).Draw(t, "series"), Time: drawTime(t), Fields: map[string]any{}}
				for _, f := range rapid.SliceOfNDistinct(rapid.SampledFrom(fieldNames), 1, 4, rapid.ID).Draw(t, "written") {
					pt.Fields[f] = drawValue(t, f)
				}
				p.points = append(p.points, pt)
				s.measurements[m] = append(s.measurements[m], event{point: &pt})
			}
			pieces = append(pieces, p)
		}
		add := func(p piece, lo, hi int64) {
			for k, sh := range shards {
				var mine []runtest.Point
				for _, pt := range p.points {
					h := fnv.New32()
					_, _ = h.Write([]byte(pt.Series))
					if int(h.Sum32()%2) == k && pt.Time >= lo && pt.Time <= hi {
						mine = append(mine, pt)
					}
				}
				if len(mine) == 0 {
					continue
				}
				o := runtest.Options{MinSeq: p.seq, MaxSeq: p.seq, Batch: rapid.SampledFrom([]int{1, 3, 100}).Draw(t, "batch")}
				switch rapid.IntRange(0, 2).Draw(t, "kind") {
				case 0:
					o.Span = rapid.SampledFrom([]int{1, 2, 4}).Draw(t, "span")
				case 1:
					o.Filter = true
				}
				if p.wide {
					o.Shuffle = 1
				}
				r := runtest.New(mine, o)
				hidden, err := tombstone.Select(deletes, 0, m, r.Meta().MinTime, r.Meta().MaxTime, p.seq)
				if err != nil {
					t.Fatal(err)
				}
				sh.inputs[m] = append(sh.inputs[m], shard.Input{Run: r, Hidden: hidden, PartMin: max(lo, math.MinInt64), PartMax: hi})
			}
		}
		for d := range int64(3) {
			for _, p := range pieces {
				if !p.wide {
					add(p, begin+d*day, begin+(d+1)*day-1)
				}
			}
		}
		for _, p := range pieces {
			if p.wide {
				add(p, math.MinInt64, math.MaxInt64)
			}
		}
		if s.measurements[m] == nil {
			s.measurements[m] = []event{}
		}
	}
	return s, []scan.Snapshot{shards[0], shards[1]}
}

func drawPage(t *rapid.T, name string) plan.Page {
	if rapid.IntRange(0, 3).Draw(t, name) > 0 {
		return plan.Page{}
	}
	return plan.Page{Offset: rapid.Int64Range(0, 3).Draw(t, "offset"), Limit: rapid.Int64Range(0, 5).Draw(t, "limit")}
}

func drawCondition(t *rapid.T, depth int) *plan.Condition {
	switch n := rapid.IntRange(0, 9).Draw(t, "condition"); {
	case n == 0 && depth > 0:
		return plan.Negate(drawCondition(t, depth-1))
	case n <= 2 && depth > 0:
		return plan.All(drawCondition(t, depth-1), drawCondition(t, depth-1))
	case n == 3 && depth > 0:
		return plan.Any(drawCondition(t, depth-1), drawCondition(t, depth-1))
	case n == 4:
		return plan.Has(rapid.SampledFrom(append(fieldNames, "none")).Draw(t, "field"))
	case n == 5:
		return plan.Like("s", rapid.SampledFrom([]string{"^ok", "a", "^$"}).Draw(t, "pattern"))
	}
	ops := []plan.Op{plan.Eq, plan.Ne, plan.Lt, plan.Le, plan.Gt, plan.Ge}
	op := rapid.SampledFrom(ops).Draw(t, "op")
	switch f := rapid.SampledFrom([]string{"f", "i", "u", "s", "b", "none"}).Draw(t, "field"); f {
	case "s":
		return plan.Compare(f, op, plan.Text(rapid.SampledFrom([]string{"", "ok", "c"}).Draw(t, "text")))
	case "b":
		return plan.Compare(f, rapid.SampledFrom(ops[:2]).Draw(t, "op"), plan.Bool(rapid.Bool().Draw(t, "bool")))
	default:
		return plan.Compare(f, op, rapid.SampledFrom([]plan.Value{
			plan.Int(0), plan.Int(3), plan.Int(-2), plan.Int(math.MaxInt64), plan.Int(math.MinInt64), plan.Uint(4), plan.Uint(math.MaxUint64),
			plan.Float(2.5), plan.Float(0), plan.Float(math.Copysign(0, -1)), plan.Float(-1e300), plan.Float(1e19), plan.Float(9223372036854775807), plan.Float(math.Inf(1)), plan.Float(math.NaN()), plan.Float(3),
		}).Draw(t, "constant"))
	}
}

func drawWindow(t *rapid.T) *plan.Window {
	w := &plan.Window{
		Zone:        rapid.SampledFrom([]string{"", "", "Europe/Berlin", "America/New_York"}).Draw(t, "zone"),
		StartOpen:   rapid.Bool().Draw(t, "open"),
		CreateEmpty: rapid.Bool().Draw(t, "empty"),
	}
	w.StopClosed = w.StartOpen
	if rapid.IntRange(0, 4).Draw(t, "calendar") == 0 {
		w.Every = plan.Months(rapid.Int64Range(1, 3).Draw(t, "months"))
	} else {
		w.Every.Nanos = rapid.SampledFrom([]int64{30, 60, 90, 360, 1440, 2000}).Draw(t, "minutes") * int64(time.Minute)
		if rapid.Bool().Draw(t, "own period") {
			w.Period.Nanos = rapid.SampledFrom([]int64{10, 100, 1440}).Draw(t, "period") * int64(time.Minute)
		}
	}
	w.Offset.Nanos = rapid.SampledFrom([]int64{0, 0, 7, -90, 100000}).Draw(t, "offset") * int64(time.Minute)
	return w
}

func drawCalls(t *rapid.T) []plan.Call {
	if rapid.IntRange(0, 4).Draw(t, "last") == 0 {
		f := rapid.SampledFrom([]plan.Func{plan.Last, plan.First}).Draw(t, "edge")
		return []plan.Call{{Func: f, Field: rapid.SampledFrom(append(fieldNames, "")).Draw(t, "field")}}
	}
	var calls []plan.Call
	for range rapid.IntRange(1, 4).Draw(t, "calls") {
		c := plan.Call{Func: rapid.SampledFrom([]plan.Func{plan.Count, plan.Sum, plan.Mean, plan.Min, plan.Max, plan.First,
			plan.Last, plan.Spread, plan.Stddev, plan.Increase, plan.Quantile}).Draw(t, "func")}
		switch {
		case c.Func == plan.Stddev:
			c.Method = rapid.SampledFrom([]plan.Method{"", plan.Sample, plan.Population}).Draw(t, "method")
		case c.Func == plan.Quantile:
			c.Method = rapid.SampledFrom([]plan.Method{"", plan.ExactMean, plan.ExactSelector}).Draw(t, "method")
			c.Quantile = rapid.SampledFrom([]float64{0, 0.1, 0.5, 0.99, 1}).Draw(t, "q")
		}
		if rapid.Bool().Draw(t, "one field") {
			c.Field = rapid.SampledFrom([]string{"f", "i", "u", "none"}).Draw(t, "field")
		}
		calls = append(calls, c)
	}
	return calls
}

func drawPlan(t *rapid.T) *plan.Plan {
	p := plan.New(0, begin-day, begin+4*day)
	all := rapid.Bool().Draw(t, "whole range")
	if !all {
		p.Start = drawTime(t)
		p.Stop = p.Start + rapid.Int64Range(1, 3*day).Draw(t, "range")
	}
	if rapid.Bool().Draw(t, "named") {
		p.Measurements = []string{"m"}
	}
	if rapid.Bool().Draw(t, "tagged") {
		p.Tags = drawTags(t, 2)
	}
	if rapid.IntRange(0, 2).Draw(t, "conditioned") == 0 {
		p.Where = drawCondition(t, 2)
	}
	p.Desc = rapid.Bool().Draw(t, "desc")
	p.Each, p.Groups, p.Total = drawPage(t, "each"), drawPage(t, "groups"), drawPage(t, "total")
	switch n := rapid.IntRange(0, 9).Draw(t, "what"); {
	case n < 3:
		p.Rows = &plan.Rows{Merged: rapid.Bool().Draw(t, "merged")}
		if rapid.Bool().Draw(t, "chosen") {
			p.Rows.Fields = rapid.SliceOfNDistinct(rapid.SampledFrom(append(fieldNames, "none")), 1, 3, rapid.ID).Draw(t, "fields")
		}
	case n < 9:
		p.Aggregate = &plan.Aggregate{Calls: drawCalls(t)}
		if rapid.Bool().Draw(t, "windows") {
			p.Aggregate.Window = drawWindow(t)
		}
		p.Aggregate.Group = rapid.SampledFrom([]plan.Group{plan.BySeries(), plan.ByTags(), plan.ByTags("host"), plan.ByTags("region", "host")}).Draw(t, "group")
	default:
		// Indexes know partitions, not rows.
		p.Start, p.Stop = begin-day, begin+4*day
		p.List = &plan.List{What: rapid.SampledFrom([]plan.ListKind{plan.Measurements, plan.TagKeys, plan.TagValues, plan.Fields}).Draw(t, "list")}
		if p.List.What == plan.TagValues {
			p.List.Tag = rapid.SampledFrom([]string{"host", "region", "none"}).Draw(t, "tag")
			p.List.From = rapid.SampledFrom([]string{"", "", "a", "h", "h1", "h3\x00", "z"}).Draw(t, "from")
		}
	}
	return p
}

// collect reads a result in the form of the reference.
func collect(r *Result, p *plan.Plan) ([]answer, error) {
	var out []answer
	for {
		b, err := r.Next()
		if b == nil || err != nil {
			return out, err
		}
		for _, g := range b.Groups {
			key := b.Measurement
			if p.List == nil {
				key += "/" + string(g.Key)
			}
			if len(out) == 0 || out[len(out)-1].key != key {
				out = append(out, answer{key: key})
			}
			for i := g.From; i < g.To; i++ {
				out[len(out)-1].rows = append(out[len(out)-1].rows, rowText(b, p, i))
			}
		}
	}
}

func rowText(b *scan.Batch, p *plan.Plan, i int) string {
	if p.List != nil {
		return string(b.Columns[0].Str(i))
	}
	text := ""
	if p.Rows != nil {
		text = fmt.Sprint(b.Time[i])
	} else {
		text = fmt.Sprintf("[%d,%d)", b.Start[i], b.Stop[i])
	}
	for _, c := range b.Columns {
		var v any
		if c.Valid.Get(i) {
			switch c.Type {
			case column.Float64:
				v = c.Floats()[i]
			case column.Int64:
				v = c.Ints()[i]
			case column.Uint64:
				v = c.Words[i]
			case column.String:
				v = string(c.Str(i))
			case column.Bool:
				v = c.Words[i] != 0
			}
		}
		// Whether a field without any value in range has a column depends on
		// which runs were read.
		if v == nil || c.Func == plan.Count && c.Words[i] == 0 {
			continue
		}
		if p.Rows != nil {
			text += " " + c.Field + "=" + show(v)
			continue
		}
		text += " " + string(c.Func) + "(" + c.Field + ")=" + show(v)
		if c.Func.Selector() {
			text += fmt.Sprintf("@%d", c.At[i])
			if !p.Aggregate.Group.Series {
				text += "/" + string(c.Series[i])
			}
		}
		if c.Overflow != nil && c.Overflow[i] {
			text += " overflow"
		}
	}
	return text
}

// memory counts reservations.
type memory struct {
	used, limit int64
	ch          chan struct{} // guards used
}

func newMemory(limit int64) *memory { return &memory{limit: limit, ch: make(chan struct{}, 1)} }

func (m *memory) Reserve(n int64) error {
	m.ch <- struct{}{}
	defer func() { <-m.ch }()
	if m.used+n > m.limit {
		return fmt.Errorf("query is over its limit of %d bytes", m.limit)
	}
	m.used += n
	return nil
}

func (m *memory) Release(n int64) {
	m.ch <- struct{}{}
	defer func() { <-m.ch }()
	if m.used -= n; m.used < 0 {
		panic("BUG: more was released than reserved")
	}
}

// Whatever the data and the plan, the result is that of the reference.
func TestRunEqualsReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, snaps := build(t)
		for range 4 {
			p := drawPlan(t)
			if err := p.Validate(); err != nil {
				t.Fatalf("drew a plan that is not valid: %v", err)
			}
			mem := newMemory(math.MaxInt64)
			r, err := Run(context.Background(), p, snaps, scan.Config{Memory: mem, Parallel: rapid.IntRange(1, 3).Draw(t, "parallel")})
			if err != nil {
				t.Fatal(err)
			}
			got, err := collect(r, p)
			if err != nil {
				t.Fatalf("%v\n%s", err, p)
			}
			want := s.evaluate(p)
			if d := cmp.Diff(want, got, cmp.AllowUnexported(answer{})); d != "" {
				t.Fatalf("result differs (-want +got):\n%s\n%s", d, r.Explain())
			}
			if err := r.Restart(); err != nil {
				t.Fatal(err)
			}
			again, err := collect(r, p)
			if err != nil || !cmp.Equal(got, again, cmp.AllowUnexported(answer{})) {
				t.Fatalf("the second reading differs: %v", err)
			}
			r.Close()
			if mem.used != 0 {
				t.Fatalf("%d bytes are still reserved after Close of\n%s", mem.used, p)
			}
		}
	})
}

// Each shard on its own, sent as bytes and merged, gives what all of them give
// together.
func TestPartialsMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, snaps := build(t)
		p := drawPlan(t)
		for p.Aggregate == nil {
			p = drawPlan(t)
		}
		var parts []*scan.Partial
		for _, snap := range snaps {
			part, _, err := scan.Aggregate(context.Background(), p, []scan.Snapshot{snap}, scan.Config{})
			if err != nil {
				t.Fatal(err)
			}
			if part, err = scan.DecodePartial(p, part.Encode()); err != nil {
				t.Fatal(err)
			}
			parts = append(parts, part)
		}
		r, err := Merge(context.Background(), p, parts, scan.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		got, err := collect(r, p)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(s.evaluate(p), got, cmp.AllowUnexported(answer{})); d != "" {
			t.Fatalf("result differs (-want +got):\n%s\n%s", d, p)
		}
	})
}

func sample(series, rows int) []scan.Snapshot {
	var points []runtest.Point
	for s := range series {
		for i := range rows {
			points = append(points, runtest.Point{Series: fmt.Sprintf("host=h%03d", s), Time: begin + int64(i)*int64(time.Second), Fields: map[string]any{"f": float64(i)}})
		}
	}
	r := runtest.New(points, runtest.Options{MinSeq: 1, MaxSeq: 1})
	return []scan.Snapshot{&snapshot{inputs: map[string][]shard.Input{"m": {{Run: r, PartMin: r.Meta().MinTime, PartMax: r.Meta().MaxTime}}}}}
}

func TestMemoryLimitEndsQuery(t *testing.T) {
	p := plan.New(0, begin, begin+day)
	p.Rows = &plan.Rows{Merged: true}
	mem := newMemory(64 << 10)
	r, err := Run(context.Background(), p, sample(10, 2000), scan.Config{Memory: mem})
	if err != nil {
		t.Fatal(err)
	}
	_, err = collect(r, p)
	if want := "over its limit of 65536 bytes"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want one with %q", err, want)
	}
	r.Close()
	if mem.used != 0 {
		t.Errorf("%d bytes are still reserved", mem.used)
	}
}

func TestCancelStopsWork(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	p := plan.New(0, begin, begin+day)
	p.Rows = &plan.Rows{}
	r, err := Run(ctx, p, sample(50, 4000), scan.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := r.Next(); b == nil || err != nil {
		t.Fatalf("first batch: %v, %v", b, err)
	}
	cancel()
	start := time.Now()
	for {
		b, err := r.Next()
		if err != nil {
			break
		}
		if b == nil {
			t.Fatal("the result ended as if it were complete")
		}
	}
	if d := time.Since(start); d > 100*time.Millisecond {
		t.Errorf("stopped %s after the cancellation", d)
	}
}

func TestCloseInTheMiddle(t *testing.T) {
	p := plan.New(0, begin, begin+day)
	p.Rows = &plan.Rows{}
	mem := newMemory(math.MaxInt64)
	r, err := Run(context.Background(), p, sample(50, 4000), scan.Config{Memory: mem})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if mem.used != 0 {
		t.Errorf("%d bytes are still reserved after Close", mem.used)
	}
}
