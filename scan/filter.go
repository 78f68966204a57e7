package scan

import (
	"bytes"
	"math"
	"math/big"
	"regexp"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
)

// filter is a plan.Condition bound to the columns of a source. Its negations
// are pushed down to the comparisons, where a null satisfies neither a
// comparison nor its negation, which makes the three-valued logic of the plan
// a matter of and and or. A filter is immutable.
type filter struct {
	op   plan.Op // And, Or; Exists for all that looks at one column
	args []*filter

	col     int // -1: no run has the field, so nothing is true
	kind    column.Type
	negated bool
	any     bool // any value will do
	none    bool // no value will do (before negation)
	// Numbers and booleans: the value lies between lo and hi, in the order of
	// ordered.
	lo, hi uint64
	// Strings.
	cmp     plan.Op
	text    []byte
	pattern *regexp.Regexp
}

// bind binds c, or its negation, to the columns of src.
func bind(c *plan.Condition, src *source, negated bool) (*filter, error) {
	switch c.Op {
	case plan.Not:
		return bind(c.Args[0], src, !negated)
	case plan.And, plan.Or:
		f := &filter{op: c.Op}
		if negated {
			f.op = map[plan.Op]plan.Op{plan.And: plan.Or, plan.Or: plan.And}[c.Op]
		}
		for _, a := range c.Args {
			b, err := bind(a, src, negated)
			if err != nil {
				return nil, err
			}
			f.args = append(f.args, b)
		}
		return f, nil
	}
	f := &filter{op: plan.Exists, col: src.reads(c.Field), kind: src.types[c.Field], negated: negated}
	if c.Op == plan.Exists {
		// Whether a value is there is known of every row: its negation finds
		// the rows without one.
		f.any = true
		return f, nil
	}
	if f.col < 0 {
		return f, nil
	}
	return f, f.compare(c)
}

// compare makes f the comparison c.
func (f *filter) compare(c *plan.Condition) error {
	clash := func(with string) error {
		return planErrorf("condition %s: field %q holds %s values, which are not compared with %s", c, c.Field, f.kind, with)
	}
	switch {
	case c.Op == plan.Match:
		if f.kind != column.String {
			return clash("a regular expression")
		}
		re, err := regexp.Compile(c.Pattern)
		f.cmp, f.pattern = plan.Match, re
		return err
	case f.kind == column.String:
		if c.Value.Type() != column.String {
			return clash(c.Value.Type().String() + " values")
		}
		f.cmp, f.text = c.Op, []byte(c.Value.Text())
		return nil
	case f.kind == column.Bool:
		if c.Value.Type() != column.Bool {
			return clash(c.Value.Type().String() + " values")
		}
		f.lo, f.hi = c.Value.Word(), c.Value.Word()
		f.negated = f.negated != (c.Op == plan.Ne)
		return nil
	case !c.Value.Type().Numeric():
		return clash(c.Value.Type().String() + " values")
	}
	f.interval(c.Op, *c.Value)
	return nil
}

// ordered maps a number to a word so that words order as numbers do. NaNs lie
// beyond both infinities, and -0 directly below 0.
func ordered(t column.Type, w uint64) uint64 {
	switch t {
	case column.Int64:
		return w ^ 1<<63
	case column.Float64:
		return w ^ (uint64(int64(w)>>63) | 1<<63)
	}
	return w
}

// unordered is the inverse of ordered.
func unordered(t column.Type, o uint64) uint64 {
	switch t {
	case column.Int64:
		return o ^ 1<<63
	case column.Float64:
		return o ^ (uint64(^int64(o)>>63) | 1<<63)
	}
	return o
}

// domain returns the least and the greatest number of a type, ordered.
func domain(t column.Type) (lo, hi uint64) {
	if t == column.Float64 {
		return ordered(t, math.Float64bits(math.Inf(-1))), ordered(t, math.Float64bits(math.Inf(1)))
	}
	return 0, math.MaxUint64
}

// interval makes f the comparison of a number with a constant of any numeric
// type, by their exact values.
func (f *filter) interval(op plan.Op, v plan.Value) {
	lo, hi := domain(f.kind)
	if op == plan.Ne {
		op, f.negated = plan.Eq, !f.negated
	}
	first, last, where := place(f.kind, v)
	switch {
	case where == nowhere,
		where < 0 && (op == plan.Lt || op == plan.Le || op == plan.Eq),
		where > 0 && (op == plan.Gt || op == plan.Ge || op == plan.Eq):
		f.none = true
		return
	case where != 0: // the constant is beyond every value
		f.lo, f.hi = lo, hi
		return
	}
	switch op {
	case plan.Eq:
		lo, hi = first, last
		f.none = first > last
	case plan.Lt:
		f.none = first <= lo
		hi = first - 1
	case plan.Le:
		f.none = last < lo
		hi = last
	case plan.Gt:
		f.none = last >= hi
		lo = last + 1
	case plan.Ge:
		f.none = first > hi
		lo = first
	}
	f.lo, f.hi = lo, hi
}

// nowhere is the place of NaN.
const nowhere = 2

// place finds the numbers of type t that equal a constant: ordered, from first
// to last. If none does, first is the next greater one and last the next
// lower. where is -1 or 1 if the constant lies below or above all numbers of
// the type, or nowhere.
func place(t column.Type, v plan.Value) (first, last uint64, where int) {
	var x big.Float
	x.SetPrec(64)
	switch v.Type() {
	case column.Int64:
		x.SetInt64(int64(v.Word()))
	case column.Uint64:
		x.SetUint64(v.Word())
	default:
		c := math.Float64frombits(v.Word())
		if c != c {
			return 0, 0, nowhere
		}
		x.SetFloat64(c)
	}
	if t == column.Float64 {
		first, last = placeFloat(&x)
		return first, last, 0
	}
	lo, hi := new(big.Float).SetInt64(math.MinInt64), new(big.Float).SetInt64(math.MaxInt64)
	if t == column.Uint64 {
		lo, hi = new(big.Float), new(big.Float).SetUint64(math.MaxUint64)
	}
	switch {
	case x.Cmp(lo) < 0:
		return 0, 0, -1
	case x.Cmp(hi) > 0:
		return 0, 0, 1
	}
	whole, _ := x.Int(nil) // towards zero
	word := whole.Uint64()
	if t == column.Int64 {
		word = uint64(whole.Int64())
	}
	at := ordered(t, word)
	switch d := x.Cmp(new(big.Float).SetInt(whole)); {
	case d > 0:
		return at + 1, at, 0
	case d < 0:
		return at, at - 1, 0
	}
	return at, at, 0
}

func placeFloat(x *big.Float) (first, last uint64) {
	near, _ := x.Float64()
	at := ordered(column.Float64, math.Float64bits(near))
	if near == 0 && x.Sign() == 0 {
		zero := ordered(column.Float64, 0)
		return zero - 1, zero // -0 and 0
	}
	if math.IsInf(near, 0) {
		return at, at
	}
	switch d := x.Cmp(new(big.Float).SetFloat64(near)); {
	case d > 0:
		return at + 1, at
	case d < 0:
		return at, at - 1
	}
	return at, at
}

// bounds calls fn with each column whose value must lie between two words for
// a row to match, whatever else is asked.
func (f *filter) bounds(fn func(col int, lo, hi uint64)) {
	switch {
	case f.op == plan.And:
		for _, a := range f.args {
			a.bounds(fn)
		}
	case f.op == plan.Exists && f.col >= 0 && f.kind.Numeric() && !f.negated && !f.any && !f.none:
		fn(f.col, unordered(f.kind, f.lo), unordered(f.kind, f.hi))
	}
}

// selection is a bitmap of rows and the memory for computing it.
type selection struct {
	words []uint64
	spare [][]uint64
}

// eval returns which of the rows match, bit by bit. The bits behind the last
// row are clear. The slice is valid until the next call.
func (f *filter) eval(s *selection, rows *column.Rows) []uint64 {
	n := (rows.Len() + 63) / 64
	if cap(s.words) < n {
		s.words = make([]uint64, n)
	}
	s.words = s.words[:n]
	f.evalInto(s.words, s, rows)
	if r := rows.Len() & 63; r != 0 {
		s.words[n-1] &= 1<<uint(r) - 1
	}
	return s.words
}

func (f *filter) evalInto(dst []uint64, s *selection, rows *column.Rows) {
	if f.op == plan.Exists {
		f.leaf(dst, rows)
		return
	}
	identity := uint64(0)
	if f.op == plan.And {
		identity = math.MaxUint64
	}
	for i := range dst {
		dst[i] = identity
	}
	var part []uint64
	if k := len(s.spare); k > 0 && cap(s.spare[k-1]) >= len(dst) {
		part, s.spare = s.spare[k-1][:len(dst)], s.spare[:k-1]
	} else {
		part = make([]uint64, len(dst))
	}
	for _, a := range f.args {
		a.evalInto(part, s, rows)
		for i, w := range part {
			if f.op == plan.And {
				dst[i] &= w
			} else {
				dst[i] |= w
			}
		}
	}
	s.spare = append(s.spare, part)
}

// leaf evaluates what looks at one column.
func (f *filter) leaf(dst []uint64, rows *column.Rows) {
	if f.col < 0 || rows.Cols[f.col].Type == 0 { // no row has a value
		fill := uint64(0)
		if f.any && f.negated {
			fill = math.MaxUint64
		}
		for i := range dst {
			dst[i] = fill
		}
		return
	}
	v := &rows.Cols[f.col]
	switch {
	case f.any:
		for i := range dst {
			dst[i] = math.MaxUint64
		}
		mask(dst, v.Valid, rows.Len())
		if f.negated {
			for i := range dst {
				dst[i] = ^dst[i]
			}
		}
		return
	case f.none:
		for i := range dst {
			dst[i] = 0
		}
	case f.kind == column.String:
		f.strings(dst, v)
	default:
		within(dst, f.kind, v.Words, f.lo, f.hi)
	}
	if f.negated {
		for i := range dst {
			dst[i] = ^dst[i]
		}
	}
	mask(dst, v.Valid, rows.Len())
}

// within sets the bits of the words that lie between lo and hi. The compiler
// makes no jumps of it, so that its time does not depend on the data.
func within(dst []uint64, t column.Type, words []uint64, lo, hi uint64) {
	width := hi - lo
	for i := range dst {
		part := words[i*64 : min(i*64+64, len(words))]
		var bits uint64
		switch t {
		case column.Float64:
			for k, w := range part {
				o := w ^ (uint64(int64(w)>>63) | 1<<63)
				bits |= notAbove(o-lo, width) << (uint(k) & 63)
			}
		case column.Int64:
			low := lo ^ 1<<63
			for k, w := range part {
				bits |= notAbove(w-low, width) << (uint(k) & 63)
			}
		default:
			for k, w := range part {
				bits |= notAbove(w-lo, width) << (uint(k) & 63)
			}
		}
		dst[i] = bits
	}
}

// notAbove returns 1 if a <= b, else 0.
func notAbove(a, b uint64) uint64 {
	var r uint64
	if a <= b {
		r = 1
	}
	return r
}

func (f *filter) strings(dst []uint64, v *column.Vector) {
	for i := range dst {
		dst[i] = 0
	}
	for i := range v.Len() {
		if f.holds(v.Str(i)) {
			dst[i>>6] |= 1 << (uint(i) & 63)
		}
	}
}

func (f *filter) holds(s []byte) bool {
	if f.cmp == plan.Match {
		return f.pattern.Match(s)
	}
	c := bytes.Compare(s, f.text)
	switch f.cmp {
	case plan.Eq:
		return c == 0
	case plan.Ne:
		return c != 0
	case plan.Lt:
		return c < 0
	case plan.Le:
		return c <= 0
	case plan.Gt:
		return c > 0
	}
	return c >= 0
}

// mask clears the bits of rows without a value.
func mask(dst []uint64, valid column.Bitmap, n int) {
	if valid.All() {
		return
	}
	for i := range dst {
		dst[i] &= validWord(valid, i*64, min(64, n-i*64))
	}
}

// validWord returns width (1 to 64) bits of a bitmap from row i on.
func validWord(b column.Bitmap, i, width int) uint64 {
	i += b.Off
	w := b.Words[i>>6] >> (uint(i) & 63)
	if have := 64 - i&63; have < width {
		w |= b.Words[i>>6+1] << uint(have)
	}
	return w & (math.MaxUint64 >> uint(64-width))
}
