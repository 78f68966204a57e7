package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/varvedb/varve/vfs"
)

// TokenFile is the name of the file in the data folder that keeps the admin
// token which the first start made.
const TokenFile = "admin-token"

// Other names in the data folder; those below storeFolder are the engine's.
const (
	lockFile      = "lock"
	addressesFile = "addresses.json"
	catalogFile   = "catalog.db"
	storeFolder   = "store"
	layoutFile    = "layout.json" // of storeFolder
)

// Addresses says where a server listens.
type Addresses struct {
	HTTP    string `json:"http"`
	Service string `json:"service"`
	PID     int    `json:"pid"`
}

// ReadAddresses tells where the server on a data folder listens.
func ReadAddresses(dataDir string) (Addresses, error) {
	var a Addresses
	b, err := vfs.ReadFile(vfs.OS{}, filepath.Join(dataDir, addressesFile))
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	if err != nil {
		return a, fmt.Errorf("read addresses: %w", err)
	}
	return a, nil
}

// folder is a data folder that this process holds.
type folder struct {
	disk vfs.FS
	path string
	lock io.Closer
}

// openFolder makes the folder if need be and locks it against a second
// server. The lock is the kernel's and goes with the process, however it ends.
func openFolder(disk vfs.FS, path string) (*folder, error) {
	if err := vfs.MkdirAllSync(disk, path); err != nil {
		return nil, fmt.Errorf("open data folder: %w", err)
	}
	lock, err := disk.Lock(filepath.Join(path, lockFile))
	if errors.Is(err, vfs.ErrLocked) {
		return nil, fmt.Errorf("data folder %s is in use by another varve", path)
	}
	if err != nil {
		return nil, fmt.Errorf("lock data folder %s: %w", path, err)
	}
	return &folder{disk, path, lock}, nil
}

func (f *folder) close() error { return f.lock.Close() }

func (f *folder) name(parts ...string) string {
	return filepath.Join(append([]string{f.path}, parts...)...)
}

func (f *folder) writeAddresses(a Addresses) error {
	return f.writeJSON(f.name(addressesFile), a)
}

func (f *folder) removeAddresses() error { return f.disk.Remove(f.name(addressesFile)) }

// layout says how the store was made; it never changes.
type layout struct {
	Version int `json:"version"` // of the folder's structure
	Shards  int `json:"shards"`
}

// layoutVersion is the structure that this program makes and reads.
const layoutVersion = 1

// layout returns how the store was made, or makes it with so many shards.
func (f *folder) layout(shards int) (layout, error) {
	name := f.name(storeFolder, layoutFile)
	var l layout
	b, err := vfs.ReadFile(f.disk, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l = layout{layoutVersion, shards}
		if err := vfs.MkdirAllSync(f.disk, f.name(storeFolder)); err != nil {
			return l, err
		}
		return l, f.writeJSON(name, l)
	case err != nil:
		return l, err
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return l, fmt.Errorf("read %s: %w", name, err)
	}
	if l.Version != layoutVersion {
		return l, fmt.Errorf("the store in %s has layout version %d; this varve reads %d", f.path, l.Version, layoutVersion)
	}
	if l.Shards < 1 || l.Shards > maxShards {
		return l, fmt.Errorf("read %s: %d shards are impossible", name, l.Shards)
	}
	return l, nil
}

func (f *folder) writeJSON(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return vfs.WriteFileAtomic(f.disk, name, append(b, '\n'))
}
