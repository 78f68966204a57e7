package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strings"

	"github.com/varvedb/varve/vfs"
)

const (
	rootName       = "ROOT"
	manifestPrefix = "manifest-"
	copyName       = manifestPrefix + "copy"
)

var (
	// ErrFenced says that another owner has taken over the shard.
	ErrFenced = errors.New("the shard has a newer owner")
	// ErrUnchanged says that a commit failed before it wrote anything.
	ErrUnchanged = errors.New("nothing was written")
)

// Store reads and commits the manifests of one folder. Its methods are for
// one goroutine at a time.
type Store struct {
	fs  vfs.FS
	dir string
}

// root is the content of the root file.
type root struct {
	Epoch    uint64 `json:"epoch"`
	Number   uint64 `json:"number"`
	Manifest string `json:"manifest"`
	Checksum uint32 `json:"checksum"` // of the manifest file
}

// NewStore returns the store of a folder that exists.
func NewStore(fsys vfs.FS, dir string) *Store { return &Store{fsys, dir} }

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

func manifestName(number uint64) string { return fmt.Sprintf("%s%016x", manifestPrefix, number) }

// Commit makes m, whose Parent is the number of the present state, the
// present state, gives it its number, and removes manifests that are neither
// it nor its parent. After an error other than ErrUnchanged the old state
// stands, or the new one: Took tells which.
func (s *Store) Commit(m *Manifest) error {
	m.Number = m.Parent + 1
	m.Normalize()
	if err := m.Check(); err != nil {
		return fmt.Errorf("commit manifest %d: %w: %w", m.Number, ErrUnchanged, err)
	}
	if err := s.fence(m); err != nil {
		return fmt.Errorf("commit manifest %d: %w: %w", m.Number, ErrUnchanged, err)
	}
	return s.Secure(m)
}

// Secure writes all that Commit writes, once more: of a commit that took place
// but is not known to be durable, or that may have taken place.
func (s *Store) Secure(m *Manifest) error {
	if err := s.write(m); err != nil {
		return fmt.Errorf("commit manifest %d: %w", m.Number, err)
	}
	s.removeOld(m)
	return nil
}

func (s *Store) write(m *Manifest) error {
	raw, err := encode(manifestMagic, m)
	if err != nil {
		return err
	}
	named := manifestName(m.Number)
	head, err := encode(rootMagic, &root{m.Epoch, m.Number, named, crc32.Checksum(raw, castagnoli())})
	if err != nil {
		return err
	}

	// 1. All that takes room, so that a full disk leaves no doubt.
	if err := s.stage([]string{named, copyName, rootName}, [][]byte{raw, raw, head}); err != nil {
		return err
	}
	// 2. The manifest that the root will name, and the copy. With the latter
	// the commit has taken place.
	if err := s.unstage(named); err != nil {
		return err
	}
	if err := s.unstage(copyName); err != nil {
		return err
	}
	if err := vfs.SyncDir(s.fs, s.dir); err != nil {
		return err
	}
	// 3. The root, never before what it names and the copy are durable.
	if err := s.unstage(rootName); err != nil {
		return err
	}
	return vfs.SyncDir(s.fs, s.dir)
}

// stage writes files to temporary names, all or none of them.
func (s *Store) stage(names []string, data [][]byte) error {
	for i, name := range names {
		err := vfs.StageFile(s.fs, s.path(name), data[i])
		if err == nil {
			continue
		}
		for _, before := range names[:i] {
			_ = s.fs.Remove(s.path(before) + vfs.TempSuffix) // the next commit writes over it
		}
		return err
	}
	return nil
}

// unstage gives a staged file its name.
func (s *Store) unstage(name string) error {
	if err := s.fs.Rename(s.path(name)+vfs.TempSuffix, s.path(name)); err != nil {
		return fmt.Errorf("write %s: %w", s.path(name), err)
	}
	return nil
}

// Took tells, after Commit of m failed, whether the commit took place all the
// same. If it did, Secure has to succeed before anything is built on it; if it
// did not, the old state stands. An error says that this cannot be told now;
// ErrFenced, that another has committed.
func (s *Store) Took(m *Manifest) (bool, error) {
	r, c := s.loadRoot(), s.loadManifest(copyName)
	there := marks(r, c)
	if slices.ContainsFunc(there, func(p mark) bool {
		return p.number > m.Number || p.epoch > m.Epoch || p.number == m.Number && p.epoch != m.Epoch
	}) {
		return false, fmt.Errorf("%w: the disk has epoch and number %v, this commit %d and %d", ErrFenced, there, m.Epoch, m.Number)
	}
	if slices.Contains(there, mark{m.Epoch, m.Number}) {
		return true, nil
	}
	// Neither has it, if what cannot be read is not there.
	for _, err := range []error{r.err, c.err} {
		if err != nil && !missing(err) {
			return false, err
		}
	}
	return false, nil
}

// fence refuses a commit over the state of a later owner or another writer.
func (s *Store) fence(m *Manifest) error {
	r, c := s.loadRoot(), s.loadManifest(copyName)
	there := marks(r, c)
	if len(there) == 0 {
		if missing(r.err) && missing(c.err) {
			return nil
		}
		return errors.Join(r.err, c.err)
	}
	latest := slices.MaxFunc(there, func(a, b mark) int { return a.compare(b) })
	if latest.epoch > m.Epoch || latest.number != m.Parent {
		return fmt.Errorf("%w: the disk has epoch %d and number %d, this commit %d after %d",
			ErrFenced, latest.epoch, latest.number, m.Epoch, m.Parent)
	}
	return nil
}

// mark says which state a file is of.
type mark struct{ epoch, number uint64 }

func (m mark) compare(o mark) int {
	return cmp.Or(cmp.Compare(m.number, o.number), cmp.Compare(m.epoch, o.epoch))
}

// marks returns those of root and copy that can be read.
func marks(r readRoot, c readManifest) (out []mark) {
	if r.err == nil {
		out = append(out, mark{r.Epoch, r.Number})
	}
	if c.err == nil {
		out = append(out, mark{c.m.Epoch, c.m.Number})
	}
	return out
}

// removeOld removes manifests before the parent of m. Failing to costs a few
// kilobytes until the next commit tries again.
func (s *Store) removeOld(m *Manifest) {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return
	}
	keep := []string{copyName, manifestName(m.Number), manifestName(m.Parent)}
	for _, name := range names {
		if strings.HasPrefix(name, manifestPrefix) && !slices.Contains(keep, name) {
			_ = s.fs.Remove(s.path(name))
		}
	}
}
