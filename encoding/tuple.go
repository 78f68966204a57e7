package encoding

import "math"

// Tuple packing joins k consecutive residuals below a radix into one byte
// symbol, x0 + radix·x1 + radix²·x2 …, which is then entropy coded: a Huffman
// code wastes less on an alphabet of pairs, goes below one bit a residual and
// has fewer symbols to decode. Residuals from the radix on are outliers, 0 in
// their tuple and listed with the header.

// directRange is the least residual that no tuple holds, whatever its size. It
// is 255 so that a byte is left to count all others in a histogram.
const directRange = 255

// shape is a way to join residuals.
type shape struct {
	log   uint // of the residuals in a symbol
	radix int
}

// radixOf is the greatest radix by the log of the size of the tuple: its power
// fits a byte.
var radixOf = [...]int{directRange, 16, 4, 2}

// chooseTuple returns the shape that stores n residuals in the fewest bits.
func chooseTuple(hist *[directRange + 1]uint32, n int) (best shape, bits float64) {
	bits = math.Inf(1)
	for log, limit := range radixOf {
		if n>>log < minHuffman {
			break
		}
		outliers, radix, top := n, 2, uint32(0)
		for x, c := range hist[:limit] {
			outliers -= int(c)
			if c != 0 {
				radix = max(radix, x+1)
			}
			top = max(top, c)
		}
		if outliers*8 > n {
			break
		}
		// Outliers become the residual 0.
		first := hist[0]
		hist[0] += uint32(outliers)
		var size, distinct, table float64
		if log == 0 {
			size, distinct = huffmanBits(hist[:radix])
			table = distinct
		} else {
			size, table = tupleBits(hist[:radix], n, 1<<log, max(top, hist[0]))
		}
		hist[0] = first
		size += table*tableBits + float64(outliers*outlierBits)
		// Fewer symbols decode faster: a larger tuple may cost a little.
		if size < bits*1.005 {
			best, bits = shape{log: uint(log), radix: radix}, size
		}
	}
	return best, bits
}

// tupleBits estimates the size of n residuals in tuples of k, in bits, without
// the table, and how many distinct tuples there are; top is the number of the
// most frequent residual.
func tupleBits(hist []uint32, n, k int, top uint32) (size, table float64) {
	size, distinct := entropy(hist, n)
	symbols := float64(n) / float64(k)
	// A Huffman code spends a bit at least on its likeliest symbol; that apart
	// it wastes little on a large alphabet.
	p := math.Pow(float64(top)/float64(n), float64(k))
	waste := 0.04
	if p > 0.4 {
		waste = max(waste, p*(1+math.Log2(p)))
	}
	table = min(math.Pow(float64(distinct), float64(k)), 4*math.Exp2(size/symbols), symbols)
	return size + waste*symbols, table
}

// tuples appends a column in tuple packing.
func (e *Encoder) tuples(dst []byte, x []uint64, h header, s shape) []byte {
	e.sym = resize(e.sym, len(x)+1)
	sym, radix := e.sym, uint64(s.radix)
	if e.small[directRange] != 0 || s.radix < directRange {
		for i, w := range x {
			if w >= radix {
				e.patchAt = append(e.patchAt, i)
				e.patchValue = append(e.patchValue, w)
				x[i] = 0
			}
		}
	}
	whole := x[:len(x)>>s.log<<s.log]
	sym = sym[:len(whole)>>s.log]
	switch s.log {
	case 0:
		for i := range sym {
			sym[i] = byte(whole[i])
		}
	case 1:
		for i := range sym {
			g := whole[2*i : 2*i+2 : 2*i+2]
			sym[i] = byte(g[0] + radix*g[1])
		}
	case 2:
		for i := range sym {
			g := whole[4*i : 4*i+4 : 4*i+4]
			sym[i] = byte(g[0] + radix*(g[1]+radix*(g[2]+radix*g[3])))
		}
	case 3:
		// The radix is 2.
		for i := range sym {
			g := whole[8*i : 8*i+8 : 8*i+8]
			sym[i] = byte(g[0] | g[1]<<1 | g[2]<<2 | g[3]<<3 | g[4]<<4 | g[5]<<5 | g[6]<<6 | g[7]<<7)
		}
	}
	if rest := x[len(whole):]; len(rest) > 0 {
		t := uint64(0)
		for j := len(rest) - 1; j >= 0; j-- {
			t = t*radix + rest[j]
		}
		sym = append(sym, byte(t))
	}
	dst = e.header(dst, h)
	dst = append(dst, byte(s.log), byte(s.radix))
	return e.appendSymbols(dst, sym)
}

// patch is a residual that stands in the header.
type patch struct {
	at int
	x  uint64
}

// tuples decodes len(dst) residuals and makes values of them.
func (d *Decoder) tuples(dst []uint64, src []byte, t *terms, patches []patch) error {
	c := cursor{b: src}
	log, radix := uint(c.byte()), int(c.byte())
	if c.bad || log >= uint(len(radixOf)) || radix < 1 || radix > radixOf[log] {
		return corrupt("tuple of unknown shape")
	}
	k := 1 << log
	count := (len(dst) + k - 1) >> log
	sym, err := d.symbols(count, c.b)
	if err != nil {
		return err
	}
	// One entry holds k residuals; in order 1, their running sums.
	table := d.tupleTable(t, radix, k)
	whole := len(dst) >> log
	done := 0 // whole tuples decoded
	for _, p := range patches {
		if end := p.at>>log + 1; end > done && end <= whole {
			expand(dst[done<<log:end<<log], sym[done:end], table, log, t)
			done = end
		}
		if p.at < done<<log {
			t.patch(dst[p.at:done<<log], p.x)
		}
	}
	expand(dst[done<<log:whole<<log], sym[done:whole], table, log, t)
	if rest := whole << log; rest < len(dst) {
		var last [8]uint64
		expand(last[:k], sym[whole:], table, log, t)
		copy(dst[rest:], last[:])
		for _, p := range patches {
			if p.at >= rest {
				t.patch(dst[p.at:], p.x)
			}
		}
	}
	if t.order == 2 {
		t.sum(dst, 0)
	}
	return nil
}

// patch adds residual x to those decoded from its place on.
func (t *terms) patch(r []uint64, x uint64) {
	add := t.residual(x) - t.base
	if t.order != 1 {
		r[0] += add
		return
	}
	for i := range r {
		r[i] += add
	}
	t.acc += add
}

// tupleTable returns the residuals of each symbol, k for each of 256 symbols;
// those that no encoder writes stand for any.
func (d *Decoder) tupleTable(t *terms, radix, k int) []uint64 {
	d.table = resize(d.table, 256*8)
	table := d.table[:256*k]
	var digits [directRange + 1]uint64
	for x := range digits[:radix] {
		digits[x] = t.residual(uint64(x))
	}
	// The symbols of one more residual are those of one less, as often as the
	// radix says.
	keep := uint64(0)
	if t.order == 1 {
		keep = ^keep
	}
	clear(table)
	known := 1
	for j := range k {
		for x := radix - 1; x >= 0; x-- {
			for s := range known {
				from, to := table[s*k:s*k+j], table[(x*known+s)*k:]
				last := uint64(0)
				if j > 0 {
					last = from[j-1] & keep
				}
				copy(to, from)
				to[j] = last + digits[x]
			}
		}
		known *= radix
	}
	return table
}

// expand writes the residuals of whole tuples.
func expand(dst []uint64, sym []byte, table []uint64, log uint, t *terms) {
	acc, keep := t.acc, uint64(0)
	if t.order == 1 {
		keep = ^keep
	}
	acc &= keep
	switch log {
	case 0:
		table := (*[256]uint64)(table)
		dst = dst[:len(sym)]
		for i, s := range sym {
			w := acc + table[s]
			dst[i] = w
			acc = w & keep
		}
	case 1:
		table := (*[512]uint64)(table)
		for _, s := range sym {
			d := dst[:2:len(dst)]
			e := table[int(s)*2 : int(s)*2+2 : int(s)*2+2]
			d[0] = acc + e[0]
			w := acc + e[1]
			d[1] = w
			acc = w & keep
			dst = dst[2:]
		}
	case 2:
		table := (*[1024]uint64)(table)
		for _, s := range sym {
			d := dst[:4:len(dst)]
			e := table[int(s)*4 : int(s)*4+4 : int(s)*4+4]
			d[0], d[1], d[2] = acc+e[0], acc+e[1], acc+e[2]
			w := acc + e[3]
			d[3] = w
			acc = w & keep
			dst = dst[4:]
		}
	case 3:
		table := (*[2048]uint64)(table)
		for _, s := range sym {
			d := dst[:8:len(dst)]
			e := table[int(s)*8 : int(s)*8+8 : int(s)*8+8]
			d[0], d[1], d[2], d[3] = acc+e[0], acc+e[1], acc+e[2], acc+e[3]
			d[4], d[5], d[6] = acc+e[4], acc+e[5], acc+e[6]
			w := acc + e[7]
			d[7] = w
			acc = w & keep
			dst = dst[8:]
		}
	}
	if t.order == 1 {
		t.acc = acc
	}
}
