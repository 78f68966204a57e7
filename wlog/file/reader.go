package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/varvedb/varve/wlog"
)

// Reader reads the files of a Log one after the other. It holds a window of
// one file and one decompressed payload, whatever the log's size.
type Reader struct {
	log  *Log
	opts wlog.ReadOptions
	next uint64   // sequence of the next record to return
	skip fileInfo // if its number is not 0: next lies at or after its size

	scan    *scanner // nil between files
	expect  uint64   // sequence of the scanner's next frame
	limit   uint64   // last sequence of the scanner's file that may be read
	payload []byte
	failed  error // a *wlog.CorruptError, where nobody wants to be told
	closed  bool
}

var _ wlog.Reader = (*Reader)(nil)

// Next implements wlog.Reader.
func (r *Reader) Next(ctx context.Context) (wlog.Record, error) {
	for {
		if r.closed {
			return wlog.Record{}, wlog.ErrClosed
		}
		if r.failed != nil {
			return wlog.Record{}, r.failed
		}
		if r.scan == nil || r.next > r.limit {
			if err := r.advance(ctx); err != nil {
				return wlog.Record{}, err
			}
		}
		rec, ok, err := r.read()
		if ok || err != nil {
			return rec, err
		}
	}
}

// advance waits until the next record is durable and goes to its file.
func (r *Reader) advance(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		file, limit, grown, err := r.log.locate(r.next)
		if err != nil {
			return err
		}
		if limit >= r.next {
			if r.scan != nil && r.scan.id == file.fileID {
				r.limit, r.scan.limit = limit, file.size
				return nil
			}
			again, err := r.enter(file, limit)
			if err != nil || !again {
				return err
			}
			continue
		}
		if !r.opts.Follow {
			return io.EOF
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

// locate returns the file that holds a sequence, or will, and the last one of
// that file that can be read; grown is closed when there is more.
func (l *Log) locate(seq uint64) (file fileInfo, limit uint64, grown <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return fileInfo{}, 0, nil, wlog.ErrClosed
	}
	if first := l.firstLocked(); seq < first.Seq {
		return fileInfo{}, 0, nil, fmt.Errorf("read log %s from %d, which begins at %v: %w", l.cfg.Dir, seq, first, wlog.ErrTrimmed)
	}
	if seq > l.last {
		return fileInfo{}, l.last, l.grown, nil
	}
	limit = l.last
	for i := len(l.files) - 1; ; i-- {
		if l.files[i].first <= seq {
			return l.files[i], limit, nil, nil
		}
		limit = l.files[i].first - 1
	}
}

// enter opens a file. again says that it went away meanwhile.
func (r *Reader) enter(file fileInfo, limit uint64) (again bool, err error) {
	r.leave()
	f, err := r.log.cfg.FS.Open(r.log.path(file.fileID))
	if errors.Is(err, fs.ErrNotExist) {
		// Trimmed, unless the log still lists it.
		if now, _, _, lerr := r.log.locate(r.next); lerr != nil || now.fileID != file.fileID {
			return true, nil
		}
		return false, r.lost(file.fileID, 0, "the file is missing", r.next, limit)
	}
	if err != nil {
		return false, fmt.Errorf("read log: %w", err)
	}
	r.scan = newScanner(f, file.fileID, file.size)
	r.expect, r.limit = file.first, limit
	if r.skip.number == file.number {
		r.scan.off, r.expect = r.skip.size, r.next
	}
	b, err := r.scan.window(0, int(min(fileHeaderSize, file.size)))
	if err != nil {
		r.leave()
		return false, err
	}
	if err := checkHeader(b, file.fileID); err != nil {
		return false, r.lost(file.fileID, 0, err.Error(), 1, 0)
	}
	return false, nil
}

func (r *Reader) leave() {
	if r.scan != nil {
		// Nothing was written through it.
		_ = r.scan.file.Close()
		r.scan = nil
	}
}

// read returns the next record of the file, or false where the caller has to
// look again: damage was passed over, or the file is done.
func (r *Reader) read() (wlog.Record, bool, error) {
	for r.scan != nil && r.next <= r.limit {
		at := r.scan.off
		h, stored, err := r.scan.next(r.expect >= r.next)
		if errors.Is(err, io.EOF) {
			err = &damage{reason: errors.New("the file ends")}
		}
		if err != nil {
			if d := asDamage(err); d != nil {
				err = r.pass(d, at)
			}
			return wlog.Record{}, false, err
		}
		switch {
		case h.isSeal():
			continue
		case h.seq != r.expect:
			r.scan.off = at
			d := &damage{reason: fmt.Errorf("record %d stands where %d belongs", h.seq, r.expect)}
			if h.seq > r.expect {
				// This very frame is the one to go on with.
				return wlog.Record{}, false, r.report(d, at, h.seq)
			}
			return wlog.Record{}, false, r.pass(d, at)
		}
		r.expect++
		if h.seq < r.next {
			continue
		}
		payload, buf, err := h.decodePayload(stored, r.payload)
		r.payload = buf
		if err != nil {
			r.next = h.seq + 1
			return wlog.Record{}, false, r.lost(r.scan.id, at, err.Error(), h.seq, h.seq)
		}
		r.next = h.seq + 1
		return wlog.Record{
			Pos:        wlog.Position{Epoch: r.log.epoch, Seq: h.seq},
			Kind:       h.kind,
			Shard:      h.shard,
			Bucket:     h.bucket,
			CommitTime: h.commit,
			Origin:     h.origin,
			OriginSeq:  h.originSeq,
			Payload:    payload,
		}, true, nil
	}
	return wlog.Record{}, false, nil
}

// pass goes to the next whole record after damage at an offset.
func (r *Reader) pass(d *damage, at int64) error {
	to := r.limit + 1
	h, err := r.scan.resync(d, r.expect)
	if err == nil {
		to = h.seq
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return r.report(d, at, to)
}

// report says that the records from the expected one up to, but without, to
// are lost, and makes to the expected one.
func (r *Reader) report(d *damage, at int64, to uint64) error {
	from := max(r.expect, r.next)
	to = min(to, r.limit+1)
	r.expect = to
	if to <= r.next {
		// Only records that the caller did not ask for.
		return nil
	}
	r.next = to
	return r.lost(r.scan.id, at, d.Error(), from, to-1)
}

// lost tells of lost records in the way that was asked for.
func (r *Reader) lost(id fileID, at int64, reason string, first, last uint64) error {
	e := &wlog.CorruptError{File: r.log.path(id), Offset: at, Reason: reason, First: first, Last: last}
	if r.opts.OnCorrupt == nil {
		r.failed = e
		return e
	}
	r.opts.OnCorrupt(e)
	return nil
}

// Close implements wlog.Reader.
func (r *Reader) Close() error {
	r.leave()
	r.closed = true
	return nil
}
