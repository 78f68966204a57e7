package manifest

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/varvedb/varve/vfs"
)

// State is what Load found.
type State struct {
	// Manifest is the present state; of a folder in which nothing was ever
	// committed, an empty one.
	Manifest *Manifest
	// Damaged says what is wrong with files that were not needed, because
	// another holds the same.
	Damaged []*CorruptError
	// Whole says that root, manifest and copy are all of this state: no damage
	// to one of them can lead back to the state before.
	Whole bool
}

// Load returns the present state, of the root or of the copy, whichever is
// later.
func (s *Store) Load() (*State, error) {
	r, c := s.loadRoot(), s.loadManifest(copyName)
	var version *versionError
	if err := errors.Join(r.err, c.err); errors.As(err, &version) {
		return nil, fmt.Errorf("load manifest: %w", version)
	}
	if r.err == nil && c.err == nil && c.m.Number == r.Number && c.sum != r.Checksum {
		c.err = &CorruptError{s.path(copyName), 0, notInRoot}
	}
	switch {
	case r.err == nil && (c.err != nil || c.m.Number < r.Number):
		return s.loadNamed(r, c)
	case c.err == nil:
		return s.loadCopy(r, c)
	case missing(r.err) && missing(c.err):
		return s.loadNothing()
	}
	return nil, fmt.Errorf("load manifest: root and copy are both lost: %w; %w; %s", r.err, c.err, restore)
}

// restore says what to do when the state can no longer be told.
const restore = "nothing was changed: put ROOT, manifest-* and the folders segments and log back, all from one copy of this shard"

const notInRoot = "its checksum is not the one in the root"

// loadNamed returns the state that the root names, where the copy is lost or
// of an older state.
func (s *Store) loadNamed(r readRoot, c readManifest) (*State, error) {
	m := s.loadManifest(r.Manifest)
	switch {
	case m.err != nil:
	case m.sum != r.Checksum:
		m.err = &CorruptError{s.path(r.Manifest), 0, notInRoot}
	case m.m.Number != r.Number:
		m.err = &CorruptError{s.path(r.Manifest), headerSize, fmt.Sprintf("number %d, the root says %d", m.m.Number, r.Number)}
	}
	switch {
	case m.err != nil && c.err == nil:
		return nil, fmt.Errorf("load manifest: %w; the copy has the older state %d, the root names %d; %s", m.err, c.m.Number, r.Number, restore)
	case m.err != nil && r.version == 1 && missing(c.err):
		return nil, fmt.Errorf("load manifest: %w; %s", m.err, restore)
	case m.err != nil:
		return nil, fmt.Errorf("load manifest: it and the copy are both lost: %w; %w; %s", m.err, c.err, restore)
	}
	st := &State{Manifest: m.m}
	switch {
	case c.err == nil:
		st.Damaged = append(st.Damaged, &CorruptError{s.path(copyName), headerSize,
			fmt.Sprintf("number %d, the root says %d", c.m.Number, r.Number)})
	case r.version > 1 || !missing(c.err): // version 1 has no copy
		st.Damaged = append(st.Damaged, s.damage(copyName, c.err))
	}
	return st, nil
}

// loadCopy returns the state of the copy, which is that of the root or a later
// one.
func (s *Store) loadCopy(r readRoot, c readManifest) (*State, error) {
	st := &State{Manifest: c.m}
	switch {
	case missing(r.err) && c.m.Parent == 0: // a first commit that did not come to its end
	case r.err != nil:
		st.Damaged = append(st.Damaged, s.damage(rootName, r.err))
	case r.Number < c.m.Parent:
		st.Damaged = append(st.Damaged, &CorruptError{s.path(rootName), headerSize,
			fmt.Sprintf("number %d, the copy says %d", r.Number, c.m.Number)})
	case r.Number == c.m.Number:
		switch m := s.loadManifest(r.Manifest); {
		case m.err != nil:
			st.Damaged = append(st.Damaged, s.damage(r.Manifest, m.err))
		case m.sum != r.Checksum:
			st.Damaged = append(st.Damaged, &CorruptError{s.path(r.Manifest), 0, notInRoot})
		default:
			st.Whole = true
		}
	}
	return st, nil
}

// loadNothing returns the empty state of a folder without root and copy, if no
// more is there than a first commit leaves that did not come to its end.
func (s *Store) loadNothing() (*State, error) {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return nil, fmt.Errorf("load manifest: %w", err)
	}
	for _, name := range names {
		final := strings.TrimSuffix(name, vfs.TempSuffix)
		if strings.HasPrefix(final, manifestPrefix) && final != manifestName(1) && final != copyName {
			return nil, fmt.Errorf("load manifest: %w; %s",
				&CorruptError{s.path(rootName), 0, "it is missing, and the copy too, but there is " + name}, restore)
		}
	}
	return &State{Manifest: &Manifest{NextSegment: 1}}, nil
}

// missing reports whether a file could not be read because it is not there.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// damage says of a file that it cannot be read, and why.
func (s *Store) damage(name string, err error) *CorruptError {
	var c *CorruptError
	switch {
	case errors.As(err, &c):
		return c
	case missing(err):
		return &CorruptError{s.path(name), 0, "it is missing"}
	}
	return &CorruptError{s.path(name), 0, err.Error()}
}

// readManifest is what became of reading a manifest.
type readManifest struct {
	m   *Manifest
	sum uint32 // of the whole file
	err error
}

func (s *Store) loadManifest(name string) readManifest {
	name = s.path(name)
	raw, err := vfs.ReadFile(s.fs, name)
	if err != nil {
		return readManifest{err: err}
	}
	m := &Manifest{}
	if _, err := decode(name, manifestMagic, raw, m); err != nil {
		return readManifest{err: err}
	}
	if err := m.Check(); err != nil {
		return readManifest{err: &CorruptError{name, headerSize, err.Error()}}
	}
	return readManifest{m: m, sum: crc32.Checksum(raw, castagnoli())}
}

// readRoot is what became of reading the root.
type readRoot struct {
	root
	version uint32
	err     error
}

func (s *Store) loadRoot() (r readRoot) {
	name := s.path(rootName)
	raw, err := vfs.ReadFile(s.fs, name)
	if err == nil {
		r.version, err = decode(name, rootMagic, raw, &r.root)
	}
	if err == nil && filepath.Base(r.Manifest) != r.Manifest {
		err = &CorruptError{name, headerSize, fmt.Sprintf("manifest %q is not in this folder", r.Manifest)}
	}
	r.err = err
	return r
}
