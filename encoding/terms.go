package encoding

// terms says how residuals become values: r = base + scale·x, or the same of
// the unzigzagged x, and then running sums of r as often as order says.
// Arithmetic is modulo 2^64 throughout, so that no value overflows.
type terms struct {
	order  int
	base   uint64
	scale  uint64
	zigzag bool
	acc    uint64 // order 1 and 2: the value before the first residual
	slope  uint64 // order 2: the difference before the first residual
}

// apply turns residuals x into values in place and carries the running sums
// on, so that a column can be worked through in pieces that stay in the cache.
func (t *terms) apply(x []uint64) {
	base, scale := t.base, t.scale
	switch {
	case t.order == 0 && t.zigzag:
		for i, w := range x {
			x[i] = base + unzigzag(w)*scale
		}
	case t.order == 0:
		for i, w := range x {
			x[i] = base + w*scale
		}
	case t.order == 1 && t.zigzag:
		acc := t.acc
		for i, w := range x {
			acc += base + unzigzag(w)*scale
			x[i] = acc
		}
		t.acc = acc
	case t.order == 1:
		acc := t.acc
		for i, w := range x {
			acc += base + w*scale
			x[i] = acc
		}
		t.acc = acc
	default:
		for i, w := range x {
			if t.zigzag {
				w = unzigzag(w)
			}
			x[i] = w * scale
		}
		t.sum(x, base)
	}
}

// sum replaces residuals, each less base, by their running sums.
func (t *terms) sum(r []uint64, base uint64) {
	acc, slope := t.acc, t.slope
	switch t.order {
	case 1:
		for i, w := range r {
			acc += base + w
			r[i] = acc
		}
	case 2:
		for i, w := range r {
			slope += base + w
			acc += slope
			r[i] = acc
		}
	}
	t.acc, t.slope = acc, slope
}

// residual is base + scale·x of one x.
func (t *terms) residual(x uint64) uint64 {
	if t.zigzag {
		x = unzigzag(x)
	}
	return t.base + t.scale*x
}
