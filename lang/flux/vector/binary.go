package vector

import (
	"bytes"
	"math"

	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// binary is an operator other than and, or.
type binary struct {
	op   value.Operator
	a, b node
}

func (n *binary) eval(x *exec) (operand, bool) {
	a, ok := n.a.eval(x)
	if !ok {
		return a, false
	}
	b, ok := n.b.eval(x)
	if !ok {
		return b, false
	}
	if a.col == nil && b.col == nil {
		v, err := n.op.Apply(a.val, b.val)
		return constant(v), err == nil
	}
	rows := x.table.Rows
	ka, kb := a.kind(), b.kind()
	switch {
	case ka == value.Dynamic || kb == value.Dynamic:
		return a, false
	case n.op < value.Equal && (a.loose || b.loose):
		// A null of no known kind becomes one of the other operand's.
		if ka != kb || a.loose && b.loose {
			return a, false
		}
	}
	switch {
	case a.null() || b.null():
		// What is computed with a null is null, whatever the other one is.
		v, err := n.op.Apply(value.NullOf(ka), value.NullOf(kb))
		return constant(v), err == nil
	case n.op >= value.Match:
		return matches(n.op, a, b, rows)
	case n.op.Compares():
		return compare(n.op, a, b, rows)
	case ka != kb:
		return a, false
	}
	if n.op == value.Power && ka.Numeric() {
		va, sa := a.numbers(rows)
		vb, sb := b.numbers(rows)
		out := make([]float64, rows)
		for i := range out {
			out[i] = math.Pow(va[i*sa], vb[i*sb])
		}
		return floats(out, common(a.bitmap(), b.bitmap(), rows)), true
	}
	switch ka {
	case value.Int:
		va, sa := a.ints()
		vb, sb := b.ints()
		out := make([]int64, rows)
		valid := common(a.bitmap(), b.bitmap(), rows)
		if !divides(n.op, b, valid, rows) {
			return a, false
		}
		integers(n.op, out, va, vb, sa, sb)
		c := table.Ints("", out)
		return finish(ka, c.Vec.Words, valid), true
	case value.Uint:
		va, sa := a.words()
		vb, sb := b.words()
		out := make([]uint64, rows)
		valid := common(a.bitmap(), b.bitmap(), rows)
		if !divides(n.op, b, valid, rows) {
			return a, false
		}
		integers(n.op, out, va, vb, sa, sb)
		return finish(ka, out, valid), true
	case value.Float:
		va, sa := a.floats()
		vb, sb := b.floats()
		out := make([]float64, rows)
		arithmetic(n.op, out, va, vb, sa, sb)
		if n.op == value.Modulo {
			for i := range out {
				out[i] = math.Mod(va[i*sa], vb[i*sb])
			}
		}
		return floats(out, common(a.bitmap(), b.bitmap(), rows)), true
	}
	return slow(n.op, a, b, rows)
}

// divides reports whether no row divides an integer by zero.
func divides(o value.Operator, b operand, valid []uint64, rows int) bool {
	if o != value.Divide && o != value.Modulo {
		return true
	}
	w, step := b.words()
	for i := range rows {
		if w[i*step] == 0 && (valid == nil || valid[i>>6]>>(i&63)&1 != 0) {
			return false
		}
	}
	return true
}

// integers computes arithmetic of integers: what all numbers have, and the rest of
// a division. Rests by zero are left out, which only rows without a value have.
func integers[T int64 | uint64](o value.Operator, out, a, b []T, sa, sb int) {
	if o != value.Modulo {
		arithmetic(o, out, a, b, sa, sb)
		return
	}
	for i := range out {
		if y := b[i*sb]; y != 0 {
			out[i] = a[i*sa] % y
		}
	}
}

// arithmetic computes what all types of numbers have: sums, differences,
// products and quotients. A step of zero stands for one value in all rows.
// Quotients by zero are left out, which only rows without a value have.
func arithmetic[T int64 | uint64 | float64](o value.Operator, out, a, b []T, sa, sb int) {
	switch o {
	case value.Add:
		for i := range out {
			out[i] = a[i*sa] + b[i*sb]
		}
	case value.Subtract:
		for i := range out {
			out[i] = a[i*sa] - b[i*sb]
		}
	case value.Multiply:
		for i := range out {
			out[i] = a[i*sa] * b[i*sb]
		}
	case value.Divide:
		var zero, one T = 0, 1
		whole := one/2 == zero // integers
		for i := range out {
			if y := b[i*sb]; y != zero || !whole {
				out[i] = a[i*sa] / y
			}
		}
	}
}

// compare computes == != < <= > >=.
func compare(o value.Operator, a, b operand, rows int) (operand, bool) {
	out := make([]uint64, rows)
	ka, kb := a.kind(), b.kind()
	switch {
	case ka == kb && ka == value.Float, ka != kb && ka.Numeric() && kb.Numeric() && (ka == value.Float || kb == value.Float):
		va, sa := a.numbers(rows)
		vb, sb := b.numbers(rows)
		compareAll(o, out, va, vb, sa, sb)
	case ka != kb:
		return slow(o, a, b, rows)
	case ka == value.Int || ka == value.Time:
		va, sa := a.ints()
		vb, sb := b.ints()
		compareAll(o, out, va, vb, sa, sb)
	case ka == value.Uint || ka == value.Bool:
		va, sa := a.words()
		vb, sb := b.words()
		compareAll(o, out, va, vb, sa, sb)
	case ka == value.String:
		compareTexts(o, out, a, b)
	default:
		return slow(o, a, b, rows)
	}
	return finish(value.Bool, out, common(a.bitmap(), b.bitmap(), rows)), true
}

func compareAll[T int64 | uint64 | float64](o value.Operator, out []uint64, a, b []T, sa, sb int) {
	switch o {
	case value.Equal:
		for i := range out {
			out[i] = bit(a[i*sa] == b[i*sb])
		}
	case value.NotEqual:
		for i := range out {
			out[i] = bit(a[i*sa] != b[i*sb])
		}
	case value.Less:
		for i := range out {
			out[i] = bit(a[i*sa] < b[i*sb])
		}
	case value.LessEqual:
		for i := range out {
			out[i] = bit(a[i*sa] <= b[i*sb])
		}
	case value.Greater:
		for i := range out {
			out[i] = bit(a[i*sa] > b[i*sb])
		}
	case value.GreaterEqual:
		for i := range out {
			out[i] = bit(a[i*sa] >= b[i*sb])
		}
	}
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// bytesOf returns the string of an operand in row i.
func bytesOf(o operand) func(i int) []byte {
	if o.col == nil {
		s := []byte(o.val.Str())
		return func(int) []byte { return s }
	}
	return func(i int) []byte { return o.col.Vec.Str(i) }
}

func compareTexts(o value.Operator, out []uint64, a, b operand) {
	x, y := bytesOf(a), bytesOf(b)
	if o == value.Equal || o == value.NotEqual {
		for i := range out {
			out[i] = bit(bytes.Equal(x(i), y(i)) == (o == value.Equal))
		}
		return
	}
	for i := range out {
		out[i] = bit(o.Holds(bytes.Compare(x(i), y(i))))
	}
}

// matches computes =~ and !~ with an expression that is the same for all rows.
func matches(o value.Operator, a, b operand, rows int) (operand, bool) {
	if a.kind() != value.String || b.kind() != value.Regexp {
		return a, false
	}
	re := b.val.Regexp()
	out := make([]uint64, rows)
	var last []byte
	for i := range out {
		s := a.col.Vec.Str(i)
		if i > 0 && bytes.Equal(s, last) {
			out[i] = out[i-1]
			continue
		}
		last = s
		if value.Matchable(re, len(s)) != nil {
			return a, false // row by row it is an error
		}
		out[i] = bit(re.Match(s) == (o == value.Match))
	}
	return finish(value.Bool, out, common(a.bitmap(), b.bitmap(), rows)), true
}

// slow computes an operator row by row.
func slow(o value.Operator, a, b operand, rows int) (operand, bool) {
	var out collector
	for i := range rows {
		v, err := o.Apply(a.value(i), b.value(i))
		if err != nil || !out.add(v) {
			return a, false
		}
	}
	return out.operand(), true
}
