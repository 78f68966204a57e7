package segment

import "encoding/binary"

// filter is a split-block Bloom filter over series hashes (Putze, Sanders and
// Singler 2007, in the form that Parquet uses): each hash sets one bit in each
// of the eight words of one 32-byte block, so that a question touches one
// cache line. It answers from the stored bytes themselves.
type filter []byte

const (
	filterBlock = 32
	// filterBits is the number of bits for each series: about 1 question in
	// 100 is answered with a needless yes.
	filterBits = 10
)

// filterSalt makes eight bit positions of one hash (the constants of the
// Parquet specification).
var filterSalt = [8]uint32{
	0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d,
	0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31,
}

func newFilter(hashes []uint64) filter {
	blocks := (len(hashes)*filterBits + filterBlock*8 - 1) / (filterBlock * 8)
	f := make(filter, max(blocks, 1)*filterBlock)
	for _, h := range hashes {
		b := f.block(h)
		for i, salt := range filterSalt {
			w := binary.LittleEndian.Uint32(b[4*i:])
			binary.LittleEndian.PutUint32(b[4*i:], w|1<<(uint32(h)*salt>>27))
		}
	}
	return f
}

func (f filter) block(h uint64) []byte {
	n := uint64(len(f) / filterBlock)
	return f[h>>32*n>>32*filterBlock:][:filterBlock]
}

func (f filter) mayContain(h uint64) bool {
	b := f.block(h)
	for i, salt := range filterSalt {
		if binary.LittleEndian.Uint32(b[4*i:])>>(uint32(h)*salt>>27)&1 == 0 {
			return false
		}
	}
	return true
}

// fingerprint condenses a set of series, given by their hashes in any order,
// into 128 bits: the sums of two functions of each hash that have nothing to
// do with each other.
func fingerprint(hashes []uint64) (f [2]uint64) {
	for _, h := range hashes {
		f[0] += h * 0x9E3779B97F4A7C15
		// The finalizer of splitmix64 (Steele, Lea and Flood, 2014).
		h ^= h >> 30
		h *= 0xBF58476D1CE4E5B9
		h ^= h >> 27
		h *= 0x94D049BB133111EB
		f[1] += h ^ h>>31
	}
	if f == [2]uint64{} {
		f[0] = 1 // zero stands for unknown
	}
	return f
}
