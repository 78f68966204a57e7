package vector

import (
	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// unary is one of - + not exists.
type unary struct {
	op  string
	arg node
}

func (n *unary) eval(x *exec) (operand, bool) {
	a, ok := n.arg.eval(x)
	if !ok {
		return a, false
	}
	switch n.op {
	case "+":
		return a, true
	case "exists":
		if a.col == nil {
			return constant(value.OfBool(!a.val.IsNull())), true
		}
		if a.col.Vec.Valid.All() {
			return constant(value.OfBool(true)), true
		}
		out := make([]uint64, x.table.Rows)
		for i := range out {
			out[i] = bit(a.col.Vec.Valid.Get(i))
		}
		return finish(value.Bool, out, nil), true
	case "not":
		switch {
		case a.null():
			return constant(value.NullOf(value.Bool)), true
		case a.kind() != value.Bool:
			return a, false
		case a.col == nil:
			return constant(value.OfBool(!a.val.Bool())), true
		}
		out := make([]uint64, x.table.Rows)
		for i, w := range a.col.Vec.Words {
			out[i] = w ^ 1
		}
		return finish(value.Bool, out, common(a.bitmap(), column.Bitmap{}, x.table.Rows)), true
	case "-":
		if a.col == nil {
			v, err := a.val.Negate()
			return constant(v), err == nil
		}
		var out collector
		for i := range x.table.Rows {
			v, err := a.col.Value(i).Negate()
			if err != nil || !out.add(v) {
				return a, false
			}
		}
		out.loose = a.loose
		return out.operand(), true
	}
	return a, false
}

// logical is and, or. A null may turn out either way.
type logical struct {
	or   bool
	a, b node
}

func (n *logical) eval(x *exec) (operand, bool) {
	a, ok := n.a.eval(x)
	if !ok || !truth(a) {
		return a, false
	}
	if a.col == nil && !a.val.IsNull() && a.val.Bool() == n.or {
		return a, true // the other one is not looked at
	}
	b, ok := n.b.eval(x)
	if !ok || !truth(b) {
		return b, false
	}
	if a.col == nil && b.col == nil {
		return constant(n.apply(a.val, b.val)), true
	}
	rows := x.table.Rows
	if a.bitmap().All() && b.bitmap().All() && !a.null() && !b.null() {
		wa, sa := a.words()
		wb, sb := b.words()
		out := make([]uint64, rows)
		if n.or {
			for i := range out {
				out[i] = wa[i*sa] | wb[i*sb]
			}
		} else {
			for i := range out {
				out[i] = wa[i*sa] & wb[i*sb]
			}
		}
		return finish(value.Bool, out, nil), true
	}
	out := collector{col: table.NewColumn("", value.Bool)}
	for i := range rows {
		out.add(n.apply(a.value(i), b.value(i)))
	}
	return out.operand(), true
}

// truth reports whether and, or take an operand: a bool or a null.
func truth(o operand) bool { return o.kind() == value.Bool || o.null() }

// apply computes it for two values.
func (n *logical) apply(a, b value.Value) value.Value {
	switch {
	case !a.IsNull() && a.Bool() == n.or:
		return a
	case b.IsNull():
		return value.NullOf(value.Bool)
	case b.Bool() == n.or:
		return b
	case a.IsNull():
		return value.NullOf(value.Bool)
	}
	return b
}

// conditional is if then else.
type conditional struct{ test, yes, no node }

func (n *conditional) eval(x *exec) (operand, bool) {
	t, ok := n.test.eval(x)
	switch {
	case !ok || !truth(t):
		return t, false
	case t.col == nil && !t.val.IsNull() && t.val.Bool():
		return n.yes.eval(x)
	case t.col == nil:
		return n.no.eval(x)
	}
	yes, ok := n.yes.eval(x)
	if !ok {
		return yes, false
	}
	no, ok := n.no.eval(x)
	if !ok {
		return no, false
	}
	var out collector
	if k := yes.kind(); k == no.kind() && k.Columnar() {
		if k != value.String && yes.bitmap().All() && no.bitmap().All() && !yes.null() && !no.null() {
			words := make([]uint64, x.table.Rows)
			wy, sy := yes.words()
			wn, sn := no.words()
			for i, w := range t.col.Vec.Words { // of a null: zero
				if w != 0 {
					words[i] = wy[i*sy]
				} else {
					words[i] = wn[i*sn]
				}
			}
			return finish(k, words, nil), true
		}
		out.col = table.NewColumn("", k)
	}
	for i, w := range t.col.Vec.Words {
		from := no
		if w != 0 {
			from = yes
		}
		if !out.add(from.value(i)) {
			return yes, false
		}
	}
	if yes.loose || no.loose {
		// Nothing but nulls might be nulls of no known kind throughout.
		if out.col.Kind == value.Absent || out.col.Vec.Valid.Count(x.table.Rows) == 0 {
			return yes, false
		}
		out.loose = true
	}
	return out.operand(), true
}

// text is a string with expressions in it.
type text struct{ parts []node }

func (n *text) eval(x *exec) (operand, bool) {
	parts := make([]operand, len(n.parts))
	fixed := true
	for i, p := range n.parts {
		var ok bool
		if parts[i], ok = p.eval(x); !ok {
			return parts[i], false
		}
		if k := parts[i].kind(); k > value.Duration {
			return parts[i], false
		}
		fixed = fixed && parts[i].col == nil
	}
	rows := x.rows()
	if fixed {
		rows = 1
	}
	out := collector{col: table.NewColumn("", value.String)}
	var b []byte
	for i := range rows {
		b = b[:0]
		null := false
		for _, p := range parts {
			v := p.value(i)
			if null = v.IsNull(); null {
				break
			}
			b = append(b, v.Text()...)
		}
		if null {
			out.col.Vec.AppendNulls(1)
		} else {
			out.col.Vec.AppendString(b)
		}
	}
	if fixed {
		return constant(out.col.Value(0)), true
	}
	return out.operand(), true
}

// rows returns the number of rows; none if there is no table.
func (x *exec) rows() int {
	if x.table == nil {
		return 0
	}
	return x.table.Rows
}
