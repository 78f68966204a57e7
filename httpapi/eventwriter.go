package httpapi

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"
)

// Content types of streams.
const (
	contentEvents = "text/event-stream"
	contentLines  = "application/x-ndjson"
)

// eventWriter writes a stream as server-sent events (HTML, section 9.2), one
// for each object, or as lines of JSON.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	lines   bool
	buf     []byte
	started bool
	hurried atomic.Bool
}

func (e *eventWriter) points(lines []byte) error {
	if e.lines {
		e.buf = append(e.buf, lines...)
	} else {
		for len(lines) > 0 {
			n := bytes.IndexByte(lines, '\n') + 1
			e.event(lines[:n])
			lines = lines[n:]
		}
	}
	if len(e.buf) >= sendAt {
		return e.flush()
	}
	return nil
}

// event appends a line with its line break.
func (e *eventWriter) event(line []byte) {
	e.buf = append(append(append(e.buf, "data: "...), line...), '\n')
}

func (e *eventWriter) note(object []byte) error { return e.points(append(object, '\n')) }

// beat sends an empty line, or a comment, which clients skip.
func (e *eventWriter) beat(context.Context) error {
	if e.lines {
		e.buf = append(e.buf, '\n')
	} else {
		e.buf = append(e.buf, ":\n\n"...)
	}
	return e.flush()
}

func (e *eventWriter) begun() bool { return e.started }

func (e *eventWriter) flush() error {
	if !e.started {
		e.started = true
		h := e.w.Header()
		h.Set("Content-Type", contentEvents)
		if e.lines {
			h.Set("Content-Type", contentLines)
		}
		h.Set("Cache-Control", "no-store")
		h.Set("X-Accel-Buffering", "no") // proxies of the nginx family would gather it
		e.w.WriteHeader(http.StatusOK)
	}
	if e.hurried.Load() {
		e.deadline(goodbye)
	}
	if len(e.buf) > 0 {
		if _, err := e.w.Write(e.buf); err != nil {
			return err
		}
		e.buf = e.buf[:0]
	}
	if err := e.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if !e.hurried.Load() {
		// Of HTTP/2, the deadline of what was sent would end a stream that is
		// silent after it.
		e.deadline(0)
	}
	return nil
}

// deadline lets writes fail after d; 0: it is the port that decides.
func (e *eventWriter) deadline(d time.Duration) {
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	// Writers without a connection, as those of tests, have no deadline.
	_ = e.control.SetWriteDeadline(at)
}

func (e *eventWriter) hurry() {
	e.hurried.Store(true)
	e.deadline(goodbye) // of a write that is under way, too
}

func (e *eventWriter) watch(ctx context.Context) context.Context { return ctx }

func (e *eventWriter) close() {}
