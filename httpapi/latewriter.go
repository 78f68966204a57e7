package httpapi

import (
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// lateBytes is how much of an answer is held back before the client gets the
// first byte, so that an error up to there is answered with its status.
const lateBytes = 64 << 10

// lateWriter writes the answer to a script: late, and compressed if the client
// takes that and the answer is long enough to matter.
type lateWriter struct {
	w     http.ResponseWriter
	held  []byte
	zip   bool
	zips  *sync.Pool // of *gzip.Writer
	gzip  *gzip.Writer
	begun bool // the client has a part of the answer
}

func (a *API) newLateWriter(w http.ResponseWriter, r *http.Request) *lateWriter {
	return &lateWriter{w: w, zips: &a.zips, zip: strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")}
}

// release gives the compressor back.
func (l *lateWriter) release() {
	if l.gzip != nil {
		l.zips.Put(l.gzip)
		l.gzip = nil
	}
}

// smallAnswer is up to where compression costs more than the bytes that it
// saves: about one packet.
const smallAnswer = 1400

// Write implements io.Writer.
func (l *lateWriter) Write(b []byte) (int, error) {
	if l.begun {
		return l.put(b)
	}
	l.held = append(l.held, b...)
	if len(l.held) < lateBytes {
		return len(b), nil
	}
	return len(b), l.begin()
}

func (l *lateWriter) put(b []byte) (int, error) {
	if l.gzip != nil {
		return l.gzip.Write(b)
	}
	return l.w.Write(b)
}

func (l *lateWriter) begin() error {
	l.begun = true
	l.w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	l.w.Header().Set("Vary", "Accept-Encoding")
	if l.zip && len(l.held) > smallAnswer {
		l.w.Header().Set("Content-Encoding", "gzip")
		// Speed over size: the network between a dashboard and its server
		// mostly is faster than any compressor.
		z, ok := l.zips.Get().(*gzip.Writer)
		if !ok {
			var err error
			if z, err = gzip.NewWriterLevel(l.w, gzip.BestSpeed); err != nil {
				return err
			}
		}
		z.Reset(l.w)
		l.gzip = z
	}
	held := l.held
	l.held = nil
	_, err := l.put(held)
	return err
}

// Close ends the answer.
func (l *lateWriter) Close() error {
	if !l.begun {
		if err := l.begin(); err != nil {
			return err
		}
	}
	if l.gzip != nil {
		return l.gzip.Close()
	}
	return nil
}
