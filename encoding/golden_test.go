package encoding

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// golden compares a column with the file of its name, so that what older
// versions wrote stays readable: a file is only ever added. What the encoder
// writes today may differ; what the file holds must decode to the same values.
func golden(t *testing.T, name string, src []byte, decode func(src []byte)) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".bin")
	if *rewrite {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, src, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stored, src) {
		t.Errorf("%s: the encoder writes other bytes than the golden file: if that is meant, add a file", name)
	}
	decode(stored)
}

func TestGolden(t *testing.T) {
	var d Decoder
	head := func(src []byte) byte { return src[0] & packMask }
	words := func(name string, level Level, pack byte, v []uint64) {
		t.Helper()
		src := NewEncoder(level).Uints(nil, v)
		if head(src) != pack {
			t.Errorf("%s: packing %d, want %d", name, head(src), pack)
		}
		golden(t, name, src, func(src []byte) {
			got, err := d.Uints(nil, len(v), src)
			if err != nil || !slices.Equal(got, v) {
				t.Errorf("%s does not decode: %v", name, err)
			}
		})
	}
	seq := func(n int, f func(i int) uint64) []uint64 {
		v := make([]uint64, n)
		for i := range v {
			v[i] = f(i)
		}
		return v
	}
	// Small generators instead of math/rand: the bytes must never change.
	state := uint64(1)
	next := func() uint64 {
		state = state*6364136223846793005 + 1442695040888963407
		return state >> 11
	}
	walk := uint64(50)
	host := seq(1000, func(int) uint64 { walk += next()%3 + next()%3 - 2; return walk })
	host[500] += 4000
	words("same", LevelBalanced, packSame, seq(100, func(int) uint64 { return 1 << 40 }))
	words("line", LevelBalanced, packSame, seq(100, func(i int) uint64 { return uint64(i) * 7 }))
	words("square", LevelBalanced, packSame, seq(100, func(i int) uint64 { return uint64(i * i) }))
	words("plain", LevelBalanced, packPlain, seq(20, func(int) uint64 { return next() * next() }))
	words("bits", LevelNone, packBits, seq(100, func(int) uint64 { return 1000 + next()%100 }))
	words("bits-divisor", LevelFast, packBits, seq(100, func(int) uint64 { return 5 + 360*(next()%100) }))
	words("bits-patched", LevelFast, packBits, host)
	words("tuple-patched", LevelBalanced, packTuple, host)
	words("tuple-bits", LevelBalanced, packTuple, seq(2000, func(int) uint64 { return max(next()%8, 6) - 6 }))
	words("bucket", LevelBalanced, packBucket, seq(300, func(int) uint64 { return next() >> (next() % 50) }))
	words("runs", LevelBalanced, packRuns, seq(2000, func(i int) uint64 { return uint64(i / 90 * 12345) }))

	floats := func(name string, v []float64) {
		t.Helper()
		golden(t, name, NewEncoder(LevelBalanced).Floats(nil, v), func(src []byte) {
			got, err := d.Floats(nil, len(v), src)
			if err != nil || !slices.Equal(floatWords(got), floatWords(v)) {
				t.Errorf("%s does not decode: %v", name, err)
			}
		})
	}
	decimal, bits := make([]float64, 500), make([]float64, 500)
	for i := range decimal {
		decimal[i] = float64(int64(next()%2000)-1000) / 100
		bits[i] = float64(next()) / 3
	}
	floats("float-decimal", decimal)
	decimal[17], decimal[400] = math.Copysign(0, -1), math.Inf(-1)
	floats("float-exceptions", decimal)
	floats("float-bits", bits)

	texts := func(name string, level Level, values func(i int) string) {
		t.Helper()
		var ends []uint32
		var data []byte
		for i := range 300 {
			data = append(data, values(i)...)
			ends = append(ends, uint32(len(data)))
		}
		golden(t, name, NewEncoder(level).Strings(nil, ends, data), func(src []byte) {
			gotEnds, got, err := d.Strings(nil, nil, len(ends), src)
			if err != nil || !slices.Equal(gotEnds, ends) || !bytes.Equal(got, data) {
				t.Errorf("%s does not decode: %v", name, err)
			}
		})
	}
	texts("text-dict", LevelBalanced, func(i int) string { return []string{"ok", "", "broken"}[next()%3] })
	texts("text-plain", LevelNone, func(i int) string { return "value"[:i%6] })

	set := seq(8, func(int) uint64 { return next() })
	for name, v := range map[string][]uint64{"bitmap-raw": set, "bitmap-runs": {1<<40 - 1, 0, 0, 0, 0, 1 << 63, 1}} {
		n := len(v)*64 - 5
		golden(t, name, NewEncoder(LevelBalanced).Bitmap(nil, v, n), func(src []byte) {
			got, err := d.Bitmap(nil, n, src)
			v[len(v)-1] &= 1<<59 - 1
			if err != nil || !slices.Equal(got, v) {
				t.Errorf("%s does not decode: %v", name, err)
			}
		})
	}

	runs, even := evenTimes(200, 60, 1451606400e9, 10e9)
	late := append([]int64(nil), even...)
	for i := range late[:120] {
		late[i] += int64(next()%500) * 1e6
	}
	copy(late[60:120], late[:60])
	for name, v := range map[string][]int64{"times-regular": even, "times-mixed": late} {
		golden(t, name, NewEncoder(LevelBalanced).Times(nil, runs, v), func(src []byte) {
			got, err := d.Times(nil, runs, src)
			if err != nil || !slices.Equal(got, v) {
				t.Errorf("%s does not decode: %v", name, err)
			}
		})
	}
}
