package shard_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"testing"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/encoding"
	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
	"github.com/varvedb/varve/wlog/file"
)

var replayMiB = flag.Int64("replay-mib", 64, "size of the log that BenchmarkReplay replays")

// diskConfig is the default configuration on a real folder.
func diskConfig(b *testing.B, dir string) shard.Config {
	c := testConfig(vfs.OS{}, b)
	d := shard.Default()
	c.Dir = dir
	c.MemtableBytes, c.MaxMemtableBytes, c.Compaction, c.IdleAfter = d.MemtableBytes, d.MaxMemtableBytes, d.Compaction, d.IdleAfter
	c.OpenLog = func(dir string, start wlog.Position) (wlog.Log, error) {
		lc := file.Default(vfs.OS{}, dir)
		lc.Start = start
		l, err := file.Open(lc)
		if err != nil {
			return nil, err
		}
		return l, nil
	}
	c.Bucket = func(uint64) (shard.Bucket, bool) {
		return shard.Bucket{Partition: 7 * 24 * time.Hour, Level: encoding.LevelBalanced}, true
	}
	return c
}

// hostRows is rows of a fleet of hosts: ten integers that walk, and ten tags.
func hostRows(rng *rand.Rand, hosts, steps int, start int64) *column.Batch {
	t := &column.Table{Measurement: "cpu"}
	for h := range hosts {
		key := fmt.Appendf(nil, "arch=x64,datacenter=eu-west-1c,hostname=host_%d,os=Ubuntu16.10,rack=%d,region=eu-west-1,service=12,service_environment=test,service_version=0,team=NYC", h, h%90)
		t.Series.Add(key, column.HashSeries("cpu", key))
	}
	for f := range 10 {
		t.Fields = append(t.Fields, column.Field{Name: fmt.Sprint("usage_", f), Vector: column.Vector{Type: column.Int64}})
	}
	walk := make([]float64, hosts*len(t.Fields))
	for i := range walk {
		walk[i] = rng.Float64() * 100
	}
	for s := range steps {
		for h := range hosts {
			t.Row, t.Time = append(t.Row, uint32(h)), append(t.Time, start+int64(s)*10e9)
			for f := range t.Fields {
				w := &walk[h*len(t.Fields)+f]
				*w = min(100, max(0, *w+rng.NormFloat64()))
				t.Fields[f].AppendWord(uint64(*w))
			}
		}
	}
	return &column.Batch{Tables: []*column.Table{t}}
}

// BenchmarkReplay writes a log that no flush has followed, as after a flush
// that failed for long, and opens it within the usual limits of memory.
//
//	go test ./shard -run xxx -bench Replay -replay-mib 1024 -benchtime 1x
func BenchmarkReplay(b *testing.B) {
	ctx := context.Background()
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		c := diskConfig(b, dir)
		c.MemtableBytes, c.MaxMemtableBytes = 1<<40, 1<<40
		s, err := shard.Open(ctx, c)
		if err != nil {
			b.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 1))
		rows := 0
		for step := 0; s.Stats().LogBytes < *replayMiB<<20; step += 5 {
			batch := hostRows(rng, 2000, 5, int64(step)*10e9)
			rows += batch.Rows()
			if err := s.Write(ctx, 1, batch); err != nil {
				b.Fatal(err)
			}
		}
		size := s.Stats().LogBytes
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		debug.FreeOSMemory()
		b.StartTimer()
		began := time.Now()
		if s, err = shard.Open(ctx, diskConfig(b, dir)); err != nil {
			b.Fatal(err)
		}
		took := time.Since(began).Seconds()
		b.StopTimer()
		if got := s.Stats().ReplayedRows; got != uint64(rows) {
			b.Fatalf("%d rows came back of %d", got, rows)
		}
		b.ReportMetric(float64(rows)/took, "rows/s")
		b.ReportMetric(float64(size)/took/(1<<20), "MiB/s")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkCompact merges five segments, one after the other in time, of a
// fleet of hosts.
func BenchmarkCompact(b *testing.B) {
	ctx := context.Background()
	for b.Loop() {
		b.StopTimer()
		c := diskConfig(b, b.TempDir())
		c.IdleAfter = time.Hour
		s, err := shard.Open(ctx, c)
		if err != nil {
			b.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 1))
		rows := 0
		for part := range 4 {
			batch := hostRows(rng, 1000, 500, int64(part)*500*10e9)
			rows += batch.Rows()
			if err := s.Write(ctx, 1, batch); err != nil {
				b.Fatal(err)
			}
			if err := s.Flush(ctx); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		began := time.Now()
		if err := s.Settle(ctx); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(rows)/time.Since(began).Seconds(), "rows/s")
		if n := s.Stats().Segments; n != 1 {
			b.Fatalf("%d segments are left", n)
		}
		b.StopTimer()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
