package encoding

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// Bucket packing splits a residual into a symbol, which is entropy coded, and
// bits below, which are stored raw. A symbol names the position of the highest
// bit and the two bits below it, so that buckets grow with the residual and
// the density inside one is nearly flat and the raw bits lose little: a walk
// with normal steps of 500 units takes 1.385 bytes a value, its entropy is
// 1.377. Residuals below 8 have a bucket each.
//
//	symbol t < 4   residual t
//	symbol t ≥ 4   (4 | t&3) << r | raw, of r = t>>2 - 1 raw bits
//
// The greatest symbol is 251: 64-bit residuals fit.
const bucketCount = 252

// bucketOf returns the symbol of a residual.
func bucketOf(x uint64) byte {
	r := bits.Len64(x|4) - 3
	return byte(r<<2 + int(x>>uint(r)))
}

// bucketRaw returns how many raw bits go with a symbol.
func bucketRaw(symbol int) int {
	if symbol < 4 {
		return 0
	}
	return symbol>>2 - 1
}

// bucket is what a decoder needs of a symbol.
type bucket struct {
	low  uint64 // the least residual
	mask uint64 // of the raw bits
	raw  uint64 // their number
}

// bucketTable returns the buckets of all symbols; the four that no encoder
// writes stand for 0.
func bucketTable() *[256]bucket {
	var t [256]bucket
	for s := range bucketCount {
		r := uint64(bucketRaw(s))
		t[s] = bucket{low: uint64(s), mask: 1<<r - 1, raw: r}
		if s >= 4 {
			t[s].low = (4 | uint64(s)&3) << r
		}
	}
	return &t
}

// bucketWidth returns how many bits the residuals of a symbol have.
func bucketWidth(symbol int) int {
	if symbol < 4 {
		return bits.Len(uint(symbol))
	}
	return symbol>>2 + 2
}

// bucketSize is the size in bits of n residuals in bucket packing.
func bucketSize(hist *[256]uint32, n int) float64 {
	size, distinct := huffmanBits(hist[:])
	size += distinct * tableBits
	for t := 8; t < bucketCount; t++ {
		size += float64(int(hist[t]) * bucketRaw(t))
	}
	return size
}

// appendBuckets appends residuals: the greatest symbol, the symbols, preceded
// by their length, and the raw bits. Unless fresh, e.sym has the symbols.
func (e *Encoder) appendBuckets(dst []byte, x []uint64, fresh bool) []byte {
	if fresh {
		e.sym = resize(e.sym, len(x))
		for i, w := range x {
			e.sym[i] = bucketOf(w)
		}
	}
	sym := e.sym[:len(x)]
	dst = append(dst, slices.Max(sym))
	dst = appendPart(dst, func(dst []byte) []byte { return e.appendSymbols(dst, sym) })

	all, out := grow(dst, 8*len(x)+16)
	var acc uint64
	var have, p uint
	for i, w := range x {
		raw := uint(bucketRaw(int(sym[i])))
		w &= 1<<(raw&63) - 1
		if raw > maxPackedWidth {
			// Together with what is there, this could take more than 64 bits.
			acc |= w & (1<<32 - 1) << (have & 63)
			binary.LittleEndian.PutUint64(out[p:], acc)
			p, acc = p+4, acc>>32
			w, raw = w>>32, raw-32
		}
		acc |= w << (have & 63)
		binary.LittleEndian.PutUint64(out[p:], acc)
		have += raw
		p += have >> 3
		acc >>= have &^ 7 & 63
		have &= 7
	}
	p += (have + 7) / 8
	return all[:len(dst)+int(p)]
}

// buckets decodes len(dst) residuals and makes values of them.
func (d *Decoder) buckets(dst []uint64, src []byte, t *terms) error {
	c := cursor{b: src}
	most := c.byte()
	part := c.part()
	if c.bad || most >= bucketCount {
		return corrupt("symbols past the end")
	}
	sym, err := d.symbols(len(dst), part)
	if err != nil {
		return err
	}
	if d.bucketTable == nil {
		d.bucketTable = bucketTable()
	}
	// A copy with zeros behind it lets every load be of eight bytes.
	d.raw = append(append(d.raw[:0], c.b...), make([]byte, rawPadding)...)
	pos := uint64(0)
	for len(dst) > 0 {
		n := min(piece, len(dst))
		if pos, err = rawBits(dst[:n], sym[:n], d.raw, pos, d.bucketTable, bucketRaw(int(most))); err != nil {
			return err
		}
		t.apply(dst[:n])
		dst, sym = dst[n:], sym[n:]
	}
	if (pos+7)>>3 != uint64(len(c.b)) {
		return corrupt("raw bits left over")
	}
	return nil
}

// rawPadding is how far behind the raw bits a load may reach.
const rawPadding = 16

// rawBits joins symbols and the raw bits from bit pos on to residuals, of at
// most so many raw bits each, and returns where it ended.
func rawBits(dst []uint64, sym, raw []byte, pos uint64, table *[256]bucket, most int) (uint64, error) {
	last := uint64(len(raw) - rawPadding)
	// Each load has 57 bits at least: as many residuals are taken from it as
	// are sure to be in it.
	switch {
	case most <= 14:
		for len(sym) >= 4 && len(dst) >= 4 {
			at := pos >> 3
			if at > last {
				return 0, corrupt("raw bits past the end")
			}
			w := binary.LittleEndian.Uint64(raw[at:]) >> (pos & 7)
			a, b, c, e := &table[sym[0]], &table[sym[1]], &table[sym[2]], &table[sym[3]]
			dst[0] = a.low | w&a.mask
			w >>= a.raw & 63
			dst[1] = b.low | w&b.mask
			w >>= b.raw & 63
			dst[2] = c.low | w&c.mask
			w >>= c.raw & 63
			dst[3] = e.low | w&e.mask
			pos += a.raw + b.raw + c.raw + e.raw
			sym, dst = sym[4:], dst[4:]
		}
	case most <= 28:
		for len(sym) >= 2 && len(dst) >= 2 {
			at := pos >> 3
			if at > last {
				return 0, corrupt("raw bits past the end")
			}
			w := binary.LittleEndian.Uint64(raw[at:]) >> (pos & 7)
			a, b := &table[sym[0]], &table[sym[1]]
			dst[0] = a.low | w&a.mask
			w >>= a.raw & 63
			dst[1] = b.low | w&b.mask
			pos += a.raw + b.raw
			sym, dst = sym[2:], dst[2:]
		}
	}
	for i, s := range sym {
		b := &table[s]
		at := pos >> 3
		if at > last {
			return 0, corrupt("raw bits past the end")
		}
		w := binary.LittleEndian.Uint64(raw[at:]) >> (pos & 7)
		if b.raw > maxPackedWidth {
			w |= uint64(raw[at+8]) << (64 - pos&7)
		}
		pos += b.raw
		dst[i] = b.low | w&b.mask
	}
	return pos, nil
}
