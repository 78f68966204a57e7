package file

import (
	"errors"
	"fmt"
	"time"

	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
)

// Config says where a log lives and how it behaves.
type Config struct {
	FS  vfs.FS
	Dir string // made if it is not there; nothing else may live in it

	// Start is the position of the first record of a log that is made anew.
	// A log that is found keeps its own. An owner that has lost a log gives
	// a greater epoch and a sequence past all it has seen.
	Start wlog.Position

	// FileBytes is the size at which a new file is begun. Trimming frees
	// whole files, and an open reads the last one.
	FileBytes int64

	// QueueBytes bounds the encoded records that wait for the disk; Append
	// blocks beyond it.
	QueueBytes int64

	// Now is the clock that times syncs.
	Now func() time.Time

	// ObserveSync, if set, is told how long each sync of a file took. It is
	// called from the goroutine that writes.
	ObserveSync func(time.Duration)
}

// Default returns the configuration of a log in dir.
func Default(fs vfs.FS, dir string) Config {
	return Config{
		FS:    fs,
		Dir:   dir,
		Start: wlog.Position{Epoch: 1, Seq: 1},
		// A file of this size is read in some 50 ms, and creating one costs
		// two syncs, which is nothing beside the hundreds that fill it.
		FileBytes: 64 << 20,
		// Two groups of the largest size: one on its way to the disk, one
		// that gathers meanwhile.
		QueueBytes: 2 * maxGroupBytes,
		Now:        time.Now,
	}
}

// Validate tells what is wrong with the configuration.
func (c *Config) Validate() error {
	switch {
	case c.FS == nil:
		return errors.New("log configuration: no filesystem")
	case c.Dir == "":
		return errors.New("log configuration: no directory")
	case c.Start.Epoch == 0 || c.Start.Seq == 0:
		return fmt.Errorf("log configuration: start %v: epoch and sequence begin at 1", c.Start)
	case c.FileBytes < fileHeaderSize:
		return fmt.Errorf("log configuration: file size %d is below %d bytes", c.FileBytes, fileHeaderSize)
	case c.QueueBytes <= 0:
		return fmt.Errorf("log configuration: queue of %d bytes", c.QueueBytes)
	case c.Now == nil:
		return errors.New("log configuration: no clock")
	}
	return nil
}
