package shard_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/varvedb/varve/encoding"
	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/vfs"
)

// TestFlushUnderLoad calls Flush while others write without end: it waits for
// what there was, not for them.
func TestFlushUnderLoad(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cfg := testConfig(vfs.NewFault(vfs.NewMem(time.Now), func(c vfs.Call) vfs.Action {
		if c.Op == vfs.OpRename {
			time.Sleep(5 * time.Millisecond) // a flush takes longer than filling a memtable
		}
		return vfs.Action{}
	}), t)
	cfg.MemtableBytes, cfg.MaxMemtableBytes = 8<<10, 128<<10 // a queue of them
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 8))
			for ctx.Err() == nil {
				if err := s.Write(ctx, 1, randomBatch(rng, 1, 100, model{})); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 3 {
		for s.Stats().SealedMemtables < 2 {
			time.Sleep(time.Millisecond)
		}
		short, stop := context.WithTimeout(ctx, 5*time.Second)
		if err := s.Flush(short); err != nil {
			t.Errorf("flush beside writers: %v", err)
		}
		stop()
	}
	cancel()
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestRetention lets time pass: rows go when they are too old, at the flush, at
// a merge, or with their segment, and nothing else goes.
func TestRetention(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem(time.Now)
	cfg := testConfig(fs, t)
	var now atomic.Int64
	now.Store(2500)
	cfg.Now = func() time.Time { return time.Unix(0, now.Load()) }
	cfg.Bucket = func(id uint64) (shard.Bucket, bool) {
		b := shard.Bucket{Partition: 1000, Level: encoding.LevelBalanced}
		if id == 1 {
			b.Retention = 2000
		}
		return b, true
	}
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(); mustCheck(t, cfg) }()
	for _, bucket := range []uint64{1, 2} {
		if err := s.Write(ctx, bucket, oneSeries("m", 100, 600, 1100, 2100, 9000)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		now  int64
		left int
	}{{2500, 4}, {3050, 3}, {3100, 3}, {3101, 2}, {4200, 1}, {11000, 1}, {11001, 0}} {
		now.Store(c.now)
		if err := s.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		if got := mustDump(t, s, 1); len(got) != c.left {
			t.Errorf("at %d: %d values, want %d", c.now, len(got), c.left)
		}
		if got := mustDump(t, s, 2); len(got) != 5 {
			t.Errorf("at %d: %d values in the bucket without retention, want 5", c.now, len(got))
		}
	}
	if st := s.Stats(); st.ExpiredSegments != 4 || st.Segments != 4 {
		t.Errorf("%d segments expired, want 4; %d are left, want 4", st.ExpiredSegments, st.Segments)
	}
}

// TestDeletedBucket deletes a bucket whose rows lie in segments, in the
// memtable and in the log.
func TestDeletedBucket(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem(time.Now)
	cfg := testConfig(fs, t)
	var gone atomic.Bool
	cfg.Bucket = func(id uint64) (shard.Bucket, bool) {
		return shard.Bucket{Partition: 1000}, id != 1 || !gone.Load()
	}
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		for _, bucket := range []uint64{1, 2} {
			if err := s.Write(ctx, bucket, oneSeries("m", 100, 2100)); err != nil {
				t.Fatal(err)
			}
		}
		if i == 0 {
			if err := s.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	gone.Store(true)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = shard.Open(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	if got := mustDump(t, s, 1, 2); len(got) != 2 {
		t.Errorf("%d values, want 2", len(got))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := fs.List("data/0/segments")
	if err != nil || len(names) != 2 {
		t.Errorf("%v, %v: want two segments", names, err)
	}
	mustCheck(t, cfg)
}

// TestReplayOnFullDisk opens a shard whose log holds more than memtables may,
// on a disk where no segment can be written. It opens, serves, and recovers.
func TestReplayOnFullDisk(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(3, 3))
	fault := vfs.NewFault(vfs.NewMem(time.Now), nil)
	cfg := testConfig(fault, t)
	cfg.MemtableBytes, cfg.MaxMemtableBytes = 1<<20, 2<<20
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := model{}
	for range 40 {
		if err := s.Write(ctx, 1, randomBatch(rng, 1, 60, want)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var full atomic.Bool
	full.Store(true)
	fault.SetHook(func(c vfs.Call) vfs.Action {
		if c.Op == vfs.OpCreate && strings.HasSuffix(c.Name, ".seg") && full.Load() {
			return vfs.Action{Err: syscall.ENOSPC}
		}
		return vfs.Action{}
	})
	cfg.MemtableBytes, cfg.MaxMemtableBytes = 16<<10, 32<<10
	cfg.WriteWait = 10 * time.Millisecond
	short, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if s, err = shard.Open(short, cfg); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if d := mustDump(t, s, 1).diff(want); d != "" {
		t.Error(d)
	}
	if err := s.Write(ctx, 1, oneSeries("m", 1)); err == nil {
		t.Error("a write above the limit of memory was taken")
	}
	full.Store(false)
	if err := s.Settle(ctx); err != nil {
		_ = s.Settle(ctx) // a flush that had failed before
	}
	if d := mustDump(t, s, 1).diff(want); d != "" {
		t.Error(d)
	}
}

// TestManyPartitions writes rows all over the range of times, early and late
// ends included, in several flushes: partitions stay few, do not overlap, and
// nothing is lost.
func TestManyPartitions(t *testing.T) {
	ctx := context.Background()
	n := 3
	if testing.Short() {
		n = 1
	}
	for _, seed := range seeds(n) {
		rng := rand.New(rand.NewPCG(seed, 7))
		fs := vfs.NewMem(time.Now)
		cfg := testConfig(fs, t)
		cfg.MemtableBytes, cfg.MaxMemtableBytes = 64<<10, 256<<10
		var length atomic.Int64
		length.Store(1 + rng.Int64N(int64(time.Hour)))
		cfg.Bucket = func(uint64) (shard.Bucket, bool) {
			return shard.Bucket{Partition: time.Duration(length.Load())}, true
		}
		s, err := shard.Open(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		want := model{}
		flushes := 4
		for i := range flushes {
			times := []int64{-1<<63 + 2, -1<<63 + 3, 1<<63 - 2, 0, -1}
			for range 300 {
				switch rng.IntN(3) {
				case 0:
					times = append(times, rng.Int64()-rng.Int64())
				case 1:
					times = append(times, rng.Int64N(int64(1000*time.Hour)))
				default:
					times = append(times, -1<<63+2+rng.Int64N(int64(200*time.Hour)))
				}
			}
			b := oneSeries("m", times...)
			for k, v := range modelOf(1, b) {
				want[k] = v
			}
			if err := s.Write(ctx, 1, b); err != nil {
				t.Fatal(err)
			}
			if i == 2 { // the setting changed; the partitions that there are stay
				length.Store(length.Load()/3 + 1)
			}
			if err := s.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if d := mustDump(t, s, 1).diff(want); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
		if err := s.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		if d := mustDump(t, s, 1).diff(want); d != "" {
			t.Fatalf("seed %d: settled: %s", seed, d)
		}
		// 64 of each length; eight times longer eight times over is all time.
		if n := s.Stats().Partitions; n > 64*9+64*flushes {
			t.Errorf("seed %d: %d partitions", seed, n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		mustCheck(t, cfg)
	}
}

// TestLateRows writes a stream of which every tenth row is up to thirty
// partitions late, and counts how often each byte is written.
func TestLateRows(t *testing.T) {
	if testing.Short() {
		t.Skip("writes for some seconds")
	}
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(9, 9))
	cfg := testConfig(vfs.NewMem(time.Now), t)
	cfg.MemtableBytes, cfg.MaxMemtableBytes = 256<<10, 1<<20
	cfg.Compaction = shard.Default().Compaction
	cfg.IdleAfter = 50 * time.Millisecond
	const partition = 100_000
	cfg.Bucket = func(uint64) (shard.Bucket, bool) { return shard.Bucket{Partition: partition}, true }
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	clock := int64(31 * partition)
	rows := 0
	for range 400 {
		var times []int64
		for range 1000 {
			clock += 2
			at := clock
			if rng.IntN(10) == 0 {
				at -= rng.Int64N(30 * partition)
			}
			times = append(times, at)
		}
		rows += len(times)
		if err := s.Write(ctx, 1, oneSeries("m", times...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	st := s.Stats()
	amp := float64(st.FlushedBytes+st.CompactedBytes) / float64(st.FlushedBytes)
	byRow := float64(st.FlushedRows+st.CompactedRows) / float64(rows)
	t.Logf("%d flushes, %d compactions, %d segments in %d partitions: amplification %.2f by bytes, %.2f by rows",
		st.Flushes, st.Compactions, st.Segments, st.Partitions, amp, byRow)
	if amp > 6 || byRow > 6 {
		t.Errorf("amplification is %.2f by bytes and %.2f by rows, want at most 6", amp, byRow)
	}
}

// TestCloseLetsGo closes shards with snapshots open, merges under way and
// writers at work, and counts goroutines and open files afterwards.
func TestCloseLetsGo(t *testing.T) {
	ctx := context.Background()
	before := runtime.NumGoroutine()
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 11))
		fs := &countingFS{FS: vfs.NewMem(time.Now)}
		cfg := testConfig(fs, t)
		s, err := shard.Open(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		var snaps []*shard.Snapshot
		for range 30 {
			if err := s.Write(ctx, 1, randomBatch(rng, 1, 60, model{})); err != nil {
				t.Fatal(err)
			}
			if rng.IntN(4) == 0 {
				n, err := s.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				snaps = append(snaps, n)
			}
		}
		for i, n := range snaps {
			if i%2 == 0 {
				n.Close()
				n.Close()
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, n := range snaps {
			n.Close()
		}
		if _, err := s.Snapshot(); err == nil {
			t.Error("a closed shard gave a snapshot")
		}
		for what, err := range map[string]error{
			"write":  s.Write(ctx, 1, oneSeries("m", 1)),
			"flush":  s.Flush(ctx),
			"settle": s.Settle(ctx),
		} {
			if err == nil {
				t.Errorf("%s on a closed shard succeeded", what)
			}
		}
		if n := fs.open.Load(); n != 0 {
			t.Errorf("seed %d: %d files are open", seed, n)
		}
		mustCheck(t, cfg)
	}
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
}

// countingFS counts the files that are open.
type countingFS struct {
	vfs.FS
	open atomic.Int64
}

type countedFile struct {
	vfs.File
	closed sync.Once
	open   *atomic.Int64
}

func (f *countedFile) Close() error {
	f.closed.Do(func() { f.open.Add(-1) })
	return f.File.Close()
}

func (fs *countingFS) counted(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, fmt.Errorf("counted: %w", err)
	}
	fs.open.Add(1)
	return &countedFile{File: f, open: &fs.open}, nil
}

func (fs *countingFS) Create(name string) (vfs.File, error)  { return fs.counted(fs.FS.Create(name)) }
func (fs *countingFS) Open(name string) (vfs.File, error)    { return fs.counted(fs.FS.Open(name)) }
func (fs *countingFS) OpenDir(name string) (vfs.File, error) { return fs.counted(fs.FS.OpenDir(name)) }
