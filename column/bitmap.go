package column

import "math/bits"

// Bitmap says which rows of a vector hold a value: bit i is bit Off+i of
// Words, least significant first. The zero Bitmap means that every row does,
// so that the usual column without nulls carries none.
type Bitmap struct {
	Words []uint64
	Off   int
}

// All reports whether b is the zero Bitmap: every row holds a value.
func (b Bitmap) All() bool { return b.Words == nil }

// Get reports whether row i holds a value.
func (b Bitmap) Get(i int) bool {
	if b.Words == nil {
		return true
	}
	i += b.Off
	return b.Words[i>>6]>>(uint(i)&63)&1 != 0
}

// Count returns how many of the first n rows hold a value.
func (b Bitmap) Count(n int) int {
	if b.Words == nil {
		return n
	}
	c := 0
	for i, end := b.Off, b.Off+n; i < end; {
		w := b.Words[i>>6] >> (uint(i) & 63)
		width := min(64-i&63, end-i)
		if width < 64 {
			w &= 1<<uint(width) - 1
		}
		c += bits.OnesCount64(w)
		i += width
	}
	return c
}

// Slice returns the view of b that starts at row i.
func (b Bitmap) Slice(i int) Bitmap {
	if b.Words == nil {
		return b
	}
	return Bitmap{Words: b.Words, Off: b.Off + i}
}

// AppendBit returns b, which holds n rows and starts at bit 0, with one more
// row. A zero Bitmap stays zero for as long as only values are appended.
func (b Bitmap) AppendBit(n int, valid bool) Bitmap {
	if b.Words == nil {
		if valid {
			return b
		}
		b.Words = appendOnes(b.Words, n)
	}
	if n&63 == 0 {
		b.Words = append(b.Words, 0)
	}
	if valid {
		b.Words[n>>6] |= 1 << (uint(n) & 63)
	}
	return b
}

// Append returns b, which holds n rows and starts at bit 0, with the first m
// rows of o behind them.
func (b Bitmap) Append(n int, o Bitmap, m int) Bitmap {
	if b.Words == nil && o.Words == nil {
		return b
	}
	if b.Words == nil {
		if o.Count(m) == m {
			return b
		}
		b.Words = appendOnes(make([]uint64, 0, (n+m+63)/64), n)
	}
	for len(b.Words)*64 < n+m {
		b.Words = append(b.Words, 0)
	}
	for i := 0; i < m; {
		width := min(64-(n+i)&63, m-i)
		b.Words[(n+i)>>6] |= o.word(i, width) << (uint(n+i) & 63)
		i += width
	}
	return b
}

// word returns width (1 to 64) bits of b from row i on.
func (b Bitmap) word(i, width int) uint64 {
	mask := ^uint64(0) >> uint(64-width)
	if b.Words == nil {
		return mask
	}
	i += b.Off
	w := b.Words[i>>6] >> (uint(i) & 63)
	if have := 64 - i&63; have < width {
		w |= b.Words[i>>6+1] << uint(have)
	}
	return w & mask
}

// appendOnes returns words, emptied, with n bits set and the rest of the last
// word clear.
func appendOnes(words []uint64, n int) []uint64 {
	words = words[:0]
	for ; n >= 64; n -= 64 {
		words = append(words, ^uint64(0))
	}
	if n > 0 {
		words = append(words, 1<<uint(n)-1)
	}
	if words == nil {
		words = []uint64{}
	}
	return words
}
