package value

import (
	"cmp"
	"encoding/hex"
	"math"
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

// Display renders any value for people, as display(v: v) does.
func (v Value) Display() string {
	var b strings.Builder
	v.display(&b)
	return b.String()
}

func (v Value) display(b *strings.Builder) {
	if v.null && v.kind != Dynamic {
		b.WriteString("<null>")
		return
	}
	switch v.kind {
	case Bytes:
		b.WriteString("0x" + hex.EncodeToString(v.Bytes()))
	case Array:
		b.WriteByte('[')
		for i, e := range v.Array() {
			if i > 0 {
				b.WriteString(", ")
			}
			e.display(b)
		}
		b.WriteByte(']')
	case Record:
		b.WriteByte('{')
		for i := range v.Record().Len() {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(v.Record().Label(i))
			b.WriteString(": ")
			v.Record().At(i).display(b)
		}
		b.WriteByte('}')
	case Dict:
		b.WriteByte('[')
		for i := range v.Dict().Len() {
			if i > 0 {
				b.WriteString(", ")
			}
			k, x := v.Dict().At(i)
			k.display(b)
			b.WriteString(": ")
			x.display(b)
		}
		b.WriteByte(']')
	case Function:
		b.WriteString(v.Func().Signature())
	case Stream:
		b.WriteString("<stream>")
	case Dynamic:
		b.WriteString("dynamic(")
		v.Inner().display(b)
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
