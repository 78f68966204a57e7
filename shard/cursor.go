package shard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/varvedb/varve/manifest"
	"github.com/varvedb/varve/wlog"
)

// A cursor is a durable place in the log with a name. The log is trimmed up to
// the least of the flushed position and all cursors, so that whoever follows it
// (a live stream, shipping to another store, a backup, a standby) finds its next
// record after a restart too. Cursors stand in the manifest and change with a
// commit: what Advance returned for is not asked for again, and what it did not
// return for is still there. A change waits for as long as a commit is in doubt
// (commitDurably); Close ends that.
//
// A cursor that holds more bytes of the log than it may is dropped: it keeps its
// name, to tell its owner, and holds nothing. It is a problem in Stats until its
// owner removes it or makes it anew.

// maxCursorName is the longest name of a cursor in bytes: it stands in every
// manifest.
const maxCursorName = 200

var (
	// ErrNoCursor says that there is no cursor of that name.
	ErrNoCursor = errors.New("there is no such cursor")
	// ErrCursorExists says that there is one already.
	ErrCursorExists = errors.New("there is a cursor of that name")
	// ErrCursorDropped says that a cursor holds nothing any more. What it
	// would have read next may be gone: its owner has to begin anew.
	ErrCursorDropped = errors.New("the cursor was dropped")
)

// CursorInfo is a cursor and what it costs.
type CursorInfo struct {
	manifest.Cursor
	// HeldBytes is the size of the log from its next record on, up to a file
	// more; 0 for a dropped one.
	HeldBytes int64
}

// CreateCursor makes a cursor whose first record is next; the zero Position
// stands for the one that is written next. maxBytes is how much of the log it
// may hold, 0 for as much as it takes. A dropped cursor of the name gives way.
// Records at next must still be there: wlog.ErrTrimmed, wlog.ErrAhead.
func (s *Shard) CreateCursor(name string, next wlog.Position, maxBytes int64) error {
	if name == "" || len(name) > maxCursorName || !utf8.ValidString(name) {
		return fmt.Errorf("create cursor %q: a name is UTF-8 of 1 to %d bytes", name, maxCursorName)
	}
	if maxBytes < 0 {
		return fmt.Errorf("create cursor %q: limit of %d bytes", name, maxBytes)
	}
	err := s.changeCursors(func(all []manifest.Cursor) ([]manifest.Cursor, error) {
		// Nothing is trimmed meanwhile: trim takes the same lock.
		first, end := s.log.First(), s.log.Last().Next()
		if next.IsZero() {
			next = end
		}
		i := slices.IndexFunc(all, func(c manifest.Cursor) bool { return c.Name == name })
		switch {
		case i >= 0 && all[i].Dropped == "":
			return nil, ErrCursorExists
		case next.Compare(first) < 0:
			return nil, fmt.Errorf("position %s is before %s: %w", next, first, wlog.ErrTrimmed)
		case next.Compare(end) > 0:
			return nil, fmt.Errorf("position %s is after %s: %w", next, end, wlog.ErrAhead)
		case i >= 0:
			all = slices.Delete(all, i, i+1)
		}
		return append(all, manifest.Cursor{Name: name, Next: manifest.Position(next), MaxBytes: maxBytes}), nil
	})
	if err != nil {
		return fmt.Errorf("create cursor %q: %w", name, err)
	}
	s.problems.remove(cursorProblem(name))
	return nil
}

// AdvanceCursor says that a cursor needs nothing before next any more. A
// position that it has passed already changes nothing.
func (s *Shard) AdvanceCursor(name string, next wlog.Position) error {
	err := s.changeCursors(func(all []manifest.Cursor) ([]manifest.Cursor, error) {
		i, err := findCursor(all, name)
		switch {
		case err != nil:
			return nil, err
		case next.Compare(s.log.Last().Next()) > 0:
			return nil, fmt.Errorf("position %s: %w", next, wlog.ErrAhead)
		case next.Compare(wlog.Position(all[i].Next)) <= 0:
			return nil, errSame
		}
		all[i].Next = manifest.Position(next)
		return all, nil
	})
	if err != nil && !errors.Is(err, errSame) {
		return fmt.Errorf("advance cursor %q: %w", name, err)
	}
	return nil
}

// errSame says that there is nothing to commit.
var errSame = errors.New("nothing changes")

// findCursor returns the number of a cursor that was not dropped.
func findCursor(all []manifest.Cursor, name string) (int, error) {
	i := slices.IndexFunc(all, func(c manifest.Cursor) bool { return c.Name == name })
	switch {
	case i < 0:
		return 0, ErrNoCursor
	case all[i].Dropped != "":
		return 0, fmt.Errorf("%w: %s", ErrCursorDropped, all[i].Dropped)
	}
	return i, nil
}

// RemoveCursor removes a cursor, dropped or not.
func (s *Shard) RemoveCursor(name string) error {
	err := s.changeCursors(func(all []manifest.Cursor) ([]manifest.Cursor, error) {
		i := slices.IndexFunc(all, func(c manifest.Cursor) bool { return c.Name == name })
		if i < 0 {
			return nil, ErrNoCursor
		}
		return slices.Delete(all, i, i+1), nil
	})
	if err != nil {
		return fmt.Errorf("remove cursor %q: %w", name, err)
	}
	s.problems.remove(cursorProblem(name))
	return nil
}

// Cursors returns all cursors, ascending by name.
func (s *Shard) Cursors() []CursorInfo {
	s.mu.Lock()
	all := s.current.manifest.Cursors
	s.mu.Unlock()
	out := make([]CursorInfo, len(all))
	for i, c := range all {
		out[i] = CursorInfo{Cursor: c}
		if c.Dropped == "" {
			out[i].HeldBytes = s.log.SizeFrom(wlog.Position(c.Next))
		}
	}
	return out
}

// ReadLog follows the log, from a cursor's next record for one; see
// wlog.Log.Read.
func (s *Shard) ReadLog(ctx context.Context, from wlog.Position, o wlog.ReadOptions) (wlog.Reader, error) {
	return s.log.Read(ctx, from, o)
}

// changeCursors commits what change makes of the cursors and frees what they
// held. change gets a copy.
func (s *Shard) changeCursors(change func(all []manifest.Cursor) ([]manifest.Cursor, error)) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	err := s.tryCommit(func(cur *version, m *manifest.Manifest) (draft, error) {
		all, err := change(m.Cursors)
		if err != nil {
			return draft{}, err
		}
		m.Cursors = all
		return newDraft(m, cur.segments, 0), nil
	})
	if err == nil {
		s.trim()
	}
	return err
}

// trim frees what neither the flush nor a cursor needs of the log.
func (s *Shard) trim() {
	s.commitMu.Lock() // no cursor is made in between
	defer s.commitMu.Unlock()
	s.mu.Lock()
	m := s.current.manifest
	s.mu.Unlock()
	upTo := wlog.Position(m.Flushed)
	for _, c := range m.Cursors {
		if before := (wlog.Position{Epoch: c.Next.Epoch, Seq: c.Next.Seq - 1}); c.Dropped == "" && before.Compare(upTo) < 0 {
			upTo = before
		}
	}
	if err := s.log.Trim(upTo); err != nil {
		s.cfg.Logger.Warn("cannot trim the log; it takes more room than it needs", "shard", s.cfg.ID, "error", err)
	}
}

// limitCursors drops those of m that hold too much. It belongs to a commit,
// after which tellDropped tells of them.
func (s *Shard) limitCursors(m *manifest.Manifest) {
	for i := range m.Cursors {
		c := &m.Cursors[i]
		if c.Dropped != "" || c.MaxBytes == 0 {
			continue
		}
		if n := s.log.SizeFrom(wlog.Position(c.Next)); n > c.MaxBytes {
			c.Dropped = fmt.Sprintf("it held %d bytes of the log and may hold %d", n, c.MaxBytes)
		}
	}
}

// tellDropped raises the alarm about dropped cursors that were not told of.
func (s *Shard) tellDropped() {
	s.mu.Lock()
	all := s.current.manifest.Cursors
	s.mu.Unlock()
	for _, c := range all {
		if c.Dropped == "" || s.problems.know(cursorProblem(c.Name)) {
			continue
		}
		err := fmt.Errorf("cursor %q of the log in %s was dropped at record %d: %s; who follows by it has to begin anew",
			c.Name, LogDir(s.cfg.Dir), c.Next.Seq, c.Dropped)
		s.problems.add(cursorProblem(c.Name), err)
		s.cfg.Logger.Error("a cursor was dropped", "shard", s.cfg.ID, "cursor", c.Name, "next", c.Next.Seq, "reason", c.Dropped)
	}
}

// cursorProblem is under what name a dropped cursor stands among problems.
func cursorProblem(name string) string { return "cursor " + name }

// checkCursors drops, at the start, those whose next record the log lost.
func (s *Shard) checkCursors() {
	first, end := s.log.First(), s.log.Last().Next()
	lost := func(c manifest.Cursor) bool {
		next := wlog.Position(c.Next)
		return c.Dropped == "" && (next.Compare(first) < 0 || next.Compare(end) > 0)
	}
	if slices.ContainsFunc(s.current.manifest.Cursors, lost) {
		err := s.commit(func(cur *version, m *manifest.Manifest) draft {
			for i := range m.Cursors {
				if lost(m.Cursors[i]) {
					m.Cursors[i].Dropped = fmt.Sprintf("the log reaches from record %s to before %s", first, end)
				}
			}
			return newDraft(m, cur.segments, 0)
		})
		if err != nil {
			// A read from there says the same, and the next start tries again.
			s.cfg.Logger.Error("cannot drop a cursor whose records are lost", "shard", s.cfg.ID, "error", err)
		}
	}
	s.tellDropped()
}
