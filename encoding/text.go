package encoding

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// How strings are stored, the first byte.
const (
	textPlain = 0 // every value
	textDict  = 1 // the distinct values in order of first occurrence, and numbers
)

// How the bytes of strings are stored.
const (
	bytesRaw  = 0
	bytesS2   = 1
	bytesZstd = 2
)

// minCompress is the size from which compressing the bytes of strings is tried.
const minCompress = 128

// dictShare is how many values there must be for each distinct one: a number
// into a dictionary that is used less costs about as much as it saves.
const dictShare = 3

// dictionary finds the distinct values of a column of strings.
type dictionary struct {
	slots   []int32 // open addressing: number of the value + 1
	ends    []uint32
	data    []byte
	lengths []uint64
	codes   []uint64
}

// Strings appends a column of strings: value i is data[ends[i-1]:ends[i]],
// the first starts at 0. Together they have at most MaxStringBytes.
func (e *Encoder) Strings(dst []byte, ends []uint32, data []byte) []byte {
	checkCount(len(ends))
	if len(ends) == 0 {
		return dst
	}
	total := ends[len(ends)-1]
	if total > MaxStringBytes {
		panic("BUG: column of more than MaxStringBytes bytes")
	}
	data = data[:total]
	d := &e.dict
	if e.level > LevelNone && d.build(ends, data) {
		dst = append(dst, textDict)
		dst = binary.AppendUvarint(dst, uint64(len(d.ends)))
		dst = e.texts(dst, d.ends, d.data)
		return e.words(dst, d.codes, false)
	}
	return e.texts(append(dst, textPlain), ends, data)
}

// build fills d with the distinct values and reports whether they are few.
func (d *dictionary) build(ends []uint32, data []byte) bool {
	n := len(ends)
	most := n/dictShare + 1
	slots := 64
	for slots < 2*most {
		slots *= 2
	}
	d.slots = resize(d.slots, slots)
	clear(d.slots)
	d.codes = resize(d.codes, n)
	d.ends, d.data = d.ends[:0], d.data[:0]
	mask := uint64(slots - 1)
	var last []byte
	code, start := uint64(0), uint32(0)
	for i, end := range ends {
		s := data[start:end]
		start = end
		if i > 0 && bytes.Equal(s, last) {
			d.codes[i] = code
			continue
		}
		last = s
		at := xxhash.Sum64(s) & mask
		for d.slots[at] != 0 && !bytes.Equal(s, d.value(int(d.slots[at])-1)) {
			at = (at + 1) & mask
		}
		if d.slots[at] == 0 {
			if len(d.ends) == most {
				return false
			}
			d.data = append(d.data, s...)
			d.ends = append(d.ends, uint32(len(d.data)))
			d.slots[at] = int32(len(d.ends))
		}
		code = uint64(d.slots[at] - 1)
		d.codes[i] = code
	}
	return true
}

func (d *dictionary) value(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = d.ends[i-1]
	}
	return d.data[start:d.ends[i]]
}

// texts appends lengths and bytes of strings, each a section.
func (e *Encoder) texts(dst []byte, ends []uint32, data []byte) []byte {
	lengths := resize(e.dict.lengths, len(ends))
	e.dict.lengths = lengths
	start := uint32(0)
	for i, end := range ends {
		lengths[i] = uint64(end - start)
		start = end
	}
	dst = appendPart(dst, func(dst []byte) []byte { return e.words(dst, lengths, false) })
	return appendPart(dst, func(dst []byte) []byte { return e.bytes(dst, data) })
}

// bytes appends data, compressed if that saves an eighth.
func (e *Encoder) bytes(dst, data []byte) []byte {
	at := len(dst)
	if len(data) >= minCompress {
		switch {
		case e.level == LevelFast:
			dst = append(dst, bytesS2)
			all, _ := grow(dst, s2.MaxEncodedLen(len(data)))
			dst = all[:len(dst)+len(s2.Encode(all[len(dst):], data))]
		case e.level > LevelFast:
			dst = e.zstdEncoder(zstd.SpeedFastest).EncodeAll(data, append(dst, bytesZstd))
			if e.level == LevelBest {
				// Random identifiers are smaller without the matches that a
				// slower search finds, texts with them.
				fast := len(dst)
				dst = e.zstdEncoder(zstd.SpeedBetterCompression).EncodeAll(data, append(dst, bytesZstd))
				if len(dst)-fast < fast-at {
					dst = append(dst[:at], dst[fast:]...)
				} else {
					dst = dst[:fast]
				}
			}
		}
		if n := len(dst) - at; n > 0 && n < len(data)-len(data)/8 {
			return dst
		}
	}
	return append(append(dst[:at], bytesRaw), data...)
}

func (e *Encoder) zstdEncoder(speed zstd.EncoderLevel) *zstd.Encoder {
	w := e.zstd[speed]
	if w == nil {
		// The block around the column has a checksum, and a column is seldom
		// larger than this window.
		var err error
		w, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(speed), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(1<<20), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic("BUG: zstd refuses its options: " + err.Error())
		}
		e.zstd[speed] = w
	}
	return w
}

// Strings decodes a column of strings: value i is data[ends[i-1]:ends[i]] of
// the returned slices, where the values that were there before stay.
func (d *Decoder) Strings(ends []uint32, data []byte, n int, src []byte) ([]uint32, []byte, error) {
	if err := wantCount(n); err != nil {
		return ends, data, err
	}
	if n == 0 {
		return ends, data, d.words(nil, src, false)
	}
	c := cursor{b: src}
	switch c.byte() {
	case textPlain:
		ends, data, err := d.texts(ends, data, n, &c)
		if err == nil && len(c.b) != 0 {
			err = corrupt("bytes behind strings")
		}
		return ends, data, err
	case textDict:
		if err := d.dictionary(n, &c); err != nil {
			return ends, data, err
		}
		return d.lookUp(ends, data)
	}
	return ends, data, corrupt("unknown kind of strings")
}

// dictionary reads the distinct values and the numbers of n values.
func (d *Decoder) dictionary(n int, c *cursor) (err error) {
	count := c.uvarint()
	if count == 0 || count > uint64(n) {
		return corrupt("size of dictionary out of range")
	}
	if d.dictEnd, d.dict, err = d.texts(d.dictEnd[:0], d.dict[:0], int(count), c); err != nil {
		return err
	}
	d.codes = resize(d.codes, n)
	if err := d.words(d.codes, c.b, false); err != nil {
		return err
	}
	for _, code := range d.codes {
		if code >= count {
			return corrupt("number outside of the dictionary")
		}
	}
	return nil
}

// lookUp appends the values that d.codes names.
func (d *Decoder) lookUp(ends []uint32, data []byte) ([]uint32, []byte, error) {
	total := 0
	size := func(code uint64) (from, to uint32) {
		if code > 0 {
			from = d.dictEnd[code-1]
		}
		return from, d.dictEnd[code]
	}
	for _, code := range d.codes {
		from, to := size(code)
		total += int(to - from)
	}
	if total > MaxStringBytes || total > math.MaxUint32-len(data) {
		return ends, data, corrupt("strings of too many bytes")
	}
	allEnds, tail := grow(ends, len(d.codes))
	out, _ := grow(data, total)
	out = out[:len(data)]
	for i, code := range d.codes {
		from, to := size(code)
		out = append(out, d.dict[from:to]...)
		tail[i] = uint32(len(out))
	}
	return allEnds, out, nil
}

// texts reads what Encoder.texts wrote.
func (d *Decoder) texts(ends []uint32, data []byte, n int, c *cursor) ([]uint32, []byte, error) {
	lengths, packed := c.part(), c.part()
	if c.bad || len(packed) == 0 {
		return ends, data, corrupt("strings past the end")
	}
	d.textLengths = resize(d.textLengths, n)
	list := d.textLengths
	if err := d.words(list, lengths, false); err != nil {
		return ends, data, err
	}
	allEnds, tail := grow(ends, n)
	end := uint64(len(data))
	limit := min(end+MaxStringBytes, math.MaxUint32)
	for i, length := range list {
		if length > limit-end {
			return ends, data, corrupt("strings of too many bytes")
		}
		end += length
		tail[i] = uint32(end)
	}
	data, err := d.bytes(data, int(end)-len(data), packed)
	return allEnds, data, err
}

// bytes appends n bytes.
func (d *Decoder) bytes(dst []byte, n int, src []byte) ([]byte, error) {
	kind, src := src[0], src[1:]
	switch kind {
	case bytesRaw:
		if len(src) != n {
			return dst, corrupt("bytes of strings of the wrong length")
		}
		return append(dst, src...), nil
	case bytesS2:
		if have, err := s2.DecodedLen(src); err != nil || have != n {
			return dst, corrupt("S2 block of the wrong length")
		}
		all, tail := grow(dst, n)
		if _, err := s2.Decode(tail, src); err != nil {
			return dst, corrupt("S2 block: " + err.Error())
		}
		return all, nil
	case bytesZstd:
		if d.zstd == nil {
			r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderMaxMemory(MaxStringBytes), zstd.WithDecodeAllCapLimit(true))
			if err != nil {
				panic("BUG: zstd refuses its options: " + err.Error())
			}
			d.zstd = r
		}
		all, tail := grow(dst, n)
		out, err := d.zstd.DecodeAll(src, tail[:0:n])
		if err != nil {
			return dst, corrupt("zstd frame: " + err.Error())
		}
		if len(out) != n {
			return dst, corrupt("zstd frame of the wrong length")
		}
		return all, nil
	}
	return dst, corrupt("unknown kind of bytes")
}
