// Package sample is data to try functions on: sampledata and generate of the
// standard library, and influxdata/influxdb/sample.
package sample

import (
	_ "embed"
	"slices"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

//go:embed sample.flux
var source string

// start is the time of the first row of all sample data, which has a row each
// ten seconds of a minute in each of two tables.
var start = time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	step = 10 * time.Second
	rows = 6
)

// Packages returns the packages.
func Packages() []*lib.Package {
	p := lib.New("sampledata").
		Value("start", value.OfTime(start.UnixNano())).
		Value("stop", value.OfTime(start.Add(rows*step).UnixNano()))
	for name, values := range map[string][2][rows]value.Value{
		"int":         each(value.OfInt, ints),
		"uint":        each(func(i int64) value.Value { return value.OfUint(uint64(i)) }, ints),
		"float":       each(value.OfFloat, [2][rows]float64{{-2.18, 10.92, 7.35, 17.53, 15.23, 4.43}, {19.85, 4.97, -3.75, 19.77, 13.86, 1.86}}),
		"string":      each(value.OfString, [2][rows]string{{"smpl_g9qczs", "smpl_0mgv9n", "smpl_phw664", "smpl_guvzy4", "smpl_5v3cce", "smpl_s9fmgy"}, {"smpl_b5eida", "smpl_eu4oxp", "smpl_5g7tz4", "smpl_sox1ut", "smpl_wfm757", "smpl_dtn2bv"}}),
		"bool":        each(func(i int64) value.Value { return value.OfBool(i != 0) }, bits),
		"numericBool": each(value.OfInt, bits),
	} {
		p.Func(name, "?includeNull: bool", func(c *value.Call) (value.Value, error) {
			return flow.New(c, &Data{Function: name, IncludeNull: c.Bool("includeNull", false), values: values}), nil
		})
	}
	s := lib.New("influxdata/influxdb/sample")
	s.Func("data", "set: string", func(c *value.Call) (value.Value, error) {
		return value.Value{}, c.Errorf("data sets are not downloaded by scripts: fetch %q by the address that sample.list() tells, and write it to a bucket", c.Str("set", ""))
	})
	return []*lib.Package{p, s.Flux(source), generate()}
}

// The values of the two tables of integers and of truth values.
var (
	ints = [2][rows]int64{{-2, 10, 7, 17, 15, 4}, {19, 4, -3, 19, 13, 1}}
	bits = [2][rows]int64{{1, 1, 0, 1, 0, 0}, {0, 1, 0, 1, 1, 0}}
)

// missing is which rows of the two tables have no value if nulls are wanted.
var missing = [2][]int{{1, 3, 4}, {0, 4}}

func each[T any](of func(T) value.Value, values [2][rows]T) (out [2][rows]value.Value) {
	for t := range values {
		for i, v := range values[t] {
			out[t][i] = of(v)
		}
	}
	return out
}

// Data is two tables of sample data, of tags t1 and t2.
type Data struct {
	Function    string
	IncludeNull bool
	values      [2][rows]value.Value
}

// Name implements flow.Op.
func (d *Data) Name() string { return "sampledata." + d.Function }

// Details implements flow.Op.
func (d *Data) Details() string {
	if d.IncludeNull {
		return "includeNull: true"
	}
	return ""
}

// Open implements flow.Op.
func (d *Data) Open(*flow.Run, []table.Reader) (table.Reader, error) {
	var tables []*table.Table
	for n, tag := range []string{"t1", "t2"} {
		at, c := table.NewColumn("_time", value.Time), table.NewColumn("_value", d.values[n][0].Kind())
		for i, v := range d.values[n] {
			at.Append(value.OfTime(start.Add(time.Duration(i) * step).UnixNano()))
			if d.IncludeNull && slices.Contains(missing[n], i) {
				v = value.NullOf(c.Kind)
			}
			c.Append(v)
		}
		t := &table.Table{Key: table.NewKey([]string{"tag"}, []value.Value{value.OfString(tag)}), Rows: rows, Cols: []table.Column{at, c}}
		tables = append(tables, t.WithKey(t.Key))
	}
	return table.NewList(tables...), nil
}
