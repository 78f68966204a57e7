package file_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
	"github.com/varvedb/varve/wlog/file"
)

// payloadOf makes the payload of the record with a sequence.
func payloadOf(seq uint64) []byte {
	if seq%4 == 0 {
		return nil
	}
	b := bytes.Repeat([]byte(fmt.Sprintf("record %d ", seq)), int(seq%13))
	if seq%3 == 0 {
		rng := rand.New(rand.NewPCG(seq, 0))
		for range 200 {
			b = append(b, byte(rng.Uint32()))
		}
	}
	return b
}

// fill appends records from sequence next on, in groups of the given sizes.
func fill(t testing.TB, l *file.Log, next uint64, groups ...int) uint64 {
	t.Helper()
	for _, n := range groups {
		recs := make([]wlog.Record, n)
		for i := range recs {
			recs[i] = wlog.Record{Kind: wlog.KindWrite, Bucket: next, Payload: payloadOf(next)}
			next++
		}
		if err := l.Append(t.Context(), recs, nil); err != nil {
			t.Fatal(err)
		}
	}
	return next
}

func open(t testing.TB, fs vfs.FS, fileBytes int64) *file.Log {
	t.Helper()
	cfg := file.Default(fs, "/log")
	cfg.FileBytes = fileBytes
	l, err := file.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// contents copies the files of the log out of a filesystem.
func contents(t testing.TB, fs vfs.FS) map[string][]byte {
	t.Helper()
	names, err := fs.List("/log")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		b, err := vfs.ReadFile(fs, filepath.Join("/log", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
	}
	return files
}

// restore makes a filesystem of files.
func restore(t testing.TB, files map[string][]byte) vfs.FS {
	t.Helper()
	fs := vfs.NewMem(nil)
	if err := vfs.MkdirAllSync(fs, "/log"); err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		if err := vfs.WriteFileAtomic(fs, filepath.Join("/log", name), b); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// outcome is what a log gave when all of it was read.
type outcome struct {
	served  []uint64
	reports []*wlog.CorruptError
	last    uint64
	torn    *wlog.CorruptError
}

// readThrough opens a log and reads past all damage. It fails if a record is
// served that is not the one that was appended, or if one up to the end is
// neither served nor reported lost.
func readThrough(t testing.TB, fs vfs.FS) outcome {
	t.Helper()
	l := open(t, fs, 1<<20)
	defer l.Close()
	o := outcome{last: l.Last().Seq, torn: l.TornTail()}
	r, err := l.Read(t.Context(), wlog.Position{}, wlog.ReadOptions{OnCorrupt: func(e *wlog.CorruptError) {
		o.reports = append(o.reports, e)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		rec, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		seq := rec.Pos.Seq
		if rec.Bucket != seq || !bytes.Equal(rec.Payload, payloadOf(seq)) {
			t.Fatalf("record %d came back different", seq)
		}
		o.served = append(o.served, seq)
	}
	have := map[uint64]bool{}
	for _, seq := range o.served {
		have[seq] = true
	}
	for _, e := range o.reports {
		if e.File == "" || e.Reason == "" {
			t.Fatalf("a report without a file or a reason: %+v", e)
		}
		for seq := e.First; seq <= e.Last; seq++ {
			if have[seq] {
				t.Fatalf("record %d was served and reported lost", seq)
			}
			have[seq] = true
		}
	}
	for seq := l.First().Seq; seq <= o.last; seq++ {
		if !have[seq] {
			t.Fatalf("record %d was neither served nor reported lost; reports %v", seq, o.reports)
		}
	}
	if uint64(len(have)) != o.last+1-l.First().Seq {
		t.Fatalf("%d records of %d", len(have), o.last)
	}
	return o
}

// TestFlippedBits flips bits all over a log that was closed in order: each one
// that matters is reported with its file and place, costs one record, and all
// else is served.
func TestFlippedBits(t *testing.T) {
	fs := vfs.NewMem(nil)
	l := open(t, fs, 1500)
	last := fill(t, l, 1, 1, 2, 3, 1, 5, 1, 1, 4, 2, 3, 6, 3) - 1
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files := contents(t, fs)
	if len(files) < 3 {
		t.Fatalf("only %d files", len(files))
	}
	newest := slices.Max(mapKeys(files))
	reported := 0
	for name, b := range files {
		for at := range b {
			b[at] ^= 1 << (at % 8)
			o := readThrough(t, restore(t, files))
			b[at] ^= 1 << (at % 8)
			seal := name == newest && at >= len(b)-80
			if o.last != last {
				t.Fatalf("%s at %d: the log ends at %d, want %d", name, at, o.last, last)
			}
			lost := int(last) - len(o.served)
			switch {
			case at < 48: // the file's header
				if lost != 0 || len(o.reports) != 1 || o.reports[0].Offset != 0 || !strings.HasSuffix(o.reports[0].File, name) {
					t.Fatalf("%s at %d: lost %d, reports %v", name, at, lost, o.reports)
				}
			case seal:
				if lost != 0 || len(o.reports) != 0 {
					t.Fatalf("%s at %d: lost %d, reports %v", name, at, lost, o.reports)
				}
			case len(o.reports) == 0: // padding
				if lost != 0 {
					t.Fatalf("%s at %d: lost %d records in silence", name, at, lost)
				}
			default:
				e := o.reports[0]
				if lost != 1 || len(o.reports) != 1 || !strings.HasSuffix(e.File, name) || e.Offset > int64(at) || e.Offset+80+1000 < int64(at) {
					t.Fatalf("%s at %d: lost %d, reports %v", name, at, lost, o.reports)
				}
				reported++
			}
		}
	}
	if reported < 3000 {
		t.Fatalf("only %d flips were reported", reported)
	}
}

func mapKeys(m map[string][]byte) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

// TestTornTail cuts, blanks and flips the newest file of a log that was not
// closed. What is hit in the last group was perhaps never acknowledged: it and
// what follows is left out, without a report. What is hit before was durable.
func TestTornTail(t *testing.T) {
	fs := vfs.NewMem(nil)
	l := open(t, fs, 1<<20)
	defer l.Close()
	fill(t, l, 1, 1, 2, 3)
	groupAt := int(l.Size())
	fill(t, l, 7, 4)
	files := contents(t, fs)
	name := mapKeys(files)[0]
	whole := files[name]

	for cut := range len(whole) {
		files[name] = whole[:cut]
		o := readThrough(t, restore(t, files))
		if len(o.reports) != 0 && cut >= 48 {
			t.Fatalf("cut at %d: reports %v", cut, o.reports)
		}
		if o.torn == nil && o.last != 10 && cut > groupAt && len(o.served) == 6 {
			t.Fatalf("cut at %d: the torn tail was not noticed", cut)
		}
	}
	for at := 48; at < len(whole); at++ {
		b := bytes.Clone(whole)
		b[at] ^= 0x40
		files[name] = b
		o := readThrough(t, restore(t, files))
		if at < groupAt && o.last != 10 {
			t.Fatalf("flip at %d, in durable records: the log ends at %d, reports %v", at, o.last, o.reports)
		}
		if at >= groupAt && (len(o.reports) != 0 || o.last < 6 || o.torn == nil && o.last != 10) {
			t.Fatalf("flip at %d, in the last group: the log ends at %d, reports %v", at, o.last, o.reports)
		}
	}

	// A log that goes on after a torn tail reports nothing of it, ever.
	files[name] = whole[:groupAt+100]
	torn := restore(t, files)
	l2 := open(t, torn, 1<<20)
	end := fill(t, l2, l2.Last().Seq+1, 3, 1)
	if err := l2.Close(); err != nil {
		t.Fatal(err)
	}
	if o := readThrough(t, torn); len(o.reports) != 0 || o.torn != nil || o.last != end-1 || uint64(len(o.served)) != end-1 {
		t.Fatalf("after a torn tail: %+v", o)
	}
}

func TestMissingAndCutFiles(t *testing.T) {
	fs := vfs.NewMem(nil)
	l := open(t, fs, 1000)
	last := fill(t, l, 1, 5, 5, 5, 5) - 1
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files := contents(t, fs)
	names := mapKeys(files)
	slices.Sort(names)
	if len(names) != 4 {
		t.Fatalf("files %q", names)
	}
	cut := files[names[1]][:200]
	delete(files, names[2])
	files[names[1]] = cut
	o := readThrough(t, restore(t, files))
	if o.last != last || len(o.served) < 10 || len(o.reports) != 1 || !strings.HasSuffix(o.reports[0].File, names[1]) {
		t.Fatalf("%+v", o)
	}

	// Without someone to tell, reading stops there, and stays stopped.
	l = open(t, restore(t, files), 1000)
	defer l.Close()
	r, err := l.Read(t.Context(), wlog.Position{}, wlog.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		_, err := r.Next(t.Context())
		if err == nil {
			continue
		}
		var corrupt *wlog.CorruptError
		if !errors.As(err, &corrupt) {
			t.Fatal(err)
		}
		if _, again := r.Next(t.Context()); again != err {
			t.Fatalf("after %v: %v", err, again)
		}
		break
	}
	// From a record after the damage all is well.
	r2, err := l.Read(t.Context(), wlog.Position{Epoch: 1, Seq: last - 2}, wlog.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r2.Close()
	if rec, err := r2.Next(t.Context()); err != nil || rec.Pos.Seq != last-2 {
		t.Fatalf("%v, %v", rec.Pos, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	fs := vfs.NewMem(nil)
	l := open(t, fs, 1000)
	fill(t, l, 1, 5)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files := contents(t, fs)
	name := mapKeys(files)[0]

	newer := bytes.Clone(files[name])
	file.SetHeaderVersion(newer, 2)
	cfg := file.Default(restore(t, map[string][]byte{name: newer}), "/log")
	if _, err := file.Open(cfg); err == nil || !strings.Contains(err.Error(), "newer program") {
		t.Fatalf("open of a newer version: %v", err)
	}

	files[strings.Replace(name, "00000001-0000000001", "00000002-0000000002", 1)] = files[name]
	cfg.FS = restore(t, files)
	var corrupt *wlog.CorruptError
	if _, err := file.Open(cfg); !errors.As(err, &corrupt) {
		t.Fatalf("open of two epochs: %v", err)
	}

	for _, change := range []func(*file.Config){
		func(c *file.Config) { c.FS = nil },
		func(c *file.Config) { c.Dir = "" },
		func(c *file.Config) { c.Start.Seq = 0 },
		func(c *file.Config) { c.FileBytes = 1 },
		func(c *file.Config) { c.QueueBytes = 0 },
		func(c *file.Config) { c.Now = nil },
	} {
		cfg := file.Default(vfs.NewMem(nil), "/log")
		change(&cfg)
		if _, err := file.Open(cfg); err == nil {
			t.Fatalf("opened with %+v", cfg)
		}
	}
}

// TestStart begins a log where its owner says, and finds it there again.
func TestStart(t *testing.T) {
	fs := vfs.NewMem(nil)
	cfg := file.Default(fs, "/log")
	for _, cfg.Start = range []wlog.Position{{Epoch: 3, Seq: 1000}, {Epoch: 9, Seq: 1}} {
		l, err := file.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		want := wlog.Position{Epoch: 3, Seq: 1000}
		if l.First() != want {
			t.Fatalf("first is %v", l.First())
		}
		err = l.Append(t.Context(), []wlog.Record{{}}, func(first, _ wlog.Position) {
			if cfg.Start == want && first != want {
				t.Errorf("begins at %v", first)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
