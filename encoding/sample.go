package encoding

import (
	"math"
	"slices"
)

// The sample of a column: stretches of consecutive values, because orders of
// differences are compared, spread evenly, because a column changes its
// character with the series in it. 512 values tell an entropy to some
// percents, which is what the choice between orders needs.
const (
	sampleStretch = 64
	sampleValues  = 8 * sampleStretch
)

// centerValues is how many values of the sample the medians are taken of.
const centerValues = 31

// model is what the sample says about a column.
type model struct {
	order   int    // of differences: 0, 1 or 2
	center  uint64 // the middle of the residuals, taken off before zigzag
	changes int    // of consecutive values, in thousandths
	divisor uint64 // of all differences in the sample; 0 if all are 0
	wide    bool   // many residuals do not fit a byte
}

// stretches calls f for the bounds of each stretch of the sample of n values.
// A stretch has two values before its first, so that all orders exist.
func stretches(n, most int, f func(from, to int)) {
	if n-2 <= most {
		f(2, n)
		return
	}
	count := most / sampleStretch
	for i := range count {
		from := 2 + i*(n-2-sampleStretch)/(count-1)
		f(from, from+sampleStretch)
	}
}

// look samples v, which has at least three values.
func (e *Encoder) look(v []uint64) model {
	var m model
	most := sampleValues
	if e.level == LevelBest {
		most = len(v)
	}

	var values, deltas [centerValues]int64
	step := max(1, (len(v)-1)/centerValues)
	mid := 0
	for i := 1; i < len(v) && mid < centerValues; i += step {
		values[mid], deltas[mid] = int64(v[i]), int64(v[i]-v[i-1])
		mid++
	}
	slices.Sort(values[:mid])
	slices.Sort(deltas[:mid])
	centers := [3]uint64{uint64(values[mid/2]), uint64(deltas[mid/2]), 0}
	if deltas[mid/4] <= 0 && deltas[mid-1-mid/4] >= 0 {
		// A walk: zero is the centre that costs nothing to store.
		centers[1] = 0
	}

	count, changed := 0, 0
	stretches(len(v), most, func(from, to int) {
		prev := v[from-1]
		for _, w := range v[from:to] {
			if d := w - prev; d != 0 {
				changed++
				if m.divisor != 1 {
					m.divisor = gcd(m.divisor, magnitude(d))
				}
			}
			prev = w
		}
		count += to - from
	})
	m.changes = changed * 1000 / count
	m.center = centers[0]
	if changed == 0 {
		return m
	}
	m.divisor = gcd(m.divisor, magnitude(centers[0]-v[len(v)-1]))
	m.divisor = gcd(m.divisor, magnitude(centers[1]))

	div := divisorOf(max(m.divisor, 1))
	hist := &e.sampleHist
	clear(hist[0][:])
	clear(hist[1][:])
	clear(hist[2][:])
	minv, maxv := int64(math.MaxInt64), int64(math.MinInt64)
	stretches(len(v), most, func(from, to int) {
		prev, before := v[from-1], v[from-1]-v[from-2]
		for _, w := range v[from:to] {
			d := w - prev
			minv, maxv = min(minv, int64(w)), max(maxv, int64(w))
			hist[0][bucketOf(zigzag(div.quotient(w-centers[0])))]++
			hist[1][bucketOf(zigzag(div.quotient(d-centers[1])))]++
			hist[2][bucketOf(zigzag(div.quotient(d-before)))]++
			prev, before = w, d
		}
	})
	best := math.Inf(1)
	for order := range hist {
		bits := bucketBits(&hist[order], count, len(v)) / float64(count)
		if order == 0 && uint64(maxv-minv)/max(m.divisor, 1) < directRange {
			if direct := e.directBits(v, most, uint64(minv), div, count); direct < bits {
				bits = direct
			}
			clear(hist[0][:])
		}
		// A lower order decodes faster: a higher one has to earn it.
		if bits < best*0.98-0.01 {
			best, m.order = bits, order
		}
	}
	m.center = centers[m.order]
	large := uint32(0)
	for _, c := range hist[m.order][bucketOf(directRange):] {
		large += c
	}
	m.wide = int(large)*8 > count
	return m
}

// directBits is the entropy of the values themselves, in bits a value.
func (e *Encoder) directBits(v []uint64, most int, minv uint64, div divisor, count int) float64 {
	var hist [256]uint32
	stretches(len(v), most, func(from, to int) {
		for _, w := range v[from:to] {
			hist[byte(div.quotient(w-minv))]++
		}
	})
	bits, distinct := entropy(hist[:], count)
	return (bits + float64(distinct)*tableBits*float64(count)/float64(len(v))) / float64(count)
}

// tableBits is what one distinct symbol costs in the table of a Huffman code.
const tableBits = 4.5

// entropy returns the order-0 entropy, in bits, of count symbols, and how many
// are distinct.
func entropy(hist []uint32, count int) (total float64, distinct int) {
	sum := 0.0
	for _, c := range hist {
		if c != 0 {
			distinct++
			f := float64(c)
			sum += f * math.Log2(f)
		}
	}
	n := float64(count)
	return n*math.Log2(n) - sum, distinct
}

// huffmanBits returns the size of symbols in a Huffman code, in bits, without
// the table, and how many are distinct. The limit of 11 bits to a code is
// ignored.
func huffmanBits(hist []uint32) (size, distinct float64) {
	var counts, joined [256]uint32
	n := 0
	for _, c := range hist {
		if c != 0 {
			counts[n] = c
			n++
		}
	}
	leaves := counts[:n]
	slices.Sort(leaves)
	// The joined nodes come out in order of weight, so two queues do.
	nodes, first, total := 0, 0, 0
	least := func() uint32 {
		if len(leaves) > 0 && (first == nodes || leaves[0] <= joined[first]) {
			c := leaves[0]
			leaves = leaves[1:]
			return c
		}
		first++
		return joined[first-1]
	}
	for nodes < n-1 {
		joined[nodes] = least() + least()
		total += int(joined[nodes])
		nodes++
	}
	return float64(total), float64(n)
}

// bucketBits is the size in bits of count residuals in bucket packing; they are
// a sample of n, which share one table.
func bucketBits(hist *[256]uint32, count, n int) float64 {
	bits, distinct := entropy(hist[:], count)
	bits += float64(distinct) * tableBits * float64(count) / float64(n)
	for t := 8; t < len(hist); t++ {
		bits += float64(int(hist[t]) * bucketRaw(t))
	}
	return bits
}
