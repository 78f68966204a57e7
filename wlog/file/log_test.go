package file_test

import (
	"flag"
	"testing"

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
