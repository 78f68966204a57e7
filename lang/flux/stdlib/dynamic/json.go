package dynamic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/varvedb/varve/lang/flux/value"
)

// maxDepth is how deep JSON may nest: deeper text is made to exhaust the stack.
const maxDepth = 200

// decode reads JSON. Objects keep the order of their properties.
func decode(text []byte, number func(float64) value.Value) (value.Value, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	v, err := next(d, number, 0)
	if err != nil {
		return value.Value{}, fmt.Errorf("cannot read json: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return value.Value{}, errors.New("cannot read json: there is text behind the value")
	}
	return v, nil
}

func next(d *json.Decoder, number func(float64) value.Value, depth int) (value.Value, error) {
	if depth > maxDepth {
		return value.Value{}, fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return value.Value{}, err
	}
	switch t := t.(type) {
	case nil:
		return value.NullOf(value.Null), nil
	case bool:
		return value.OfBool(t), nil
	case float64:
		return number(t), nil
	case string:
		return value.OfString(t), nil
	case json.Delim:
		if t == '[' {
			var all []value.Value
			for d.More() {
				v, err := next(d, number, depth+1)
				if err != nil {
					return value.Value{}, err
				}
				all = append(all, v)
			}
			_, err := d.Token()
			return value.OfArray(all), err
		}
		r := value.NewRecord(nil, nil)
		var labels []string
		var values []value.Value
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return value.Value{}, err
			}
			v, err := next(d, number, depth+1)
			if err != nil {
				return value.Value{}, err
			}
			labels, values = append(labels, key.(string)), append(values, v)
		}
		_, err := d.Token()
		return value.OfRecord(r.With(labels, values)), err
	}
	return value.Value{}, fmt.Errorf("unexpected %v", t)
}

// encode writes the argument v as JSON.
func encode(c *value.Call) (value.Value, error) {
	if err := c.Arg("v").Bounded(); err != nil {
		return value.Value{}, c.Errorf("%w", err)
	}
	b, err := appendJSON(nil, c.Arg("v"))
	if err != nil {
		return value.Value{}, c.Errorf("%w", err)
	}
	return value.OfBytes(b), nil
}

func appendJSON(b []byte, v value.Value) ([]byte, error) {
	if v.Kind() == value.Dynamic {
		v = v.Inner()
	}
	if v.IsNull() {
		return append(b, "null"...), nil
	}
	switch v.Kind() {
	case value.Bool, value.Int, value.Uint:
		return append(b, v.Text()...), nil
	case value.Float:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return b, fmt.Errorf("json has no number %s", v.Text())
		}
		text, err := json.Marshal(v.Float())
		return append(b, text...), err
	case value.Time:
		return appendText(b, v.Clock().Format(time.RFC3339Nano))
	case value.String, value.Duration, value.Regexp, value.Bytes:
		return appendText(b, v.Text())
	case value.Array:
		b = append(b, '[')
		for i, e := range v.Array() {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = appendJSON(b, e); err != nil {
				return b, err
			}
		}
		return append(b, ']'), nil
	case value.Record:
		return appendObject(b, v.Record().Len(), func(i int) (string, value.Value) { return v.Record().Label(i), v.Record().At(i) })
	case value.Dict:
		return appendObject(b, v.Dict().Len(), func(i int) (string, value.Value) {
			k, x := v.Dict().At(i)
			return k.Text(), x
		})
	}
	return b, fmt.Errorf("a value of type %s cannot be json", v.Kind())
}

func appendText(b []byte, s string) ([]byte, error) {
	text, err := json.Marshal(s)
	return append(b, text...), err
}

// appendObject appends n properties in the order of their labels.
func appendObject(b []byte, n int, at func(i int) (string, value.Value)) ([]byte, error) {
	type property struct {
		label string
		value value.Value
	}
	all := make([]property, n)
	for i := range all {
		all[i].label, all[i].value = at(i)
	}
	slices.SortFunc(all, func(a, b property) int { return strings.Compare(a.label, b.label) })
	b = append(b, '{')
	for i, p := range all {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendText(b, p.label); err != nil {
			return b, err
		}
		if b, err = appendJSON(append(b, ':'), p.value); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}
