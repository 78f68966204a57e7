// Package wire reads the encoding of protocol buffers field by field, without
// making messages of it. Decoders whose messages are large and known use it:
// remotewrite and otlp. A Reader is a plain value; nothing here allocates but
// errors.
//
// It reads what https://protobuf.dev/programming-guides/encoding says. Groups,
// which no message read here has, are refused.
package wire

import (
	"encoding/binary"
	"errors"
	"math"
)

// Kind is how a field is encoded.
type Kind uint8

const (
	Varint  Kind = 0
	Fixed64 Kind = 1
	Bytes   Kind = 2
	Fixed32 Kind = 5
)

// ErrMalformed says that something is no message.
var ErrMalformed = errors.New("malformed protobuf")

// Reader walks over the fields of a message.
//
//	for r := wire.Read(message); r.Next(); {
//		switch r.Field() { … }
//	}
//	return r.Err()
type Reader struct {
	rest  []byte
	size  int    // of the message
	bytes []byte // of the present field
	word  uint64
	tag   uint64
	bad   bool
}

// Read returns a reader of a message.
func Read(message []byte) Reader { return Reader{rest: message, size: len(message)} }

// Next goes to the next field. It returns false at the end, and where the
// message is malformed.
func (r *Reader) Next() bool {
	if len(r.rest) == 0 || r.bad {
		return false
	}
	tag := uint64(r.rest[0])
	i := 1
	if tag >= 0x80 {
		if tag, i = Uvarint(r.rest, 0); i < 0 {
			return r.fail()
		}
	}
	if tag>>3 == 0 || tag>>3 > math.MaxInt32 {
		return r.fail()
	}
	r.tag = tag
	switch Kind(tag & 7) {
	case Varint:
		if r.word, i = Uvarint(r.rest, i); i < 0 {
			return r.fail()
		}
	case Fixed64:
		if len(r.rest)-i < 8 {
			return r.fail()
		}
		r.word = binary.LittleEndian.Uint64(r.rest[i:])
		i += 8
	case Fixed32:
		if len(r.rest)-i < 4 {
			return r.fail()
		}
		r.word = uint64(binary.LittleEndian.Uint32(r.rest[i:]))
		i += 4
	case Bytes:
		var n uint64
		if n, i = Uvarint(r.rest, i); i < 0 || n > uint64(len(r.rest)-i) {
			return r.fail()
		}
		r.bytes = r.rest[i : i+int(n)]
		i += int(n)
	default:
		return r.fail()
	}
	r.rest = r.rest[i:]
	return true
}

func (r *Reader) fail() bool {
	r.bad = true
	return false
}

// Field returns the number of the present field and its kind, packed as Tag
// packs them.
func (r *Reader) Field() uint64 { return r.tag }

// Number returns the number of the present field.
func (r *Reader) Number() uint64 { return r.tag >> 3 }

// Bytes returns the value of a field of kind Bytes; it shares memory with the
// message.
func (r *Reader) Bytes() []byte { return r.bytes }

// Offset returns where in the message the present field ends.
func (r *Reader) Offset() int { return r.size - len(r.rest) }

// Word returns the value of a field of another kind.
func (r *Reader) Word() uint64 { return r.word }

// Int returns the value of an int32, int64 or enum.
func (r *Reader) Int() int64 { return int64(r.word) }

// Sint returns the value of a sint32 or sint64.
func (r *Reader) Sint() int64 { return Zigzag(r.word) }

// Float returns the value of a double.
func (r *Reader) Float() float64 { return math.Float64frombits(r.word) }

// Err returns ErrMalformed if Next ended because of that.
func (r *Reader) Err() error {
	if r.bad {
		return ErrMalformed
	}
	return nil
}

// Tag returns what Field returns for a field.
func Tag(number uint64, kind Kind) uint64 { return number<<3 | uint64(kind) }

// Tags for the switch of a reader.
const (
	Varints  = uint64(Varint)
	Fixed64s = uint64(Fixed64)
	Blobs    = uint64(Bytes)
)

// Zigzag returns the signed integer that a word stands for.
func Zigzag(w uint64) int64 { return int64(w>>1) ^ -int64(w&1) }

// Uvarint reads a variable-length integer at b[i] and returns where it ends,
// -1 if there is none.
func Uvarint(b []byte, i int) (uint64, int) {
	if i < len(b) && b[i] < 0x80 {
		return uint64(b[i]), i + 1
	}
	var w uint64
	for shift := uint(0); shift < 64; shift += 7 {
		if i >= len(b) {
			return 0, -1
		}
		c := b[i]
		i++
		if shift == 63 && c > 1 {
			return 0, -1
		}
		w |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return w, i
		}
	}
	return 0, -1
}
