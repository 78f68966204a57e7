package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"

	"github.com/varvedb/varve/check"
	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
	"github.com/varvedb/varve/wlog/file"
)

// retainedFileBytes is the size of a file of the log of retained messages,
// which is trimmed by whole files.
const retainedFileBytes = 8 << 20

// openRetained opens the log of what the broker of MQTT retains. One that
// cannot be read as a whole is set aside, and a new one begun: devices connect
// without what was retained rather than not at all.
func openRetained(f *folder, log *slog.Logger) (wlog.Log, error) {
	c := file.Default(f.disk, f.name(retainedFolder))
	c.FileBytes = retainedFileBytes
	l, err := file.Open(c)
	var damaged *wlog.CorruptError
	if errors.As(err, &damaged) {
		log.Error("what the broker of MQTT retained cannot be read and is set aside: it retains nothing", "folder", f.name(retainedDamaged), "error", err)
		if err := setAside(f); err != nil {
			return nil, fmt.Errorf("set retained messages aside: %w", err)
		}
		l, err = file.Open(c)
	}
	if err != nil {
		return nil, fmt.Errorf("open retained messages: %w", err)
	}
	if torn := l.TornTail(); torn != nil {
		log.Info("the log of retained messages of MQTT ends in a group that was not finished", "end", torn)
	}
	return l, nil
}

func setAside(f *folder) error {
	if err := f.disk.RemoveAll(f.name(retainedDamaged)); err != nil {
		return err
	}
	if err := f.disk.Rename(f.name(retainedFolder), f.name(retainedDamaged)); err != nil {
		return err
	}
	return vfs.SyncDir(f.disk, f.path)
}

// checkRetained reads the log of retained messages, if there is one, and
// returns how many records it has.
func checkRetained(ctx context.Context, f *folder, report func(check.Problem)) (records int64, err error) {
	dir := f.name(retainedFolder)
	if _, err := f.disk.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	tell := func(e *wlog.CorruptError) { report(check.Problem{File: e.File, Offset: e.Offset, Message: e.Error()}) }
	l, err := file.Open(file.Default(f.disk, dir))
	var damaged *wlog.CorruptError
	if errors.As(err, &damaged) {
		tell(damaged)
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open retained messages: %w", err)
	}
	defer l.Close()
	r, err := l.Read(ctx, wlog.Position{}, wlog.ReadOptions{OnCorrupt: tell})
	if err != nil {
		return 0, fmt.Errorf("read retained messages: %w", err)
	}
	defer r.Close()
	for {
		if _, err := r.Next(ctx); errors.Is(err, io.EOF) {
			return records, nil
		} else if err != nil {
			return records, fmt.Errorf("read retained messages: %w", err)
		}
		records++
	}
}
