package manifest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/vfs"
)

func newFolder(t *testing.T) *vfs.Mem {
	t.Helper()
	mem := vfs.NewMem(time.Now)
	if err := mem.MkdirAll("d", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := vfs.SyncDir(mem, "."); err != nil {
		t.Fatal(err)
	}
	return mem
}

func mustLoad(t *testing.T, fs vfs.FS) *Manifest {
	t.Helper()
	st, err := NewStore(fs, "d").Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Damaged) > 0 {
		t.Fatalf("damage where there is none: %v", st.Damaged)
	}
	return st.Manifest
}

func put(t *testing.T, fs vfs.FS, name string, data []byte) {
	t.Helper()
	if err := vfs.WriteFileAtomic(fs, name, data); err != nil {
		t.Fatal(err)
	}
}

// damages are what may become of a file; nil stands for a missing one.
func damages(good []byte) map[string][]byte {
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 4
	return map[string][]byte{"flipped": flipped, "torn": good[:len(good)/2], "empty": {}, "missing": nil}
}

func apply(t *testing.T, fs vfs.FS, name string, data []byte) {
	t.Helper()
	if data != nil {
		put(t, fs, name, data)
	} else if err := fs.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// TestCrash crashes at every operation of a commit, the first one of a folder
// or a later one. Afterwards the folder holds the old state or the new one,
// the new one if the commit returned; no damage is told of; and all that
// remains so with any one file damaged on top. A next owner can commit.
func TestCrash(t *testing.T) {
	for _, before := range []int{0, 1, 3} {
		for k := 1; ; k++ {
			mem := newFolder(t)
			state := &Manifest{NextSegment: 1}
			for range before {
				m := example()
				m.Parent, m.Epoch = state.Number, 3
				if err := NewStore(mem, "d").Commit(m); err != nil {
					t.Fatal(err)
				}
				state = m
			}
			fault := vfs.NewFault(mem, nil)
			fault.CrashAt(k)
			next := example()
			next.Parent, next.Flushed.Seq = state.Number, 91
			err := NewStore(fault, "d").Commit(next)
			after := mem.CrashClone(nil)
			what := fmt.Sprintf("%d commits before, crash at operation %d (%v)", before, k, err)
			got := mustLoad(t, after)
			if err == nil && got.Number != next.Number || got.Number != next.Number && got.Number != state.Number {
				t.Fatalf("%s: state %d", what, got.Number)
			}
			if got.Number == next.Number && got.Flushed.Seq != 91 {
				t.Fatalf("%s: number %d with the content of another", what, got.Number)
			}
			oneDamaged(t, what, after, state, next, err == nil)
			follow := got.Clone()
			follow.Epoch = 9
			if err := NewStore(after, "d").Commit(follow); err != nil {
				t.Fatalf("%s: the next owner cannot commit: %v", what, err)
			}
			if n := mustLoad(t, after).Number; n != follow.Number {
				t.Fatalf("%s: state %d after the next owner committed %d", what, n, follow.Number)
			}
			if err == nil {
				if k < 10 {
					t.Fatalf("a commit took only %d operations: the crashes did not happen", k)
				}
				break
			}
		}
	}
}

// oneDamaged damages each file of a folder in turn and expects a state that
// may be built upon.
func oneDamaged(t *testing.T, what string, mem *vfs.Mem, old, next *Manifest, returned bool) {
	t.Helper()
	names, err := mem.List("d")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		good, err := vfs.ReadFile(mem, filepath.Join("d", name))
		if err != nil {
			t.Fatal(err)
		}
		if len(good) == 0 {
			continue // a temporary file that holds nothing yet
		}
		for kind, bad := range damages(good) {
			clone := mem.CrashClone(nil)
			apply(t, clone, filepath.Join("d", name), bad)
			st, err := NewStore(clone, "d").Load()
			if err != nil && old.Number == 0 && name == copyName && !slices.Contains(names, rootName) {
				continue // all there is of a first commit: refused, but nothing was ever acknowledged
			}
			if err != nil {
				t.Fatalf("%s, %s %s: %v", what, name, kind, err)
			}
			if n := st.Manifest.Number; n != next.Number && (returned || n != old.Number) {
				t.Fatalf("%s, %s %s: state %d", what, name, kind, n)
			}
			follow := st.Manifest.Clone()
			follow.Epoch = 9
			if err := NewStore(clone, "d").Commit(follow); err != nil {
				t.Fatalf("%s, %s %s: the next owner cannot commit: %v", what, name, kind, err)
			}
			if n := mustLoad(t, clone).Number; n != follow.Number {
				t.Fatalf("%s, %s %s: state %d after the next owner committed %d", what, name, kind, n, follow.Number)
			}
		}
	}
}

// settled is a folder with a state that several commits came before.
func settled(t *testing.T) (mem *vfs.Mem, m *Manifest, files []string) {
	mem = newFolder(t)
	m = example()
	if err := NewStore(mem, "d").Commit(m); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		m = m.Clone()
		if err := NewStore(mem, "d").Commit(m); err != nil {
			t.Fatal(err)
		}
	}
	return mem, m, []string{"d/ROOT", "d/" + manifestName(m.Number), "d/" + copyName}
}

// TestFlips flips every bit of each file. The state is the same, and the file
// is named.
func TestFlips(t *testing.T) {
	mem, m, files := settled(t)
	for _, name := range files {
		good, err := vfs.ReadFile(mem, name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range len(good) * 8 {
			bad := bytes.Clone(good)
			bad[i/8] ^= 1 << (i % 8)
			put(t, mem, name, bad)
			st, err := NewStore(mem, "d").Load()
			if err != nil {
				t.Fatalf("%s with bit %d flipped: %v", name, i, err)
			}
			if d := cmp.Diff(m, st.Manifest); d != "" {
				t.Fatalf("%s with bit %d flipped: %s", name, i, d)
			}
			if len(st.Damaged) != 1 || st.Damaged[0].File != name || st.Whole {
				t.Fatalf("%s with bit %d flipped: damage %v, whole %v", name, i, st.Damaged, st.Whole)
			}
		}
		put(t, mem, name, good)
	}
	if st, err := NewStore(mem, "d").Load(); err != nil || !st.Whole {
		t.Fatalf("%+v, %v: want a whole state", st, err)
	}
}

// TestTwoDamaged damages two files in every way. Load gives the present state
// or refuses with words on what to do; it never gives another state, and
// changes nothing.
func TestTwoDamaged(t *testing.T) {
	mem, m, files := settled(t)
	for _, pair := range [][2]int{{0, 1}, {0, 2}, {1, 2}} {
		a, b := files[pair[0]], files[pair[1]]
		goodA, _ := vfs.ReadFile(mem, a)
		goodB, _ := vfs.ReadFile(mem, b)
		for kindA, badA := range damages(goodA) {
			for kindB, badB := range damages(goodB) {
				clone := mem.CrashClone(nil)
				apply(t, clone, a, badA)
				apply(t, clone, b, badB)
				fault := vfs.NewFault(clone, nil)
				st, err := NewStore(fault, "d").Load()
				what := fmt.Sprintf("%s %s and %s %s", a, kindA, b, kindB)
				switch {
				case err == nil && st.Manifest.Number != m.Number:
					t.Errorf("%s: state %d, want %d", what, st.Manifest.Number, m.Number)
				case err == nil && pair != [2]int{0, 1}:
					t.Errorf("%s: loaded without the copy", what)
				case err != nil && pair == [2]int{0, 1}:
					t.Errorf("%s: %v, but the copy is whole", what, err)
				case err != nil && !strings.Contains(err.Error(), "put ROOT, manifest-*"):
					t.Errorf("%s: %v does not say what to do", what, err)
				}
				if n := fault.Mutations(); n > 0 {
					t.Errorf("%s: Load changed the disk %d times", what, n)
				}
			}
		}
	}
}

// TestOldCopy expects that a copy which is older than the root, as when one
// file of a backup was put back, is told of and never taken.
func TestOldCopy(t *testing.T) {
	mem, m, files := settled(t)
	old, err := vfs.ReadFile(mem, files[2])
	if err != nil {
		t.Fatal(err)
	}
	m = m.Clone()
	if err := NewStore(mem, "d").Commit(m); err != nil {
		t.Fatal(err)
	}
	put(t, mem, files[2], old)
	st, err := NewStore(mem, "d").Load()
	if err != nil || st.Manifest.Number != m.Number || len(st.Damaged) != 1 {
		t.Fatalf("%+v, %v", st, err)
	}
	named := "d/" + manifestName(m.Number)
	good, _ := vfs.ReadFile(mem, named)
	for kind, bad := range damages(good) {
		clone := mem.CrashClone(nil)
		apply(t, clone, named, bad)
		if st, err := NewStore(clone, "d").Load(); err == nil {
			t.Errorf("manifest %s: went back to state %d", kind, st.Manifest.Number)
		}
	}
}

// TestVersion1 opens a folder that has no copy, as programs before the copy
// wrote it, and goes on from it.
func TestVersion1(t *testing.T) {
	mem := newFolder(t)
	m := example()
	m.Number, m.Parent = 8, 7
	m.Normalize()
	raw := encodeV1(t, manifestMagic, m)
	put(t, mem, "d/"+manifestName(8), raw)
	put(t, mem, "d/ROOT", encodeV1(t, rootMagic, &root{m.Epoch, m.Number, manifestName(8), crc32.Checksum(raw, castagnoli())}))
	if d := cmp.Diff(m, mustLoad(t, mem)); d != "" {
		t.Fatal(d)
	}
	for k := 1; ; k++ {
		clone := mem.CrashClone(nil)
		fault := vfs.NewFault(clone, nil)
		fault.CrashAt(k)
		next := m.Clone()
		next.Epoch++
		err := NewStore(fault, "d").Commit(next)
		if got := mustLoad(t, clone.CrashClone(nil)); err == nil && got.Number != 9 || got.Number != 8 && got.Number != 9 {
			t.Fatalf("crash at operation %d: state %d", k, got.Number)
		}
		if err == nil {
			break
		}
	}
}

func encodeV1(t *testing.T, magic string, v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out := binary.LittleEndian.AppendUint32([]byte(magic), 1)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(body)))
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(body, castagnoli()))
	return append(out, body...)
}

// TestNewerVersion expects other words for a whole file of a newer program
// than for damage.
func TestNewerVersion(t *testing.T) {
	mem, _, files := settled(t)
	for _, name := range files {
		raw, _ := vfs.ReadFile(mem, name)
		binary.LittleEndian.PutUint32(raw[4:], 9)
		binary.LittleEndian.PutUint32(raw[12:], checksum(raw, raw[headerSize:]))
		put(t, mem, name, raw)
	}
	if _, err := NewStore(mem, "d").Load(); err == nil || !strings.Contains(err.Error(), "format version 9") {
		t.Fatalf("a newer version gives %v", err)
	}
}

// TestDoubt lets each operation of a commit fail, before or after it took
// place, and expects that Took tells what a restart would find.
func TestDoubt(t *testing.T) {
	for _, after := range []bool{false, true} {
		for k := 1; ; k++ {
			mem := newFolder(t)
			first := example()
			if err := NewStore(mem, "d").Commit(first); err != nil {
				t.Fatal(err)
			}
			n := 0
			fault := vfs.NewFault(mem, func(c vfs.Call) vfs.Action {
				if c.Op.Mutates() {
					if n++; n == k {
						return vfs.Action{Err: fmt.Errorf("input/output error"), After: after}
					}
				}
				return vfs.Action{}
			})
			next := first.Clone()
			err := NewStore(fault, "d").Commit(next)
			if n < k {
				break
			}
			if err == nil {
				continue // the removal of an old manifest
			}
			took, terr := NewStore(mem, "d").Took(next)
			if terr != nil {
				t.Fatalf("operation %d: %v", k, terr)
			}
			want := first.Number
			if took {
				want = next.Number
				if err := NewStore(mem, "d").Secure(next); err != nil {
					t.Fatal(err)
				}
			}
			for _, disk := range []*vfs.Mem{mem, mem.CrashClone(nil)} {
				if got := mustLoad(t, disk).Number; got != want {
					t.Fatalf("operation %d, after %v: state %d, want %d", k, after, got, want)
				}
			}
		}
	}
}

// TestDoubtWithDamage expects that nothing is said of a commit while root or
// copy cannot be read, for it may be the one that has it.
func TestDoubtWithDamage(t *testing.T) {
	for _, name := range []string{rootName, copyName} {
		mem, m, _ := settled(t)
		good, _ := vfs.ReadFile(mem, filepath.Join("d", name))
		good[20] ^= 1
		put(t, mem, filepath.Join("d", name), good)
		next := m.Clone()
		next.Number = next.Parent + 1
		if took, err := NewStore(mem, "d").Took(next); err == nil {
			t.Errorf("%s damaged: took %v without an error", name, took)
		}
	}
	mem, m, _ := settled(t)
	later := m.Clone()
	later.Epoch++
	if err := NewStore(mem, "d").Commit(later); err != nil {
		t.Fatal(err)
	}
	mine := m.Clone()
	mine.Number = mine.Parent + 1
	if _, err := NewStore(mem, "d").Took(mine); err == nil {
		t.Error("a newer owner's state was taken for one's own")
	}
}

// TestNoRoom lets the disk be full: the old state stands, without a doubt.
func TestNoRoom(t *testing.T) {
	mem, m, _ := settled(t)
	for room := range int64(4000) {
		clone := mem.CrashClone(nil)
		clone.SetQuota(clone.Used() + room)
		next := m.Clone()
		err := NewStore(clone, "d").Commit(next)
		if err == nil {
			if room == 0 {
				t.Fatal("a commit took no room")
			}
			return
		}
		if took, terr := NewStore(clone, "d").Took(next); took || terr != nil {
			t.Fatalf("%d bytes of room: took %v, %v", room, took, terr)
		}
		names, _ := clone.List("d")
		if slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, vfs.TempSuffix) }) {
			t.Fatalf("%d bytes of room: %v is left", room, names)
		}
	}
	t.Fatal("a commit takes more than 4000 bytes")
}
