package pushdown_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/lang/flux"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/pushdown"
	"github.com/varvedb/varve/lang/flux/storage/storagetest"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
	"github.com/varvedb/varve/run/runtest"
)

// base is when the points of tests begin: a Wednesday.
var base = time.Date(2024, 1, 31, 22, 0, 0, 0, time.UTC)

// anyPoints returns points of four measurements over some three hours: series with
// and without tags, fields of all types of which rows have some, times that
// several series share, windows without points.
func anyPoints(rng *rand.Rand, rows int) storagetest.Points {
	out := storagetest.Points{}
	for range rows {
		m := []string{"cpu", "cpu", "mem", "net", "log", "mix"}[rng.IntN(6)]
		tagged := 7
		if m == "mix" || m == "log" {
			tagged = 10 // with tags named like fields
		}
		series := []string{"", "host=a", "host=b,zone=x", "host=b", "zone=y", "host=a,zone=x", "host=c,zone=y", "u=a", "host=a,u=b", "free=x,zone=x"}[rng.IntN(tagged)]
		fields := map[string]any{}
		some := func(name string, v any) {
			if len(fields) == 0 || rng.IntN(2) == 0 {
				fields[name] = v
			}
		}
		switch m {
		case "cpu":
			some([]string{"u", "s"}[rng.IntN(2)], float64(rng.IntN(16)))
			some("idle", float64(rng.IntN(8))/4)
		case "mem":
			some([]string{"free", "used"}[rng.IntN(2)], int64(rng.IntN(16)-4))
		case "net":
			some("bytes", uint64(rng.IntN(20)))
			some("up", rng.IntN(2) == 0)
		case "mix":
			some("u", int64(rng.IntN(8)))
			some("free", []string{"a", "b"}[rng.IntN(2)])
			some("host2", rng.IntN(2) == 0)
		case "log":
			some("text", []string{"a", "b", "error", ""}[rng.IntN(4)])
			some("u", float64(rng.IntN(4)))
		}
		at := base.Add(time.Duration(rng.IntN(40)) * 5 * time.Minute)
		if rng.IntN(3) == 0 {
			at = at.Add(time.Duration(rng.IntN(300_000)) * time.Millisecond)
		}
		if at.Sub(base)/(20*time.Minute) == 3 {
			continue // a gap
		}
		out[m] = append(out[m], runtest.Point{Series: series, Time: at.UnixNano(), Fields: fields})
	}
	return out
}

// result is what a script came to.
type result struct {
	tables  []*table.Table // with rows, each whole
	explain string
	err     error
}

// ask runs a script, with its graph rewritten.
func ask(t testing.TB, h *storagetest.Host, script string, rewrite func(*flow.Node) *flow.Node) *result {
	t.Helper()
	s, err := flux.Parse(script)
	if err != nil {
		t.Fatalf("%s\n%v", script, err)
	}
	e, err := s.Run(t.Context(), flux.Options{Memory: h.Question, Host: h, Now: base.Add(4 * time.Hour), Rewrite: rewrite})
	if err != nil {
		return &result{err: err}
	}
	defer e.Close()
	r := &result{explain: e.Explain()}
	for e.Next() {
		_, in := e.Result()
		for whole := table.NewWhole(in, func(int64) error { return nil }); ; {
			p, err := whole.Next()
			if err != nil {
				r.err = err
				return r
			}
			if p == nil {
				break
			}
			if p.Rows > 0 {
				r.tables = append(r.tables, p)
			}
		}
	}
	r.err = e.Err()
	return r
}

// normal renders the tables of a result, their columns in the order of labels and
// without those of nulls only; tables and rows are sorted if a script leaves their
// order open.
func (r *result) normal(anyTables, anyRows bool) string {
	var all []string
	for _, p := range r.tables {
		var rows []string
		cols := slices.Clone(p.Cols)
		slices.SortFunc(cols, func(a, b table.Column) int { return cmp.Compare(a.Label, b.Label) })
		for i := range p.Rows {
			var b strings.Builder
			for c := range cols {
				if v := cols[c].Value(i); !v.IsNull() {
					fmt.Fprintf(&b, " %s=%s:%s", cols[c].Label, v.Kind(), cell(v))
				}
			}
			rows = append(rows, b.String()+"\n")
		}
		if anyRows {
			slices.Sort(rows)
		}
		all = append(all, p.Key.String()+"\n"+strings.Join(rows, ""))
	}
	if anyTables {
		slices.Sort(all)
	}
	return strings.Join(all, "")
}

// cell renders a value; floats to nine digits.
func cell(v value.Value) string {
	if v.Kind() == value.Float && !math.IsNaN(v.Float()) {
		return fmt.Sprintf("%.9g", v.Float())
	}
	return v.Text()
}

// byTime stands in scripts behind group(), which leaves the order of rows open, where
// the store goes by time.
const byTime = "|> byTime()"

// compare runs a script with everything pushed down and with nothing.
func compare(t *testing.T, h *storagetest.Host, script string) (explain string) {
	t.Helper()
	sorted := strings.ReplaceAll(script, byTime, `|> sort(columns: ["_time"])`)
	if sorted != script && (strings.Contains(script, "last()") || strings.Contains(script, "fn: last")) {
		// Of rows of the same time the one of the first series.
		sorted = strings.ReplaceAll(script, byTime, `|> sort(columns: ["_time"], desc: true)`)
		sorted = strings.ReplaceAll(strings.ReplaceAll(sorted, "last()", "first()"), "fn: last", "fn: first")
	}
	script = strings.ReplaceAll(script, byTime, "")
	got, want := ask(t, h, script, pushdown.Rewrite), ask(t, h, sorted, pushdown.Bound)
	switch {
	case want.err != nil && strings.Contains(want.err.Error(), "type conflict"):
		return got.explain // pushed down, rows of another type do not match
	case want.err != nil && got.err == nil && strings.Contains(want.err.Error(), "schema collision") && (strings.Contains(script, "limit(") || strings.Contains(script, "tail(")):
		return got.explain // with a table of which no row is left, which is not there
	case want.err != nil && got.err == nil && strings.Contains(want.err.Error(), "two columns") && strings.LastIndex(script, "filter(") > strings.Index(script, "pivot("):
		return got.explain // with rows that the filter leaves out
	case want.err != nil && got.err == nil:
		t.Fatalf("%s\n%s\ngave\n%s\nwithout an error, want\n%v", script, got.explain, got.normal(false, false), want.err)
	case want.err == nil && got.err != nil:
		t.Fatalf("%s\n%s\nended with\n%v\nwant\n%s", script, got.explain, got.err, want.normal(false, false))
	case want.err != nil && strings.Contains(want.err.Error(), "schema collision"):
		return got.explain // of two errors, the one of the function may come first
	case want.err != nil && strings.Contains(want.err.Error(), "two columns") && strings.Contains(got.err.Error(), "two columns"):
		return got.explain // of a pivot that is part of a plan, at the place of the plan
	case want.err != nil && (strings.Contains(want.err.Error(), "unsupported aggregate column type") || strings.Contains(want.err.Error(), "has no implementation for type")):
		return got.explain // and got an error too
	case want.err != nil && got.err.Error() != want.err.Error():
		t.Fatalf("%s\n%s\nended with\n%v\nwant\n%v", script, got.explain, got.err, want.err)
	case want.err != nil:
		return got.explain
	}
	has := func(some ...string) bool {
		return slices.ContainsFunc(some, func(s string) bool { return strings.Contains(script, s) })
	}
	anyTables, anyRows := has("group(", "drop(", "keep("), has("pivot(", "fieldsAsCols(") || sorted != script
	anyRows = anyRows || anyTables && has("window(") // of tables that became one
	// The order of tables, where several of them become one, is that of their rows.
	anyRows = anyRows || strings.Count(script, "keep(")+strings.Count(script, "drop(") > 1 || anyTables && has("drop(", "keep(")
	a, b := got.normal(anyTables, anyRows), want.normal(anyTables, anyRows)
	if a != b && sorted != script { // not all of these are pushed down
		b = ask(t, h, script, pushdown.Bound).normal(anyTables, anyRows)
	}
	if a != b && has(`drop(columns: ["zone"]) |> group(`) && has("first", "last", "min", "max") {
		return got.explain // of rows of the same time, or as good, drop() has others first
	}
	if a != b {
		t.Fatalf("%s\n%s\ngave other tables (-want +got)\n%s", script, got.explain, gocmp.Diff(strings.Split(b, "\n"), strings.Split(a, "\n")))
	}
	return got.explain
}
