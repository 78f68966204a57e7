package export

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/varvedb/varve/vfs"
)

// Folder is a Destination on this machine.
type Folder struct {
	disk vfs.FS
	dir  string
}

// NewFolder returns a destination for files in dir, which is made if need be.
func NewFolder(disk vfs.FS, dir string) *Folder { return &Folder{disk, dir} }

// Check implements Destination: what an earlier export left would be read
// together with this one.
func (d *Folder) Check(context.Context) error {
	names, err := d.disk.List(d.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("export to folder %s: %w", d.dir, err)
	}
	if len(names) > 0 {
		return fmt.Errorf("export to folder %s: it is not empty, it has %s: give a new one", d.dir, names[0])
	}
	return nil
}

// Create implements Destination.
func (d *Folder) Create(_ context.Context, name string) (File, error) {
	path := filepath.Join(d.dir, filepath.FromSlash(name))
	if err := vfs.MkdirAllSync(d.disk, filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("make folder of %s: %w", path, err)
	}
	f, err := d.disk.Create(path + vfs.TempSuffix)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	return &folderFile{f, d.disk, path}, nil
}

type folderFile struct {
	vfs.File
	disk vfs.FS
	path string
}

func (f *folderFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if err != nil && vfs.IsNoSpace(err) {
		err = fmt.Errorf("%w: make room, or export to another disk", err)
	}
	return n, err
}

func (f *folderFile) Commit() error {
	err := f.Sync()
	err = errors.Join(err, f.Close())
	if err == nil {
		err = f.disk.Rename(f.path+vfs.TempSuffix, f.path)
	}
	if err == nil {
		err = vfs.SyncDir(f.disk, filepath.Dir(f.path))
	}
	if err != nil {
		f.remove()
		return fmt.Errorf("complete %s: %w", f.path, err)
	}
	return nil
}

func (f *folderFile) Abort() {
	// It was given up for an error that is told already.
	_ = f.Close()
	f.remove()
}

// remove leaves a file under the name of a temporary one at worst.
func (f *folderFile) remove() { _ = f.disk.Remove(f.path + vfs.TempSuffix) }
