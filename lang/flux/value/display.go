package value

import (
	"cmp"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Text returns what string(v: v) and the interpolation of strings make of a
// scalar.
func (v Value) Text() string {
	if v.null {
		return "<null>"
	}
	switch v.kind {
	case Bool:
		return strconv.FormatBool(v.Bool())
	case Int:
		return strconv.FormatInt(v.Int(), 10)
	case Uint:
		return strconv.FormatUint(v.num, 10)
	case Float:
		return FormatFloat(v.Float())
	case String:
		return v.str
	case Time:
		return v.Clock().Format(time.RFC3339Nano)
	case Duration:
		return v.Duration().String()
	case Regexp:
		return v.Regexp().String()
	case Bytes:
		return string(v.Bytes())
	}
	return v.Display()
}

// FormatFloat renders a float in the fewest digits that read back as the same,
// never with an exponent.
func FormatFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "+Inf"
	case math.IsInf(f, -1):
		return "-Inf"
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// Display renders any value for people, as display(v: v) does: compound values
// of more than a few parts with a line for each, records in the order of labels
// and dictionaries in that of keys.
// What is too large for that is named and no more.
func (v Value) Display() string {
	if v.Bounded() != nil {
		return "<" + v.kind.String() + ">"
	}
	var b strings.Builder
	v.display(&b, 0)
	return b.String()
}

// fewParts is how many parts of a compound value stand in one line.
const fewParts = 3

// parts renders n parts between brackets.
func parts(b *strings.Builder, open, end string, n, indent int, part func(i, indent int)) {
	b.WriteString(open)
	for i := range n {
		if n > fewParts {
			b.WriteString("\n" + strings.Repeat("    ", indent+1))
			part(i, indent+1)
			if i < n-1 {
				b.WriteByte(',')
			}
			continue
		}
		if i > 0 {
			b.WriteString(", ")
		}
		part(i, indent)
	}
	if n > fewParts {
		b.WriteString("\n" + strings.Repeat("    ", indent))
	}
	b.WriteString(end)
}

// ordered returns the places of n parts in their order.
func ordered(n int, compare func(i, j int) int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, compare)
	return order
}

func (v Value) display(b *strings.Builder, indent int) {
	if v.null && v.kind != Dynamic {
		b.WriteString("<null>")
		return
	}
	switch v.kind {
	case Bytes:
		b.WriteString("0x" + hex.EncodeToString(v.Bytes()))
	case Time:
		b.WriteString(v.Clock().Format("2006-01-02T15:04:05.000000000Z07:00"))
	case Array:
		list := v.Array()
		parts(b, "[", "]", len(list), indent, func(i, indent int) { list[i].display(b, indent) })
	case Record:
		r := v.Record()
		order := ordered(r.Len(), func(i, j int) int { return strings.Compare(r.Label(i), r.Label(j)) })
		parts(b, "{", "}", r.Len(), indent, func(i, indent int) {
			b.WriteString(r.Label(order[i]) + ": ")
			r.At(order[i]).display(b, indent)
		})
	case Dict:
		d := v.Dict()
		if d.Len() == 0 {
			b.WriteString("[:]")
			return
		}
		order := ordered(d.Len(), func(i, j int) int {
			a, _ := d.At(i)
			b, _ := d.At(j)
			c, _ := Compare(a, b)
			return c
		})
		parts(b, "[", "]", d.Len(), indent, func(i, indent int) {
			k, x := d.At(order[i])
			k.display(b, indent)
			b.WriteString(": ")
			x.display(b, indent)
		})
	case Function:
		b.WriteString(v.Func().Signature())
	case Stream:
		b.WriteString("<stream>")
	case Dynamic:
		b.WriteString("dynamic(")
		v.Inner().display(b, indent)
		b.WriteByte(')')
	default:
		b.WriteString(v.Text())
	}
}

// Signature renders the parameters of f, like (<-tables, n, ?offset).
func (f *Func) Signature() string {
	var b strings.Builder
	b.WriteByte('(')
	for i, p := range f.Params {
		if i > 0 {
			b.WriteString(", ")
		}
		switch {
		case p.Pipe:
			b.WriteString("<-")
		case p.Optional:
			b.WriteByte('?')
		}
		b.WriteString(p.Name)
	}
	b.WriteString(") => " + cmp.Or(f.Result, "any"))
	return b.String()
}
