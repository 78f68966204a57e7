package merge

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/tombstone"
)

var rounds = flag.Uint64("rounds", 60, "how many seeds the random test goes through")

type row map[string]string

type model map[string]map[int64]row

// TestMerge merges memtables written one after the other, with deletes in
// between, and compares with a map that saw the same.
func TestMerge(t *testing.T) {
	n := *rounds
	if testing.Short() {
		n = min(n, 10)
	}
	for seed := range n {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := model{}
		var tables []*memtable.Memtable
		var deletes []*tombstone.Tombstone
		seq := uint64(0)
		span := 1 + rng.IntN(3000)
		for range 1 + rng.IntN(5) {
			mt := memtable.New()
			for range 1 + rng.IntN(3) {
				seq++
				mt.Apply(1, &column.Batch{Tables: []*column.Table{randomRows(rng, span, m)}}, seq, seq)
			}
			tables = append(tables, mt)
			if rng.IntN(2) == 0 {
				seq++
				deletes = append(deletes, randomDelete(rng, seq, span, m))
			}
		}
		var inputs []Input
		for _, mt := range tables {
			v := mt.View(1, "m", seq)
			hidden, err := tombstone.Select(deletes, 1, "m", v.Meta().MinTime, v.Meta().MaxTime, v.Meta().MaxSeq)
			if err != nil {
				t.Fatal(err)
			}
			inputs = append(inputs, Input{Run: v, Hidden: hidden})
		}
		if got, want := dump(t, inputs), m.String(); got != want {
			t.Fatalf("seed %d: merged\n%s\nwant\n%s", seed, got, want)
		}
	}
}

func randomRows(rng *rand.Rand, span int, m model) *column.Table {
	t := &column.Table{Measurement: "m"}
	series := 1 + rng.IntN(4)
	for s := range series {
		key := fmt.Appendf(nil, "host=h%d", s)
		t.Series.Add(key, column.HashSeries("m", key))
	}
	kinds := []column.FieldInfo{{Name: "a", Type: column.Int64}, {Name: "s", Type: column.String}, {Name: "z", Type: column.Float64}}
	kinds = kinds[rng.IntN(3):]
	for _, k := range kinds {
		t.Fields = append(t.Fields, column.Field{Name: k.Name, Vector: column.Vector{Type: k.Type}})
	}
	start, step := rng.IntN(span), 1+rng.IntN(3)
	for i := range 1 + rng.IntN(600) {
		s, at := rng.IntN(series), int64(start+i*step)
		if rng.IntN(10) == 0 {
			at = int64(rng.IntN(span))
		}
		key := string(t.Series.Key(s))
		t.Row, t.Time = append(t.Row, uint32(s)), append(t.Time, at)
		must := rng.IntN(len(t.Fields))
		for c := range t.Fields {
			f := &t.Fields[c]
			if c != must && rng.IntN(2) == 0 {
				f.AppendNulls(1)
				continue
			}
			value := fmt.Sprint(rng.IntN(1000))
			if f.Type == column.String {
				f.AppendString([]byte(value))
			} else {
				var w uint64
				fmt.Sscan(value, &w)
				f.AppendWord(w)
			}
			if m[key] == nil {
				m[key] = map[int64]row{}
			}
			if m[key][at] == nil {
				m[key][at] = row{}
			}
			m[key][at][f.Name] = value
		}
	}
	return t
}

func randomDelete(rng *rand.Rand, seq uint64, span int, m model) *tombstone.Tombstone {
	d := &tombstone.Tombstone{Seq: seq, Bucket: 1, Min: int64(rng.IntN(span))}
	d.Max = d.Min + int64(rng.IntN(span))
	if rng.IntN(2) == 0 {
		d.Where = predicate.Eq("host", "h1")
	}
	if rng.IntN(2) == 0 {
		d.Fields = []string{[]string{"a", "s", "z"}[rng.IntN(3)]}
	}
	p, _ := predicate.Compile(d.Where)
	for key, rows := range m {
		if !p.Match([]byte(key)) {
			continue
		}
		for at, r := range rows {
			if at < d.Min || at > d.Max {
				continue
			}
			for _, f := range d.Fields {
				delete(r, f)
			}
			if len(d.Fields) == 0 || len(r) == 0 {
				delete(rows, at)
			}
		}
		if len(rows) == 0 {
			delete(m, key)
		}
	}
	return d
}

func (m model) String() string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	out := ""
	for _, k := range keys {
		var times []int64
		for at := range m[k] {
			times = append(times, at)
		}
		sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
		for _, at := range times {
			out += fmt.Sprintln(k, at, m[k][at])
		}
	}
	return out
}

func dump(t *testing.T, inputs []Input) string {
	t.Helper()
	m, err := New(inputs)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	out := ""
	for {
		key, ok, err := m.NextSeries()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return out
		}
		for {
			rows, err := m.Next()
			if err != nil {
				t.Fatal(err)
			}
			if rows == nil {
				break
			}
			for i, at := range rows.Time {
				r := row{}
				for c, f := range m.Fields() {
					v := &rows.Cols[c]
					if v.Len() != len(rows.Time) {
						t.Fatalf("%d values of %s in %d rows", v.Len(), f.Name, len(rows.Time))
					}
					if !v.Valid.Get(i) {
						continue
					}
					if v.Type != f.Type {
						t.Fatalf("field %s has type %v, not %v", f.Name, v.Type, f.Type)
					}
					if v.Type == column.String {
						r[f.Name] = string(v.Str(i))
					} else {
						r[f.Name] = fmt.Sprint(v.Words[i])
					}
				}
				out += fmt.Sprintln(string(key), at, r)
			}
		}
	}
}
