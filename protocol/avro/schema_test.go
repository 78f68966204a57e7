package avro

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/twmb/avro"

	"github.com/varvedb/varve/pipeline/record"
)

const reading = `{"type": "record", "name": "Reading", "fields": [
	{"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
	{"name": "sensor_type", "type": "string"},
	{"name": "location", "type": ["null", "string"]},
	{"name": "value", "type": "double"},
	{"name": "quality", "type": "float"}]}`

func encode(t testing.TB, schema string, v any) []byte {
	t.Helper()
	b, err := avro.MustParse(schema).Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAppendJSON(t *testing.T) {
	for _, c := range []struct {
		schema string
		value  any
		want   string
	}{
		{reading, map[string]any{"timestamp": time.UnixMilli(1767366245123), "sensor_type": "t\"\\\n", "location": nil, "value": 21.5, "quality": float32(0.1)},
			`{"location":null,"quality":0.1,"sensor_type":"t\"\\\u000a","timestamp":"2026-01-02T15:04:05.123Z","value":21.5}`},
		{`"null"`, nil, `null`},
		{`"boolean"`, true, `true`},
		{`"int"`, int32(-7), `-7`},
		{`"long"`, int64(math.MinInt64), `-9223372036854775808`},
		{`"double"`, math.NaN(), `null`},
		{`"double"`, math.Inf(-1), `null`},
		{`"double"`, 1e300, `1e+300`},
		{`"bytes"`, []byte{1, 2}, `"AQI="`},
		{`{"type": "fixed", "name": "F", "size": 2}`, []byte{1, 2}, `"AQI="`},
		{`{"type": "enum", "name": "E", "symbols": ["ON", "OFF"]}`, "OFF", `"OFF"`},
		{`{"type": "array", "items": "int"}`, []any{int32(1), int32(2)}, `[1,2]`},
		{`{"type": "map", "values": "int"}`, map[string]any{"b": int32(1), "a": int32(2)}, `{"a":2,"b":1}`},
		{`{"type": "int", "logicalType": "date"}`, time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), `"2026-01-02T00:00:00Z"`},
		{`{"type": "long", "logicalType": "timestamp-micros"}`, time.UnixMicro(1), `"1970-01-01T00:00:00.000001Z"`},
		{`{"type": "int", "logicalType": "time-millis"}`, 1500 * time.Millisecond, `1.5`},
		{`{"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}`, big.NewRat(2150, 100), `21.5`},
		{`{"type": "fixed", "size": 16, "name": "U", "logicalType": "uuid"}`, [16]byte{0x12, 15: 0x34}, `"12000000-0000-0000-0000-000000000034"`},
		{`{"type": "fixed", "size": 12, "name": "D", "logicalType": "duration"}`, avro.Duration{Months: 1, Days: 2, Milliseconds: 3}, `{"months":1,"days":2,"milliseconds":3}`},
	} {
		s, err := Parse(c.schema)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.AppendJSON([]byte("x"), encode(t, c.schema, c.value))
		if err != nil || string(got) != "x"+c.want {
			t.Errorf("%s: got %s, %v, want %s", c.schema, got, err, c.want)
		}
	}
}

func TestReferences(t *testing.T) {
	place := `{"type": "record", "name": "Place", "fields": [{"name": "city", "type": "string"}]}`
	s, err := Parse(`{"type": "record", "name": "R", "fields": [{"name": "place", "type": "Place"}]}`, place)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.AppendJSON(nil, append([]byte{2 * 5}, "seoul"...))
	if err != nil || string(got) != `{"place":{"city":"seoul"}}` {
		t.Errorf("got %s, %v", got, err)
	}
	for _, bad := range [][]string{{`{"type": "record"}`}, {`"Nowhere"`}, {`"int"`, `"Nowhere"`}} {
		if _, err := Parse(bad[0], bad[1:]...); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestRefused(t *testing.T) {
	whole := encode(t, reading, map[string]any{"timestamp": time.UnixMilli(1), "sensor_type": "t", "location": "seoul", "value": 1.0, "quality": float32(1)})
	deep := `{"type": "record", "name": "N", "fields": [{"name": "n", "type": ["null", "N"]}]}`
	for name, c := range map[string]struct {
		schema string
		text   []byte
		want   string
	}{
		"empty":         {reading, nil, ""},
		"short":         {reading, whole[:len(whole)-1], ""},
		"long":          {reading, append(whole[:len(whole):len(whole)], 0), "1 of"},
		"union":         {reading, []byte{2, 2, 't', 9, 0}, ""},
		"negative":      {`"bytes"`, []byte{1}, ""},
		"much":          {`"bytes"`, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0x1f, 1}, ""},
		"many nothings": {`{"type": "array", "items": "null"}`, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0x1f, 0}, ""},
		"deep":          {deep, append(makeFilled(100, 2), 0), "deeper"},
		"very deep":     {deep, append(makeFilled(1<<20, 2), 0), ""},
	} {
		s, err := Parse(c.schema)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.AppendJSON(nil, c.text)
		var r *record.Refusal
		if !errors.As(err, &r) || r.Reason != BadAvro || !strings.Contains(r.Detail, c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func makeFilled(n int, c byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = c
	}
	return b
}

// FuzzAppendJSON: whatever comes is refused, or becomes JSON.
func FuzzAppendJSON(f *testing.F) {
	s, err := Parse(`{"type": "record", "name": "R", "fields": [
		{"name": "time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
		{"name": "bytes", "type": "bytes"}, {"name": "text", "type": "string"},
		{"name": "numbers", "type": {"type": "array", "items": ["null", "double", "float", "long"]}},
		{"name": "more", "type": {"type": "map", "values": ["null", "R", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}]}}]}`)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{2, 2, 1, 4, 'a', '"', 4, 2, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 6, 8, 0, 2, 2, 'k', 4, 4, 1, 2, 0})
	f.Add([]byte{0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, message []byte) {
		doc, err := s.AppendJSON(nil, message)
		if err != nil {
			if r := (*record.Refusal)(nil); !errors.As(err, &r) {
				t.Fatalf("%v is no refusal", err)
			}
			return
		}
		if !json.Valid([]byte(strings.ToValidUTF8(string(doc), "?"))) {
			t.Fatalf("%q is no JSON", doc)
		}
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	s, err := Parse(reading)
	if err != nil {
		b.Fatal(err)
	}
	message := encode(b, reading, map[string]any{"timestamp": time.UnixMilli(1767366245123), "sensor_type": "temperature", "location": "seoul", "value": 21.5, "quality": float32(98)})
	var doc []byte
	b.ReportAllocs()
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		if doc, err = s.AppendJSON(doc[:0], message); err != nil {
			b.Fatal(err)
		}
	}
}
