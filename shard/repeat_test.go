package shard_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/vfs"
)

// TestRepeatedTables writes batches in which one measurement stands several
// times, with other fields each time, the same points again, values and times
// at the ends of their ranges, and records that split them. The later value of
// each field stands, in the memtable, after a replay, and in segments.
func TestRepeatedTables(t *testing.T) {
	ctx := context.Background()
	words := []uint64{0, 1, math.MaxUint64, 1 << 63, 1<<63 - 1, math.Float64bits(math.NaN()), math.Float64bits(math.Copysign(0, -1))}
	times := []int64{column.MinTime, column.MinTime + 1, -1, 0, 1, column.MaxTime - 1, column.MaxTime}
	for _, seed := range seeds(10) {
		rng := rand.New(rand.NewPCG(seed, 31))
		cfg := testConfig(vfs.NewMem(time.Now), t)
		cfg.Bucket = func(uint64) (shard.Bucket, bool) { return shard.Bucket{Partition: time.Hour}, true }
		s, err := shard.Open(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		want := model{}
		for range 5 {
			b := &column.Batch{}
			for range 1 + rng.IntN(4) {
				tb := &column.Table{Measurement: fmt.Sprintf("m%d", rng.IntN(2))}
				for h := range 3 {
					key := fmt.Appendf(nil, "host=%d", h)
					if h == 0 {
						key = nil // no tags
					}
					tb.Series.Add(key, column.HashSeries(tb.Measurement, key))
				}
				all := []column.FieldInfo{{Name: "b", Type: column.Bool}, {Name: "f", Type: column.Float64},
					{Name: "i", Type: column.Int64}, {Name: "s", Type: column.String}, {Name: "u", Type: column.Uint64}}
				rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				for _, f := range all[:1+rng.IntN(3)] {
					tb.Fields = append(tb.Fields, column.Field{Name: f.Name, Vector: column.Vector{Type: f.Type}})
				}
				for r := range rng.IntN(40) { // or none: an empty table
					tb.Row, tb.Time = append(tb.Row, uint32(rng.IntN(3))), append(tb.Time, times[rng.IntN(len(times))])
					must := rng.IntN(len(tb.Fields))
					for i := range tb.Fields {
						f := &tb.Fields[i]
						switch {
						case i != must && rng.IntN(2) == 0:
							f.AppendNulls(1)
							continue
						case f.Type == column.String:
							f.AppendString(make([]byte, rng.IntN(3)*rng.IntN(9000))) // some records are split
						case f.Type == column.Bool:
							f.AppendWord(rng.Uint64() & 1)
						default:
							f.AppendWord(words[rng.IntN(len(words))])
						}
						want[point{1, tb.Measurement, string(tb.Series.Key(int(tb.Row[r]))), tb.Time[r], f.Name}] = render(&f.Vector, r)
					}
				}
				b.Tables = append(b.Tables, tb)
			}
			if err := s.Write(ctx, 1, b); err != nil {
				t.Fatal(err)
			}
		}
		compare := func(when string) {
			t.Helper()
			if d := mustDump(t, s, 1).diff(want); d != "" {
				t.Fatalf("seed %d, %s: %s", seed, when, d)
			}
		}
		compare("written")
		for range 2 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = shard.Open(ctx, cfg); err != nil {
				t.Fatal(err)
			}
			compare("replayed")
		}
		if err := s.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		compare("settled")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		mustCheck(t, cfg)
	}
}
