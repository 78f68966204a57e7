package encoding

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var allLevels = [...]Level{LevelNone, LevelFast, LevelBalanced, LevelBest}

// codecs are reused, as in the product: what one column leaves in the scratch
// memory must not show in the next.
type codecs struct {
	enc [len(allLevels)]*Encoder
	dec Decoder
}

func newCodecs() *codecs {
	c := new(codecs)
	for i, level := range allLevels {
		c.enc[i] = NewEncoder(level)
	}
	return c
}

func (c *codecs) checkUints(t checker, v []uint64) {
	t.Helper()
	d := &c.dec
	for level, e := range c.enc {
		src := e.Uints([]byte("head"), v)
		got, err := d.Uints([]uint64{7}, len(v), src[4:])
		if err != nil {
			t.Fatalf("level %d: decode %d values: %v", level, len(v), err)
		}
		if got[0] != 7 || !slices.Equal(got[1:], v) {
			t.Fatalf("level %d: %d values do not come back", level, len(v))
		}
	}
}

func (c *codecs) checkFloats(t checker, v []float64) {
	t.Helper()
	d := &c.dec
	for level, e := range c.enc {
		src := e.Floats(nil, v)
		got, err := d.Floats(nil, len(v), src)
		if err != nil {
			t.Fatalf("level %d: decode %d floats: %v", level, len(v), err)
		}
		if !slices.Equal(floatWords(got), floatWords(v)) {
			t.Fatalf("level %d: %d floats do not come back bit by bit", level, len(v))
		}
	}
}

func (c *codecs) checkStrings(t checker, ends []uint32, data []byte) {
	t.Helper()
	d := &c.dec
	for level, e := range c.enc {
		src := e.Strings(nil, ends, data)
		gotEnds, got, err := d.Strings([]uint32{3}, []byte("abc"), len(ends), src)
		if err != nil {
			t.Fatalf("level %d: decode %d strings: %v", level, len(ends), err)
		}
		if string(got[:3]) != "abc" || !bytes.Equal(got[3:], data) {
			t.Fatalf("level %d: bytes of strings do not come back", level)
		}
		for i, end := range gotEnds[1:] {
			if end != ends[i]+3 {
				t.Fatalf("level %d: end of string %d is %d, want %d", level, i, end-3, ends[i])
			}
		}
	}
}

func (c *codecs) checkBitmap(t checker, words []uint64, n int) {
	t.Helper()
	want := slices.Clone(words[:(n+63)/64])
	if n%64 != 0 {
		want[n/64] &= 1<<(n%64) - 1
	}
	d := &c.dec
	for level, e := range c.enc {
		got, err := d.Bitmap(nil, n, e.Bitmap(nil, words, n))
		if err != nil {
			t.Fatalf("level %d: decode bitmap of %d: %v", level, n, err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("level %d: bitmap of %d does not come back", level, n)
		}
	}
}

func (c *codecs) checkTimes(t checker, runs []int32, v []int64) {
	t.Helper()
	d := &c.dec
	for level, e := range c.enc {
		src := e.Times(nil, runs, v)
		got, err := d.Times(nil, runs, src)
		if err != nil {
			t.Fatalf("level %d: decode times: %v", level, err)
		}
		if !slices.Equal(got, v) {
			t.Fatalf("level %d: times do not come back", level)
		}
		list, err := d.TimeRuns(nil, runs, src)
		if err != nil {
			t.Fatalf("level %d: decode runs of times: %v", level, err)
		}
		at := 0
		for i, run := range list {
			if run.Count != runs[i] {
				t.Fatalf("level %d: run %d has %d rows, want %d", level, i, run.Count, runs[i])
			}
			for j := range int(run.Count) {
				if j == 0 && run.First != v[at] || run.Regular && run.At(j) != v[at+j] {
					t.Fatalf("level %d: run %d %+v has not the time of row %d", level, i, run, j)
				}
			}
			at += int(run.Count)
		}
	}
}

func nastyWords() map[string][]uint64 {
	r := seeded(11)
	m := map[string][]uint64{
		"none": {}, "zero": {0}, "one": {math.MaxUint64}, "two": {0, math.MaxUint64},
		"three": {1 << 63, 0, 1<<63 - 1},
	}
	add := func(name string, n int, f func(i int) uint64) {
		v := make([]uint64, n)
		for i := range v {
			v[i] = f(i)
		}
		m[name] = v
	}
	for _, n := range []int{3, 63, 64, 65, 500, 1023, 1025, 8192, MaxValues} {
		name := string(rune('a' + n%26))
		add("constant"+name, n, func(int) uint64 { return 1<<63 + 5 })
		add("counter"+name, n, func(i int) uint64 { return uint64(i) * 1000 })
		add("noise"+name, n, func(int) uint64 { return r.Uint64() })
		add("bytes"+name, n, func(int) uint64 { return r.Uint64N(256) })
		add("bits"+name, n, func(int) uint64 { return r.Uint64N(2) })
		add("swing"+name, n, func(i int) uint64 { return 1<<63 + uint64(i%2)*math.MaxUint64 })
		add("square"+name, n, func(i int) uint64 { return uint64(i*i) * 77 })
		add("rare"+name, n, func(i int) uint64 {
			if i%100 == 57 {
				return r.Uint64()
			}
			return r.Uint64N(6)
		})
		add("steps"+name, n, func(i int) uint64 { return uint64(i/70) * 12345 })
		add("multiples"+name, n, func(int) uint64 { return -(r.Uint64N(1000) * 360) })
		add("wide multiples"+name, n, func(int) uint64 { return r.Uint64() &^ 0xffff })
		add("exponential"+name, n, func(int) uint64 { return r.Uint64() >> r.Uint64N(64) })
		acc := uint64(0)
		add("walk"+name, n, func(int) uint64 { acc += r.Uint64N(2000) - 1000; return acc })
		speed := uint64(0)
		add("drift"+name, n, func(int) uint64 { speed += r.Uint64N(9) - 4; acc += speed; return acc })
		add("wide drift"+name, n, func(int) uint64 { speed += r.Uint64()>>50 - 1<<13; acc += speed; return acc })
		add("rare drift"+name, n, func(i int) uint64 {
			if speed += r.Uint64N(5) - 2; i%90 == 7 {
				speed += 1 << 30
			}
			acc += speed
			return acc
		})
		add("last differs"+name, n, func(i int) uint64 {
			if i == n-1 {
				return 1 << 60
			}
			return 3
		})
	}
	for w := range 65 {
		add("width"+string(rune('0'+w)), 300, func(int) uint64 { return r.Uint64() >> (64 - w) })
	}
	return m
}

func TestUints(t *testing.T) {
	c := newCodecs()
	for name, v := range nastyWords() {
		t.Run(name, func(t *testing.T) { c.checkUints(t, v) })
	}
}

func TestFloats(t *testing.T) {
	c := newCodecs()
	nan := math.Float64frombits(0x7ff8dead_beef0001)
	zero := math.Copysign(0, -1)
	for _, v := range [][]float64{
		{}, {0}, {zero}, {nan}, {math.Inf(1), math.Inf(-1)}, {zero, zero, zero, zero},
		{1.5, zero, 2.5, nan, math.Inf(1), 1e300, -1e300, math.SmallestNonzeroFloat64, math.MaxFloat64},
		{0.1, 0.2, 0.1 + 0.2}, {1 << 53, 1<<53 + 2, 1 << 62, -1 << 63, 1 << 63, 1 << 64},
		{123456789012345.6, 0.000001, 1e22, 1e23},
	} {
		c.checkFloats(t, v)
		long := slices.Repeat(v, 100)
		c.checkFloats(t, long)
		for i := range long {
			long[i] = float64(i) / 100
		}
		for i, f := range v {
			long[i*7] = f
		}
		c.checkFloats(t, long)
	}
	for _, v := range [][]float64{
		decimals(1, 8192, 0, 0, 3), decimals(2, 8192, 1, 0, 3), decimals(3, 8192, 5, 50, .01), full(4, 8192),
		decimals(5, 8192, 12, 0, 1), falling(6, 8192),
	} {
		c.checkFloats(t, v)
		for i := range v {
			v[i] = float64(float32(v[i]))
		}
		c.checkFloats(t, v)
	}
	for name, v := range nastyWords() {
		t.Run(name, func(t *testing.T) {
			f := make([]float64, len(v))
			for i, w := range v {
				f[i] = math.Float64frombits(w)
			}
			c.checkFloats(t, f)
		})
	}
}

func TestBools(t *testing.T) {
	var d Decoder
	v := make([]uint64, 5000)
	for i := range v {
		v[i] = uint64(i / 300 & 1)
	}
	got, err := d.Bools(nil, len(v), NewEncoder(LevelBalanced).Bools(nil, v))
	if err != nil || !slices.Equal(got, v) {
		t.Fatalf("booleans do not come back: %v", err)
	}
	v[17] = 2
	if _, err := d.Bools(nil, len(v), NewEncoder(LevelBalanced).Uints(nil, v)); err == nil {
		t.Fatal("a boolean of 2 was decoded")
	}
}

func TestBitmaps(t *testing.T) {
	c := newCodecs()
	r := seeded(3)
	for _, n := range []int{0, 1, 7, 8, 63, 64, 65, 1000, 8192, MaxValues} {
		for _, kind := range []func(i int) bool{
			func(int) bool { return false }, func(int) bool { return true },
			func(i int) bool { return i%2 == 0 }, func(i int) bool { return i/100%2 == 0 },
			func(int) bool { return r.IntN(10) == 0 }, func(int) bool { return r.IntN(2) == 0 },
			func(i int) bool { return i == n-1 }, func(i int) bool { return i != 0 },
		} {
			words := make([]uint64, (n+63)/64)
			for i := range len(words) * 64 {
				if kind(i) {
					words[i/64] |= 1 << (i % 64)
				}
			}
			c.checkBitmap(t, words, n)
		}
	}
}

func TestStrings(t *testing.T) {
	c := newCodecs()
	c.checkStrings(t, nil, nil)
	c.checkStrings(t, []uint32{0}, nil)
	c.checkStrings(t, []uint32{0, 0, 0, 0}, nil)
	c.checkStrings(t, []uint32{3, 6, 9}, []byte("abcabcabc"))
	for _, n := range []int{1, 10, 1000, 8192} {
		ends, data := statuses(1, n)
		c.checkStrings(t, ends, data)
		ends, data = ids(2, n)
		c.checkStrings(t, ends, data)
	}
	long := bytes.Repeat([]byte("0123456789"), 100_000)
	c.checkStrings(t, []uint32{uint32(len(long)), uint32(len(long))}, long)
}

func TestTimes(t *testing.T) {
	c := newCodecs()
	c.checkTimes(t, nil, nil)
	c.checkTimes(t, []int32{0, 0}, nil)
	c.checkTimes(t, []int32{1}, []int64{math.MinInt64})
	c.checkTimes(t, []int32{0, 2, 0, 1}, []int64{math.MinInt64, math.MaxInt64, 5})
	for _, rows := range []int{1, 2, 3, 10, 360, 8192} {
		runs, v := evenTimes(8192, rows, 1451606400e9, 10e9)
		c.checkTimes(t, runs, v)
		c.checkTimes(t, runs, jitter(1, v, 500, 1e6))
		c.checkTimes(t, runs, jitter(2, v, 1e9, 1))
		// Every other run repeats the one before.
		w := jitter(3, v, 500, 1e6)
		for i := rows; i+rows <= len(w); i += 2 * rows {
			copy(w[i:i+rows], w[i-rows:i])
		}
		c.checkTimes(t, runs, w)
	}
}

func TestSearch(t *testing.T) {
	for _, run := range []TimeRun{
		{First: 100, Step: 10, Count: 5}, {First: 100, Step: 0, Count: 3}, {First: 7, Step: 5, Count: 1},
		{First: math.MinInt64, Step: math.MaxInt64, Count: 3}, {First: math.MinInt64, Step: 1, Count: 3},
	} {
		for _, at := range []int64{math.MinInt64, -1, 0, 99, 100, 101, 109, 110, 111, 140, 141, math.MaxInt64} {
			want := 0
			for want < int(run.Count) && run.At(want) < at {
				want++
			}
			if got := run.Search(at); got != want {
				t.Errorf("%+v: search %d is %d, want %d", run, at, got, want)
			}
		}
	}
}

func TestRandom(t *testing.T) {
	c := newCodecs()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 700).Draw(t, "n")
		shift := rapid.Uint64Range(0, 63).Draw(t, "shift")
		scale := rapid.Uint64().Draw(t, "scale")
		r := seeded(rapid.Uint64().Draw(t, "seed"))
		kind := rapid.IntRange(0, 4).Draw(t, "kind")
		v := make([]uint64, n)
		last := uint64(0)
		for i := range v {
			w := r.Uint64() >> shift
			switch kind {
			case 1:
				w = last + w
			case 2:
				w *= scale
			case 3:
				w = last + (w-1<<(63-shift)/2)*scale
			case 4:
				if r.IntN(30) != 0 {
					w = last
				}
			}
			v[i], last = w, w
		}
		c.checkUints(t, v)
		f := make([]float64, n)
		for i, w := range v {
			f[i] = float64(int64(w)) / powersOfTen[shift%18]
		}
		c.checkFloats(t, f)
		if n > 0 {
			cut := rapid.IntRange(0, n).Draw(t, "cut")
			i64 := make([]int64, n)
			for i, w := range v {
				i64[i] = int64(w)
			}
			c.checkTimes(t, []int32{int32(cut), int32(n - cut)}, i64)
			c.checkBitmap(t, v, min(n*64, MaxValues)-cut)
		}
	})
}

// checker is what tests, fuzz targets and rapid have in common.
type checker interface {
	Helper()
	Fatalf(format string, args ...any)
}
