package shard_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
)

// readFrom returns the sequences of the records from a position on.
func readFrom(t *testing.T, s *shard.Shard, from wlog.Position) (seqs []uint64) {
	t.Helper()
	ctx := context.Background()
	r, err := s.ReadLog(ctx, from, wlog.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for {
		rec, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return seqs
		}
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, rec.Pos.Seq)
	}
}

// expectHeld expects that all records from a cursor's next one up to the end
// of the log are there.
func expectHeld(t *testing.T, s *shard.Shard, name string) wlog.Position {
	t.Helper()
	for _, c := range s.Cursors() {
		if c.Name != name {
			continue
		}
		if c.Dropped != "" {
			t.Fatalf("cursor %s was dropped: %s", name, c.Dropped)
		}
		next := wlog.Position(c.Next)
		n := uint64(len(readFrom(t, s, next)))
		if want := s.Stats().AppliedSeq + 1 - next.Seq; n != want {
			t.Fatalf("cursor %s at %s: %d records are there, want %d", name, next, n, want)
		}
		return next
	}
	t.Fatalf("there is no cursor %s", name)
	return wlog.Position{}
}

func writeAndFlush(t *testing.T, s *shard.Shard, rng *rand.Rand, times int) {
	t.Helper()
	for range times {
		if err := s.Write(context.Background(), 1, randomBatch(rng, 1, 60, model{})); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestCursor follows a cursor through its life: the log is kept for it, over
// restarts too, and freed when it moves on or goes.
func TestCursor(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(3, 9))
	cfg := testConfig(vfs.NewMem(time.Now), t)
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	writeAndFlush(t, s, rng, 5)
	if err := s.CreateCursor("edge", wlog.Position{}, 0); err != nil {
		t.Fatal(err)
	}
	at := expectHeld(t, s, "edge")
	if want := s.Stats().AppliedSeq + 1; at.Seq != want {
		t.Fatalf("a new cursor is at %d, want %d", at.Seq, want)
	}
	for range 4 {
		writeAndFlush(t, s, rng, 10)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, cfg)
	if s, err = shard.Open(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	writeAndFlush(t, s, rng, 10)
	if expectHeld(t, s, "edge") != at {
		t.Fatal("the cursor moved by itself")
	}
	held := s.Cursors()[0].HeldBytes
	if held < 40<<10 || held > s.Stats().LogBytes {
		t.Fatalf("it holds %d bytes of a log of %d", held, s.Stats().LogBytes)
	}
	half := wlog.Position{Epoch: at.Epoch, Seq: (at.Seq + s.Stats().AppliedSeq) / 2}
	for range 2 { // a repetition changes nothing
		if err := s.AdvanceCursor("edge", half); err != nil {
			t.Fatal(err)
		}
		if err := s.AdvanceCursor("edge", at); err != nil {
			t.Fatal(err)
		}
		if expectHeld(t, s, "edge") != half {
			t.Fatal("the cursor is not where it was advanced to")
		}
	}
	if now := s.Cursors()[0].HeldBytes; now >= held {
		t.Errorf("it still holds %d bytes", now)
	}
	before := s.Stats().LogBytes
	if err := s.RemoveCursor("edge"); err != nil {
		t.Fatal(err)
	}
	if after := s.Stats().LogBytes; after >= before {
		t.Errorf("the log has %d bytes after the cursor went, before %d", after, before)
	}
	if _, err := s.ReadLog(ctx, half, wlog.ReadOptions{}); !errors.Is(err, wlog.ErrTrimmed) {
		t.Errorf("what no cursor holds: %v", err)
	}
}

// TestCursorRefusals goes through what cannot be asked of cursors.
func TestCursorRefusals(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 10))
	s, err := shard.Open(context.Background(), testConfig(vfs.NewMem(time.Now), t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	writeAndFlush(t, s, rng, 40)
	if err := s.CreateCursor("a", wlog.Position{}, 0); err != nil {
		t.Fatal(err)
	}
	end := wlog.Position{Epoch: 1, Seq: s.Stats().AppliedSeq + 1}
	for name, c := range map[string]struct {
		err, want error
	}{
		"made twice":       {s.CreateCursor("a", wlog.Position{}, 0), shard.ErrCursorExists},
		"too early":        {s.CreateCursor("b", wlog.Position{Epoch: 1, Seq: 1}, 0), wlog.ErrTrimmed},
		"too late":         {s.CreateCursor("b", end.Next(), 0), wlog.ErrAhead},
		"advance too far":  {s.AdvanceCursor("a", end.Next()), wlog.ErrAhead},
		"advance nothing":  {s.AdvanceCursor("b", end), shard.ErrNoCursor},
		"remove nothing":   {s.RemoveCursor("b"), shard.ErrNoCursor},
		"at the very end":  {s.CreateCursor("c", end, 0), nil},
		"a name too long":  {s.CreateCursor(strings.Repeat("x", 201), end, 0), errAny},
		"a negative limit": {s.CreateCursor("d", end, -1), errAny},
	} {
		if c.want == errAny && c.err != nil {
			continue
		}
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
}

var errAny = errors.New("any error")

// TestCursorLimit lets a cursor fall behind its limit. It is dropped with an
// alarm that a restart does not silence, its owner is told, and the log is
// freed; another cursor stays.
func TestCursorLimit(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(3, 11))
	cfg := testConfig(vfs.NewMem(time.Now), t)
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.CreateCursor("slow", wlog.Position{}, 64<<10); err != nil {
		t.Fatal(err)
	}
	writeAndFlush(t, s, rng, 1)
	if err := s.CreateCursor("other", wlog.Position{}, 64<<20); err != nil {
		t.Fatal(err)
	}
	writeAndFlush(t, s, rng, 2)
	expectHeld(t, s, "slow")
	for range 20 {
		writeAndFlush(t, s, rng, 10)
	}
	for range 2 {
		err := s.AdvanceCursor("slow", wlog.Position{Epoch: 1, Seq: 3})
		if !errors.Is(err, shard.ErrCursorDropped) || !strings.Contains(err.Error(), "may hold 65536") {
			t.Fatalf("its owner is told %v", err)
		}
		if p := strings.Join(s.Stats().Problems, "; "); !strings.Contains(p, `"slow"`) {
			t.Fatalf("no alarm: %q", p)
		}
		expectHeld(t, s, "other")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = shard.Open(ctx, cfg); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.RemoveCursor("other"); err != nil {
		t.Fatal(err)
	}
	if n := s.Stats().LogBytes; n > 64<<10 {
		t.Errorf("the log still has %d bytes", n)
	}
	if err := s.CreateCursor("slow", wlog.Position{}, 64<<10); err != nil {
		t.Fatal(err)
	}
	if p := s.Stats().Problems; len(p) > 0 {
		t.Errorf("problems %v after it was made anew", p)
	}
	expectHeld(t, s, "slow")
}

// TestCursorOfLostLog replaces the log behind a cursor by none. It is dropped,
// for what it would read next is gone.
func TestCursorOfLostLog(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(3, 12))
	mem := vfs.NewMem(time.Now)
	cfg := testConfig(mem, t)
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateCursor("c", wlog.Position{}, 0); err != nil {
		t.Fatal(err)
	}
	writeAndFlush(t, s, rng, 20)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := mem.RemoveAll(shard.LogDir(cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	if s, err = shard.Open(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.AdvanceCursor("c", wlog.Position{Epoch: 1, Seq: 2}); !errors.Is(err, shard.ErrCursorDropped) {
		t.Fatalf("the log is gone, and the cursor says %v", err)
	}
}

// closeOnCrash closes s when its disk stops, since a commit that is in doubt is
// tried until then. The returned function waits for that.
func closeOnCrash(s *shard.Shard, fault *vfs.Fault) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !fault.Crashed() {
			time.Sleep(200 * time.Microsecond)
		}
		_ = s.Close()
	}()
	return func() { <-done }
}

// TestCursorCrash crashes at every operation of a life with a cursor. Afterwards
// it is where it was last advanced to, or where it was being advanced to, and
// all records from there on are in the log.
func TestCursorCrash(t *testing.T) {
	ctx := context.Background()
	stride := 7
	if testing.Short() {
		stride = 61
	}
	if *rounds > 0 {
		stride = 1
	}
	for k := 1; ; k += stride {
		rng := rand.New(rand.NewPCG(3, 13))
		mem := vfs.NewMem(time.Now)
		fault := vfs.NewFault(mem, nil)
		fault.CrashAt(k)
		cfg := testConfig(fault, t)
		cfg.WriteWait = 50 * time.Millisecond
		var made, acked, maybe uint64
		s, err := shard.Open(ctx, cfg)
		stop := func() {}
		if err == nil {
			stop = closeOnCrash(s, fault)
			made = 1
			err = s.CreateCursor("c", wlog.Position{}, 0)
		}
		if err == nil {
			made, acked, maybe = 2, 1, 1
		}
		for round := 0; err == nil && round < 6; round++ {
			for i := 0; err == nil && i < 8; i++ {
				b := randomBatch(rng, 1, 30, model{})
				err = patiently(fault, func() error { return s.Write(ctx, 1, b) })
			}
			if err == nil {
				err = s.Flush(ctx)
			}
			if err == nil {
				maybe = (acked + s.Stats().AppliedSeq) / 2
				if err = s.AdvanceCursor("c", wlog.Position{Epoch: 1, Seq: maybe}); err == nil {
					acked = maybe
				}
			}
		}
		done := !fault.Crashed()
		if err != nil && done {
			t.Fatalf("crash at %d: %v before the crash", k, err)
		}
		fault.Crash()
		stop()
		s, err = shard.Open(ctx, testConfig(mem.CrashClone(rand.New(rand.NewPCG(1, uint64(k)))), t))
		if err != nil {
			t.Fatalf("crash at %d: %v", k, err)
		}
		switch all := s.Cursors(); {
		case len(all) == 0 && made < 2:
		case len(all) == 0:
			t.Fatalf("crash at %d: the cursor is gone", k)
		default:
			if at := expectHeld(t, s, "c").Seq; made == 2 && at != acked && at != maybe {
				t.Fatalf("crash at %d: the cursor is at %d, want %d or %d", k, at, acked, maybe)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if done {
			if k < 100 {
				t.Fatalf("only %d operations", k)
			}
			return
		}
	}
}
