package fleet

import (
	"math"
	"math/bits"
)

// What a random number is for. The numbers are part of what a seed means:
// another one makes other messages.
const (
	ofPlace = iota + 1
	ofDevice
	ofDrift
	ofWander
	ofNoise
	ofQuality
	ofLate
	ofRepeat
	ofDefect
	ofGap
	ofAnomaly
	ofEpoch
)

// hash returns 64 random bits for a purpose of a device at n: a window, a
// round. It multiplies to 128 bits and folds the halves, as wyhash does.
func (f *Fleet) hash(device uint64, purpose int, n int64) uint64 {
	hi, lo := bits.Mul64(device^f.cfg.Seed^0xa0761d6478bd642f, uint64(purpose)*0x9e3779b97f4a7c15^0xe7037ed1a0b428db)
	hi, lo = bits.Mul64(hi^lo^0x8ebc6af09c88c6e3, uint64(n)^0x589965cc75374cc3)
	hi, lo = bits.Mul64(hi^lo^0x1d8e4e27c47d124f, 0xeb44accab455d165)
	return hi ^ lo
}

// share turns a probability into what a hash is compared with.
func share(p float64) uint64 {
	if p >= 1 {
		return math.MaxUint64
	}
	return uint64(p * (1 << 63) * 2)
}

// unit turns the upper bits of a hash into a number of 0 to 1.
func unit(h uint64) float64 { return float64(h>>11) / (1 << 53) }

// signed turns them into a number of -1 to 1.
func signed(h uint64) float64 { return 2*unit(h) - 1 }

// normal turns a hash into a number that is normal enough for noise: the sum
// of four even ones, with mean 0 and deviation 1, within ±3.5.
func normal(h uint64) float64 {
	sum := h&0xffff + h>>16&0xffff + h>>32&0xffff + h>>48
	const mean, deviation = 2 * 65535, 65536 * 0.5773502691896257
	return (float64(sum) - mean) / deviation
}
