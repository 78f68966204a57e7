// Package file is the log of one machine: files in a directory, written by
// group commit. It owns the directory; the owner of the data folder keeps
// other processes out of it.
//
// An append goes through these steps:
//
//  1. The caller's goroutine compresses and frames its records (parallel).
//  2. It waits for room in the queue, and puts the frames there.
//  3. One goroutine takes all that is queued as a group, gives the records
//     their sequences, writes the group at the end of the newest file, and
//     syncs the file once. Where the file is full, or is no longer trusted,
//     it makes a new one first: create, write header, sync, sync directory.
//  4. The records are durable: readers may see them.
//  5. A second goroutine calls deliver for each append of the group in order
//     and lets the callers go, while step 3 does the next group.
//
// Invariants:
//
//   - Sequences ascend by one without gaps, over all files.
//   - A file is appended to only by the process that made it, and never after
//     a write or sync of it failed. So garbage lies only at the end of a file,
//     and only among the records of its last group.
//   - A file whose first sequence is f voids every record with a sequence of f
//     or more in the files before it. So the records of a failed group, which
//     may or may not be on disk, give way to those that were written in their
//     place, and their positions can be given out again.
//   - Each record says which sequence its group began with. All before that
//     were durable when it was written: this tells a torn tail (records of the
//     last group, never acknowledged) from damage to durable records, which is
//     reported.
//   - Opening a log changes nothing on disk; the first append makes a file.
//     The newest file is synced on opening, as what is read there may have
//     been in the page cache alone.
//
// Rejected: byte offsets as positions (compression, rewriting a failed tail
// and other implementations of the seam all need freedom there); truncating a
// torn tail in place (one more thing to crash in, where the next file's name
// says the same); allocating files ahead or recycling them (see vfs.OS: the
// first gains nothing, the second 60 µs a sync, for the risk of stale frames);
// a checksum over header and payload in one (a header of its own says how far
// to step over a damaged payload).
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
)

// Log is a log in a directory.
type Log struct {
	cfg   Config
	epoch uint64
	room  *semaphore.Weighted // bytes of the queue
	pool  sync.Pool           // *entry
	torn  *wlog.CorruptError  // see TornTail

	trimMu sync.Mutex // held while files are removed; taken before mu

	mu     sync.Mutex // guards everything below
	files  []fileInfo // oldest first
	last   uint64     // sequence of the newest durable record
	grown  chan struct{}
	queue  []*entry
	rolls  []chan struct{} // Trim waits for a new file; closed when it was tried
	closed bool            // no more appends
	ended  bool            // no more reads
	stats  wlog.Stats

	wake      chan struct{} // the queue has something, or closed is set
	delivery  chan []*entry
	writer    *writer // belongs to the writing goroutine
	running   sync.WaitGroup
	closeOnce sync.Once
	closeErr  error
}

// fileInfo is a file of the log. size counts only bytes that may be read.
type fileInfo struct {
	fileID
	size int64
}

var _ wlog.Log = (*Log)(nil)

// Open opens the log in the directory, or begins one if it is empty.
func Open(cfg Config) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	l := &Log{
		cfg:      cfg,
		room:     semaphore.NewWeighted(cfg.QueueBytes),
		grown:    make(chan struct{}),
		wake:     make(chan struct{}, 1),
		delivery: make(chan []*entry),
	}
	l.pool.New = func() any { return &entry{done: make(chan error, 1)} }
	if err := l.recover(); err != nil {
		return nil, fmt.Errorf("open log %s: %w", cfg.Dir, err)
	}
	l.writer = &writer{log: l, nextNumber: 1, nextSeq: l.last + 1}
	if n := len(l.files); n > 0 {
		l.writer.nextNumber = l.files[n-1].number + 1
	}
	l.running.Add(2)
	go func() {
		defer l.running.Done()
		l.writer.run()
	}()
	go func() {
		defer l.running.Done()
		l.deliverGroups()
	}()
	return l, nil
}

// recover finds the files and where the log ends.
func (l *Log) recover() error {
	if err := vfs.MkdirAllSync(l.cfg.FS, l.cfg.Dir); err != nil {
		return err
	}
	names, err := l.cfg.FS.List(l.cfg.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		id, ok := parseFileName(name)
		if !ok {
			continue
		}
		size, err := l.inspect(id)
		if err != nil {
			return err
		}
		l.files = append(l.files, fileInfo{fileID: id, size: size})
	}
	slices.SortFunc(l.files, func(a, b fileInfo) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	if len(l.files) == 0 {
		l.epoch, l.last = l.cfg.Start.Epoch, l.cfg.Start.Seq-1
		return nil
	}
	l.epoch = l.files[0].epoch
	for i, f := range l.files[1:] {
		if prev := l.files[i]; f.epoch != prev.epoch || f.number == prev.number || f.first < prev.first {
			return &wlog.CorruptError{
				File: l.path(f.fileID), First: 1,
				Reason: fmt.Sprintf("its name does not fit the file before it, %s", prev.name()),
			}
		}
	}
	// What the newest file holds may so far be in memory alone.
	newest := l.files[len(l.files)-1]
	f, err := l.cfg.FS.Open(l.path(newest.fileID))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", l.path(newest.fileID), err)
	}
	if err := vfs.SyncDir(l.cfg.FS, l.cfg.Dir); err != nil {
		return err
	}
	l.last, l.torn, err = findEnd(newScanner(f, newest.fileID, newest.size))
	if l.torn != nil {
		l.torn.File = l.path(newest.fileID)
	}
	return err
}

// inspect returns the size of a file, after a look at whether this program
// can read it. A damaged header is left to Reader to report.
func (l *Log) inspect(id fileID) (int64, error) {
	f, err := l.cfg.FS.Open(l.path(id))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	b := make([]byte, fileHeaderSize)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("read %s: %w", l.path(id), err)
	}
	if err := checkHeader(b[:n], id); errors.Is(err, errVersion) {
		return 0, fmt.Errorf("%s: %w: written by a newer program", l.path(id), err)
	}
	return info.Size(), nil
}

// findEnd returns the last sequence of the newest file that counts: records
// before the last group are durable, and damage among them is for Reader to
// report; of the last group the records before the first damage count.
func findEnd(s *scanner) (end uint64, torn *wlog.CorruptError, err error) {
	end = s.id.first - 1
	broken := false // records from end+1 on are damaged
	for {
		h, _, err := s.next(true)
		if errors.Is(err, io.EOF) {
			return end, torn, nil
		}
		if d := asDamage(err); d != nil {
			if !broken {
				broken = true
				torn = &wlog.CorruptError{Offset: s.off, Reason: d.Error(), First: end + 1, Last: end}
			}
			if _, err := s.resync(d, end+1); err != nil && !errors.Is(err, io.EOF) {
				return 0, nil, err
			}
			continue
		}
		if err != nil {
			return 0, nil, err
		}
		if h.durable > end+1 {
			// What is missing before this group was durable.
			end, broken, torn = h.durable-1, false, nil
		}
		if h.isSeal() || broken || h.seq <= end {
			continue
		}
		if h.seq == end+1 {
			end++
			continue
		}
		broken = true
		torn = &wlog.CorruptError{
			Offset: s.off - int64(h.size()), First: end + 1, Last: end,
			Reason: fmt.Sprintf("record %d stands where %d belongs", h.seq, end+1),
		}
	}
}

func (l *Log) path(id fileID) string { return filepath.Join(l.cfg.Dir, id.name()) }

// TornTail describes what Open found after the last whole record of the
// newest file and left out: the rest of a group that was being written when
// the process or the machine stopped, and that was never acknowledged. It is
// nil after a clean end.
func (l *Log) TornTail() *wlog.CorruptError { return l.torn }

// Read implements wlog.Log.
func (l *Log) Read(ctx context.Context, from wlog.Position, o wlog.ReadOptions) (wlog.Reader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil, wlog.ErrClosed
	}
	first := l.firstLocked()
	switch {
	case from.IsZero():
		from = first
	case from.Compare(first) < 0:
		return nil, fmt.Errorf("read log %s from %v, which begins at %v: %w", l.cfg.Dir, from, first, wlog.ErrTrimmed)
	case from.Epoch > l.epoch || from.Seq > l.last+1:
		return nil, fmt.Errorf("read log %s from %v, which ends at %v: %w", l.cfg.Dir, from, l.lastLocked(), wlog.ErrAhead)
	}
	r := &Reader{log: l, opts: o, next: from.Seq}
	if n := len(l.files); n > 0 && from.Seq == l.last+1 {
		// A follower of new records need not walk the newest file to its end.
		r.skip = l.files[n-1]
	}
	return r, nil
}

// rollShare is the part of FileBytes from which on the newest file, once
// nothing in it is needed any more, gives way to an empty one.
const rollShare = 16

// Trim implements wlog.Log: it removes the files that hold nothing after
// upTo, but never the newest, whose name carries the next sequence. If that
// one is of some size and not needed either, a new one is begun in its place.
func (l *Log) Trim(upTo wlog.Position) error {
	l.trimMu.Lock()
	defer l.trimMu.Unlock()
	if err := l.removeUpTo(upTo); err != nil {
		return err
	}
	l.mu.Lock()
	n := len(l.files)
	if l.closed || n == 0 || upTo.Compare(l.lastLocked()) < 0 || l.files[n-1].size < l.cfg.FileBytes/rollShare {
		l.mu.Unlock()
		return nil
	}
	rolled := make(chan struct{})
	l.rolls = append(l.rolls, rolled)
	l.mu.Unlock()
	l.signal()
	<-rolled
	err := l.removeUpTo(upTo)
	if errors.Is(err, wlog.ErrClosed) {
		return nil // closed since: what could be trimmed was
	}
	return err
}

func (l *Log) removeUpTo(upTo wlog.Position) error {
	for {
		l.mu.Lock()
		if l.closed {
			l.mu.Unlock()
			return wlog.ErrClosed
		}
		if len(l.files) < 2 || upTo.Compare(wlog.Position{Epoch: l.epoch, Seq: l.files[1].first - 1}) < 0 {
			l.mu.Unlock()
			return nil
		}
		oldest := l.files[0]
		l.files = slices.Delete(l.files, 0, 1)
		l.mu.Unlock()

		if err := l.cfg.FS.Remove(l.path(oldest.fileID)); err != nil {
			l.mu.Lock()
			l.files = slices.Insert(l.files, 0, oldest)
			l.mu.Unlock()
			return fmt.Errorf("trim log %s: %w", l.cfg.Dir, err)
		}
		// One at a time: were a later removal durable before an earlier one, a
		// crash would leave a hole.
		if err := vfs.SyncDir(l.cfg.FS, l.cfg.Dir); err != nil {
			return fmt.Errorf("trim log %s: %w", l.cfg.Dir, err)
		}
	}
}

func (l *Log) firstLocked() wlog.Position {
	if len(l.files) > 0 {
		return wlog.Position{Epoch: l.epoch, Seq: l.files[0].first}
	}
	return l.lastLocked().Next()
}

func (l *Log) lastLocked() wlog.Position { return wlog.Position{Epoch: l.epoch, Seq: l.last} }

// First implements wlog.Log.
func (l *Log) First() wlog.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.firstLocked()
}

// Last implements wlog.Log.
func (l *Log) Last() wlog.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lastLocked()
}

// Size implements wlog.Log.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var n int64
	for _, f := range l.files {
		n += f.size
	}
	return n
}

// SizeFrom implements wlog.Log.
func (l *Log) SizeFrom(from wlog.Position) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var n int64
	for i := len(l.files) - 1; i >= 0; i-- {
		n += l.files[i].size
		if from.Compare(wlog.Position{Epoch: l.epoch, Seq: l.files[i].first}) >= 0 {
			break
		}
	}
	return n
}

// Stats implements wlog.Log.
func (l *Log) Stats() wlog.Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// Close implements wlog.Log. What is queued is still written and delivered.
func (l *Log) Close() error {
	l.closeOnce.Do(func() {
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
		l.signal()
		l.running.Wait()
		l.mu.Lock()
		l.ended = true
		l.notifyLocked()
		l.mu.Unlock()
		if err := l.writer.closeErr; err != nil {
			l.closeErr = fmt.Errorf("close log %s: %w", l.cfg.Dir, err)
		}
	})
	return l.closeErr
}

// signal wakes the writer.
func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// notifyLocked wakes the readers that wait for more.
func (l *Log) notifyLocked() {
	close(l.grown)
	l.grown = make(chan struct{})
}
