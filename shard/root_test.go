package shard_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/varvedb/varve/check"
	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/vfs"
)

// lived is the folder of a shard that was closed with segments, a delete that
// is not carried out everywhere, and rows that are in the log alone.
func lived(t *testing.T) (*vfs.Mem, model) {
	t.Helper()
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(8, 8))
	mem := vfs.NewMem(time.Now)
	cfg := testConfig(mem, t)
	cfg.MemtableBytes, cfg.MaxMemtableBytes = 1<<20, 2<<20
	cfg.IdleAfter = time.Hour
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	m := model{}
	write := func() {
		if err := s.Write(ctx, 1, randomBatch(rng, 1, 60, m)); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, randomDelete(rng, 1, m)); err != nil {
		t.Fatal(err)
	}
	write()
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	write()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return mem, m
}

// manifestFiles returns the paths of ROOT, the manifest that it names, and the
// copy.
func manifestFiles(t *testing.T, fs vfs.FS, dir string) []string {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var newest string
	for _, n := range names {
		if strings.HasPrefix(n, "manifest-0") && !strings.HasSuffix(n, vfs.TempSuffix) {
			newest = n
		}
	}
	return []string{filepath.Join(dir, "ROOT"), filepath.Join(dir, newest), filepath.Join(dir, "manifest-copy")}
}

// findings is what check says of the folder of a closed shard.
func findings(t *testing.T, cfg shard.Config) string {
	t.Helper()
	var out []string
	_, err := check.Folder(context.Background(), check.Config{FS: cfg.FS, OpenLog: cfg.OpenLog,
		Report: func(p check.Problem) { out = append(out, p.String()) }}, cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "; ")
}

// TestDamagedManifest flips bytes of root, manifest and copy, tears and removes
// them. All that was there is served, the file is named by the start and by the
// check, and the start has mended it.
func TestDamagedManifest(t *testing.T) {
	mem, want := lived(t)
	step := 17 // manifest.TestFlips goes through every bit
	if testing.Short() {
		step = 97
	}
	if *rounds > 0 {
		step = 1
	}
	for _, name := range manifestFiles(t, mem, "data/0") {
		good, err := vfs.ReadFile(mem, name)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(good); i += step {
			clone := mem.CrashClone(nil)
			rewrite(t, clone, name, func(b []byte) []byte { b[i] ^= 1 << (i % 8); return b })
			servesDespite(t, clone, name, fmt.Sprintf("%s, byte %d", name, i), want)
		}
		clone := mem.CrashClone(nil)
		rewrite(t, clone, name, func(b []byte) []byte { return b[:len(b)/3] })
		servesDespite(t, clone, name, name+" torn", want)
		clone = mem.CrashClone(nil)
		if err := clone.Remove(name); err != nil {
			t.Fatal(err)
		}
		servesDespite(t, clone, name, name+" missing", want)
	}
}

func servesDespite(t *testing.T, fs vfs.FS, name, what string, want model) {
	t.Helper()
	cfg := testConfig(fs, t)
	if found := findings(t, cfg); !strings.Contains(found, name) {
		t.Fatalf("%s: check finds %q", what, found)
	}
	s, err := shard.Open(context.Background(), cfg)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if p := strings.Join(s.Stats().Problems, "; "); !strings.Contains(p, name) {
		t.Fatalf("%s: problems %q", what, p)
	}
	if d := mustDump(t, s, 1).diff(want); d != "" {
		t.Fatalf("%s: %s", what, d)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if found := findings(t, cfg); found != "" {
		t.Fatalf("%s: after a start check finds %q", what, found)
	}
}

// TestLostManifest damages root and copy both. The shard does not open, says
// what to do, and touches nothing, so that putting them back is all it takes.
func TestLostManifest(t *testing.T) {
	mem, want := lived(t)
	cfg := testConfig(mem, t)
	files := manifestFiles(t, mem, cfg.Dir)
	for _, lost := range [][]string{{files[0], files[2]}, {files[1], files[2]}, files} {
		clone := mem.CrashClone(nil)
		kept := map[string][]byte{}
		for i, name := range lost {
			data, err := vfs.ReadFile(clone, name)
			if err != nil {
				t.Fatal(err)
			}
			kept[name] = data
			if i == 0 && len(lost) < 3 {
				rewrite(t, clone, name, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
			} else if err := clone.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		fault := vfs.NewFault(clone, nil)
		_, err := shard.Open(context.Background(), testConfig(fault, t))
		if err == nil || !strings.Contains(err.Error(), "put ROOT") || !strings.Contains(err.Error(), cfg.Dir) {
			t.Fatalf("%v lost: %v does not say what to do", lost, err)
		}
		for _, op := range []vfs.Op{vfs.OpCreate, vfs.OpWrite, vfs.OpRename, vfs.OpRemove, vfs.OpMkdir} {
			if n := fault.Count(op); n > 0 {
				t.Fatalf("%v lost: a start that was refused did %d × %s", lost, n, op)
			}
		}
		for name, data := range kept {
			if err := vfs.WriteFileAtomic(clone, name, data); err != nil {
				t.Fatal(err)
			}
		}
		s, err := shard.Open(context.Background(), testConfig(clone, t))
		if err != nil {
			t.Fatal(err)
		}
		if d := mustDump(t, s, 1).diff(want); d != "" {
			t.Fatal(d)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSegmentsWithoutManifest removes every manifest and the root. The
// segments are not taken for orphans.
func TestSegmentsWithoutManifest(t *testing.T) {
	mem, _ := lived(t)
	cfg := testConfig(mem, t)
	names, err := mem.List(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if n == "ROOT" || strings.HasPrefix(n, "manifest-") {
			if err := mem.Remove(filepath.Join(cfg.Dir, n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	before, _ := mem.List(filepath.Join(cfg.Dir, "segments"))
	if _, err := shard.Open(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), "no ROOT") {
		t.Fatalf("opened: %v", err)
	}
	if after, _ := mem.List(filepath.Join(cfg.Dir, "segments")); len(before) == 0 || len(after) != len(before) {
		t.Fatalf("segments %v, before %v", after, before)
	}
}

// damageOne damages one of the files of the manifest as a crash has left them,
// or none if they are not there yet.
func damageOne(t *testing.T, mem *vfs.Mem, dir string, rng *rand.Rand) (name string) {
	t.Helper()
	names, err := mem.List(dir)
	if err != nil {
		return ""
	}
	var there []string
	for _, n := range names {
		if n == "ROOT" || strings.HasPrefix(n, "manifest-") && !strings.HasSuffix(n, vfs.TempSuffix) {
			there = append(there, filepath.Join(dir, n))
		}
	}
	if len(there) < 3 {
		return "" // in the middle of the very first commit
	}
	name = there[rng.IntN(len(there))]
	if rng.IntN(3) == 0 {
		if err := mem.Remove(name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	rewrite(t, mem, name, func(b []byte) []byte {
		b = bytes.Clone(b)
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		return b
	})
	return name
}

// TestFullAtStart opens a shard on a disk that takes nothing more. What was
// written is read, writes are refused with the reason, and it recovers by
// itself, also if it was restarted in between.
func TestFullAtStart(t *testing.T) {
	for _, name := range []string{"quota", "everything fails", "files that nothing names"} {
		t.Run(name, func(t *testing.T) {
			mem, want := lived(t)
			if name == "files that nothing names" {
				if err := vfs.WriteFileAtomic(mem, shard.SegmentName("data/0", 9999), make([]byte, 1<<20)); err != nil {
					t.Fatal(err)
				}
			}
			fault := vfs.NewFault(mem, nil)
			if name != "everything fails" {
				mem.SetQuota(mem.Used())
			} else {
				fault.SetHook(func(c vfs.Call) vfs.Action {
					switch c.Op {
					case vfs.OpCreate, vfs.OpWrite, vfs.OpMkdir, vfs.OpLock:
						return vfs.Action{Err: syscall.ENOSPC}
					}
					return vfs.Action{}
				})
			}
			fullAtStart(t, mem, fault, want, name == "files that nothing names")
		})
	}
}

func fullAtStart(t *testing.T, mem *vfs.Mem, fault *vfs.Fault, want model, frees bool) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(9, 9))
	cfg := testConfig(fault, t)
	var s *shard.Shard
	for range 3 {
		var err error
		if s, err = shard.Open(ctx, cfg); err != nil {
			t.Fatal(err)
		}
		if d := mustDump(t, s, 1).diff(want); d != "" {
			t.Fatalf("on a full disk: %s", d)
		}
		if frees {
			break
		}
		var refused *shard.UnavailableError
		if err := s.Write(ctx, 1, randomBatch(rng, 1, 20, model{})); !errors.As(err, &refused) || !strings.Contains(refused.Reason, "full") {
			t.Fatalf("a write on a full disk: %v", err)
		}
		if err := s.Flush(ctx); err == nil {
			t.Fatal("flushed to a full disk")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = shard.Open(ctx, cfg); err != nil {
			t.Fatal(err)
		}
		if d := mustDump(t, s, 1).diff(want); d != "" {
			t.Fatalf("on a full disk, after a restart: %s", d)
		}
	}
	if !frees {
		mem.SetQuota(0)
		fault.SetHook(nil)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		next := want.clone()
		err := s.Write(ctx, 1, randomBatch(rng, 1, 20, next))
		if err == nil {
			want = next
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("does not recover: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	for err := s.Settle(ctx); err != nil; err = s.Settle(ctx) {
		if time.Now().After(deadline) {
			t.Fatalf("does not recover: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if d := mustDump(t, s, 1).diff(want); d != "" {
		t.Fatalf("after recovery: %s", d)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if found := findings(t, cfg); found != "" && !strings.Contains(found, "no manifest names it") {
		t.Fatal(found)
	}
	s, err := shard.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if d := mustDump(t, s, 1).diff(want); d != "" {
		t.Fatalf("after a restart: %s", d)
	}
}
