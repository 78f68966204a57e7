package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/s2"
)

// A piece is the unit of reading: a payload and the CRC-32C of it. Pieces
// stand one behind the other without padding.

// crcSize is the size of the checksum behind a payload.
const crcSize = 4

// castagnoli is the table of CRC-32C, for which processors have an
// instruction; it is never changed.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// extent says where a piece lies, checksum included. No piece has offset 0,
// where the magic stands, so that the zero extent means none.
type extent struct {
	off int64
	len uint32
}

func (e extent) end() int64 { return e.off + int64(e.len) }

// errShort is what parsing says when a payload ends too soon.
var errShort = errors.New("piece ends too soon")

// checkPiece verifies a piece and returns its payload.
func checkPiece(p []byte) ([]byte, error) {
	if len(p) < crcSize {
		return nil, errShort
	}
	payload := p[:len(p)-crcSize]
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(p[len(payload):]) {
		return nil, errors.New("checksum differs")
	}
	return payload, nil
}

// readExtent fills p from the blob.
func (r *Reader) readExtent(p []byte, off int64) error {
	if off < 0 || off > r.size-int64(len(p)) {
		return r.corrupt(off, "piece of %d bytes lies outside the file", len(p))
	}
	n, err := r.blob.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) || err == nil {
		return r.corrupt(off, "file ends within a piece of %d bytes", len(p))
	}
	return fmt.Errorf("read segment %s at %d: %w", r.name, off, err)
}

// readPiece reads one piece and returns its verified payload.
func (r *Reader) readPiece(e extent) ([]byte, error) {
	if e.off < 0 || e.off > r.size-int64(e.len) {
		return nil, r.corrupt(e.off, "piece of %d bytes lies outside the file", e.len)
	}
	p := make([]byte, e.len)
	if err := r.readExtent(p, e.off); err != nil {
		return nil, err
	}
	payload, err := checkPiece(p)
	if err != nil {
		return nil, r.corrupt(e.off, "%v", err)
	}
	return payload, nil
}

func (r *Reader) corrupt(off int64, format string, args ...any) error {
	return &CorruptError{File: r.name, Offset: off, What: fmt.Sprintf(format, args...)}
}

// Packing: texts (dictionary, tags, directory) are kept in S2 if that makes
// them smaller. S2 because a dictionary is read at the speed of its decoder.
const (
	packedRaw = 0
	packedS2  = 1

	// maxUnpacked bounds what one packed payload may claim to hold: far above
	// the widest directory, far below what would exhaust memory.
	maxUnpacked = 1 << 28
)

func pack(dst, raw []byte) []byte {
	dst = append(dst, packedS2)
	start := len(dst)
	dst = append(dst, make([]byte, s2.MaxEncodedLen(len(raw)))...)
	n := len(s2.EncodeBetter(dst[start:], raw))
	if n < len(raw) {
		return dst[:start+n]
	}
	dst[start-1] = packedRaw
	return append(dst[:start], raw...)
}

func unpack(payload []byte) ([]byte, error) {
	if len(payload) == 0 {
		return nil, errShort
	}
	body := payload[1:]
	switch payload[0] {
	case packedRaw:
		return body, nil
	case packedS2:
		n, err := s2.DecodedLen(body)
		if err != nil {
			return nil, err
		}
		if n > maxUnpacked {
			return nil, fmt.Errorf("packed text claims %d bytes", n)
		}
		return s2.Decode(nil, body)
	}
	return nil, fmt.Errorf("unknown packing %d", payload[0])
}
