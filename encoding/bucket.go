package encoding

import (
	"encoding/binary"
	"math/bits"
)

// Bucket packing splits a residual into a symbol, which is entropy coded, and
// bits below, which are stored raw. A symbol names the position of the highest
// bit and the two bits below it, so that buckets grow with the residual and
// the density inside one is nearly flat: what the raw bits lose is under 0.02
// bits a value for a normal distribution. Residuals below 8 have a bucket
// each.
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
	low uint64 // the least residual
	raw uint64 // number of raw bits
}

// bucketTable returns the buckets of all symbols; the four that no encoder
// writes stand for 0.
func bucketTable() *[256]bucket {
	var t [256]bucket
	for s := range bucketCount {
		r := uint64(bucketRaw(s))
		t[s] = bucket{low: uint64(s), raw: r}
		if s >= 4 {
			t[s].low = (4 | uint64(s)&3) << r
		}
	}
	return &t
}

// appendBuckets appends residuals: the symbols, preceded by their length, and
// the raw bits. histogram counts the symbols into e.hist for symbolsOf.
func (e *Encoder) appendBuckets(dst []byte, x []uint64) []byte {
	e.sym = resize(e.sym, len(x))
	sym := e.sym
	for i, w := range x {
		sym[i] = bucketOf(w)
	}
	dst = appendPart(dst, func(dst []byte) []byte { return e.appendSymbols(dst, sym) })

	all, out := grow(dst, 8*len(x)+16)
	var acc uint64
	var have, p int
	for i, w := range x {
		raw := bucketRaw(int(sym[i]))
		w &= 1<<uint(raw) - 1
		acc |= w << uint(have)
		have += raw
		if have >= 64 {
			binary.LittleEndian.PutUint64(out[p:], acc)
			p += 8
			have -= 64
			acc = w >> uint(raw-have)
		}
	}
	binary.LittleEndian.PutUint64(out[p:], acc)
	p += (have + 7) / 8
	return all[:len(dst)+p]
}

// buckets decodes len(dst) residuals r = base + scale·x and leaves them in dst
// (order 0), or their running sum from acc (order 1).
func (d *Decoder) buckets(dst []uint64, src []byte, t *terms) error {
	c := cursor{b: src}
	part := c.part()
	if c.bad {
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
	d.raw = append(append(d.raw[:0], c.b...), make([]byte, 16)...)
	raw := d.raw
	last := uint64(len(raw) - 16)
	var pos uint64
	dst = dst[:len(sym)]
	table := d.bucketTable
	acc := t.acc
	keep := uint64(0)
	if t.order == 1 {
		keep = ^keep
	}
	for i, s := range sym {
		b := &table[s]
		at := pos >> 3
		if at > last {
			return corrupt("raw bits past the end")
		}
		w := binary.LittleEndian.Uint64(raw[at:]) >> (pos & 7)
		if b.raw > maxPackedWidth {
			w |= uint64(raw[at+8]) << (64 - pos&7)
		}
		pos += b.raw
		x := b.low | w&(1<<b.raw-1)
		if t.zigzag {
			x = unzigzag(x)
		}
		acc = acc&keep + t.base + x*t.scale
		dst[i] = acc
	}
	if (pos+7)>>3 != last {
		return corrupt("raw bits left over")
	}
	return nil
}
