package shard_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/varvedb/varve/check"
	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/encoding"
	"github.com/varvedb/varve/merge"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/tombstone"
	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
	"github.com/varvedb/varve/wlog/file"
)

var (
	seedFlag = flag.Uint64("seed", 0, "run the random tests with this seed only")
	rounds   = flag.Int("rounds", 0, "how many seeds the random tests go through (0: a short form)")
)

// seeds returns the seeds of a random test whose short form has n.
func seeds(n int) []uint64 {
	if *seedFlag != 0 {
		return []uint64{*seedFlag}
	}
	if *rounds > 0 {
		n = *rounds
	}
	out := make([]uint64, n)
	for i := range out {
		out[i] = uint64(i + 1)
	}
	return out
}

// point is one value of the model.
type point struct {
	bucket              uint64
	measurement, series string
	time                int64
	field               string
}

// model is what a store should hold.
type model map[point]string

func (m model) clone() model {
	c := make(model, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// diff describes the first differences of m to want.
func (m model) diff(want model) string {
	var out []string
	for k, v := range want {
		if got, ok := m[k]; !ok {
			out = append(out, fmt.Sprintf("missing %+v = %s", k, v))
		} else if got != v {
			out = append(out, fmt.Sprintf("%+v is %s, want %s", k, got, v))
		}
	}
	for k, v := range m {
		if _, ok := want[k]; !ok {
			out = append(out, fmt.Sprintf("%+v = %s should not be there", k, v))
		}
	}
	sort.Strings(out)
	if len(out) > 5 {
		out = append(out[:5], fmt.Sprintf("and %d more", len(out)-5))
	}
	return strings.Join(out, "\n")
}

// testConfig is a shard on fs that flushes and merges all the time.
func testConfig(fs vfs.FS, t testing.TB) shard.Config {
	c := shard.Default()
	c.FS, c.Dir = fs, "data/0"
	c.OpenLog = func(dir string, start wlog.Position) (wlog.Log, error) {
		lc := file.Default(fs, dir)
		lc.Start = start
		lc.FileBytes = 16 << 10
		l, err := file.Open(lc)
		if err != nil {
			return nil, err
		}
		return l, nil
	}
	c.Bucket = func(uint64) (shard.Bucket, bool) {
		return shard.Bucket{Partition: 1000, Level: encoding.LevelBalanced}, true
	}
	c.MemtableBytes, c.MaxMemtableBytes = 24<<10, 96<<10
	c.WriteWait = 20 * time.Second
	c.MinFreeBytes = 0
	c.Compaction.Fanout, c.Compaction.MaxSegments = 3, 4
	c.IdleAfter = time.Millisecond
	c.RetryAfter = 5 * time.Millisecond
	c.Now = time.Now
	c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	if testing.Verbose() {
		c.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	}
	return c
}

func render(v *column.Vector, i int) string {
	if v.Type == column.String {
		return fmt.Sprintf("%q", v.Str(i))
	}
	return fmt.Sprintf("%v:%x", v.Type, v.Words[i])
}

// dump reads all that a snapshot holds.
func dump(n *shard.Snapshot, buckets ...uint64) (model, error) {
	m := model{}
	for _, b := range buckets {
		names, err := n.Measurements(b, column.MinTime, column.MaxTime)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			runs, err := n.Runs(b, name, column.MinTime, column.MaxTime)
			if err != nil {
				return nil, err
			}
			if err := dumpRuns(m, b, name, runs); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

func dumpRuns(m model, bucket uint64, name string, runs []shard.Input) error {
	var inputs []merge.Input
	for _, r := range runs {
		inputs = append(inputs, merge.Input{Run: r.Run, Hidden: r.Hidden})
	}
	mg, err := merge.New(inputs)
	if err != nil {
		return err
	}
	defer mg.Close()
	for {
		key, ok, err := mg.NextSeries()
		if err != nil || !ok {
			return err
		}
		for {
			rows, err := mg.Next()
			if err != nil {
				return err
			}
			if rows == nil {
				break
			}
			for i, at := range rows.Time {
				for c, f := range mg.Fields() {
					if v := &rows.Cols[c]; v.Valid.Get(i) {
						m[point{bucket, name, string(key), at, f.Name}] = render(v, i)
					}
				}
			}
		}
	}
}

// randomBatch makes a batch and writes it to m.
func randomBatch(rng *rand.Rand, bucket uint64, rows int, m model) *column.Batch {
	b := &column.Batch{}
	for _, name := range []string{"cpu", "mem"}[:1+rng.IntN(2)] {
		t := &column.Table{Measurement: name}
		series := 1 + rng.IntN(8)
		for s := range series {
			key := fmt.Appendf(nil, "host=h%d,zone=z%d", s, s%3)
			t.Series.Add(key, column.HashSeries(name, key))
		}
		for _, f := range []column.FieldInfo{{Name: "f", Type: column.Float64}, {Name: "i", Type: column.Int64},
			{Name: "s", Type: column.String}, {Name: "u", Type: column.Uint64}, {Name: "b", Type: column.Bool}} {
			if rng.IntN(3) > 0 || f.Name == "i" {
				t.Fields = append(t.Fields, column.Field{Name: f.Name, Vector: column.Vector{Type: f.Type}})
			}
		}
		for r := range rows {
			s, at := rng.IntN(series), rng.Int64N(5000)
			t.Row, t.Time = append(t.Row, uint32(s)), append(t.Time, at)
			for i := range t.Fields {
				f := &t.Fields[i]
				if f.Name != "i" && rng.IntN(4) == 0 {
					f.AppendNulls(1)
					continue
				}
				switch f.Type {
				case column.Float64:
					f.AppendFloat(float64(rng.IntN(1000)) / 10)
				case column.String:
					f.AppendString(fmt.Appendf(nil, "text %d", rng.IntN(50)))
				case column.Bool:
					f.AppendWord(rng.Uint64() & 1)
				default:
					f.AppendWord(uint64(rng.IntN(500)))
				}
				m[point{bucket, name, string(t.Series.Key(s)), at, f.Name}] = render(&f.Vector, r)
			}
		}
		b.Tables = append(b.Tables, t)
	}
	return b
}

func randomDelete(rng *rand.Rand, bucket uint64, m model) *tombstone.Tombstone {
	d := &tombstone.Tombstone{Bucket: bucket, Min: rng.Int64N(5000)}
	d.Max = d.Min + rng.Int64N(2000)
	if rng.IntN(2) == 0 {
		d.Measurement = "cpu"
	}
	switch rng.IntN(3) {
	case 0:
		d.Where = predicate.Eq("zone", "z1")
	case 1:
		d.Where = predicate.Eq("host", fmt.Sprintf("h%d", rng.IntN(8)))
	}
	if rng.IntN(3) == 0 {
		d.Fields = []string{"f"}
	}
	if rng.IntN(3) == 0 {
		return randomPoints(rng, bucket, m, d.Fields)
	}
	p, _ := predicate.Compile(d.Where)
	for k := range m {
		if k.bucket == bucket && (d.Measurement == "" || d.Measurement == k.measurement) && k.time >= d.Min && k.time <= d.Max &&
			p.Match([]byte(k.series)) && (len(d.Fields) == 0 || slices.Contains(d.Fields, k.field)) {
			delete(m, k)
		}
	}
	return d
}

// randomPoints deletes some points that are there, and one that is not.
func randomPoints(rng *rand.Rand, bucket uint64, m model, fields []string) *tombstone.Tombstone {
	times := map[string][]int64{"host=nobody": {rng.Int64N(5000)}}
	one, of := rng.Int64N(10), int64(10) // which points, in whatever order m gives them
	for k := range m {
		if k.bucket == bucket && k.measurement == "cpu" && k.time%of == one {
			times[k.series] = append(times[k.series], k.time)
		}
	}
	var points []tombstone.Points
	for series, at := range times {
		points = append(points, tombstone.Points{Series: series, Times: at})
	}
	for k := range m {
		if k.bucket == bucket && k.measurement == "cpu" && slices.Contains(times[k.series], k.time) && (len(fields) == 0 || slices.Contains(fields, k.field)) {
			delete(m, k)
		}
	}
	return tombstone.Of(bucket, "cpu", points, fields)
}

// mustCheck walks the store of a closed shard and expects no problem.
func mustCheck(t *testing.T, cfg shard.Config) {
	t.Helper()
	_, err := check.Folder(context.Background(), check.Config{FS: cfg.FS, OpenLog: cfg.OpenLog,
		Report: func(p check.Problem) { t.Errorf("check: %s", p) }}, cfg.Dir)
	if err != nil {
		t.Error(err)
	}
}

func mustDump(t *testing.T, s *shard.Shard, buckets ...uint64) model {
	t.Helper()
	n, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	got, err := dump(n, buckets...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestRandomOperations writes, overwrites, deletes, flushes, compacts,
// restarts and takes snapshots, and compares with a map all along.
func TestRandomOperations(t *testing.T) {
	for _, seed := range seeds(15) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			ctx := context.Background()
			rng := rand.New(rand.NewPCG(seed, 1))
			fs := vfs.NewMem(time.Now)
			cfg := testConfig(fs, t)
			s, err := shard.Open(ctx, cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				mustCheck(t, cfg)
			}()
			m := model{}
			type pinned struct {
				snap *shard.Snapshot
				want model
			}
			var pins []pinned
			for op := range 80 {
				bucket := uint64(1 + rng.IntN(2))
				switch n := rng.IntN(100); {
				case n < 60:
					err = s.Write(ctx, bucket, randomBatch(rng, bucket, 1+rng.IntN(60), m))
				case n < 70:
					err = s.Delete(ctx, randomDelete(rng, bucket, m))
				case n < 75:
					err = s.Flush(ctx)
				case n < 80:
					err = s.Settle(ctx)
				case n < 85:
					for _, p := range pins {
						p.snap.Close()
					}
					pins = nil
					if err = s.Close(); err == nil {
						s, err = shard.Open(ctx, cfg)
					}
				case n < 92:
					var p pinned
					if p.snap, err = s.Snapshot(); err == nil {
						p.want = m.clone()
						pins = append(pins, p)
					}
				default:
					if d := mustDump(t, s, 1, 2).diff(m); d != "" {
						t.Fatalf("operation %d: %s", op, d)
					}
				}
				if err != nil {
					t.Fatalf("operation %d: %v", op, err)
				}
			}
			for i, p := range pins {
				got, err := dump(p.snap, 1, 2)
				if err != nil {
					t.Fatal(err)
				}
				if d := got.diff(p.want); d != "" {
					t.Fatalf("snapshot %d at sequence %d: %s", i, p.snap.Seq(), d)
				}
				p.snap.Close()
			}
			if err := s.Settle(ctx); err != nil {
				t.Fatal(err)
			}
			if d := mustDump(t, s, 1, 2).diff(m); d != "" {
				t.Fatalf("after settling: %s", d)
			}
			st := s.Stats()
			if st.Tombstones != 0 {
				t.Errorf("%d tombstones are left after settling", st.Tombstones)
			}
			names, _ := fs.List("data/0/segments")
			if len(names) != st.Segments {
				t.Errorf("%d files for %d segments: %v", len(names), st.Segments, names)
			}
		})
	}
}

// TestCrashEverywhere crashes at every k-th operation that changes the disk
// and compares what is there after a restart with what was acknowledged.
func TestCrashEverywhere(t *testing.T) {
	// The start is tried step by step, the rest in strides.
	stepwise, stride, n := 100, 9, 2
	if testing.Short() {
		stepwise, stride, n = 10, 60, 1
	}
	if *rounds > 0 {
		stride = 1
	}
	for _, seed := range seeds(n) {
		last := 0
		for k := 1; ; k++ {
			if k > stepwise {
				k += stride - 1
			}
			done := crashOnce(t, seed, k)
			last = k
			if done {
				break
			}
		}
		if last < 150 {
			t.Errorf("seed %d: the workload takes only %d operations", seed, last)
		}
		t.Logf("seed %d: crashed at up to %d operations", seed, last)
	}
}

// crashOnce runs a workload that stops at the k-th operation, restarts and
// checks. done reports that the workload ended before it.
func crashOnce(t *testing.T, seed uint64, k int) (done bool) {
	t.Helper()
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(seed, 2))
	mem := vfs.NewMem(time.Now)
	fault := vfs.NewFault(mem, nil)
	fault.CrashAt(k)
	acked := model{}
	maybe := acked
	cfg := testConfig(fault, t)
	cfg.WriteWait = 50 * time.Millisecond // what a crash costs a waiting writer
	s, err := shard.Open(ctx, cfg)
	for op := 0; err == nil && op < 60; op++ {
		maybe = acked.clone()
		switch n := rng.IntN(100); {
		case n < 85:
			b := randomBatch(rng, 1, 1+rng.IntN(40), maybe)
			err = patiently(fault, func() error { return s.Write(ctx, 1, b) })
		case n < 95:
			d := randomDelete(rng, 1, maybe)
			err = patiently(fault, func() error { return s.Delete(ctx, d) })
		default:
			err = s.Settle(ctx)
		}
		if err == nil {
			acked = maybe
		}
	}
	done = !fault.Crashed()
	if err != nil && done {
		t.Fatalf("seed %d, crash at %d: %v before the crash", seed, k, err)
	}
	fault.Crash()
	if s != nil {
		_ = s.Close()
	}
	after := mem.CrashClone(rand.New(rand.NewPCG(seed, uint64(k))))
	damaged := after.CrashClone(nil)
	if name := damageOne(t, damaged, cfg.Dir, rng); name != "" {
		s, err := shard.Open(ctx, testConfig(damaged, t))
		if err != nil {
			t.Fatalf("seed %d, crash at %d, then %s damaged: reopen: %v", seed, k, name, err)
		}
		got := mustDump(t, s, 1)
		if d := got.diff(acked); d != "" && got.diff(maybe) != "" {
			t.Fatalf("seed %d, crash at %d, then %s damaged: %s", seed, k, name, d)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		mustCheck(t, testConfig(damaged, t))
	}
	s, err = shard.Open(ctx, testConfig(after, t))
	if err != nil {
		t.Fatalf("seed %d, crash at %d: reopen: %v", seed, k, err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		mustCheck(t, testConfig(after, t))
	}()
	got := mustDump(t, s, 1)
	if d := got.diff(acked); d != "" && got.diff(maybe) != "" {
		t.Fatalf("seed %d, crash at %d: %s\n(against what was being written: %s)", seed, k, d, got.diff(maybe))
	}
	if p := s.Stats().Problems; len(p) > 0 {
		t.Fatalf("seed %d, crash at %d: problems %v", seed, k, p)
	}
	// It goes on from there.
	if err := s.Write(ctx, 1, randomBatch(rng, 1, 20, got)); err != nil {
		t.Fatalf("seed %d, crash at %d: write after restart: %v", seed, k, err)
	}
	if err := s.Settle(ctx); err != nil {
		t.Fatalf("seed %d, crash at %d: settle after restart: %v", seed, k, err)
	}
	if d := mustDump(t, s, 1).diff(got); d != "" {
		t.Fatalf("seed %d, crash at %d: after more writes: %s", seed, k, d)
	}
	return done
}

// patiently repeats what a busy machine refuses, until it crashes.
func patiently(fault *vfs.Fault, do func() error) error {
	err := do()
	for e := new(shard.UnavailableError); errors.As(err, &e) && !fault.Crashed(); {
		err = do()
	}
	return err
}

// TestDiskFull fills the disk, sees writes refused and reads served, makes
// room, and sees writes taken again.
func TestDiskFull(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(1, 3))
	fs := vfs.NewMem(time.Now)
	cfg := testConfig(fs, t)
	cfg.WriteWait = 50 * time.Millisecond
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	acked := model{}
	for range 20 {
		if err := s.Write(ctx, 1, randomBatch(rng, 1, 40, acked)); err != nil {
			t.Fatal(err)
		}
	}
	fs.SetQuota(fs.Used() + 10<<10)
	var refused *shard.UnavailableError
	for i := 0; ; i++ {
		next := acked.clone()
		err := s.Write(ctx, 1, randomBatch(rng, 1, 40, next))
		if errors.As(err, &refused) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		acked = next
		if i > 1000 {
			t.Fatal("a full disk refuses nothing")
		}
	}
	if refused.RetryAfter <= 0 {
		t.Errorf("%v: says nothing of when to try again", refused)
	}
	if d := mustDump(t, s, 1).diff(acked); d != "" {
		t.Fatalf("on a full disk: %s", d)
	}
	fs.SetQuota(0)
	deadline := time.Now().Add(20 * time.Second)
	for {
		next := acked.clone()
		err := s.Write(ctx, 1, randomBatch(rng, 1, 40, next))
		if err == nil {
			acked = next
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("does not recover: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := s.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	if d := mustDump(t, s, 1).diff(acked); d != "" {
		t.Fatalf("after recovery: %s", d)
	}
}

// TestFaultySync lets every n-th sync fail; nothing that was acknowledged may
// be missing after a power cut.
func TestFaultySync(t *testing.T) {
	ctx := context.Background()
	for _, seed := range seeds(3) {
		rng := rand.New(rand.NewPCG(seed, 4))
		mem := vfs.NewMem(time.Now)
		fault := vfs.NewFault(mem, nil)
		cfg := testConfig(fault, t)
		cfg.WriteWait = 20 * time.Millisecond
		s, err := shard.Open(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		var failing atomic.Bool // so often that the log's own retry fails too
		fault.SetHook(func(c vfs.Call) vfs.Action {
			if c.Op == vfs.OpSync && failing.Load() {
				return vfs.Action{Err: errors.New("input/output error")}
			}
			return vfs.Action{}
		})
		// A refused write may still be there after a restart, so every point
		// is written once only: acked must be there, nothing else may be but
		// what was refused.
		acked, tried := model{}, model{}
		for i := range 60 {
			next := model{}
			b := randomBatch(rng, 1, 30, next)
			for _, t := range b.Tables {
				for r := range t.Time {
					t.Time[r] = int64(i)*10 + int64(r)%10
				}
			}
			next = modelOf(1, b)
			failing.Store(rng.IntN(4) == 0)
			err := s.Write(ctx, 1, b)
			for k, v := range next {
				tried[k] = v
				if err == nil {
					acked[k] = v
				}
			}
		}
		if len(acked) == 0 || len(acked) == len(tried) {
			t.Fatalf("seed %d: %d of %d values were acknowledged", seed, len(acked), len(tried))
		}
		fault.Crash()
		_ = s.Close()
		s, err = shard.Open(ctx, testConfig(mem.CrashClone(nil), t))
		if err != nil {
			t.Fatal(err)
		}
		got := mustDump(t, s, 1)
		for k, v := range acked {
			if got[k] != v {
				t.Fatalf("seed %d: %+v is %q, want %q", seed, k, got[k], v)
			}
		}
		for k, v := range got {
			if tried[k] != v {
				t.Fatalf("seed %d: %+v = %q was never written", seed, k, v)
			}
		}
		_ = s.Close()
	}
}

// modelOf is what a batch, applied to an empty store, makes of it.
func modelOf(bucket uint64, b *column.Batch) model {
	m := model{}
	for _, t := range b.Tables {
		for r := range t.Time {
			for i := range t.Fields {
				if f := &t.Fields[i]; f.Valid.Get(r) {
					m[point{bucket, t.Measurement, string(t.Series.Key(int(t.Row[r]))), t.Time[r], f.Name}] = render(&f.Vector, r)
				}
			}
		}
	}
	return m
}
