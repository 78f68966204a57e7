package memtable

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/run"
)

// model is the obvious table: series key → time → field → value.
type model map[string]map[int64]map[string]string

func (m model) put(key string, at int64, field, value string) {
	if m[key] == nil {
		m[key] = map[int64]map[string]string{}
	}
	if m[key][at] == nil {
		m[key][at] = map[string]string{}
	}
	if field != "" {
		m[key][at][field] = value
	}
}

func render(v *column.Vector, i int) string {
	if v.Type == column.String {
		return string(v.Str(i))
	}
	return fmt.Sprint(v.Words[i])
}

var fields = []column.FieldInfo{{Name: "z", Type: column.Int64}, {Name: "a", Type: column.Float64},
	{Name: "s", Type: column.String}, {Name: "b", Type: column.Bool}}

func randomTable(rng *rand.Rand, rows, series int, m model) *column.Table {
	t := &column.Table{Measurement: "m"}
	for s := range series {
		key := fmt.Appendf(nil, "host=h%d,zone=z%d", rng.IntN(series*2), s%3)
		t.Series.Add(key, column.HashSeries("m", key))
	}
	use := fields[:1+rng.IntN(len(fields))]
	for _, f := range use {
		t.Fields = append(t.Fields, column.Field{Name: f.Name, Vector: column.Vector{Type: f.Type}})
	}
	for r := range rows {
		s := rng.IntN(series)
		at := int64(rng.IntN(rows * 2))
		t.Row, t.Time = append(t.Row, uint32(s)), append(t.Time, at)
		key := string(t.Series.Key(s))
		m.put(key, at, "", "")
		for i := range t.Fields {
			f := &t.Fields[i]
			if rng.IntN(3) == 0 {
				f.AppendNulls(1)
				continue
			}
			switch f.Type {
			case column.String:
				f.AppendString(fmt.Appendf(nil, "v%d", rng.IntN(9)))
			case column.Bool:
				f.AppendWord(rng.Uint64() & 1)
			default:
				f.AppendWord(rng.Uint64() >> (rng.Uint64() & 63))
			}
			m.put(key, at, f.Name, render(&f.Vector, r))
		}
	}
	return t
}

// check compares all that a run holds between lo and hi with the model.
func check(t *testing.T, v run.Run, m model, match *predicate.Matcher, lo, hi int64) {
	t.Helper()
	ords, err := v.Select(match)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for key := range m {
		if match.Match([]byte(key)) {
			want = append(want, key)
		}
	}
	sort.Strings(want)
	var names []string
	for _, f := range v.Meta().Fields {
		names = append(names, f.Name)
	}
	names = append(names, "absent")
	cur, err := v.Cursor(names)
	if err != nil {
		t.Fatal(err)
	}
	defer cur.Close()
	keys := v.Keys()
	if len(ords) != len(want) {
		t.Fatalf("%d series, want %d", len(ords), len(want))
	}
	for i, ord := range ords {
		key, _ := keys.Key(ord)
		if string(key) != want[i] {
			t.Fatalf("series %d is %q, want %q", i, key, want[i])
		}
		rows := map[int64]map[string]string{}
		if err := cur.Seek(ord, lo, hi); err != nil {
			t.Fatal(err)
		}
		last := lo - 1
		for {
			part, err := cur.Next()
			if err != nil {
				t.Fatal(err)
			}
			if part == nil {
				break
			}
			for r, at := range part.Time {
				if at <= last || at > hi {
					t.Fatalf("time %d after %d, bounds %d to %d", at, last, lo, hi)
				}
				last = at
				rows[at] = map[string]string{}
				for c := range part.Cols {
					if part.Cols[c].Len() != len(part.Time) {
						t.Fatalf("column %s has %d rows, not %d", names[c], part.Cols[c].Len(), len(part.Time))
					}
					if part.Cols[c].Valid.Get(r) {
						rows[at][names[c]] = render(&part.Cols[c], r)
					}
				}
			}
		}
		exp := map[int64]map[string]string{}
		for at, row := range m[string(key)] {
			if at >= lo && at <= hi {
				exp[at] = row
			}
		}
		if fmt.Sprint(rows) != fmt.Sprint(exp) {
			t.Fatalf("series %q holds\n%v, want\n%v", key, rows, exp)
		}
	}
}

func TestAgainstModel(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 0))
		mt, m := New(), model{}
		mt.chunkRows = 100 + rng.IntN(3000)
		copies := map[uint64]model{}
		for seq := uint64(1); seq < 12; seq++ {
			rows := 1 + rng.IntN(30)
			if rng.IntN(4) == 0 {
				rows = 4000 + rng.IntN(4000)
			}
			mt.Apply(7, &column.Batch{Tables: []*column.Table{randomTable(rng, rows, 1+rng.IntN(20), m)}}, seq, seq)
			c := model{}
			for k, times := range m {
				for at, row := range times {
					c.put(k, at, "", "")
					for f, v := range row {
						c.put(k, at, f, v)
					}
				}
			}
			copies[seq] = c
		}
		for seq, c := range copies {
			v := mt.View(7, "m", seq)
			check(t, v, c, nil, 0, 1<<40)
			for _, e := range []*predicate.Expr{
				predicate.Eq("zone", "z1"),
				predicate.Negate(predicate.Eq("host", "h3")),
				predicate.Match("host", "h[1-4]$"),
				predicate.Eq("nosuch", ""),
			} {
				p, err := predicate.Compile(e)
				if err != nil {
					t.Fatal(err)
				}
				lo := int64(rng.IntN(3000))
				check(t, v, c, p, lo, lo+int64(rng.IntN(3000)))
			}
		}
		if mt.View(7, "m", 0) != nil || mt.View(8, "m", 9) != nil {
			t.Fatal("a view of nothing")
		}
	}
}

func TestReadersBesideWriter(t *testing.T) {
	mt := New()
	mt.chunkRows = 500
	const batches, hosts = 150, 20
	var applied sync.Map
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-done:
					return
				default:
				}
				seq, _ := applied.Load("seq")
				if seq == nil {
					continue
				}
				v := mt.View(1, "m", seq.(uint64))
				if n := v.Meta().Rows; n != int64(seq.(uint64))*hosts {
					t.Errorf("%d rows at sequence %d", n, seq)
					return
				}
				m, _ := predicate.Compile(predicate.Eq("host", "h7"))
				ords, _ := v.Select(m)
				cur, _ := v.Cursor([]string{"v"})
				_ = cur.Seek(ords[0], 0, 1<<40)
				n := 0
				for {
					rows, _ := cur.Next()
					if rows == nil {
						break
					}
					for i := range rows.Time {
						if rows.Cols[0].Words[i] != uint64(rows.Time[i])*3 {
							t.Errorf("value %d at %d", rows.Cols[0].Words[i], rows.Time[i])
							return
						}
					}
					n += rows.Len()
				}
				if n != int(seq.(uint64)) {
					t.Errorf("%d rows of a series at sequence %d", n, seq)
					return
				}
			}
		}()
	}
	for seq := uint64(1); seq <= batches; seq++ {
		tb := &column.Table{Measurement: "m", Fields: []column.Field{{Name: "v", Vector: column.Vector{Type: column.Int64}}}}
		for h := range hosts {
			key := fmt.Appendf(nil, "host=h%d", h)
			tb.Row = append(tb.Row, tb.Series.Add(key, column.HashSeries("m", key)))
			tb.Time = append(tb.Time, int64(seq))
			tb.Fields[0].AppendWord(seq * 3)
		}
		mt.Apply(1, &column.Batch{Tables: []*column.Table{tb}}, seq, seq)
		applied.Store("seq", seq)
	}
	close(done)
	wg.Wait()
}

func TestNames(t *testing.T) {
	mt := New()
	for i, name := range []string{"b", "a", "b"} {
		tb := &column.Table{Measurement: name, Row: []uint32{0}, Time: []int64{1}}
		tb.Series.Add(nil, column.HashSeries(name, nil))
		mt.Apply(uint64(9-i), &column.Batch{Tables: []*column.Table{tb}}, uint64(i+1), uint64(i+1))
	}
	if got := mt.Buckets(); !slices.Equal(got, []uint64{7, 8, 9}) {
		t.Errorf("buckets %v", got)
	}
	if got := strings.Join(mt.Measurements(8), " "); got != "a" {
		t.Errorf("measurements %q", got)
	}
	if lo, hi := mt.Seqs(); lo != 1 || hi != 3 || mt.Rows() != 3 || mt.Bytes() == 0 {
		t.Errorf("sequences %d to %d, %d rows, %d bytes", lo, hi, mt.Rows(), mt.Bytes())
	}
}

func hostBatch(hosts, rows int) *column.Table {
	rng := rand.New(rand.NewPCG(1, 1))
	t := &column.Table{Measurement: "cpu"}
	for s := range hosts {
		key := fmt.Appendf(nil, "arch=x64,datacenter=eu-west-1c,hostname=host_%d,os=Ubuntu16.10,rack=%d,region=eu-west-1,service=12,service_environment=test,service_version=0,team=NYC", s, s%90)
		t.Series.Add(key, column.HashSeries("cpu", key))
	}
	for i := range 10 {
		t.Fields = append(t.Fields, column.Field{Name: fmt.Sprint("usage_", i), Vector: column.Vector{Type: column.Int64}})
	}
	for r := range rows {
		t.Row = append(t.Row, uint32(r%hosts))
		t.Time = append(t.Time, int64(r/hosts)*1e10)
		for i := range t.Fields {
			t.Fields[i].AppendWord(uint64(rng.IntN(101)))
		}
	}
	return t
}

func BenchmarkApply(b *testing.B) {
	t := hostBatch(4000, 10000)
	batch := &column.Batch{Tables: []*column.Table{t}}
	mt := New()
	seq := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		if mt.Bytes() > 64<<20 {
			mt = New()
		}
		seq++
		mt.Apply(1, batch, seq, seq)
	}
	b.ReportMetric(float64(10000*b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(mt.Bytes())/float64(mt.Rows()), "bytes/row")
}

func BenchmarkReadAll(b *testing.B) {
	t := hostBatch(4000, 1000000)
	mt := New()
	mt.Apply(1, &column.Batch{Tables: []*column.Table{t}}, 1, 1)
	v := mt.View(1, "cpu", 1)
	var names []string
	for _, f := range v.Meta().Fields {
		names = append(names, f.Name)
	}
	for b.Loop() {
		ords, _ := v.Select(nil)
		cur, _ := v.Cursor(names)
		n := 0
		for _, o := range ords {
			_ = cur.Seek(o, 0, 1<<60)
			for rows, _ := cur.Next(); rows != nil; rows, _ = cur.Next() {
				n += rows.Len()
			}
		}
		if n != 1000000 {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(1000000*b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkNewSeries(b *testing.B) {
	const n = 1000000
	tables := make([]*column.Table, 100)
	for i := range tables {
		t := &column.Table{Measurement: "m"}
		for f := range 5 {
			t.Fields = append(t.Fields, column.Field{Name: fmt.Sprint("f", f), Vector: column.Vector{Type: column.Float64}})
		}
		for s := range n / len(tables) {
			key := fmt.Appendf(bytes.Repeat([]byte("x"), 40), ",id=%d", i*n+s)
			t.Row = append(t.Row, t.Series.Add(key, column.HashSeries("m", key)))
			t.Time = append(t.Time, 1)
			for f := range t.Fields {
				t.Fields[f].AppendFloat(float64(s) / 7)
			}
		}
		tables[i] = t
	}
	for b.Loop() {
		mt := New()
		for i, t := range tables {
			mt.Apply(1, &column.Batch{Tables: []*column.Table{t}}, uint64(i+1), uint64(i+1))
		}
		b.ReportMetric(float64(mt.Bytes())/n, "bytes/series")
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "rows/s")
}
