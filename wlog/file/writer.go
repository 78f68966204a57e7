package file

import (
	"fmt"

	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
)

const (
	// maxGroupBytes bounds a group, so that delivery of one overlaps with the
	// sync of the next: above this size a sync costs what its bytes cost, and
	// gathering more saves nothing.
	maxGroupBytes = 4 << 20

	// gatherBytes is the size below which frames of several appends are copied
	// together to be written at once; above it a copy costs more than a call.
	gatherBytes = 64 << 10
)

// writer is step 3 of the append: the only one that writes files.
type writer struct {
	log        *Log
	nextNumber uint64
	nextSeq    uint64
	file       vfs.File // open for appending; nil: make a new one
	id         fileID   // of file
	size       int64    // of file, as far as it is durable
	buf        []byte
	synced     synced // the last one; of its appends nobody knows here
	closeErr   error
}

// run commits groups until the log is closed and the queue is empty.
func (w *writer) run() {
	l := w.log
	defer close(l.delivery)
	for {
		group, bytes, rolls, closed := w.take()
		if len(rolls) > 0 {
			w.roll()
			for _, rolled := range rolls {
				close(rolled)
			}
		}
		if len(group) == 0 {
			if closed {
				w.closeErr = w.seal()
				return
			}
			<-l.wake
			continue
		}
		err := w.commit(group)
		// The bytes are on the disk or given up: others may queue.
		l.room.Release(bytes)
		if err != nil {
			for _, e := range group {
				e.done <- err
			}
			continue
		}
		l.delivery <- group
	}
}

// roll begins a new file in the place of one that nothing in is needed of. If
// that fails, the next append tries again.
func (w *writer) roll() {
	if w.file != nil {
		w.leave()
	}
	_ = w.create()
}

// take removes a group from the queue, and the requests for a new file.
func (w *writer) take() (group []*entry, weight int64, rolls []chan struct{}, closed bool) {
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
	n, size := 0, 0
	for n < len(l.queue) && (n == 0 || size+len(l.queue[n].frames) <= maxGroupBytes) {
		size += len(l.queue[n].frames)
		weight += l.queue[n].weight
		n++
	}
	group = l.queue[:n:n]
	l.queue = l.queue[n:]
	rolls, l.rolls = l.rolls, nil
	return group, weight, rolls, l.closed
}

// commit makes a group durable, in the present file or, where that fails, in
// a new one. A group that failed in a new file is refused; the next one tries
// afresh.
func (w *writer) commit(group []*entry) error {
	size := 0
	for _, e := range group {
		size += len(e.frames)
	}
	if w.file != nil && w.size > fileHeaderSize && w.size+int64(size) > w.log.cfg.FileBytes {
		w.leave()
	}
	if w.file != nil {
		if w.write(group, size) == nil {
			return nil
		}
		w.leave()
	}
	err := w.create()
	if err == nil {
		if err = w.write(group, size); err == nil {
			return nil
		}
		w.discard()
	}
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Refused += uint64(len(group))
	return fmt.Errorf("append to log %s: %w: %w", l.cfg.Dir, wlog.ErrFailed, err)
}

// leave ends appending to the present file. What it holds up to its last sync
// stays part of the log.
func (w *writer) leave() {
	// Everything that counts was synced, so that there is nothing left that
	// closing could lose.
	_ = w.file.Close()
	w.file = nil
}

// create begins the next file. Its name is durable before any record is
// written to it, and its header before its name.
func (w *writer) create() error {
	l := w.log
	id := fileID{epoch: l.epoch, number: w.nextNumber, first: w.nextSeq}
	w.nextNumber++
	f, err := l.cfg.FS.Create(l.path(id))
	if err != nil {
		return fmt.Errorf("create file: %w", err)
	}
	if _, err = f.Write(encodeHeader(id)); err == nil {
		if err = w.sync(f); err == nil {
			err = vfs.SyncDir(l.cfg.FS, l.cfg.Dir)
		}
	}
	w.file, w.id, w.size = f, id, fileHeaderSize
	if err != nil {
		w.discard()
		return fmt.Errorf("begin file %s: %w", id.name(), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files = append(l.files, fileInfo{fileID: id, size: w.size})
	return nil
}

// discard gives up a file that holds no durable record.
func (w *writer) discard() {
	w.leave()
	l := w.log
	l.mu.Lock()
	if n := len(l.files); n > 0 && l.files[n-1].fileID == w.id {
		l.files = l.files[:n-1]
	}
	l.mu.Unlock()
	// If it cannot be removed it does no harm: the next file voids what it
	// holds, and until there is one, it is a group that failed.
	_ = l.cfg.FS.Remove(l.path(w.id))
}

// write appends a group to the present file, syncs it, and makes it visible to
// readers.
func (w *writer) write(group []*entry, size int) error {
	l := w.log
	seed, seq := frameSeed(w.id.number), w.nextSeq
	var raw uint64
	for _, e := range group {
		e.first = seq
		stampFrames(e.frames, seed, seq, w.nextSeq)
		seq += uint64(e.records)
		raw += e.raw
	}
	err := w.writeFrames(group)
	if err == nil {
		err = w.sync(w.file)
	}
	w.synced.appends = len(group)
	for _, e := range group {
		e.synced = w.synced
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.stats.Failures++
		return fmt.Errorf("write file %s: %w", w.id.name(), err)
	}
	w.size += int64(size)
	l.files[len(l.files)-1].size = w.size
	l.last = seq - 1
	l.stats.Appends += uint64(len(group))
	l.stats.Records += seq - w.nextSeq
	l.stats.RawBytes += raw
	l.stats.StoredBytes += uint64(size)
	w.nextSeq = seq
	l.notifyLocked()
	return nil
}

// writeFrames writes small appends together and large ones as they are.
func (w *writer) writeFrames(group []*entry) error {
	w.buf = w.buf[:0]
	for i, e := range group {
		frames := e.frames
		if len(w.buf)+len(frames) <= gatherBytes && (i+1 < len(group) || len(w.buf) > 0) {
			w.buf = append(w.buf, frames...)
			continue
		}
		if len(w.buf) > 0 {
			if _, err := w.file.Write(w.buf); err != nil {
				return err
			}
			w.buf = w.buf[:0]
		}
		if _, err := w.file.Write(frames); err != nil {
			return err
		}
	}
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.file.Write(w.buf)
	return err
}

func (w *writer) sync(f vfs.File) error {
	l := w.log
	w.synced.from = l.cfg.Now()
	err := f.Sync()
	w.synced.to = l.cfg.Now()
	l.mu.Lock()
	l.stats.Syncs++
	l.mu.Unlock()
	if l.cfg.ObserveSync != nil {
		l.cfg.ObserveSync(w.synced.to.Sub(w.synced.from))
	}
	return err
}

// seal ends the present file in order: on the next open its last group is
// known to be durable too, so that damage to it is not taken for a torn tail.
func (w *writer) seal() error {
	if w.file == nil {
		return nil
	}
	frame := appendSeal(nil)
	stampFrames(frame, frameSeed(w.id.number), w.nextSeq, w.nextSeq)
	_, err := w.file.Write(frame)
	if err == nil {
		err = w.sync(w.file)
	}
	if cerr := w.file.Close(); err == nil {
		err = cerr
	}
	w.file = nil
	return err
}
