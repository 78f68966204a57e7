package encoding

import "encoding/binary"

// maxPackedWidth is the widest value that a load of eight bytes at a byte
// boundary always holds whole, after a shift of up to seven bits. Wider
// columns are stored plainly: packing could save an eighth at most.
const maxPackedWidth = 56

// packedSize is the number of bytes of n values of w bits.
func packedSize(n, w int) int { return (n*w + 7) / 8 }

// appendPacked appends the low w bits of each value, the first value in the
// lowest bits; the values must fit.
func appendPacked(dst []byte, x []uint64, w int) []byte {
	if w == 0 {
		return dst
	}
	size := packedSize(len(x), w)
	all, out := grow(dst, size+8)
	var acc uint64
	var have, p int
	for _, v := range x {
		acc |= v << uint(have)
		have += w
		if have >= 64 {
			binary.LittleEndian.PutUint64(out[p:], acc)
			p += 8
			have -= 64
			acc = v >> uint(w-have)
		}
	}
	binary.LittleEndian.PutUint64(out[p:], acc)
	return all[:len(dst)+size]
}

// unpack is the inverse of appendPacked for w up to maxPackedWidth; src holds
// exactly packedSize(len(dst), w) bytes.
func unpack(dst []uint64, src []byte, w int) {
	if w == 0 {
		clear(dst)
		return
	}
	mask := uint64(1)<<uint(w) - 1
	u := uint(w)
	// Eight values are w whole bytes, so a group starts at a byte boundary.
	switch {
	case w <= 8:
		for len(dst) >= 8 && len(src) >= 8 {
			x, d := binary.LittleEndian.Uint64(src), dst[:8:8]
			d[0] = x & mask
			d[1] = x >> (u & 63) & mask
			d[2] = x >> (2 * u & 63) & mask
			d[3] = x >> (3 * u & 63) & mask
			d[4] = x >> (4 * u & 63) & mask
			d[5] = x >> (5 * u & 63) & mask
			d[6] = x >> (6 * u & 63) & mask
			d[7] = x >> (7 * u & 63) & mask
			dst, src = dst[8:], src[w:]
		}
	case w < 16:
		half, shift := uint(w/2), 4*u&7
		for len(dst) >= 8 && len(src) >= 16 {
			x := binary.LittleEndian.Uint64(src)
			y := binary.LittleEndian.Uint64(src[half&7:]) >> (shift & 63)
			d := dst[:8:8]
			d[0] = x & mask
			d[1] = x >> (u & 63) & mask
			d[2] = x >> (2 * u & 63) & mask
			d[3] = x >> (3 * u & 63) & mask
			d[4] = y & mask
			d[5] = y >> (u & 63) & mask
			d[6] = y >> (2 * u & 63) & mask
			d[7] = y >> (3 * u & 63) & mask
			dst, src = dst[8:], src[w:]
		}
	}
	var pos uint
	i := 0
	for ; i < len(dst) && int(pos>>3)+8 <= len(src); i++ {
		dst[i] = binary.LittleEndian.Uint64(src[pos>>3:]) >> (pos & 7) & mask
		pos += u
	}
	if i == len(dst) {
		return
	}
	// The last values lie too near the end for a load of eight bytes.
	var tail [16]byte
	at := pos >> 3
	copy(tail[:], src[at:])
	for ; i < len(dst); i++ {
		dst[i] = binary.LittleEndian.Uint64(tail[pos>>3-at:]) >> (pos & 7) & mask
		pos += u
	}
}
