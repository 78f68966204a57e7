// Package shard is the engine: it takes batches durably, keeps them in a
// memtable and in segments, and gives out snapshots that queries read. The
// write driver and the query driver call it; only the server decides on which
// log and filesystem it stands.
//
// # A write, step by step
//
//  1. admit: refuse while the disk is nearly full, wait while memtables are
//     over their limit (commit.go).
//  2. encode the batch into records of at most 256 KiB.
//  3. append them to the log, which returns when they are durable and calls
//     back in the order of their positions.
//  4. in that callback, apply the batch to the active memtable and raise the
//     visible sequence; then the caller acknowledges.
//  5. a memtable that is full is sealed at once and a fresh one takes over;
//     the flusher turns sealed ones, oldest first, into one segment for each
//     (bucket, partition) and commits a manifest that names them together
//     with the position up to which the log is no longer needed (flush.go).
//  6. the log is trimmed up to that position, or to the first cursor before
//     it (cursor.go).
//
// A delete takes the same way. When it is applied the memtable is sealed, so
// that every sorted run is wholly older or wholly younger than every
// tombstone.
//
// # Invariants
//
//   - What is visible is durable; what is acknowledged is visible.
//   - Memtables are applied, sealed and flushed in log order. The manifest's
//     flushed position never passes a record that is not in its segments or
//     tombstones.
//   - Segments of one partition have disjoint ranges of sequences, and
//     compaction merges neighbours only, so "later" stays well-defined.
//   - A version (version.go) is immutable. Snapshots pin one; a segment file
//     is removed when no version holds it any more.
//
// Rejected: applying to the memtable before the append and hiding rows until
// it is durable. It saves nothing, since the append waits for the disk
// anyway, and a failed append would leave rows that must be found and removed.
//
// A Shard is safe for concurrent use. The order of its locks stands in
// docs/LOCKS.md.
package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/compact"
	"github.com/varvedb/varve/encoding"
	"github.com/varvedb/varve/manifest"
	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/segment"
	"github.com/varvedb/varve/tombstone"
	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
)

// Config is what a shard needs to know. Open takes it by value.
type Config struct {
	FS  vfs.FS
	Dir string // of this shard alone
	ID  uint32

	// OpenLog opens the log of the shard in a folder. start is the first
	// position that a new log may use.
	OpenLog func(dir string, start wlog.Position) (wlog.Log, error)

	// Bucket returns the settings of a bucket; ok is false for one that was
	// deleted, whose rows go with the next compaction.
	Bucket func(id uint64) (b Bucket, ok bool)

	// MemtableBytes is the size at which the memtable is sealed.
	MemtableBytes int64
	// MaxMemtableBytes is the size of all memtables together from which on
	// writers wait.
	MaxMemtableBytes int64
	// WriteWait is how long a writer waits for room before it is refused.
	WriteWait time.Duration
	// MinFreeBytes is the room on the volume under which writes are refused,
	// so that flush and compaction, which give room back, can still work.
	MinFreeBytes uint64

	// RetryAfter is how long flush and compaction wait after a failure.
	RetryAfter time.Duration

	Compaction compact.Config
	// IdleAfter is how long a partition must have been without new segments
	// before what is left of it is merged.
	IdleAfter time.Duration

	Caches segment.Caches // of all segments
	Now    func() time.Time
	Logger *slog.Logger
}

// Bucket is what a shard needs to know of a bucket.
type Bucket struct {
	Retention time.Duration // 0: for ever
	Floor     int64         // what is older is gone whatever the retention, nanoseconds since 1970; 0: nothing is
	Partition time.Duration // length of new partitions
	Level     encoding.Level
}

// Default returns the configuration that figures in the documentation were
// measured with; FS, Dir, OpenLog, Bucket, Now and Logger are the caller's.
func Default() Config {
	return Config{
		// Narrow columns make this about two million rows of ten small
		// integers or half a million of ten floats: few flushes, in a process
		// of some 200 MiB.
		MemtableBytes:    32 << 20,
		MaxMemtableBytes: 80 << 20,
		// Longer than a flush on a busy machine takes, shorter than the five
		// seconds after which Telegraf gives up.
		WriteWait:    4 * time.Second,
		MinFreeBytes: 128 << 20,
		RetryAfter:   time.Second, // room on a disk comes back on the scale of seconds
		Compaction:   compact.Default(),
		IdleAfter:    30 * time.Second,
	}
}

// Validate reports what in c cannot work.
func (c *Config) Validate() error {
	switch {
	case c.FS == nil || c.Dir == "" || c.OpenLog == nil || c.Bucket == nil || c.Now == nil || c.Logger == nil:
		return errors.New("shard configuration lacks a filesystem, folder, log, buckets, clock or logger")
	case c.MemtableBytes < 1<<10:
		return fmt.Errorf("memtable size is %d bytes: it must be at least 1 KiB", c.MemtableBytes)
	case c.MaxMemtableBytes < c.MemtableBytes:
		return fmt.Errorf("limit of all memtables is %d bytes: it must be at least the size of one, %d", c.MaxMemtableBytes, c.MemtableBytes)
	}
	return c.Compaction.Validate()
}

// Shard is one shard of a store.
type Shard struct {
	cfg   Config
	log   wlog.Log
	store *manifest.Store

	// applyMu is held while records are applied or a memtable is sealed, so
	// that both happen in log order.
	applyMu sync.Mutex

	// commitMu is held from reading the manifest until the next one is
	// committed and installed. Flush and compaction take turns by it.
	commitMu sync.Mutex

	claimMu sync.Mutex      // guards claimed; taken before mu
	claimed map[uint64]bool // segments that are being merged

	mu      sync.Mutex // guards everything below
	current *version
	applied wlog.Position // of the newest visible record
	lastID  uint64        // of the segments made since Open
	room    chan struct{} // closed and made anew when memtables shrink
	flushed chan struct{} // closed and made anew after each flush or its failure
	// flushErr is why the last flush failed, nil after a success.
	flushErr error
	// full is why writes are refused at present, empty if they are not.
	full string
	// lastNew is when a partition last got a segment from a flush.
	lastNew map[manifest.Partition]time.Time
	// aside holds the partitions whose merge failed.
	aside  map[manifest.Partition]setback
	closed bool

	// passed is the newest tombstone that passDeletes has looked at; the
	// compactor's own.
	passed uint64

	wakeFlush   chan struct{}             // capacity 1
	wakeCompact [compactors]chan struct{} // capacity 1 each
	settling    atomic.Int32              // callers of Settle: merge without waiting for idleness
	busy        atomic.Int32              // writes and deletes under way

	stats    counters
	problems problems

	ctx    context.Context // ends the goroutines
	cancel context.CancelFunc
	wg     sync.WaitGroup // the flusher, the compactor, the keeper
}

const (
	segmentDir    = "segments"
	segmentSuffix = ".seg"
	logDir        = "log"
)

// Open opens or creates a shard: it loads the manifest, removes what no
// manifest names, replays the log behind the flushed position, and starts the
// goroutines that flush and compact.
func Open(ctx context.Context, cfg Config) (*Shard, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("open shard %s: %w", cfg.Dir, err)
	}
	s := &Shard{
		stats:     counters{encoders: sync.Pool{New: newEncoder}},
		cfg:       cfg,
		store:     manifest.NewStore(cfg.FS, cfg.Dir),
		room:      make(chan struct{}),
		flushed:   make(chan struct{}),
		claimed:   map[uint64]bool{},
		lastNew:   map[manifest.Partition]time.Time{},
		aside:     map[manifest.Partition]setback{},
		wakeFlush: make(chan struct{}, 1),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for i := range s.wakeCompact {
		s.wakeCompact[i] = make(chan struct{}, 1)
	}
	if err := s.open(ctx); err != nil {
		s.cancel()
		return nil, fmt.Errorf("open shard %s: %w", cfg.Dir, err)
	}
	return s, nil
}

func (s *Shard) open(ctx context.Context) error {
	for _, dir := range []string{segmentDir, logDir} {
		if err := vfs.MkdirAllSync(s.cfg.FS, filepath.Join(s.cfg.Dir, dir)); err != nil {
			return err
		}
	}
	m, err := s.takeOver()
	if err != nil {
		return err
	}
	files := make([]*segmentFile, len(m.Segments))
	for i := range m.Segments {
		files[i] = s.openSegment(m.Segments[i])
	}
	s.current = newVersion(m, files, nil, memtable.New(), m.Tombstones)
	s.applied = wlog.Position(m.Flushed)

	from, err := s.openLog()
	if err != nil {
		s.current.closeFiles()
		return err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.checkCursors()
	s.wg.Add(1)
	go s.flushLoop()
	if err := s.replay(ctx, from); err != nil {
		s.cancel()
		s.wg.Wait()
		s.current.closeFiles()
		return errors.Join(err, s.log.Close())
	}
	s.watchDisk() // a full disk is told of from the first write on
	s.wg.Add(compactors + 1)
	for i := range compactors {
		go s.compactLoop(i)
	}
	go s.keepLoop()
	return nil
}

// Close stops the goroutines and closes the log. What is in the memtable is
// in the log too, and comes back from it.
func (s *Shard) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	err := s.log.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current.closeFiles()
	if err != nil {
		return fmt.Errorf("close shard %s: %w", s.cfg.Dir, err)
	}
	return nil
}

// ErrClosed says that the shard was closed.
var ErrClosed = errors.New("the store is closed")

// UnavailableError says that a write cannot be taken now, but may be later.
type UnavailableError struct {
	Reason     string
	RetryAfter time.Duration
	Err        error // the cause, if it is an error
}

func (e *UnavailableError) Error() string {
	if e.Err != nil {
		return e.Reason + ": " + e.Err.Error()
	}
	return e.Reason
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// wakeCompactors makes the compactors look for work.
func (s *Shard) wakeCompactors() {
	for _, c := range s.wakeCompact {
		wake(c)
	}
}

// wake signals a goroutine that looks at its channel now and then.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// withTombstone returns all and t behind them, in a slice of its own.
func withTombstone(all []*tombstone.Tombstone, t *tombstone.Tombstone) []*tombstone.Tombstone {
	out := make([]*tombstone.Tombstone, 0, len(all)+1)
	return append(append(out, all...), t)
}
