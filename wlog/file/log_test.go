package file_test

import (
	"bytes"
	"flag"
	"testing"
	"time"

	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
	"github.com/varvedb/varve/wlog/file"
	"github.com/varvedb/varve/wlog/wlogtest"
)

var seed = flag.Uint64("seed", 1, "seed of the random tests")

// smallFiles opens a log whose files hold some ten records of the tests.
func smallFiles(fs vfs.FS, dir string) (wlog.Log, error) {
	cfg := file.Default(fs, dir)
	cfg.FileBytes = 8 << 10
	l, err := file.Open(cfg)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func TestConformance(t *testing.T) {
	t.Run("mem", func(t *testing.T) {
		wlogtest.Run(t, func(*testing.T) wlogtest.Open {
			fs := vfs.NewMem(nil)
			return func() (wlog.Log, error) { return smallFiles(fs, "/log") }
		})
	})
	t.Run("os", func(t *testing.T) {
		wlogtest.Run(t, func(t *testing.T) wlogtest.Open {
			dir := t.TempDir()
			return func() (wlog.Log, error) { return smallFiles(vfs.OS{}, dir) }
		})
	})
}

func TestFaults(t *testing.T) {
	wlogtest.RunFaults(t, *seed, func(fs vfs.FS) (wlog.Log, error) { return smallFiles(fs, "/log") })
}

// TestTrimBeginsAnewFile trims everything: a large newest file goes too, the
// log goes on in an empty one, and a crash at any point in between loses
// neither records that are needed nor the sequence.
func TestTrimBeginsANewFile(t *testing.T) {
	payload := bytes.Repeat([]byte("abcdefgh"), 100)
	for k := 0; ; k++ {
		mem := vfs.NewMem(time.Now)
		fault := vfs.NewFault(mem, nil)
		cfg := file.Default(fault, "log")
		cfg.FileBytes = 1024
		l, err := file.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if err := l.Append(t.Context(), []wlog.Record{{Kind: wlog.KindWrite, Bucket: uint64(i), Payload: payload}}, nil); err != nil {
				t.Fatal(err)
			}
		}
		last, before := l.Last(), fault.Mutations()
		if k > 0 {
			fault.CrashAt(before + k)
		}
		trimErr := l.Trim(last)
		if k == 0 {
			if trimErr != nil || l.Size() > 200 || l.First() != last.Next() {
				t.Fatalf("after trimming all: %v, %d bytes, first %v, last %v", trimErr, l.Size(), l.First(), last)
			}
			if err := l.Append(t.Context(), []wlog.Record{{Kind: wlog.KindWrite, Payload: payload}}, nil); err != nil {
				t.Fatal(err)
			}
			if got := l.Last(); got != last.Next() {
				t.Fatalf("the record after is %v, want %v", got, last.Next())
			}
		}
		reached := fault.Crashed()
		fault.Crash()
		_ = l.Close()
		cfg.FS = mem.CrashClone(nil)
		l, err = file.Open(cfg)
		if err != nil {
			t.Fatalf("crash at %d: %v", k, err)
		}
		if want := last; k > 0 && l.Last() != want {
			t.Fatalf("crash at %d: the log ends at %v, want %v", k, l.Last(), want)
		}
		_ = l.Close()
		if k > 0 && !reached {
			break
		}
	}
}
