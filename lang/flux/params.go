package flux

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/varvedb/varve/lang/flux/value"
)

// ofJSON turns what package json decoded into a value. Numbers are json.Number
// or float64; whole json.Numbers become integers.
func ofJSON(x any) (value.Value, error) {
	switch x := x.(type) {
	case nil:
		return value.NullOf(value.Null), nil
	case bool:
		return value.OfBool(x), nil
	case string:
		return value.OfString(x), nil
	case float64:
		return value.OfFloat(x), nil
	case json.Number:
		if i, err := x.Int64(); err == nil {
			return value.OfInt(i), nil
		}
		f, err := x.Float64()
		return value.OfFloat(f), err
	case []any:
		list := make([]value.Value, len(x))
		for i, e := range x {
			var err error
			if list[i], err = ofJSON(e); err != nil {
				return value.Value{}, err
			}
		}
		return value.OfArray(list), nil
	case map[string]any:
		labels := make([]string, 0, len(x))
		for l := range x {
			labels = append(labels, l)
		}
		slices.Sort(labels)
		list := make([]value.Value, len(x))
		for i, l := range labels {
			var err error
			if list[i], err = ofJSON(x[l]); err != nil {
				return value.Value{}, err
			}
		}
		return value.OfRecord(value.NewRecord(labels, list)), nil
	}
	return value.Value{}, fmt.Errorf("a value of type %T is not supported", x)
}
