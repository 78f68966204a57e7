package storage_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/storage"
	"github.com/varvedb/varve/lang/flux/storage/storagetest"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/run/runtest"
)

// points returns rows of measurements cpu and mem with fields of several types,
// of which rows have some.
func points(rng *rand.Rand, rows int) storagetest.Points {
	out := storagetest.Points{}
	for range rows {
		m := []string{"cpu", "mem"}[rng.IntN(2)]
		series := []string{"", "host=a", "host=b,zone=x", "host=b", "zone=y"}[rng.IntN(5)]
		fields := map[string]any{"u": float64(rng.IntN(16))}
		if m == "mem" {
			fields = map[string]any{"free": int64(rng.IntN(16))}
		}
		if rng.IntN(2) == 0 {
			fields["v"] = float64(rng.IntN(8))
		}
		if rng.IntN(3) == 0 {
			fields["s"] = string(rune('a' + rng.IntN(3)))
		}
		out[m] = append(out[m], runtest.Point{Series: series, Time: int64(rng.IntN(4 * rows)), Fields: fields})
	}
	return out
}

// text renders the tables of a node: a line for the key and one for each row.
func text(t *testing.T, run *flow.Run, op flow.Op, in ...*flow.Node) string {
	t.Helper()
	var b strings.Builder
	last := ""
	err := run.Each(&flow.Node{Op: op, In: in}, func(p *table.Table) error {
		if id := p.Key.ID(); id != last {
			fmt.Fprintln(&b, p.Key)
			last = id
		}
		for i := range p.Rows {
			for c := range p.Cols {
				if !p.Key.Has(p.Cols[c].Label) {
					fmt.Fprintf(&b, " %s=%s", p.Cols[c].Label, p.Cols[c].Value(i).Text())
				}
			}
			fmt.Fprintln(&b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// narrow is a row as a table of Flux has it, from points.
type narrow struct {
	measurement, series, field string
	at                         int64
	v                          any
}

// narrowRows returns all rows in the order of tables.
func narrowRows(all storagetest.Points) []narrow {
	cells := map[narrow]any{}
	for m, some := range all {
		for _, p := range some {
			for f, v := range p.Fields {
				cells[narrow{measurement: m, series: p.Series, field: f, at: p.Time}] = v
			}
		}
	}
	var out []narrow
	for n, v := range cells {
		n.v = v
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b narrow) int {
		for _, c := range []int{strings.Compare(a.measurement, b.measurement), strings.Compare(a.series, b.series), strings.Compare(a.field, b.field)} {
			if c != 0 {
				return c
			}
		}
		return int(a.at - b.at)
	})
	return out
}

func (n *narrow) key(start, stop int64) *table.Key {
	labels := []string{"_start", "_stop", "_measurement", "_field"}
	values := []value.Value{value.OfTime(start), value.OfTime(stop), value.OfString(n.measurement), value.OfString(n.field)}
	for tag := range strings.SplitSeq(n.series, ",") {
		if k, v, ok := strings.Cut(tag, "="); ok {
			labels, values = append(labels, k), append(values, value.OfString(v))
		}
	}
	return table.NewKey(labels, values)
}

func valueOf(v any) value.Value {
	switch v := v.(type) {
	case float64:
		return value.OfFloat(v)
	case int64:
		return value.OfInt(v)
	}
	return value.OfString(v.(string))
}

// Rows of tables are those of the points, table by table, whatever batches they
// come in and whatever the filter makes of the plan.
func TestRows(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	is := func(n *narrow, tag string) string {
		v, _ := n.key(0, 1).Get(tag)
		return v.Str()
	}
	for name, c := range map[string]struct {
		filter *storage.Condition
		keep   func(n *narrow) bool
	}{
		"all":              {nil, func(*narrow) bool { return true }},
		"a measurement":    {storage.OneOf("_measurement", "cpu"), func(n *narrow) bool { return n.measurement == "cpu" }},
		"fields by name":   {storage.OneOf("_field", "u", "s"), func(n *narrow) bool { return n.field == "u" || n.field == "s" }},
		"fields not":       {storage.Not(storage.OneOf("_field", "u")), func(n *narrow) bool { return n.field != "u" }},
		"a tag":            {storage.OneOf("host", "b"), func(n *narrow) bool { return is(n, "host") == "b" }},
		"a tag not":        {storage.Not(storage.OneOf("host", "b")), func(n *narrow) bool { return is(n, "host") != "b" && is(n, "host") != "" }},
		"a measurement =~": {storage.Like("_measurement", "e"), func(n *narrow) bool { return n.measurement == "mem" }},
		"values": {storage.Compared("_value", value.Greater, value.OfFloat(4)), func(n *narrow) bool {
			v := valueOf(n.v)
			return v.Kind() == value.Float && v.Float() > 4 || v.Kind() == value.Int && v.Int() > 4
		}},
		"tags or values": {storage.Any(storage.OneOf("host", "a"), storage.OneOf("_value", "b")), func(n *narrow) bool {
			return is(n, "host") == "a" || n.v == any("b")
		}},
		"pairs": {storage.Any(
			storage.All(storage.OneOf("host", "a"), storage.OneOf("_field", "u")),
			storage.All(storage.OneOf("zone", "y"), storage.OneOf("_measurement", "mem"))), func(n *narrow) bool {
			return is(n, "host") == "a" && n.field == "u" || is(n, "zone") == "y" && n.measurement == "mem"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, rows := range []int{0, 50, 400} {
				all := points(rng, rows)
				h := storagetest.New(t, all, 3)
				start, stop := int64(rows/2), int64(3*rows+1)
				var want strings.Builder
				last := ""
				for _, n := range narrowRows(all) {
					if n.at < start || n.at >= stop || !c.keep(&n) {
						continue
					}
					k := n.key(start, stop)
					if k.ID() != last {
						fmt.Fprintln(&want, k)
						last = k.ID()
					}
					fmt.Fprintf(&want, " _time=%s _value=%s\n", value.OfTime(n.at).Text(), valueOf(n.v).Text())
				}
				p := storage.Read(storage.Bucket{ID: 1, Name: "b"}, start, stop)
				p.Filter = c.filter
				if got := text(t, h.NewRun(t.Context(), time.Unix(0, 0)), p); got != want.String() {
					t.Fatalf("%s\ngave\n%s\nwant\n%s", p.Details(), got, want.String())
				}
			}
		})
	}
}

// A series that is longer than a batch is a table of each field all the same.
func TestLongSeries(t *testing.T) {
	all := storagetest.Points{}
	for i := range 10_000 {
		all["m"] = append(all["m"], runtest.Point{Series: "host=a", Time: int64(i), Fields: map[string]any{"x": float64(i), "y": int64(i)}},
			runtest.Point{Series: "host=b", Time: int64(i), Fields: map[string]any{"x": float64(i)}})
	}
	h := storagetest.New(t, all, 1)
	run := h.NewRun(t.Context(), time.Unix(0, 0))
	for _, c := range []struct {
		rows storage.Rows
		want string
	}{
		{storage.Rows{}, "a x 10000,a y 10000,b x 10000"},
		{storage.Rows{Page: plan.Page{Limit: 7000, Offset: 5}}, "a x 7000,a y 7000,b x 7000"},
		{storage.Rows{Wide: true}, "a  10000,b  10000"},
		{storage.Rows{Desc: true, Page: plan.Page{Limit: 6000}, Upturn: true}, "a x 6000,a y 6000,b x 6000"},
	} {
		p := storage.Read(storage.Bucket{ID: 1}, 0, 20_000)
		p.Rows = c.rows
		var got []string
		in, err := run.Open(&flow.Node{Op: p})
		if err != nil {
			t.Fatal(err)
		}
		for whole := table.NewWhole(in, func(int64) error { return nil }); ; {
			piece, err := whole.Next()
			if err != nil {
				t.Fatal(err)
			}
			if piece == nil {
				break
			}
			host, _ := piece.Key.Get("host")
			field, _ := piece.Key.Get("_field")
			got = append(got, fmt.Sprintf("%s %s %d", host.Str(), field.Str(), piece.Rows))
			times := piece.Col("_time")
			for i := 1; i < piece.Rows; i++ {
				if times.Int(i) != times.Int(i-1)+1 {
					t.Fatalf("%v: row %d has the time %d after %d", c.rows, i, times.Int(i), times.Int(i-1))
				}
			}
		}
		in.Close()
		if s := strings.Join(got, ","); s != c.want {
			t.Errorf("%+v gave %s, want %s", c.rows, s, c.want)
		}
	}
}
