package universe

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// conversion turns a scalar that is not null into one of another kind.
type conversion struct {
	to    value.Kind
	apply func(v value.Value) (value.Value, error)
}

// conversions adds string(), int() and their like, and toString(), toInt() and
// theirs, which convert the column _value.
func conversions(p *lib.Package) {
	for _, f := range []struct {
		name, column string
		conversion
	}{
		{"string", "toString", conversion{value.String, toText}},
		{"int", "toInt", conversion{value.Int, toInt}},
		{"uint", "toUInt", conversion{value.Uint, toUint}},
		{"float", "toFloat", conversion{value.Float, toFloat}},
		{"bool", "toBool", conversion{value.Bool, toBool}},
		{"time", "toTime", conversion{value.Time, toTime}},
		{"duration", "", conversion{value.Duration, toDuration}},
		{"bytes", "", conversion{value.Bytes, toBytes}},
	} {
		p.Func(f.name, "<-v: any", func(c *value.Call) (value.Value, error) { return f.convert(c.Args[0]) })
		if f.column != "" {
			p.Func(f.column, "<-tables: stream", func(c *value.Call) (value.Value, error) {
				return flow.New(c, &Convert{f.column, f.conversion}, flow.Input(c, "tables")), nil
			})
		}
	}
}

func (c conversion) convert(v value.Value) (value.Value, error) {
	if v.Kind() == value.Dynamic {
		v = v.Inner()
	}
	if v.IsNull() {
		return value.NullOf(c.to), nil
	}
	if v.Kind() == c.to {
		return v, nil
	}
	return c.apply(v)
}

// cannot says that a value has no counterpart of a kind.
func cannot(v value.Value, to value.Kind, why error) error {
	what := v.Kind().String()
	switch v.Kind() {
	case value.Function:
		what = v.Func().Signature()
	case value.String:
		what = fmt.Sprintf("string %q", v.Str())
	default:
		if v.Kind() <= value.Duration {
			what += " " + v.Text()
		}
	}
	if why != nil {
		var number *strconv.NumError
		if errors.As(why, &number) {
			why = number.Err
		}
		return fmt.Errorf("cannot convert %s to %s: %w", what, to, why)
	}
	return fmt.Errorf("cannot convert %s to %s", what, to)
}

func toText(v value.Value) (value.Value, error) {
	if v.Kind() > value.Bytes {
		return value.Value{}, cannot(v, value.String, nil)
	}
	return value.OfString(v.Text()), nil
}

func toInt(v value.Value) (value.Value, error) {
	switch v.Kind() {
	case value.Bool, value.Uint, value.Time:
		return value.OfInt(int64(v.Word())), nil
	case value.Float:
		return value.OfInt(int64(v.Float())), nil
	case value.String:
		i, err := strconv.ParseInt(v.Str(), 10, 64)
		if err != nil {
			return value.Value{}, cannot(v, value.Int, err)
		}
		return value.OfInt(i), nil
	case value.Duration:
		if ns, ok := v.Duration().Fixed(); ok {
			return value.OfInt(ns), nil
		}
		return value.Value{}, cannot(v, value.Int, errors.New("months differ in length"))
	}
	return value.Value{}, cannot(v, value.Int, nil)
}

func toUint(v value.Value) (value.Value, error) {
	switch v.Kind() {
	case value.Bool, value.Int, value.Time:
		return value.OfUint(v.Word()), nil
	case value.Float:
		// Through a signed number where it is negative: what wraps around.
		if f := v.Float(); f < 0 {
			return value.OfUint(uint64(int64(f))), nil
		}
		return value.OfUint(uint64(v.Float())), nil
	case value.String:
		u, err := strconv.ParseUint(v.Str(), 10, 64)
		if err != nil {
			return value.Value{}, cannot(v, value.Uint, err)
		}
		return value.OfUint(u), nil
	case value.Duration:
		if ns, ok := v.Duration().Fixed(); ok {
			return value.OfUint(uint64(ns)), nil
		}
		return value.Value{}, cannot(v, value.Uint, errors.New("months differ in length"))
	}
	return value.Value{}, cannot(v, value.Uint, nil)
}

func toFloat(v value.Value) (value.Value, error) {
	switch v.Kind() {
	case value.Bool, value.Uint:
		return value.OfFloat(float64(v.Uint())), nil
	case value.Int:
		return value.OfFloat(float64(v.Int())), nil
	case value.String:
		f, err := strconv.ParseFloat(v.Str(), 64)
		if err != nil {
			return value.Value{}, cannot(v, value.Float, err)
		}
		return value.OfFloat(f), nil
	}
	return value.Value{}, cannot(v, value.Float, nil)
}

func toBool(v value.Value) (value.Value, error) {
	switch v.Kind() {
	case value.String:
		switch v.Str() {
		case "true", "false":
			return value.OfBool(v.Str() == "true"), nil
		}
	case value.Int, value.Uint:
		if v.Word() <= 1 {
			return value.OfBool(v.Word() == 1), nil
		}
	case value.Float:
		if f := v.Float(); f == 0 || f == 1 {
			return value.OfBool(f == 1), nil
		}
	}
	return value.Value{}, cannot(v, value.Bool, nil)
}

func toTime(v value.Value) (value.Value, error) {
	switch v.Kind() {
	case value.Int:
		return value.OfTime(v.Int()), nil
	case value.Uint:
		const second = uint64(time.Second)
		return value.OfClock(time.Unix(int64(v.Uint()/second), int64(v.Uint()%second))), nil
	case value.String:
		for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
			if t, err := time.Parse(layout, v.Str()); err == nil {
				return value.OfClock(t), nil
			}
		}
		return value.Value{}, cannot(v, value.Time, errors.New("write it as in 2006-01-02T15:04:05Z"))
	}
	return value.Value{}, cannot(v, value.Time, nil)
}

func toDuration(v value.Value) (value.Value, error) {
	switch v.Kind() {
	case value.Int, value.Uint:
		return value.OfDuration(value.Span{Nanos: v.Int()}), nil
	case value.String:
		d, err := value.ParseSpan(v.Str())
		if err != nil {
			return value.Value{}, cannot(v, value.Duration, err)
		}
		return value.OfDuration(d), nil
	}
	return value.Value{}, cannot(v, value.Duration, nil)
}

func toBytes(v value.Value) (value.Value, error) {
	if v.Kind() != value.String {
		return value.Value{}, cannot(v, value.Bytes, nil)
	}
	return value.OfBytes([]byte(v.Str())), nil
}

// Convert turns the values of the column _value into another kind.
type Convert struct {
	name string
	conversion
}

// Name implements flow.Op.
func (o *Convert) Name() string { return o.name }

// Details implements flow.Op.
func (o *Convert) Details() string { return "" }

// Open implements flow.Op.
func (o *Convert) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.EachPiece(in[0], func(t *table.Table) (*table.Table, error) {
		const label = "_value"
		from := t.Col(label)
		if from == nil || from.Kind == o.to {
			return t, nil
		}
		to, err := o.column(from, t.Rows)
		if err != nil {
			return nil, err
		}
		w := t.With(to)
		if t.Key.Has(label) && t.Rows > 0 {
			w.Key = t.Key.Set(label, to.Value(0))
		}
		return w, nil
	}), nil
}

// column converts the column of a table with so many rows.
func (o *Convert) column(from *table.Column, rows int) (table.Column, error) {
	to := table.NewColumn(from.Label, o.to)
	if words := convertWords(from, o.to); words != nil {
		to.Vec.Words, to.Vec.Valid, to.Same = words, from.Vec.Valid, from.Same
		return to, nil
	}
	if from.Same {
		rows = min(rows, 1)
	}
	for i := range rows {
		v, err := o.convert(from.Value(i))
		if err != nil {
			return to, err
		}
		to.Append(v)
	}
	to.Same = from.Same && rows == 1
	return to, nil
}

// convertWords converts the values of a column all at once, for those pairs of
// kinds that never fail. nil: they may.
func convertWords(from *table.Column, to value.Kind) []uint64 {
	in := from.Vec.Words
	out := make([]uint64, len(in))
	switch to {
	case value.Int, value.Uint, value.Time:
		switch {
		case from.Kind == value.Float && to == value.Int:
			for i, w := range in {
				out[i] = uint64(int64(math.Float64frombits(w)))
			}
		case from.Kind == value.Int, to != value.Time && (from.Kind == value.Uint || from.Kind == value.Bool || from.Kind == value.Time):
			copy(out, in)
		default:
			return nil
		}
	case value.Float:
		switch from.Kind {
		case value.Int:
			for i, w := range in {
				out[i] = math.Float64bits(float64(int64(w)))
			}
		case value.Uint, value.Bool:
			for i, w := range in {
				out[i] = math.Float64bits(float64(w))
			}
		default:
			return nil
		}
	default:
		return nil
	}
	return out
}
