package lineproto

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Splitter cuts a stream into chunks of whole lines, so that several parsers
// can share an import. It follows quotes, since a newline within a string
// ends no line. It belongs to one goroutine.
type Splitter struct {
	r       io.Reader
	size    int
	maxLine int
	rest    []byte // read but not yet handed out
	line    int    // number of the first line in rest
	err     error  // what reading ended with
}

// Chunk is a stretch of whole lines. Only at the end of the stream may the
// last one lack its newline.
type Chunk struct {
	Data []byte
	Line int // number of the first line in the stream, from 1
}

// NewSplitter returns a splitter of r into chunks of about size bytes. Lines
// longer than maxLine bytes end the stream with an error: there is no
// telling where a quote should have been closed.
func NewSplitter(r io.Reader, size, maxLine int) *Splitter {
	return &Splitter{r: r, size: max(size, 1), maxLine: maxLine, line: 1}
}

// Next returns the next chunk, in buf if that is large enough, and io.EOF
// after the last one. The chunk is the caller's.
func (s *Splitter) Next(buf []byte) (Chunk, error) {
	buf = append(buf[:0], s.rest...)
	s.rest = s.rest[:0]
	for want := s.size; ; want *= 2 {
		if n := len(buf); n < want && s.err == nil {
			if cap(buf) < want {
				buf = append(make([]byte, 0, want), buf...)
			}
			var m int
			m, s.err = io.ReadFull(s.r, buf[n:want])
			buf = buf[:n+m]
			if errors.Is(s.err, io.ErrUnexpectedEOF) {
				s.err = io.EOF
			}
		}
		if s.err != nil && s.err != io.EOF {
			return Chunk{}, fmt.Errorf("read line protocol behind line %d: %w", s.line, s.err)
		}
		end := WholeLines(buf)
		if s.err == io.EOF && len(buf)-end <= s.maxLine {
			end = len(buf)
		}
		if end == 0 && len(buf) > s.maxLine {
			return Chunk{}, fmt.Errorf("split line protocol: line %d is longer than %d bytes; is a quote left open?", s.line, s.maxLine)
		}
		if end == 0 && s.err == io.EOF {
			return Chunk{}, io.EOF
		}
		if end > 0 {
			c := Chunk{Data: buf[:end], Line: s.line}
			s.rest = append(s.rest, buf[end:]...)
			s.line += bytes.Count(c.Data, newline)
			return c, nil
		}
	}
}

// WholeLines returns the length of the whole lines at the beginning of b. It
// follows quotes, as Splitter does.
func WholeLines(b []byte) int {
	if bytes.IndexByte(b, '"') < 0 {
		return bytes.LastIndexByte(b, '\n') + 1
	}
	end := 0
	for {
		n := lineEnd(b, end)
		if n >= len(b) {
			return end
		}
		end = n + 1
	}
}

// FirstLine returns the length of the first line of b with its newline. It
// follows quotes, as Splitter does.
func FirstLine(b []byte) int { return min(lineEnd(b, 0)+1, len(b)) }
