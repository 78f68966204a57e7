package file

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/klauspost/compress/s2"

	"github.com/varvedb/varve/wlog"
)

// A frame is a record as it lies in a file. FORMAT.md has the layout.
const (
	frameHeaderSize = 80
	frameVersion    = 1

	// frameMagic begins each frame ("vrec"): what a search for the next whole
	// record after a damaged one looks for.
	frameMagic = 0x63657276

	// frameAlign is the alignment of frames; the search goes in these steps.
	frameAlign = 8

	flagS2   = 1 << 0 // the payload is an S2 block
	flagSeal = 1 << 1 // not a record: says that all records before are durable

	offVersion   = 4
	offKind      = 5
	offFlags     = 6
	offShard     = 8
	offRaw       = 12
	offStored    = 16
	offPayload   = 20 // checksum of the payload
	offSeq       = 24
	offDurable   = 32
	offBucket    = 40
	offCommit    = 48
	offOrigin    = 56
	offOriginSeq = 64
	offChecksum  = 76
)

// maxStored is the longest payload as stored: one that does not compress is
// kept raw.
const maxStored = wlog.MaxPayload

// castagnoli has an instruction on the machines we run on.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is a decoded header.
type frame struct {
	kind      wlog.Kind
	flags     uint8
	shard     uint32
	raw       uint32
	stored    uint32
	payload   uint32
	seq       uint64
	durable   uint64 // all records before this one were durable when it was written
	bucket    uint64
	commit    int64
	origin    uint64
	originSeq uint64
}

func (h *frame) isSeal() bool { return h.flags&flagSeal != 0 }

// size is the room that the frame takes in the file.
func (h *frame) size() int { return frameHeaderSize + padded(int(h.stored)) }

func padded(n int) int { return (n + frameAlign - 1) &^ (frameAlign - 1) }

// appendFrame encodes a record, all but what is known only when it gets its
// place: see stampFrame.
func appendFrame(dst []byte, rec *wlog.Record) []byte {
	at := len(dst)
	body := at + frameHeaderSize
	dst = slices.Grow(dst, frameHeaderSize+s2.MaxEncodedLen(len(rec.Payload))+frameAlign)
	flags := uint8(flagS2)
	stored := len(s2.Encode(dst[body:cap(dst)], rec.Payload))
	if stored >= len(rec.Payload) {
		flags = 0
		stored = copy(dst[body:cap(dst)], rec.Payload)
	}
	end := body + padded(stored)
	dst = dst[:end]
	clear(dst[body+stored : end])

	h := dst[at:body]
	clear(h)
	binary.LittleEndian.PutUint32(h, frameMagic)
	h[offVersion] = frameVersion
	h[offKind] = uint8(rec.Kind)
	h[offFlags] = flags
	binary.LittleEndian.PutUint32(h[offShard:], rec.Shard)
	binary.LittleEndian.PutUint32(h[offRaw:], uint32(len(rec.Payload)))
	binary.LittleEndian.PutUint32(h[offStored:], uint32(stored))
	binary.LittleEndian.PutUint32(h[offPayload:], crc32.Checksum(dst[body:body+stored], castagnoli))
	binary.LittleEndian.PutUint64(h[offBucket:], rec.Bucket)
	binary.LittleEndian.PutUint64(h[offCommit:], uint64(rec.CommitTime))
	binary.LittleEndian.PutUint64(h[offOrigin:], rec.Origin)
	binary.LittleEndian.PutUint64(h[offOriginSeq:], rec.OriginSeq)
	return dst
}

// appendSeal encodes the frame that ends a file which was closed in order.
func appendSeal(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, frameHeaderSize)...)
	h := dst[at:]
	binary.LittleEndian.PutUint32(h, frameMagic)
	h[offVersion] = frameVersion
	h[offFlags] = flagSeal
	return dst
}

// stampFrames gives the frames in buf their sequences, from seq on, and seals
// their headers for the file. It can be done again for another file.
func stampFrames(buf []byte, seed uint32, seq, durable uint64) {
	for len(buf) > 0 {
		h := buf[:frameHeaderSize]
		binary.LittleEndian.PutUint64(h[offSeq:], seq)
		binary.LittleEndian.PutUint64(h[offDurable:], durable)
		binary.LittleEndian.PutUint32(h[offChecksum:], crc32.Update(seed, castagnoli, h[:offChecksum]))
		seq++
		buf = buf[frameHeaderSize+padded(int(binary.LittleEndian.Uint32(h[offStored:]))):]
	}
}

// frameSeed begins the checksums of headers with the number of the file, so
// that a frame of another file which found its way into a payload is never
// taken for one of this file.
func frameSeed(number uint64) uint32 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], number)
	return crc32.Checksum(b[:], castagnoli)
}

var (
	errFrameMagic    = errors.New("no record begins here")
	errFrameChecksum = errors.New("record header checksum does not match")
	errFrameValues   = errors.New("record header has impossible lengths or sequences")
	errPayload       = errors.New("record payload checksum does not match")
	errShort         = errors.New("record is cut off")
)

// parseFrame decodes the header of a frame and checks it.
func parseFrame(b []byte, seed uint32) (frame, error) {
	if len(b) < frameHeaderSize {
		return frame{}, errShort
	}
	if binary.LittleEndian.Uint32(b) != frameMagic {
		return frame{}, errFrameMagic
	}
	if crc32.Update(seed, castagnoli, b[:offChecksum]) != binary.LittleEndian.Uint32(b[offChecksum:]) {
		return frame{}, errFrameChecksum
	}
	if v := b[offVersion]; v != frameVersion {
		return frame{}, fmt.Errorf("record format version %d is not known, only %d", v, frameVersion)
	}
	h := frame{
		kind:      wlog.Kind(b[offKind]),
		flags:     b[offFlags],
		shard:     binary.LittleEndian.Uint32(b[offShard:]),
		raw:       binary.LittleEndian.Uint32(b[offRaw:]),
		stored:    binary.LittleEndian.Uint32(b[offStored:]),
		payload:   binary.LittleEndian.Uint32(b[offPayload:]),
		seq:       binary.LittleEndian.Uint64(b[offSeq:]),
		durable:   binary.LittleEndian.Uint64(b[offDurable:]),
		bucket:    binary.LittleEndian.Uint64(b[offBucket:]),
		commit:    int64(binary.LittleEndian.Uint64(b[offCommit:])),
		origin:    binary.LittleEndian.Uint64(b[offOrigin:]),
		originSeq: binary.LittleEndian.Uint64(b[offOriginSeq:]),
	}
	compressed := h.flags&flagS2 != 0
	if h.raw > wlog.MaxPayload || h.stored > maxStored || !compressed && h.raw != h.stored ||
		h.isSeal() && h.stored != 0 || h.durable > h.seq || h.seq > math.MaxInt64 {
		return frame{}, errFrameValues
	}
	return h, nil
}

// checkPayload compares the stored payload with its checksum.
func (h *frame) checkPayload(stored []byte) error {
	if crc32.Checksum(stored, castagnoli) != h.payload {
		return errPayload
	}
	return nil
}

// decodePayload returns the payload as it was appended: a slice of stored if
// it is raw, else decompressed into buf, which grows at need.
func (h *frame) decodePayload(stored, buf []byte) (payload, newBuf []byte, err error) {
	if h.flags&flagS2 == 0 {
		return stored, buf, nil
	}
	n, err := s2.DecodedLen(stored)
	if err != nil || n != int(h.raw) {
		return nil, buf, fmt.Errorf("compressed payload claims %d bytes, its header %d", n, h.raw)
	}
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	payload, err = s2.Decode(buf[:n], stored)
	if err != nil {
		return nil, buf, fmt.Errorf("decompress payload: %w", err)
	}
	return payload, buf, nil
}
