package aggregate

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

type keyList []uint64

func (l keyList) each(use func(uint64)) error {
	for _, k := range l {
		use(k)
	}
	return nil
}

// The key in any place is that of the sorted list.
func TestNth(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, make := range map[string]func(i int) uint64{
		"spread":           func(int) uint64 { return rng.Uint64() },
		"near each other":  func(i int) uint64 { return 1<<63 + uint64(i*7%fewKeys) },
		"few different":    func(int) uint64 { return rng.Uint64N(3) << 62 },
		"all equal":        func(int) uint64 { return 42 },
		"the least, most":  func(i int) uint64 { return uint64(-(i & 1)) },
		"one far from all": func(i int) uint64 { return uint64(i) / 100_000 << 63 },
	} {
		for _, n := range []int{1, 2, fewKeys, fewKeys + 1, 100_001} {
			var list keyList
			for i := range n {
				list = append(list, make(i))
			}
			sorted := slices.Sorted(slices.Values(list))
			for _, place := range []int{0, n / 3, n / 2, n - 1} {
				first, _ := slices.BinarySearch(sorted, sorted[place])
				key, before, err := nth(list, place)
				if err != nil || key != sorted[place] || before != place-first {
					t.Errorf("%s, %d of %d: %d with %d before it, %v: want %d and %d", name, place, n, key, before, err, sorted[place], place-first)
				}
			}
		}
	}
}

type keysThatEnd struct{ left int }

var errEnd = errors.New("ended")

func (k *keysThatEnd) each(use func(uint64)) error {
	if k.left--; k.left < 0 {
		return errEnd
	}
	for i := range uint64(2 * fewKeys) {
		use(i << 20)
	}
	return nil
}

// A source that ends ends the search.
func TestNthEnds(t *testing.T) {
	for left := range 3 {
		if _, _, err := nth(&keysThatEnd{left}, 5); !errors.Is(err, errEnd) {
			t.Errorf("ended in go %d: %v", left, err)
		}
	}
}

func BenchmarkNth(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	list := make(keyList, 1_000_000)
	for i := range list {
		list[i] = rng.Uint64()
	}
	for b.Loop() {
		if _, _, err := nth(list, len(list)/2); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(list))*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
