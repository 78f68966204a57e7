package aggregate

import (
	"math/bits"
	"slices"
)

// keySource is a list of keys that is gone through more than once.
type keySource interface {
	// each calls use with every key. It may end early, with an error.
	each(use func(key uint64)) error
}

const (
	// fewKeys is up to how many keys are sorted to find one.
	fewKeys = 1 << 14
	// digit is how many bits nth decides in one go over the keys: their
	// counts are 256 KiB.
	digit = 16
)

// nth returns the key in a place, from 0, of the order of the keys of s, which has
// one there, and how many of the equal ones come before it. It counts keys by
// their leading digits and goes on among those that share the right one, so that
// it needs no copy of all of them, and mostly three goes.
func nth(s keySource, place int) (key uint64, before int, err error) {
	n, low, high := 0, ^uint64(0), uint64(0)
	err = s.each(func(k uint64) { n, low, high = n+1, min(low, k), max(high, k) })
	if err != nil {
		return 0, 0, err
	}
	var counts []uint32
	for n > fewKeys && low < high {
		shift := max(bits.Len64(high-low)-digit, 0)
		if counts == nil {
			counts = make([]uint32, 1<<digit)
		}
		clear(counts)
		err := s.each(func(k uint64) {
			if k >= low && k <= high {
				counts[(k-low)>>shift]++
			}
		})
		if err != nil {
			return 0, 0, err
		}
		at := 0
		for place >= int(counts[at]) {
			place -= int(counts[at])
			at++
		}
		n = int(counts[at])
		low += uint64(at) << shift
		high = low + min(high-low, 1<<shift-1)
	}
	if low == high {
		return low, place, nil
	}
	few := make([]uint64, 0, n)
	err = s.each(func(k uint64) {
		if k >= low && k <= high {
			few = append(few, k)
		}
	})
	if err != nil {
		return 0, 0, err
	}
	slices.Sort(few)
	first, _ := slices.BinarySearch(few, few[place])
	return few[place], place - first, nil
}
