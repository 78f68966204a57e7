package encoding

import (
	"encoding/binary"

	"github.com/klauspost/compress/huff0"
	"github.com/klauspost/compress/zstd"
)

// Decoder turns bytes into vectors. The zero Decoder is ready; it is reusable,
// for its scratch memory, and not safe for concurrent use. Every method
// appends the n values of the column that src holds, wholly, to dst; dst never
// shares memory with src. After an error the content of dst past its old
// length is undefined.
type Decoder struct {
	huff        *huff0.Scratch
	zstd        *zstd.Decoder
	bucketTable *[256]bucket

	sym         []byte
	raw         []byte
	table       []uint64
	patches     []patch
	lengths     []uint64
	runValues   []uint64
	codes       []uint64
	textLengths []uint64
	dict        []byte
	dictEnd     []uint32
	runs        []TimeRun
	kinds       []uint64
	firsts      []uint64
	steps       []uint64
	deltas      []uint64
}

// Ints decodes a column of signed integers.
func (d *Decoder) Ints(dst []int64, n int, src []byte) ([]int64, error) {
	if err := wantCount(n); err != nil {
		return dst, err
	}
	all, tail := grow(dst, n)
	return all, d.words(intWords(tail), src, false)
}

// Uints decodes a column of unsigned integers.
func (d *Decoder) Uints(dst []uint64, n int, src []byte) ([]uint64, error) {
	if err := wantCount(n); err != nil {
		return dst, err
	}
	all, tail := grow(dst, n)
	return all, d.words(tail, src, false)
}

// Bools decodes a column of booleans to words of 0 or 1.
func (d *Decoder) Bools(dst []uint64, n int, src []byte) ([]uint64, error) {
	all, err := d.Uints(dst, n, src)
	if err != nil {
		return all, err
	}
	or := uint64(0)
	for _, w := range all[len(dst):] {
		or |= w
	}
	if or > 1 {
		return all, corrupt("boolean that is neither 0 nor 1")
	}
	return all, nil
}

func wantCount(n int) error {
	if n < 0 || n > MaxValues {
		return corrupt("number of values out of range")
	}
	return nil
}

// piece is how many residuals are unpacked before they become values: they
// are still in the first-level cache then.
const piece = 1024

// words decodes exactly len(dst) words.
func (d *Decoder) words(dst []uint64, src []byte, nested bool) error {
	if len(dst) == 0 {
		if len(src) != 0 {
			return corrupt("bytes in an empty column")
		}
		return nil
	}
	if len(src) == 0 {
		return corrupt("no bytes")
	}
	head := src[0]
	switch head & packMask {
	case packPlain:
		if head != packPlain || len(src)-1 != 8*len(dst) {
			return corrupt("plain words of the wrong length")
		}
		loadPlain(dst, src[1:])
		return nil
	case packRuns:
		if head != packRuns || nested {
			return corrupt("runs inside runs")
		}
		return d.runWords(dst, src[1:])
	}
	order := int(head >> orderShift & orderMask)
	if order > 2 || order > len(dst) {
		return corrupt("order of differences out of range")
	}
	c := cursor{b: src[1:]}
	t := terms{order: order, scale: 1, zigzag: head&flagZigzag != 0}
	if head&flagDivisor != 0 {
		t.scale = c.uvarint()
	}
	if order >= 1 {
		t.acc = c.varint()
		dst[0] = t.acc
	}
	if order == 2 {
		t.slope = c.varint()
		t.acc += t.slope
		dst[1] = t.acc
	}
	t.base = c.varint()
	dst = dst[order:]
	patches, err := d.patched(&c, head&flagPatched != 0, len(dst))
	if err != nil {
		return err
	}
	if c.bad {
		return corrupt("header past the end")
	}
	switch head & packMask {
	case packSame:
		if len(c.b) != 0 || patches != nil {
			return corrupt("bytes behind equal words")
		}
		t.fill(dst)
		return nil
	case packBits:
		return bitWords(dst, c.b, &t, patches)
	case packTuple:
		if len(dst) == 0 {
			return corrupt("tuples of nothing")
		}
		return d.tuples(dst, c.b, &t, patches)
	case packBucket:
		if patches != nil {
			return corrupt("outliers of buckets")
		}
		return d.buckets(dst, c.b, &t)
	}
	return corrupt("unknown packing")
}

// patched reads the outliers of n residuals.
func (d *Decoder) patched(c *cursor, present bool, n int) ([]patch, error) {
	if !present {
		return nil, nil
	}
	count := c.uvarint()
	if count == 0 || count > uint64(n) {
		return nil, corrupt("number of outliers out of range")
	}
	d.patches = resize(d.patches, int(count))
	next := uint64(0)
	for i := range d.patches {
		gap := c.uvarint()
		x := c.uvarint()
		if gap >= uint64(n)-next {
			return nil, corrupt("outlier past the end")
		}
		d.patches[i] = patch{at: int(next + gap), x: x}
		if next += gap + 1; next == uint64(n) && i+1 < len(d.patches) {
			return nil, corrupt("outlier past the end")
		}
	}
	return d.patches, nil
}

func loadPlain(dst []uint64, src []byte) {
	for i := range dst {
		dst[i] = binary.LittleEndian.Uint64(src[i*8:])
	}
}

// bitWords decodes bit-packed residuals piece by piece.
func bitWords(dst []uint64, src []byte, t *terms, patches []patch) error {
	if len(src) == 0 {
		return corrupt("no width")
	}
	w := int(src[0])
	src = src[1:]
	if w > maxPackedWidth && w != 64 {
		return corrupt("width out of range")
	}
	if len(src) != packedSize(len(dst), w) {
		return corrupt("packed bits of the wrong length")
	}
	for done := 0; len(dst) > 0; done += piece {
		part := dst[:min(piece, len(dst))]
		bytes := packedSize(len(part), w)
		if w == 64 {
			loadPlain(part, src[:bytes])
		} else {
			unpack(part, src[:bytes], w)
		}
		for len(patches) > 0 && patches[0].at-done < len(part) {
			part[patches[0].at-done] = patches[0].x
			patches = patches[1:]
		}
		t.apply(part)
		dst, src = dst[len(part):], src[bytes:]
	}
	return nil
}

// fill decodes residuals that all equal the base.
func (t *terms) fill(dst []uint64) {
	switch t.order {
	case 0:
		for i := range dst {
			dst[i] = t.base
		}
	default:
		clear(dst)
		t.sum(dst, t.base)
	}
}

// runWords decodes run length.
func (d *Decoder) runWords(dst []uint64, src []byte) error {
	c := cursor{b: src}
	count := c.uvarint()
	if count == 0 || count > uint64(len(dst)) {
		return corrupt("number of runs out of range")
	}
	lengths := c.part()
	if c.bad {
		return corrupt("run lengths past the end")
	}
	d.lengths = resize(d.lengths, int(count))
	d.runValues = resize(d.runValues, int(count))
	if err := d.words(d.lengths, lengths, true); err != nil {
		return err
	}
	if err := d.words(d.runValues, c.b, true); err != nil {
		return err
	}
	for i, n := range d.lengths {
		if n == 0 || n > uint64(len(dst)) {
			return corrupt("run past the end")
		}
		w, run := d.runValues[i], dst[:n]
		for j := range run {
			run[j] = w
		}
		dst = dst[n:]
	}
	if len(dst) != 0 {
		return corrupt("runs end early")
	}
	return nil
}
