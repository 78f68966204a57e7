// Package folder is the source of a pipeline that takes files: those that appear
// in a folder, when they are complete.
//
// A file's way:
//
//  1. It is complete: it was unchanged for a while, or, where files are renamed
//     into place, it is there. Names that begin with a dot or end with .tmp,
//     .part or .partial are never taken.
//  2. It is read, decompressed if it is gzip or zstd, cut into messages (or rows
//     of CSV), and handed to the intake in batches, one file after the other in
//     the order of their names.
//  3. How far the intake has taken it is kept in .varve-progress.json, about once
//     a second. After a kill it is taken up there; what was taken since is handed
//     over again, with the same times, and overwrites itself.
//  4. It is moved to done/, or removed. A file that cannot be read (damaged, cut
//     off, without the columns) is moved to failed/, with the reason beside it in
//     NAME.reason; rows of CSV that cannot be read are in failed/NAME.rejects.
//     What could be read before is stored, if it is more than the first 64 KiB.
//
// Invariant: a file is moved or removed only after the intake has taken all of it,
// and only if it is the same file, of the same size and time of change, as when it
// was opened. Otherwise it stays, and is taken again from its beginning.
//
// Rejected: to remember which files were taken, and leave them where they are. It
// needs a memory that grows for ever, or forgets.
//
// A Source is safe for concurrent use; Run is called once at a time.
package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/varvedb/varve/source"
)

// stats are counts since the start.
type stats struct {
	done, failed uint64 // files
	rejected     uint64 // rows of CSV that could not be read
}

// Source watches a folder.
type Source struct {
	c   Config
	now func() time.Time

	mu      sync.Mutex // guards all below
	stats   stats
	found   bool   // the folder is there
	folder  string // what is in the way of looking through it
	intake  string // what is in the way of the intake
	file    string // what is in the way of the last file that could not be opened
	waiting int    // files that are complete or will be
}

// New returns a source that watches nothing yet.
func New(c Config) *Source { return &Source{c: c, now: time.Now} }

// Counts implements source.Counter: files that are done, files that failed, and
// rows of CSV that could not be read.
func (s *Source) Counts() []source.Count {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []source.Count{{Event: "files_done", N: s.stats.done}, {Event: "files_failed", N: s.stats.failed}, {Event: "rows_rejected", N: s.stats.rejected}}
}

func (s *Source) count(add func(*stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add(&s.stats)
}

// Status implements source.Source. The lag is in files.
func (s *Source) Status() source.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := source.Status{Connected: s.found, Lag: int64(s.waiting)}
	for _, trouble := range []string{s.folder, s.intake, s.file} {
		if trouble != "" {
			status.Trouble = trouble
			break
		}
	}
	return status
}

// tell sets one of the troubles, none if err is nil.
func (s *Source) tell(which *string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*which = ""
	if err != nil {
		*which = err.Error()
	}
}

const (
	doneFolder, failedFolder = "done", "failed"
	progressFile             = ".varve-progress.json"
)

// Run implements source.Source. A folder that is not there is waited for.
func (s *Source) Run(ctx context.Context, intake source.Intake) error {
	defer func() {
		s.mu.Lock()
		s.found = false
		s.mu.Unlock()
	}()
	w := newWatch(s.c.Path)
	defer w.close()
	seen := map[string]sighting{}
	for ctx.Err() == nil {
		w.begin()
		ready, pause, err := s.look(seen)
		s.tell(&s.folder, err)
		again := false
		var stay error
		for _, name := range ready {
			err := s.take(ctx, intake, name)
			if ctx.Err() != nil {
				return nil
			}
			delete(seen, name) // if it stays, it is looked at anew
			if err != nil {
				stay = fmt.Errorf("file %s: %w", name, err)
			} else {
				again = true
				s.mu.Lock()
				s.waiting--
				s.mu.Unlock()
			}
		}
		s.tell(&s.file, stay)
		if !again {
			w.wait(ctx, pause)
		}
	}
	return nil
}

// sighting is how a file looked, and since when it looks so.
type sighting struct {
	size     int64
	modified time.Time
	since    time.Time
}

// look returns the files that are complete, in the order of their names, and when
// to look again at the latest.
func (s *Source) look(seen map[string]sighting) (ready []string, pause time.Duration, err error) {
	pause = s.c.Poll
	entries, err := os.ReadDir(s.c.Path)
	if err != nil {
		s.mu.Lock()
		s.found, s.waiting = false, 0
		s.mu.Unlock()
		return nil, pause, fmt.Errorf("look through the folder: %w", err)
	}
	now := s.now()
	there := map[string]bool{}
	for _, e := range entries {
		name := e.Name()
		if !e.Type().IsRegular() || !s.wanted(name) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // it is gone again
		}
		there[name] = true
		was, ok := seen[name]
		if !ok || was.size != info.Size() || !was.modified.Equal(info.ModTime()) {
			was = sighting{info.Size(), info.ModTime(), now}
			seen[name] = was
		}
		if left := s.c.Quiet - now.Sub(was.since); left <= 0 {
			ready = append(ready, name)
		} else {
			pause = min(pause, left)
		}
	}
	for name := range seen {
		if !there[name] {
			delete(seen, name)
		}
	}
	slices.Sort(ready)
	s.mu.Lock()
	s.found, s.waiting = true, len(there)
	s.mu.Unlock()
	return ready, pause, nil
}

// unfinished are endings of names of files that are being written.
var unfinished = [...]string{".tmp", ".part", ".partial"}

func (s *Source) wanted(name string) bool {
	if strings.HasPrefix(name, ".") {
		return false
	}
	for _, end := range unfinished {
		if strings.HasSuffix(name, end) {
			return false
		}
	}
	if len(s.c.Match) == 0 {
		return true
	}
	return slices.ContainsFunc(s.c.Match, func(pattern string) bool {
		ok, err := filepath.Match(pattern, name)
		return ok && err == nil
	})
}

// refusal is why a file is moved to failed/.
type refusal struct{ error }

// take takes one file. An error means that it stays.
func (s *Source) take(ctx context.Context, intake source.Intake, name string) error {
	f, err := s.open(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	defer f.close()
	err = f.read(ctx, intake)
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), f.keep())
	}
	if ofSystem(err) {
		return errors.Join(err, f.keep())
	}
	if info, again := os.Stat(f.path); again != nil || !sameFile(info, f.info) {
		return f.forget()
	}
	if err != nil {
		return f.fail(refusal{err})
	}
	return f.done()
}

// ofSystem tells what the system says, which is trouble that may pass, from what
// is wrong with a file.
func ofSystem(err error) bool {
	var number syscall.Errno
	return errors.As(err, &number)
}

func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// watch wakes a goroutine when something changes in a folder. Without the
// system's help, where it has no more to give or the folder is on a network, it
// wakes it after the pause alone.
type watch struct {
	path   string
	system *fsnotify.Watcher // nil: none
}

func newWatch(path string) *watch {
	w := &watch{path: path}
	if system, err := fsnotify.NewWatcher(); err == nil {
		w.system = system
	}
	return w
}

// begin has to be called before the folder is looked through, so that nothing
// that happens after it is missed. It is called again, because the folder may be
// another one by now.
func (w *watch) begin() {
	if w.system != nil {
		_ = w.system.Add(w.path) // or the pause is all there is
	}
}

// settle is how long it waits for the rest of what comes at once, so that a
// folder in which much happens is not looked through for each change.
const settle = 50 * time.Millisecond

func (w *watch) wait(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	var events chan fsnotify.Event
	var problems chan error
	if w.system != nil {
		events, problems = w.system.Events, w.system.Errors
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case e := <-events:
			if strings.HasPrefix(filepath.Base(e.Name), ".") {
				continue // its own progress
			}
			timer.Reset(settle)
			events = nil // they wait, at most so many
		case <-problems:
			// Events were lost: look.
			return
		}
	}
}

func (w *watch) close() {
	if w.system != nil {
		_ = w.system.Close()
	}
}
