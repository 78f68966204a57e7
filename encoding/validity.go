package encoding

import (
	"encoding/binary"
	"math/bits"
)

// How a bitmap is stored, its first byte.
const (
	bitmapNone    = 0 // no bit is set
	bitmapAll     = 1 // every bit is set
	bitmapRaw     = 2 // the bytes
	bitmapRuns    = 3 // lengths of runs, the first of clear bits
	bitmapSymbols = 4 // the bytes, entropy coded
)

// bitmapRun is the average length from which runs are chosen: a length takes
// about a byte, and so do 8 bits raw; half of it leaves room for the header.
const bitmapRun = 16

// Bitmap appends the first n bits of words, the least significant first.
func (e *Encoder) Bitmap(dst []byte, words []uint64, n int) []byte {
	checkCount(n)
	if n == 0 {
		return dst
	}
	set, runs := 0, 1
	last := words[0] & 1
	e.sym = resize(e.sym, (n+63)/64*8)
	for i := range (n + 63) / 64 {
		w := words[i]
		width := min(64, n-i*64)
		if width < 64 {
			w &= 1<<uint(width) - 1
		}
		binary.LittleEndian.PutUint64(e.sym[i*8:], w)
		set += bits.OnesCount64(w)
		change := w ^ (w<<1 | last)
		if width < 64 {
			change &= 1<<uint(width) - 1
		}
		runs += bits.OnesCount64(change)
		last = w >> 63
	}
	raw := e.sym[:(n+7)/8]
	switch {
	case set == 0:
		return append(dst, bitmapNone)
	case set == n:
		return append(dst, bitmapAll)
	case runs*bitmapRun <= n && e.level > LevelNone:
		return e.bitRuns(append(dst, bitmapRuns), words, n)
	case e.level >= LevelBalanced && len(raw) >= minEntropy:
		var hist [256]uint32
		for _, b := range raw {
			hist[b]++
		}
		size, distinct := entropy(hist[:], len(raw))
		if size+float64(distinct)*tableBits < float64(8*len(raw))*entropyGain[e.level] {
			return e.appendSymbols(append(dst, bitmapSymbols), raw)
		}
	}
	return append(append(dst, bitmapRaw), raw...)
}

// bitRuns appends the lengths of runs of equal bits.
func (e *Encoder) bitRuns(dst []byte, words []uint64, n int) []byte {
	e.runLengths = e.runLengths[:0]
	at, flip := 0, uint64(0)
	for at < n {
		// Find the next bit that differs from the run's.
		end := at
		for end < n {
			w := (words[end>>6] ^ flip) >> (uint(end) & 63)
			if w != 0 {
				end += bits.TrailingZeros64(w)
				break
			}
			end += 64 - end&63
		}
		end = min(end, n)
		e.runLengths = append(e.runLengths, uint64(end-at))
		at, flip = end, ^flip
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.runLengths)))
	return e.words(dst, e.runLengths, true)
}

// Bitmap decodes n bits to words whose bits past n are clear.
func (d *Decoder) Bitmap(dst []uint64, n int, src []byte) ([]uint64, error) {
	if err := wantCount(n); err != nil {
		return dst, err
	}
	all, tail := grow(dst, (n+63)/64)
	if n == 0 {
		return all, d.words(nil, src, false)
	}
	c := cursor{b: src}
	kind := c.byte()
	clear(tail)
	raw := c.b
	size := (n + 7) / 8
	switch {
	case c.bad:
		return all, corrupt("no bitmap")
	case (kind == bitmapNone || kind == bitmapAll) && len(raw) != 0:
		return all, corrupt("bytes behind a bitmap")
	case kind == bitmapNone:
		return all, nil
	case kind == bitmapAll:
		setBits(tail, 0, n)
		return all, nil
	case kind == bitmapRuns:
		return all, d.bitRuns(tail, n, raw)
	case kind == bitmapSymbols:
		var err error
		if raw, err = d.symbols(size, raw); err != nil {
			return all, err
		}
	case kind != bitmapRaw:
		return all, corrupt("unknown kind of bitmap")
	case len(raw) != size:
		return all, corrupt("bitmap of the wrong length")
	}
	if n&7 != 0 && raw[size-1]>>(uint(n)&7) != 0 {
		return all, corrupt("bits past the end of a bitmap")
	}
	for i := range tail {
		var b [8]byte
		copy(b[:], raw[i*8:])
		tail[i] = binary.LittleEndian.Uint64(b[:])
	}
	return all, nil
}

func (d *Decoder) bitRuns(dst []uint64, n int, src []byte) error {
	c := cursor{b: src}
	count := c.uvarint()
	if count == 0 || count > uint64(n)+1 {
		return corrupt("number of runs of bits out of range")
	}
	d.lengths = resize(d.lengths, int(count))
	if err := d.words(d.lengths, c.b, true); err != nil {
		return err
	}
	at := 0
	for i, length := range d.lengths {
		if length > uint64(n-at) {
			return corrupt("run of bits past the end")
		}
		if i&1 == 1 {
			setBits(dst, at, at+int(length))
		}
		at += int(length)
	}
	if at != n {
		return corrupt("runs of bits end early")
	}
	return nil
}

// setBits sets bits from to to-1.
func setBits(words []uint64, from, to int) {
	for from < to {
		width := min(64-from&63, to-from)
		words[from>>6] |= ^uint64(0) >> uint(64-width) << (uint(from) & 63)
		from += width
	}
}
