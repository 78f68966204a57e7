package shard_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/vfs"
)

// doubtful makes the sync of the shard's folder fail behind each new root
// while it is on: the root is there, but it is not known for how long.
func doubtful(fault *vfs.Fault, dir string) *atomic.Bool {
	on := new(atomic.Bool)
	var swapped atomic.Bool
	fault.SetHook(func(c vfs.Call) vfs.Action {
		switch {
		case !on.Load():
		case c.Op == vfs.OpRename && filepath.Base(c.Name) == "ROOT":
			swapped.Store(true)
		case c.Op == vfs.OpDirSync && filepath.Clean(c.Name) == filepath.Clean(dir) && swapped.Load():
			return vfs.Action{Err: errors.New("input/output error")}
		}
		return vfs.Action{}
	})
	return on
}

// TestCloseInDoubt closes a shard while it does not know whether its last
// commit took place. Either way nothing may be missing afterwards, so the
// segments of both states have to be there.
func TestCloseInDoubt(t *testing.T) {
	ctx := context.Background()
	for _, name := range []string{"flush", "compaction"} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 5))
			mem := vfs.NewMem(time.Now)
			fault := vfs.NewFault(mem, nil)
			cfg := testConfig(fault, t)
			on := doubtful(fault, cfg.Dir)
			s, err := shard.Open(ctx, cfg)
			if err != nil {
				t.Fatal(err)
			}
			want := model{}
			for range 3 {
				if err := s.Write(ctx, 1, randomBatch(rng, 1, 40, want)); err != nil {
					t.Fatal(err)
				}
				if name == "compaction" {
					if err := s.Flush(ctx); err != nil {
						t.Fatal(err)
					}
				}
			}
			on.Store(true)
			short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			if err := s.Settle(short); err == nil {
				t.Fatal("settled although no commit can be made durable")
			}
			cancel()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			on.Store(false)
			for what, fs := range map[string]vfs.FS{"the same disk": mem, "after a power cut": mem.CrashClone(nil)} {
				s, err := shard.Open(ctx, testConfig(fs, t))
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if p := s.Stats().Problems; len(p) > 0 {
					t.Errorf("%s: %v", what, p)
				} else if d := mustDump(t, s, 1).diff(want); d != "" {
					t.Errorf("%s: %s", what, d)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				mustCheck(t, testConfig(fs, t))
			}
		})
	}
}

// TestDoubtEnds lets a commit be in doubt for a while. The shard goes on by
// itself, and says no longer that something is wrong.
func TestDoubtEnds(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(6, 6))
	fault := vfs.NewFault(vfs.NewMem(time.Now), nil)
	cfg := testConfig(fault, t)
	on := doubtful(fault, cfg.Dir)
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	want := model{}
	for range 2 {
		if err := s.Write(ctx, 1, randomBatch(rng, 1, 40, want)); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	on.Store(true)
	if err := s.Settle(ctx); err == nil {
		t.Fatal("settled although no commit can be made durable")
	}
	on.Store(false)
	deadline := time.Now().Add(10 * time.Second)
	for s.Settle(ctx) != nil || s.Stats().FlushError != "" {
		if time.Now().After(deadline) {
			t.Fatalf("still %q", s.Stats().FlushError)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if d := mustDump(t, s, 1).diff(want); d != "" {
		t.Fatal(d)
	}
}
