package universe

import (
	"math"
	"testing"

	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// columns of each kind of words, with a null.
func wordColumns() []table.Column {
	var all []table.Column
	for k, words := range map[value.Kind][]uint64{
		value.Bool:  {0, 1},
		value.Int:   {0, 7, math.MaxUint64, 1 << 63},
		value.Uint:  {0, 7, math.MaxUint64, 1 << 63},
		value.Time:  {0, 1600000000000000000, math.MaxUint64},
		value.Float: {0, math.Float64bits(1.9), math.Float64bits(-1.9), math.Float64bits(1e15)},
	} {
		c := table.NewColumn("_value", k)
		for _, w := range words {
			c.Append(value.OfWord(k, w))
		}
		c.Append(value.NullOf(k))
		all = append(all, c, table.Constant("_value", value.OfWord(k, words[1])), table.Constant("_value", value.NullOf(k)))
	}
	return all
}

// What is converted a column at once is what is converted value by value.
func TestConvertColumns(t *testing.T) {
	for _, conv := range []conversion{{value.Int, toInt}, {value.Uint, toUint}, {value.Float, toFloat}, {value.Time, toTime}, {value.Bool, toBool}, {value.String, toText}} {
		op := &Convert{"to", conv}
		for _, from := range wordColumns() {
			rows := from.Vec.Len()
			if from.Same {
				rows = 3
			}
			got, err := op.column(&from, rows)
			for i := range rows {
				want, failed := conv.convert(from.Value(i))
				if failed != nil {
					if err == nil {
						t.Errorf("%s to %s: no error: want %v", from.Kind, conv.to, failed)
					}
					break
				}
				if err != nil {
					continue
				}
				if v := got.Value(i); v.Kind() != conv.to || !value.Same(v, want) && !(v.IsNull() && want.IsNull()) {
					t.Errorf("%s %s to %s is %s: want %s", from.Kind, from.Value(i).Text(), conv.to, v.Text(), want.Text())
				}
			}
			if err == nil && got.Same != from.Same {
				t.Errorf("%s to %s: constant %v became %v", from.Kind, conv.to, from.Same, got.Same)
			}
		}
	}
}

func BenchmarkConvert(b *testing.B) {
	c := table.Ints("_value", make([]int64, 8192))
	op := &Convert{"toFloat", conversion{value.Float, toFloat}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := op.column(&c, 8192); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*8192/b.Elapsed().Seconds(), "rows/s")
}
