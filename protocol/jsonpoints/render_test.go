package jsonpoints

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/varvedb/varve/column"
)

func TestAppendLines(t *testing.T) {
	b, err := NewDecoder(Default()).Parse([]byte(`[
		{"measurement":"m","tags":{"b":"x \"y\"","a":"é"},"fields":{"f":1.5,"s":"<line\nbreak>"},"timestamp":"2026-01-02T15:04:05.000000001Z"},
		{"measurement":"m","fields":{"ok":true},"timestamp":"2026-01-02T15:04:05.000000001Z"},
		{"measurement":"n\u2028","fields":{"f":1e30},"timestamp":0}]`), func(string, string) column.Type { return 0 }, 0)
	if err != nil {
		t.Fatal(err)
	}
	ints := column.Field{Name: "i", Vector: column.Vector{Type: column.Int64}}
	ints.AppendWord(1 << 63)
	odd := column.Field{Name: "nan", Vector: column.Vector{Type: column.Float64}}
	odd.AppendFloat(math.NaN())
	none := column.Field{Name: "none", Vector: column.Vector{Type: column.Float64}}
	none.AppendNulls(1)
	last := &column.Table{Measurement: "o", Row: []uint32{0}, Time: []int64{-1}, Fields: []column.Field{ints, odd, none}}
	last.Series.Add(nil, 0)
	empty := &column.Table{Measurement: "p", Row: []uint32{0}, Time: []int64{-1}, Fields: []column.Field{none}}
	empty.Series.Add(nil, 0)
	b.Tables = append(b.Tables, last, empty)
	want := strings.Join([]string{
		`{"time":"2026-01-02T15:04:05.000000001Z","measurement":"m","tags":{"a":"é","b":"x \"y\""},"fields":{"f":1.5,"s":"\u003cline\nbreak\u003e"}}`,
		`{"time":"2026-01-02T15:04:05.000000001Z","measurement":"m","tags":{},"fields":{"ok":true}}`,
		`{"time":"1970-01-01T00:00:00Z","measurement":"n\u2028","tags":{},"fields":{"f":1e+30}}`,
		`{"time":"1969-12-31T23:59:59.999999999Z","measurement":"o","tags":{},"fields":{"i":-9223372036854775808,"nan":null}}`,
	}, "\n") + "\n"
	got := string(AppendLines(nil, b))
	if got != want {
		t.Errorf("lines are\n%swant\n%s", got, want)
	}
	for line := range strings.Lines(got) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
}

func BenchmarkAppendLines(b *testing.B) {
	var body []byte
	for i := range 1000 {
		body = append(body, `{"measurement":"sensor_data","tags":{"sensor_type":"temperature","location":"seoul"},"fields":{"value":21.5,"quality":97.25},"timestamp":`...)
		body = append(body, []byte(json.Number("17000000"+string(rune('0'+i%10))+"0"))...)
		body = append(body, "},"...)
	}
	batch, err := NewDecoder(Default()).Parse([]byte("["+strings.TrimSuffix(string(body), ",")+"]"), func(string, string) column.Type { return 0 }, 0)
	if err != nil {
		b.Fatal(err)
	}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = AppendLines(out[:0], batch)
	}
	b.SetBytes(int64(len(out)))
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "rows/s")
}
