package transport

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// SlowBodyError tells that a body did not come as fast as Limits want it.
type SlowBodyError struct {
	Got  int64         // bytes of the body
	Took time.Duration // time that was spent waiting for them
}

func (e *SlowBodyError) Error() string {
	return fmt.Sprintf("the body comes too slowly: %d bytes in %s; send smaller ones, or raise http.body_timeout or lower http.min_body_rate at the server",
		e.Got, e.Took.Round(time.Second))
}

// Is makes it the kind of error that it stems from.
func (e *SlowBodyError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// pacedBody cuts off a body that comes too slowly. It counts the time that is
// spent in Read and not what lies between: that is the server's.
type pacedBody struct {
	io.ReadCloser
	w       http.ResponseWriter
	control *http.ResponseController
	limits  *Limits
	hits    *hits
	http1   bool

	got    int64
	waited time.Duration
	armed  time.Time // the deadline that is set
	err    error
}

// sameDeadline is how far apart deadlines may be that are taken for the same:
// bodies mostly come in many small pieces, and setting one has a price.
const sameDeadline = 250 * time.Millisecond

func (b *pacedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	began := time.Now()
	if err := b.arm(began); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	b.got += int64(n)
	b.waited += time.Since(began)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.hits.bodyRate.Add(1)
		err = &SlowBodyError{b.got, b.waited}
		if b.http1 {
			// What else comes of this body is not waited for.
			b.w.Header().Set("Connection", "close")
		}
	case errors.Is(err, io.EOF):
		// From here on net/http reads ahead to see whether the client leaves.
		// Would that run out of time, it would take the client for gone.
		if disarmed := b.control.SetReadDeadline(time.Time{}); disarmed != nil {
			err = disarmed
		}
	}
	b.err = err
	return n, err
}

// arm sets the deadline of the next read.
func (b *pacedBody) arm(now time.Time) error {
	granted := b.limits.BodyTimeout + time.Duration(float64(b.got)/float64(b.limits.MinBodyRate)*float64(time.Second))
	by := now.Add(granted - b.waited)
	if d := by.Sub(b.armed); d > -sameDeadline && d < sameDeadline {
		return nil
	}
	b.armed = by
	return b.control.SetReadDeadline(by)
}

// streamWriter gives each piece of an answer over HTTP/2 its own deadline. The
// connection cannot: a stream whose window is full writes nothing to it.
type streamWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	limits  *Limits
	hits    *hits
}

func (w *streamWriter) Write(b []byte) (int, error) {
	written := 0
	for {
		piece := b[written:min(len(b), written+writePiece)]
		began := time.Now()
		if err := w.control.SetWriteDeadline(began.Add(w.limits.WriteTimeout)); err != nil {
			return written, err
		}
		n, err := w.ResponseWriter.Write(piece)
		written += n
		if err != nil {
			if time.Since(began) >= w.limits.WriteTimeout {
				w.hits.writeTimeout.Add(1)
			}
			return written, err
		}
		if written == len(b) {
			return written, nil
		}
	}
}

// Unwrap is for http.ResponseController.
func (w *streamWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
