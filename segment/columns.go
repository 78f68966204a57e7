package segment

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/encoding"
)

// What package encoding writes does not say where it ends, so a column that
// others follow is preceded by its length.

// columnPart is the most values that one encoded column takes: longer ones
// (the index of a section with very many blocks) are cut.
const columnPart = encoding.MaxValues

func appendInts(dst []byte, enc *encoding.Encoder, v []int64) []byte {
	for len(v) > 0 {
		n := min(len(v), columnPart)
		dst = appendBytes(dst, enc.Ints(nil, v[:n]))
		v = v[n:]
	}
	return dst
}

// appendWords appends words of a numeric type.
func appendWords(dst []byte, enc *encoding.Encoder, t column.Type, v []uint64) []byte {
	for len(v) > 0 {
		n := min(len(v), columnPart)
		var b []byte
		if t == column.Float64 {
			b = enc.Floats(nil, floats(v[:n]))
		} else {
			b = enc.Uints(nil, v[:n])
		}
		dst = appendBytes(dst, b)
		v = v[n:]
	}
	return dst
}

// ints reads a column of n values.
func (p *parser) ints(n int) []int64 {
	return unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(p.words(column.Int64, n)))), p.have(n))
}

// have is n unless an error has left nothing.
func (p *parser) have(n int) int {
	if p.err != nil {
		return 0
	}
	return n
}

// words reads a column of n words.
func (p *parser) words(t column.Type, n int) []uint64 {
	var v []uint64
	for len(v) < n && p.err == nil {
		k := min(n-len(v), columnPart)
		src := p.bytes()
		if p.err != nil {
			break
		}
		if t == column.Float64 {
			var f []float64
			f, p.err = p.dec.Floats(nil, k, src)
			v = append(v, words(f)...)
		} else {
			v, p.err = p.dec.Uints(v, k, src)
		}
	}
	if p.err != nil {
		return nil
	}
	return v
}

func floats(w []uint64) []float64 {
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(w))), len(w))
}

func words(f []float64) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(f))), len(f))
}

// appendValues appends a vector without nulls, as the rest of a payload.
func appendValues(dst []byte, enc *encoding.Encoder, v *column.Vector) []byte {
	switch v.Type {
	case column.Float64:
		return enc.Floats(dst, v.Floats())
	case column.Int64, column.Uint64:
		return enc.Uints(dst, v.Words)
	case column.Bool:
		return enc.Bools(dst, v.Words)
	}
	return enc.Strings(dst, v.Ends, v.Data)
}

// decodeValues makes v, which keeps its memory, the n values of a payload.
func decodeValues(v *column.Vector, dec *encoding.Decoder, t column.Type, n int, src []byte) error {
	v.Reset(t)
	var err error
	switch t {
	case column.Float64:
		var f []float64
		f, err = dec.Floats(floats(v.Words[:cap(v.Words)])[:0], n, src)
		v.Words = words(f)
	case column.Int64, column.Uint64:
		v.Words, err = dec.Uints(v.Words, n, src)
	case column.Bool:
		v.Words, err = dec.Bools(v.Words, n, src)
	default:
		v.Ends, v.Data, err = dec.Strings(v.Ends, v.Data, n, src)
	}
	return err
}

// decodeChunk makes v the column of n rows that a payload holds; spare is
// memory for values that nulls still have to be put between.
func decodeChunk(v, spare *column.Vector, dec *encoding.Decoder, t column.Type, n int, payload []byte) error {
	if len(payload) == 0 {
		return errShort
	}
	if payload[0] == 0 {
		return decodeValues(v, dec, t, n, payload[1:])
	}
	if payload[0] != chunkNulls || len(payload) < 5 {
		return errShort
	}
	size := binary.LittleEndian.Uint32(payload[1:])
	if uint64(size) > uint64(len(payload)-5) {
		return errShort
	}
	bitmap, err := dec.Bitmap(nil, n, payload[5:5+size])
	if err != nil {
		return err
	}
	valid := column.Bitmap{Words: bitmap}
	count := valid.Count(n)
	if err := decodeValues(spare, dec, t, count, payload[5+size:]); err != nil {
		return err
	}
	v.Reset(t)
	v.Valid = valid
	if t == column.String {
		v.Data, spare.Data = spare.Data, v.Data
		j, end := 0, uint32(0)
		for i := range n {
			if valid.Get(i) {
				end = spare.Ends[j]
				j++
			}
			v.Ends = append(v.Ends, end)
		}
		return nil
	}
	if cap(v.Words) < n {
		v.Words = make([]uint64, n)
	}
	v.Words = v.Words[:n]
	clear(v.Words)
	j := 0
	for i := range n {
		if valid.Get(i) {
			v.Words[i] = spare.Words[j]
			j++
		}
	}
	return nil
}

// less orders two words of a numeric type; NaN comes behind nothing and
// before nothing.
func less(t column.Type, a, b uint64) bool {
	switch t {
	case column.Float64:
		return math.Float64frombits(a) < math.Float64frombits(b)
	case column.Int64:
		return int64(a) < int64(b)
	}
	return a < b
}
