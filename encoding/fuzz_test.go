package encoding

import (
	"encoding/binary"
	"testing"
)

// Each decoder gets any bytes: it may fail, not panic. What it does accept
// must survive another round trip. Seeds are real columns.

func fuzzCount(n uint16) int { return int(n) + 1 }

func wordsOf(b []byte) []uint64 {
	v := make([]uint64, 0, len(b)/8+1)
	for len(b) >= 8 {
		v = append(v, binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	return v
}

func FuzzDecodeUints(f *testing.F) {
	for _, v := range nastyWords() {
		if len(v) == 0 || len(v) > 1025 {
			continue
		}
		for _, level := range allLevels {
			f.Add(uint16(len(v)-1), NewEncoder(level).Uints(nil, v))
		}
	}
	f.Add(uint16(2047), NewEncoder(LevelBalanced).Ints(nil, hostInts(1, 2048, 500)))
	c := newCodecs()
	f.Fuzz(func(t *testing.T, n uint16, src []byte) {
		v, err := c.dec.Uints(nil, fuzzCount(n), src)
		if err == nil {
			c.checkUints(t, v)
		}
	})
}

func FuzzDecodeFloats(f *testing.F) {
	for _, v := range [][]float64{decimals(1, 300, 2, 20, 1), full(2, 300), falling(3, 300), {0.1, 0.2, 0.3}} {
		for _, level := range allLevels {
			f.Add(uint16(len(v)-1), NewEncoder(level).Floats(nil, v))
		}
	}
	c := newCodecs()
	f.Fuzz(func(t *testing.T, n uint16, src []byte) {
		v, err := c.dec.Floats(nil, fuzzCount(n), src)
		if err == nil {
			c.checkFloats(t, v)
		}
	})
}

func FuzzDecodeStrings(f *testing.F) {
	for _, make := range []func(uint64, int) ([]uint32, []byte){statuses, ids} {
		ends, data := make(1, 200)
		for _, level := range allLevels {
			f.Add(uint16(len(ends)-1), NewEncoder(level).Strings(nil, ends, data))
		}
	}
	c := newCodecs()
	f.Fuzz(func(t *testing.T, n uint16, src []byte) {
		ends, data, err := c.dec.Strings(nil, nil, fuzzCount(n), src)
		if err == nil && len(data) < 1<<20 {
			c.checkStrings(t, ends, data)
		}
	})
}

func FuzzDecodeBitmap(f *testing.F) {
	words := make([]uint64, 16)
	for i := range words {
		words[i] = 1 << i
	}
	for _, level := range allLevels {
		f.Add(uint16(999), NewEncoder(level).Bitmap(nil, words, 1000))
		f.Add(uint16(99), NewEncoder(level).Bitmap(nil, words[:2], 100))
	}
	c := newCodecs()
	f.Fuzz(func(t *testing.T, n uint16, src []byte) {
		v, err := c.dec.Bitmap(nil, fuzzCount(n), src)
		if err == nil {
			c.checkBitmap(t, v, fuzzCount(n))
		}
	})
}

func FuzzDecodeTimes(f *testing.F) {
	runs, v := evenTimes(200, 60, 1451606400e9, 10e9)
	for _, level := range allLevels {
		f.Add(uint16(60), uint16(200), NewEncoder(level).Times(nil, runs, v))
		f.Add(uint16(60), uint16(200), NewEncoder(level).Times(nil, runs, jitter(1, v, 50, 1e6)))
		f.Add(uint16(60), uint16(200), NewEncoder(level).Times(nil, runs, append(jitter(1, v[:120], 50, 1e6), v[120:]...)))
	}
	c := newCodecs()
	f.Fuzz(func(t *testing.T, rows, n uint16, src []byte) {
		var runs []int32
		for left := int(n); left > 0; left -= int(rows) + 1 {
			runs = append(runs, int32(min(left, int(rows)+1)))
		}
		v, err := c.dec.Times(nil, runs, src)
		if err == nil {
			c.checkTimes(t, runs, v)
		}
	})
}

// FuzzRoundTrip reads values from the bytes in several ways.
func FuzzRoundTrip(f *testing.F) {
	for _, v := range nastyWords() {
		if len(v) > 300 {
			continue
		}
		var b []byte
		for _, w := range v {
			b = binary.LittleEndian.AppendUint64(b, w)
		}
		f.Add(byte(0), b)
	}
	f.Add(byte(7), []byte("the quick brown fox jumps over the lazy dog"))
	c := newCodecs()
	f.Fuzz(func(t *testing.T, shift byte, b []byte) {
		if len(b) > 1<<15 {
			return
		}
		v := wordsOf(b)
		small := make([]uint64, len(b))
		for i, b := range b {
			small[i] = uint64(int8(b)) >> (shift & 63)
			if i > 0 && shift&64 != 0 {
				small[i] += small[i-1]
			}
		}
		ends := make([]uint32, 0, len(b))
		for i, b := range b {
			if b&1 == 0 {
				ends = append(ends, uint32(i))
			}
		}
		var data []byte
		if len(ends) > 0 {
			data = b[:ends[len(ends)-1]]
		}
		c.checkUints(t, v)
		c.checkUints(t, small)
		c.checkStrings(t, ends, data)
		c.checkBitmap(t, v, len(v)*64-min(int(shift&63), len(v)*64))
		floats, times := make([]float64, len(small)), make([]int64, len(small))
		for i, w := range small {
			floats[i] = float64(int64(w)) / powersOfTen[int(shift)%len(powersOfTen)]
			times[i] = int64(w) * 1000
		}
		c.checkFloats(t, floats)
		c.checkTimes(t, []int32{int32(len(times) / 3), int32(len(times) - len(times)/3)}, times)
	})
}
