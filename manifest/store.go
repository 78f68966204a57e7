package manifest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/varvedb/varve/vfs"
)

const (
	rootName       = "ROOT"
	manifestPrefix = "manifest-"

	rootMagic     = "VRVR"
	manifestMagic = "VRVM"
	formatVersion = 1
	headerSize    = 16
)

// CorruptError says that a file is not what was written.
type CorruptError struct {
	File   string
	Offset int64
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s is corrupt at offset %d: %s", e.File, e.Offset, e.Reason)
}

// ErrFenced says that another owner has taken over the shard.
var ErrFenced = errors.New("the shard has a newer owner")

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

// Load returns the present state; a folder without a root gives an empty
// Manifest.
func (s *Store) Load() (*Manifest, error) {
	r, err := s.loadRoot()
	if errors.Is(err, fs.ErrNotExist) {
		return &Manifest{NextSegment: 1}, nil
	}
	if err != nil {
		return nil, err
	}
	name := filepath.Join(s.dir, r.Manifest)
	raw, err := vfs.ReadFile(s.fs, name)
	if err != nil {
		return nil, fmt.Errorf("load manifest: %w", err)
	}
	if crc32.Checksum(raw, castagnoli()) != r.Checksum {
		return nil, &CorruptError{name, 0, "its checksum is not the one in the root"}
	}
	m := &Manifest{}
	if err := decode(name, manifestMagic, raw, m); err != nil {
		return nil, err
	}
	if m.Number != r.Number {
		return nil, &CorruptError{name, headerSize, fmt.Sprintf("number %d, the root says %d", m.Number, r.Number)}
	}
	if err := m.Check(); err != nil {
		return nil, &CorruptError{name, headerSize, err.Error()}
	}
	return m, nil
}

func (s *Store) loadRoot() (*root, error) {
	name := filepath.Join(s.dir, rootName)
	raw, err := vfs.ReadFile(s.fs, name)
	if err != nil {
		return nil, fmt.Errorf("load root: %w", err)
	}
	r := &root{}
	if err := decode(name, rootMagic, raw, r); err != nil {
		return nil, err
	}
	if filepath.Base(r.Manifest) != r.Manifest {
		return nil, &CorruptError{name, headerSize, fmt.Sprintf("manifest %q is not in this folder", r.Manifest)}
	}
	return r, nil
}

// Commit makes m, whose Parent is the number of the present state, the
// present state, gives it its number, and removes manifests that are neither
// it nor its parent. After an error the old state stands, or the new one: the
// caller loads again before it goes on.
func (s *Store) Commit(m *Manifest) error {
	m.Number = m.Parent + 1
	m.Normalize()
	if err := m.Check(); err != nil {
		return fmt.Errorf("commit manifest %d: %w", m.Number, err)
	}
	if err := s.fence(m); err != nil {
		return fmt.Errorf("commit manifest %d: %w", m.Number, err)
	}
	raw, err := encode(manifestMagic, m)
	if err != nil {
		return fmt.Errorf("commit manifest %d: %w", m.Number, err)
	}
	name := fmt.Sprintf("%s%016x", manifestPrefix, m.Number)
	// The root may not name a file whose own name is not durable, which
	// WriteFileAtomic sees to.
	if err := vfs.WriteFileAtomic(s.fs, filepath.Join(s.dir, name), raw); err != nil {
		return fmt.Errorf("commit manifest %d: %w", m.Number, err)
	}
	head, err := encode(rootMagic, &root{m.Epoch, m.Number, name, crc32.Checksum(raw, castagnoli())})
	if err != nil {
		return fmt.Errorf("commit manifest %d: %w", m.Number, err)
	}
	if err := vfs.WriteFileAtomic(s.fs, filepath.Join(s.dir, rootName), head); err != nil {
		return fmt.Errorf("commit manifest %d: %w", m.Number, err)
	}
	s.removeOld(m)
	return nil
}

// fence refuses a commit over the state of a later owner or another writer.
func (s *Store) fence(m *Manifest) error {
	r, err := s.loadRoot()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if r.Epoch > m.Epoch || r.Number != m.Parent {
		return fmt.Errorf("%w: root has epoch %d and number %d, this commit %d after %d",
			ErrFenced, r.Epoch, r.Number, m.Epoch, m.Parent)
	}
	return nil
}

// removeOld removes manifests before the parent of m. Failing to costs a few
// kilobytes until the next commit tries again.
func (s *Store) removeOld(m *Manifest) {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return
	}
	keep := []string{
		fmt.Sprintf("%s%016x", manifestPrefix, m.Number),
		fmt.Sprintf("%s%016x", manifestPrefix, m.Parent),
	}
	for _, name := range names {
		if strings.HasPrefix(name, manifestPrefix) && !slices.Contains(keep, name) {
			_ = s.fs.Remove(filepath.Join(s.dir, name))
		}
	}
}

// castagnoli is the polynomial of every checksum in the format.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func encode(magic string, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, headerSize+len(body)), magic...)
	out = binary.LittleEndian.AppendUint32(out, formatVersion)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(body)))
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(body, castagnoli()))
	return append(out, body...), nil
}

func decode(name, magic string, raw []byte, v any) error {
	switch {
	case len(raw) < headerSize:
		return &CorruptError{name, int64(len(raw)), "the file ends in its header"}
	case string(raw[:4]) != magic:
		return &CorruptError{name, 0, fmt.Sprintf("magic %q, not %q", raw[:4], magic)}
	}
	if version := binary.LittleEndian.Uint32(raw[4:]); version != formatVersion {
		return fmt.Errorf("%s has format version %d; this program reads version %d: use the program that wrote it, or a newer one",
			name, version, formatVersion)
	}
	body := raw[headerSize:]
	if size := binary.LittleEndian.Uint32(raw[8:]); uint64(size) != uint64(len(body)) {
		return &CorruptError{name, 8, fmt.Sprintf("a body of %d bytes where there should be %d", len(body), size)}
	}
	if binary.LittleEndian.Uint32(raw[12:]) != crc32.Checksum(body, castagnoli()) {
		return &CorruptError{name, 12, "checksum mismatch"}
	}
	if err := json.Unmarshal(body, v); err != nil {
		return &CorruptError{name, headerSize, err.Error()}
	}
	return nil
}
