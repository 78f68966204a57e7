package encoding

import (
	"encoding/binary"

	"github.com/klauspost/compress/huff0"
	"github.com/klauspost/compress/zstd"
)

// Encoder turns vectors into bytes. It is reusable, for its scratch memory,
// and not safe for concurrent use. Every method appends one column to dst and
// returns it; a column of no values has no bytes.
type Encoder struct {
	level Level
	huff  *huff0.Scratch
	zstd  [zstd.SpeedBestCompression + 1]*zstd.Encoder // made when first used

	res, x, divided []uint64
	decimals        []uint64
	sym             []byte
	patchAt         []int
	patchValue      []uint64
	runLengths      []uint64
	runValues       []uint64
	sampleHist      [3][256]uint32
	small           [directRange + 1]uint32
	buckets         [256]uint32

	dict  dictionary
	clock clock
}

// NewEncoder returns an encoder that chooses among the codecs of a level.
func NewEncoder(level Level) *Encoder {
	if level > LevelBest {
		panic("BUG: unknown compression level")
	}
	return &Encoder{level: level}
}

func checkCount(n int) {
	if n > MaxValues {
		panic("BUG: column of more than MaxValues values")
	}
}

// Ints appends a column of signed integers.
func (e *Encoder) Ints(dst []byte, v []int64) []byte { return e.Uints(dst, intWords(v)) }

// Uints appends a column of unsigned integers.
func (e *Encoder) Uints(dst []byte, v []uint64) []byte {
	checkCount(len(v))
	return e.words(dst, v, false)
}

// Bools appends a column of booleans, each 0 or 1.
func (e *Encoder) Bools(dst []byte, v []uint64) []byte { return e.Uints(dst, v) }

// appendPlain appends words, each less low, in eight bytes.
func appendPlain(dst []byte, v []uint64, low uint64) []byte {
	for _, w := range v {
		dst = binary.LittleEndian.AppendUint64(dst, w-low)
	}
	return dst
}
