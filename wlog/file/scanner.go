package file

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/varvedb/varve/vfs"
)

// scanBytes is how much is read from a file at a time: some frames of the
// usual size, little enough for many followers. Reading more at a time was no
// faster.
const scanBytes = 512 << 10

// scanner walks the frames of one file. It never holds more than scanBytes or
// one frame, whichever is more, and a frame is no longer than what is left of
// the file, whatever its header says.
type scanner struct {
	file  vfs.File
	id    fileID
	seed  uint32
	limit int64 // bytes of the file that may be read; grows while it is written

	off int64 // of the next frame
	buf []byte
	at  int64 // offset in the file of buf[0]
}

// damage is a frame that cannot be read. next is where the frame after it
// begins, if its header could be trusted, else 0.
type damage struct {
	reason error
	next   int64
}

func (d *damage) Error() string { return d.reason.Error() }

// asDamage returns the damage that an error stands for, or nil.
func asDamage(err error) *damage {
	if err == nil {
		return nil // before d goes to the heap
	}
	var d *damage
	if errors.As(err, &d) {
		return d
	}
	return nil
}

func newScanner(file vfs.File, id fileID, limit int64) *scanner {
	return &scanner{file: file, id: id, seed: frameSeed(id.number), limit: limit, off: fileHeaderSize}
}

// window returns n bytes at off, which must lie within the limit.
func (s *scanner) window(off int64, n int) ([]byte, error) {
	if off >= s.at && off+int64(n) <= s.at+int64(len(s.buf)) {
		return s.buf[off-s.at:][:n], nil
	}
	kept := 0
	if off >= s.at && off < s.at+int64(len(s.buf)) {
		kept = copy(s.buf, s.buf[off-s.at:])
	}
	want := int(min(int64(max(n, scanBytes)), s.limit-off))
	if cap(s.buf) < want {
		grown := make([]byte, want)
		copy(grown, s.buf[:kept])
		s.buf = grown
	}
	s.buf = s.buf[:want]
	s.at = off
	got, err := s.file.ReadAt(s.buf[kept:], off+int64(kept))
	s.buf = s.buf[:kept+got]
	if len(s.buf) >= n {
		return s.buf[:n], nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		// The file is shorter than it was when the limit was taken.
		err = io.ErrUnexpectedEOF
	}
	return nil, fmt.Errorf("read log file %s at %d: %w", s.id.name(), off, err)
}

// next returns the frame at off and its stored payload, valid until the next
// call, and steps over it. It returns io.EOF at the limit and *damage, without
// a step, where no whole frame lies. With check false the checksum of the
// payload is not looked at.
func (s *scanner) next(check bool) (frame, []byte, error) {
	h, stored, err := s.frameAt(s.off, check)
	if err == nil {
		s.off += int64(h.size())
	}
	return h, stored, err
}

func (s *scanner) frameAt(off int64, check bool) (frame, []byte, error) {
	left := s.limit - off
	if left <= 0 {
		return frame{}, nil, io.EOF
	}
	if left < frameHeaderSize {
		return frame{}, nil, &damage{reason: errShort}
	}
	b, err := s.window(off, frameHeaderSize)
	if err != nil {
		return frame{}, nil, err
	}
	h, err := parseFrame(b, s.seed)
	if err != nil {
		return frame{}, nil, &damage{reason: err}
	}
	if int64(h.size()) > left {
		return frame{}, nil, &damage{reason: errShort}
	}
	if !check {
		return h, nil, nil
	}
	if b, err = s.window(off, h.size()); err != nil {
		return frame{}, nil, err
	}
	stored := b[frameHeaderSize:][:h.stored]
	if err := h.checkPayload(stored); err != nil {
		return h, nil, &damage{reason: err, next: off + int64(h.size())}
	}
	return h, stored, nil
}

// resync moves off past damage to the next whole frame whose sequence is not
// below least, and returns it without stepping over it; io.EOF if there is
// none.
func (s *scanner) resync(d *damage, least uint64) (frame, error) {
	off := s.off + frameAlign
	if d.next != 0 {
		off = d.next
	}
	for s.limit-off >= frameHeaderSize {
		b, err := s.window(off, int(min(resyncBytes, s.limit-off)))
		if err != nil {
			return frame{}, err
		}
		skip := findMagic(b)
		off += int64(skip)
		if skip == len(b)&^(frameAlign-1) {
			continue
		}
		h, _, err := s.frameAt(off, true)
		if err == nil && h.seq >= least {
			s.off = off
			return h, nil
		}
		if err != nil && asDamage(err) == nil {
			return frame{}, err
		}
		off += frameAlign
	}
	s.off = s.limit
	return frame{}, io.EOF
}

// resyncBytes is how much is searched for a frame at a time.
const resyncBytes = 64 << 10

// findMagic returns the offset of the first aligned magic in b, or the length
// of b rounded down to the alignment.
func findMagic(b []byte) int {
	i := 0
	for ; i+frameAlign <= len(b); i += frameAlign {
		if binary.LittleEndian.Uint32(b[i:]) == frameMagic {
			return i
		}
	}
	return i
}
