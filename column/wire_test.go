package column

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// cell is one value of one row, rendered so that a NaN equals itself.
type cell struct {
	measurement, series, field string
	time                       int64
	value                      string
}

func cells(b *Batch) []cell {
	var out []cell
	for _, t := range b.Tables {
		for r := range t.Time {
			key := string(t.Series.Key(int(t.Row[r])))
			for i := range t.Fields {
				f := &t.Fields[i]
				if !f.Valid.Get(r) {
					continue
				}
				v := ""
				if f.Type == String {
					v = fmt.Sprintf("%q", f.Str(r))
				} else {
					v = fmt.Sprintf("%x", f.Words[r])
				}
				out = append(out, cell{t.Measurement, key, f.Name, t.Time[r], f.Type.String() + ":" + v})
			}
		}
	}
	return out
}

// randomBatch makes a batch with every type, nulls and repeated series.
func randomBatch(rng *rand.Rand, tables, rows int) *Batch {
	b := &Batch{}
	for m := range tables {
		t := &Table{Measurement: fmt.Sprintf("m%d", m)}
		series := 1 + rng.IntN(20)
		for s := range series {
			key := fmt.Appendf(nil, "host=h%d,room=%d", s, rng.IntN(3))
			t.Series.Add(key, HashSeries(t.Measurement, key))
		}
		for _, f := range []FieldInfo{{"f", Float64}, {"i", Int64}, {"u", Uint64}, {"s", String}, {"b", Bool}} {
			t.Fields = append(t.Fields, Field{Name: f.Name, Vector: Vector{Type: f.Type}})
		}
		floats := []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), 1.5, -2.25e300}
		small := rng.IntN(2) == 0
		for range rows {
			t.Row = append(t.Row, uint32(rng.IntN(series)))
			t.Time = append(t.Time, rng.Int64()-rng.Int64())
			for i := range t.Fields {
				f := &t.Fields[i].Vector
				if rng.IntN(4) == 0 {
					f.AppendNulls(1)
					continue
				}
				switch f.Type {
				case Float64:
					f.AppendFloat(floats[rng.IntN(len(floats))])
				case Int64, Uint64:
					if small {
						f.AppendWord(uint64(rng.Int64N(200) - 100))
					} else {
						f.AppendWord(rng.Uint64())
					}
				case String:
					f.AppendString(bytes.Repeat([]byte{'x'}, rng.IntN(40)))
				case Bool:
					f.AppendWord(rng.Uint64() & 1)
				}
			}
		}
		b.Tables = append(b.Tables, t)
	}
	return b
}

func TestWireRoundTrip(t *testing.T) {
	var enc Encoder
	var got Batch
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		b := randomBatch(rng, 1+rng.IntN(4), 1+rng.IntN(300))
		limit := 64 + rng.IntN(20000)
		var have []cell
		records := 0
		enc.Encode(b, limit, func(p []byte) {
			records++
			if err := DecodeBatch(&got, p); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if n := got.Rows(); len(p) > limit && n > 1 {
				t.Fatalf("seed %d: a payload of %d bytes with %d rows, limit %d", seed, len(p), n, limit)
			}
			have = append(have, cells(&got)...)
		})
		want := cells(b)
		if len(want) != len(have) {
			t.Fatalf("seed %d: %d cells came back of %d", seed, len(have), len(want))
		}
		for i := range want {
			if want[i] != have[i] {
				t.Fatalf("seed %d: cell %d is %v, want %v", seed, i, have[i], want[i])
			}
		}
	}
}

func TestWireManyTables(t *testing.T) {
	b := randomBatch(rand.New(rand.NewPCG(7, 7)), 1000, 1)
	var enc Encoder
	n := 0
	enc.Encode(b, 1<<20, func(p []byte) {
		var got Batch
		if err := DecodeBatch(&got, p); err != nil {
			t.Fatal(err)
		}
		n += len(got.Tables)
	})
	if n != 1000 {
		t.Fatalf("%d tables came back of 1000", n)
	}
}

func TestWireGolden(t *testing.T) {
	b := randomBatch(rand.New(rand.NewPCG(42, 42)), 2, 9)
	var got []byte
	new(Encoder).Encode(b, 1<<20, func(p []byte) { got = append(got, p...) })
	name := filepath.Join("testdata", "batch.v1.golden")
	if *rewrite {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("the encoding of a batch changed: a new layout needs a new version")
	}
	var back Batch
	if err := DecodeBatch(&back, want); err != nil {
		t.Fatal(err)
	}
	if g, w := fmt.Sprint(cells(&back)), fmt.Sprint(cells(b)); g != w {
		t.Fatalf("golden file decodes to\n%s, want\n%s", g, w)
	}
}

func FuzzDecodeBatch(f *testing.F) {
	new(Encoder).Encode(randomBatch(rand.New(rand.NewPCG(1, 2)), 2, 5), 1<<20, func(p []byte) { f.Add(p) })
	f.Fuzz(func(t *testing.T, p []byte) {
		var b, again Batch
		if DecodeBatch(&b, p) != nil {
			return
		}
		want := cells(&b)
		var have []cell
		new(Encoder).Encode(&b, 1<<20, func(p []byte) {
			if err := DecodeBatch(&again, p); err != nil {
				t.Fatalf("decoded, encoded, and then: %v", err)
			}
			have = append(have, cells(&again)...)
		})
		if fmt.Sprint(want) != fmt.Sprint(have) {
			t.Fatalf("decoded, encoded and decoded again: %v, want %v", have, want)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	t := &Table{Measurement: "cpu"}
	rng := rand.New(rand.NewPCG(1, 1))
	for s := range 4000 {
		key := fmt.Appendf(nil, "arch=x64,datacenter=eu-west-1c,hostname=host_%d,os=Ubuntu16.10,rack=%d,region=eu-west-1,service=12,service_environment=test,service_version=0,team=NYC", s, s%90)
		t.Series.Add(key, HashSeries("cpu", key))
	}
	for i := range 10 {
		t.Fields = append(t.Fields, Field{Name: fmt.Sprint("usage_", i), Vector: Vector{Type: Int64}})
	}
	for r := range 10000 {
		t.Row = append(t.Row, uint32(r%4000))
		t.Time = append(t.Time, int64(r/4000)*1e10)
		for i := range t.Fields {
			t.Fields[i].AppendWord(uint64(rng.IntN(101)))
		}
	}
	batch := &Batch{Tables: []*Table{t}}
	var enc Encoder
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		size = 0
		enc.Encode(batch, 256<<10, func(p []byte) { size += len(p) })
	}
	b.ReportMetric(float64(10000*b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(size)/10000, "bytes/row")
}
