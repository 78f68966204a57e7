package check_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/check"
	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
	"github.com/varvedb/varve/wlog/file"
)

const dir = "data/0"

func openLog(fs vfs.FS) func(string, wlog.Position) (wlog.Log, error) {
	return func(dir string, start wlog.Position) (wlog.Log, error) {
		c := file.Default(fs, dir)
		c.Start = start
		l, err := file.Open(c)
		if err != nil {
			return nil, err
		}
		return l, nil
	}
}

// store makes a shard with a segment and records behind it.
func store(t *testing.T, fs vfs.FS) *shard.Shard {
	t.Helper()
	ctx := context.Background()
	c := shard.Default()
	c.FS, c.Dir, c.OpenLog, c.Now = fs, dir, openLog(fs), time.Now
	c.MinFreeBytes = 0
	c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	c.Bucket = func(uint64) (shard.Bucket, bool) { return shard.Bucket{Partition: time.Hour}, true }
	s, err := shard.Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		tb := &column.Table{Measurement: "m", Fields: []column.Field{{Name: "v", Vector: column.Vector{Type: column.Int64}}}}
		for h := range 50 {
			key := fmt.Appendf(nil, "host=h%02d", h)
			n := tb.Series.Add(key, column.HashSeries("m", key))
			for r := range 100 {
				tb.Row, tb.Time = append(tb.Row, n), append(tb.Time, int64(i*1000+r))
				tb.Fields[0].AppendWord(uint64(r * h))
			}
		}
		if err := s.Write(ctx, 1, &column.Batch{Tables: []*column.Table{tb}}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := s.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

// folder checks the folder and returns the totals and what was reported.
func folder(t *testing.T, fs vfs.FS, schema func(uint64, string, string) (column.Type, bool)) (check.Totals, string) {
	t.Helper()
	var out []string
	totals, err := check.Folder(context.Background(), check.Config{FS: fs, Schema: schema, OpenLog: openLog(fs),
		Report: func(p check.Problem) { out = append(out, p.String()) }}, dir)
	if err != nil {
		t.Fatal(err)
	}
	if totals.Problems != len(out) {
		t.Errorf("counted %d problems, reported %d", totals.Problems, len(out))
	}
	return totals, strings.Join(out, "\n")
}

func TestSound(t *testing.T) {
	fs := vfs.NewMem(time.Now)
	s := store(t, fs)
	n, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	online, err := check.Snapshot(context.Background(), check.Config{FS: fs, Report: func(p check.Problem) { t.Error(p) }}, n)
	n.Close()
	if err != nil || online.Rows != 5000 {
		t.Errorf("online: %+v, %v", online, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	schema := func(b uint64, m, f string) (column.Type, bool) { return column.Int64, b == 1 && m == "m" && f == "v" }
	totals, problems := folder(t, fs, schema)
	if problems != "" {
		t.Errorf("a sound store: %s", problems)
	}
	if totals.Segments != 1 || totals.Rows != 5000 || totals.LogRecords == 0 {
		t.Errorf("totals %+v", totals)
	}
}

func TestDamage(t *testing.T) {
	fs := vfs.NewMem(time.Now)
	if err := store(t, fs).Close(); err != nil {
		t.Fatal(err)
	}
	names := func(folder string) string {
		all, err := fs.List(folder)
		if err != nil || len(all) == 0 {
			t.Fatalf("%s: %v, %v", folder, all, err)
		}
		return folder + "/" + all[len(all)-1]
	}
	seg, log := names(dir+"/segments"), names(dir+"/log")
	change := func(name string, how func(b []byte) []byte) func() {
		good, err := vfs.ReadFile(fs, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFileAtomic(fs, name, how(bytes.Clone(good))); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := vfs.WriteFileAtomic(fs, name, good); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(at int) func(b []byte) []byte {
		return func(b []byte) []byte { b[at] ^= 4; return b }
	}
	cut := func(b []byte) []byte { return b[:len(b)-1] }
	for _, c := range []struct {
		name, want string
		do         func() func()
	}{
		{"a flipped bit in a segment", seg, func() func() { return change(seg, flip(200)) }},
		{"a segment that is too short", seg, func() func() { return change(seg, cut) }},
		{"a flipped bit in the log", log, func() func() { return change(log, flip(600)) }},
		{"a flipped bit in the root", dir + "/ROOT", func() func() { return change(dir+"/ROOT", flip(20)) }},
		{"a segment that is gone", seg, func() func() {
			good, _ := vfs.ReadFile(fs, seg)
			if err := fs.Remove(seg); err != nil {
				t.Fatal(err)
			}
			return func() { _ = vfs.WriteFileAtomic(fs, seg, good) }
		}},
		{"an orphan", "no manifest names it", func() func() {
			name := dir + "/segments/00000000000000ff.seg"
			_ = vfs.WriteFileAtomic(fs, name, []byte("x"))
			return func() { _ = fs.Remove(name) }
		}},
	} {
		undo := c.do()
		if _, problems := folder(t, fs, nil); !strings.Contains(problems, c.want) {
			t.Errorf("%s: reported %q, want something with %q", c.name, problems, c.want)
		}
		undo()
	}
	wrong := func(uint64, string, string) (column.Type, bool) { return column.Float64, true }
	if _, problems := folder(t, fs, wrong); !strings.Contains(problems, `field "v" of measurement "m" is integer, the schema says float`) {
		t.Errorf("a wrong schema: %q", problems)
	}
	if _, problems := folder(t, fs, nil); problems != "" {
		t.Errorf("after all is mended: %s", problems)
	}
}
