package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

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
	// retainedFolder is the log of what the broker of MQTT retains.
	retainedFolder  = "mqtt-retained"
	retainedDamaged = "mqtt-retained.damaged" // one that was set aside
)

// Addresses says where a server listens.
type Addresses struct {
	HTTP    string `json:"http"`
	Service string `json:"service"`
	PID     int    `json:"pid"`
	TLS     bool   `json:"tls,omitempty"` // on both ports
	OTLP    string `json:"otlp_grpc,omitempty"`
	Pprof   string `json:"pprof,omitempty"` // never with TLS
	// Of MQTT: over TCP, TLS and WebSocket.
	MQTT          string `json:"mqtt,omitempty"`
	MQTTS         string `json:"mqtts,omitempty"`
	MQTTWebSocket string `json:"mqtt_websocket,omitempty"`
}

// URL returns the URL of HTTP or Service.
func (a Addresses) URL(address string) string {
	if a.TLS {
		return "https://" + address
	}
	return "http://" + address
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
		return nil, inUse(path)
	}
	if err != nil {
		return nil, fmt.Errorf("lock data folder %s: %w", path, err)
	}
	return &folder{disk, path, lock}, nil
}

// inUse says who has a data folder, as far as that is known: a server tells,
// an import or a check does not.
func inUse(path string) error {
	const advice = "; wait for it or stop it, or choose another folder by --data-dir"
	if a, err := ReadAddresses(path); err == nil {
		return fmt.Errorf("data folder %s is in use by another varve (the last server there was process %d on %s)%s",
			path, a.PID, a.URL(a.HTTP), advice)
	}
	return fmt.Errorf("data folder %s is in use by another varve%s", path, advice)
}

func (f *folder) close() error { return f.lock.Close() }

func (f *folder) name(parts ...string) string {
	return filepath.Join(append([]string{f.path}, parts...)...)
}

// writeAddresses tells where the server is. On a full disk it reports false:
// reads must go on there, and addresses of a former server would mislead.
func (f *folder) writeAddresses(a Addresses) (told bool, err error) {
	err = f.writeJSON(f.name(addressesFile), a)
	if vfs.IsNoSpace(err) {
		return false, f.removeAddresses()
	}
	return err == nil, err
}

func (f *folder) removeAddresses() error {
	err := f.disk.Remove(f.name(addressesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the disk was full when the server started
	}
	return err
}

// layout says how the store was made, and who wrote to it last.
type layout struct {
	Version int `json:"version"` // of the folder's structure
	Shards  int `json:"shards"`  // never changes
	// WrittenBy is the version of the program that opened the store last;
	// empty if that was one that did not say.
	WrittenBy string `json:"written_by,omitempty"`
}

// layoutVersion is the structure that this program makes. oldestLayout is the
// first that it reads, and turns into its own while the folder is locked,
// before anything else is written.
//
// Version 2 has users, states of tokens and permissions for other kinds than
// buckets: a program for version 1 would take what is locked for open. Nothing
// that version 1 had changed, so that the number is all there is to turn.
const (
	layoutVersion = 2
	oldestLayout  = 1
)

// layout returns how the store was made, or makes it with so many shards, and
// notes which program has it from now on.
func (f *folder) layout(shards int, program string) (layout, error) {
	name := f.name(storeFolder, layoutFile)
	l, err := f.readLayout(program)
	if errors.Is(err, fs.ErrNotExist) {
		if err := f.lost(); err != nil {
			return l, err
		}
		l = layout{layoutVersion, shards, program}
		if err := vfs.MkdirAllSync(f.disk, f.name(storeFolder)); err != nil {
			return l, err
		}
		return l, f.writeJSON(name, l)
	}
	if err != nil || program == "" || l.WrittenBy == program && l.Version == layoutVersion {
		return l, err
	}
	l.Version, l.WrittenBy = layoutVersion, program
	err = f.writeJSON(name, l)
	if vfs.IsNoSpace(err) {
		return l, nil // nothing else is written either until there is room
	}
	return l, err
}

// readLayout returns how the store was made if this program can read it.
func (f *folder) readLayout(program string) (l layout, err error) {
	name := f.name(storeFolder, layoutFile)
	b, err := vfs.ReadFile(f.disk, name)
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return l, fmt.Errorf("read %s: %w; restore the file from a copy of the same store", name, err)
	}
	return l, f.readable(l, name, program)
}

// readable reports why this program must not open a store.
func (f *folder) readable(l layout, name, program string) error {
	by := "a varve that did not note its version"
	if l.WrittenBy != "" {
		by = "varve " + l.WrittenBy
	}
	switch {
	case l.Version > layoutVersion:
		return fmt.Errorf("the store in %s has format version %d and was last written by %s; this is varve %s, which reads versions up to %d. Start that varve or a later one, or restore a copy that was made before the upgrade; nothing was changed",
			f.path, l.Version, by, program, layoutVersion)
	case l.Version < oldestLayout:
		return fmt.Errorf("read %s: there is no format version %d; this is varve %s, which reads versions %d to %d. Restore the file from a copy of the same store; nothing was changed",
			name, l.Version, program, oldestLayout, layoutVersion)
	case l.Shards < 1 || l.Shards > maxShards:
		return fmt.Errorf("read %s: %d shards are impossible; restore the file from a copy of the same store", name, l.Shards)
	}
	return nil
}

// lost reports a store without its layout: one made anew might have another
// number of shards, and find no series where it looks.
func (f *folder) lost() error {
	names, err := f.disk.List(f.name(storeFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasPrefix(n, shardPrefix) {
			return fmt.Errorf("%s is missing, but %s beside it is not; restore the file from a copy of the same store",
				f.name(storeFolder, layoutFile), n)
		}
	}
	return nil
}

func (f *folder) writeJSON(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return vfs.WriteFileAtomic(f.disk, name, append(b, '\n'))
}
