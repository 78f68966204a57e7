package shard

import (
	"fmt"
	"path/filepath"
	"sync/atomic"

	"github.com/varvedb/varve/manifest"
	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/segment"
	"github.com/varvedb/varve/tombstone"
	"github.com/varvedb/varve/vfs"
)

// version is one immutable state of what a shard consists of. The shard holds
// a reference to the current one, snapshots hold more.
type version struct {
	refs       atomic.Int64
	manifest   *manifest.Manifest
	segments   []*segmentFile // parallel to manifest.Segments
	sealed     []*sealed      // oldest first
	active     *memtable.Memtable
	tombstones []*tombstone.Tombstone // of the manifest and of what is sealed
}

// sealed is a memtable that takes no more rows, with what has to be committed
// when it is flushed.
type sealed struct {
	table      *memtable.Memtable
	upTo       manifest.Position      // the log is no longer needed up to here
	tombstones []*tombstone.Tombstone // applied directly after the table was sealed
}

// segmentFile is an open segment. It is removed from disk when no version
// holds it.
type segmentFile struct {
	refs   atomic.Int64 // versions
	entry  manifest.Segment
	name   string
	file   vfs.File // nil if it could not be opened
	reader *segment.Reader
	err    error // why it cannot be read
	// damaged says that a merge found it so.
	damaged atomic.Bool
}

// newVersion returns a version with one reference, the caller's.
func newVersion(m *manifest.Manifest, segments []*segmentFile, seals []*sealed, active *memtable.Memtable, tombstones []*tombstone.Tombstone) *version {
	v := &version{manifest: m, segments: segments, sealed: seals, active: active, tombstones: tombstones}
	v.refs.Store(1)
	for _, f := range segments {
		f.refs.Add(1)
	}
	return v
}

// install makes v the current version. The caller holds s.mu, and calls the
// returned function once it has let go of it: that may remove files.
func (s *Shard) install(v *version) (release func()) {
	old := s.current
	s.current = v
	return func() { s.release(old) }
}

// release gives a reference to v back.
func (s *Shard) release(v *version) {
	if v.refs.Add(-1) > 0 {
		return
	}
	for _, f := range v.segments {
		if f.refs.Add(-1) == 0 {
			s.removeSegment(f)
		}
	}
}

// removeSegment closes and deletes a file that no version holds.
func (s *Shard) removeSegment(f *segmentFile) {
	if f.file != nil {
		_ = f.file.Close() // opened for reading: there is nothing to lose
	}
	if err := s.cfg.FS.Remove(f.name); err != nil {
		// The next start finds it as an orphan.
		s.cfg.Logger.Warn("cannot remove a segment that is no longer needed", "file", f.name, "error", err)
	}
	s.problems.remove(f.name)
}

// closeFiles closes the files of the version without removing any.
func (v *version) closeFiles() {
	for _, f := range v.segments {
		if f.file != nil {
			_ = f.file.Close()
		}
	}
}

// memtableBytes is the memory of all memtables of v.
func (v *version) memtableBytes() int64 {
	n := v.active.Bytes()
	for _, t := range v.sealed {
		n += t.table.Bytes()
	}
	return n
}

// SegmentName returns the path of a segment of the shard in dir.
func SegmentName(dir string, id uint64) string {
	return filepath.Join(dir, segmentDir, fmt.Sprintf("%016x%s", id, segmentSuffix))
}

// LogDir returns the folder of the log of the shard in dir.
func LogDir(dir string) string { return filepath.Join(dir, logDir) }

func (s *Shard) segmentName(id uint64) string { return SegmentName(s.cfg.Dir, id) }

// openSegment opens the file of an entry. A file that cannot be read is kept
// as such: queries that need it fail and say why, the others are served.
func (s *Shard) openSegment(e manifest.Segment) *segmentFile {
	f := &segmentFile{entry: e, name: s.segmentName(e.ID)}
	f.err = f.open(s.cfg.FS, s.cfg.Caches)
	if f.err != nil {
		s.problems.add(f.name, f.err)
		s.cfg.Logger.Error("a segment cannot be read: queries that need it will fail", "file", f.name, "error", f.err)
	}
	return f
}

func (f *segmentFile) open(fsys vfs.FS, caches segment.Caches) error {
	file, err := fsys.Open(f.name)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return fmt.Errorf("open segment %s: %w", f.name, err)
	}
	if info.Size() != f.entry.Size {
		_ = file.Close()
		return &segment.CorruptError{File: f.name, Offset: min(info.Size(), f.entry.Size),
			What: fmt.Sprintf("the file has %d bytes, the manifest says %d", info.Size(), f.entry.Size)}
	}
	r, err := segment.Open(blob{file, info.Size()}, f.name, caches)
	if err != nil {
		_ = file.Close()
		return err
	}
	f.file, f.reader = file, r
	return nil
}

// blob is a file as a segment reads it.
type blob struct {
	vfs.File
	size int64
}

func (b blob) Size() int64 { return b.size }
