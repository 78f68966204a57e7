package jsonrecord

import (
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
)

func mapping(t testing.TB, text string) *Config {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	s := declare.Section(n.Content[0], "json")
	c := Declare(s)
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return &c
}

const platform = `{measurement: sensor_data, time: timestamp, tags: [sensor_type, location], fields: {value: float, quality: float}}`

// shown writes records for comparison.
func shown(l *record.List) []string {
	var all []string
	for i := range l.Len() {
		r := l.At(i)
		var b strings.Builder
		b.WriteString(r.Measurement)
		for _, t := range r.Tags {
			fmt.Fprintf(&b, ",%s=%s", t.Key, t.Value)
		}
		for _, f := range r.Fields {
			fmt.Fprintf(&b, " %s=%v:%s", f.Name, f.Type, f.Text())
		}
		if r.Timed {
			fmt.Fprintf(&b, " @%d", r.Time)
		}
		all = append(all, b.String())
	}
	return all
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name, mapping, message string
		want                   []string
	}{
		{"platform", platform, `{"timestamp":"2026-01-02T15:04:05Z","sensor_type":"t","location":"seoul","value":21.5,"quality":98}`,
			[]string{"sensor_data,sensor_type=t,location=seoul value=float:21.5 quality=float:98 @1767366245000000000"}},
		{"without zone", platform, `{"timestamp":"2026-01-02T15:04:05.25"}`, []string{"sensor_data @1767366245250000000"}},
		{"absent and null", platform, ` { "value" : null , "location":"" } `, []string{"sensor_data"}},
		{"array", platform, `[{"value":1},{"value":-2e1}]`, []string{"sensor_data value=float:1", "sensor_data value=float:-20"}},
		{"empty array", platform, `[]`, nil},
		{"later of two", platform, `{"value":1,"value":2}`, []string{"sensor_data value=float:2"}},
		{"tag of a number", platform, `{"location":7,"sensor_type":true}`, []string{"sensor_data,sensor_type=true,location=7"}},
		{"escapes", `{measurement: m, tags: [a], rest: fields}`, `{"a":"x\"\u00e9\ud83d\ude00\/","b\n":"\t"}`, []string{"m,a=x\"é😀/ b\n=string:\t"}},
		{"each", `{each: data.readings, measurement: m, time: {path: t, unit: ms}, tags: {site: $.site}, fields: {v: {path: "x[1].v", type: int}}}`,
			`{"site":"s1","data":{"readings":[{"t":1767366245123,"x":[0,{"v":3}]},{"t":1767366245124,"x":[0,{"v":4.0}]}]}}`,
			[]string{"m,site=s1 v=integer:3 @1767366245123000000", "m,site=s1 v=integer:4 @1767366245124000000"}},
		{"zone", `{measurement: m, time: {path: t, zone: Asia/Seoul}, fields: {v: float}}`, `[{"t":"2026-01-03 00:04:05","v":1},{"t":"2026-01-02T15:04:05Z","v":1}]`,
			[]string{"m v=float:1 @1767366245000000000", "m v=float:1 @1767366245000000000"}},
		{"unit by size", `{measurement: m, time: t, fields: {v: bool}}`, `[{"t":1767366245,"v":true},{"t":1767366245000,"v":false},{"t":"1767366245","v":true},{"t":1767366245.5,"v":true}]`,
			[]string{"m v=boolean:true @1767366245000000000", "m v=boolean:false @1767366245000000000", "m v=boolean:true @1767366245000000000", "m v=boolean:true @1767366245500000000"}},
		{"whole times with a point or an exponent", `{measurement: m, time: t, fields: {v: bool}}`,
			`[{"t":1.767366245e18,"v":true},{"t":1767366245000000001.0,"v":true},{"t":"1767366245000000000.0","v":true},{"t":1.767366245e12,"v":true}]`,
			[]string{"m v=boolean:true @1767366245000000000", "m v=boolean:true @1767366245000000001", "m v=boolean:true @1767366245000000000", "m v=boolean:true @1767366245000000000"}},
		{"whole numbers to the last digit", `{measurement: m, fields: {i: int, u: uint}}`, `{"i":-9223372036854775808.0,"u":18446744073709551615.00}`,
			[]string{"m i=integer:-9223372036854775808 u=unsigned:18446744073709551615"}},
		{"measurement path", `{measurement: other, measurement_path: kind, fields: {v: float}}`, `[{"kind":"a","v":1},{"v":2}]`,
			[]string{"a v=float:1", "other v=float:2"}},
		{"rest", `{measurement: m, time: t, tags: [id]}`, `{"id":"d","t":1767366245,"a":{"b":1,"c":[true,"x"]},"d":null,"e":{}}`,
			[]string{"m,id=d a.b=float:1 a.c.0=boolean:true a.c.1=string:x @1767366245000000000"}},
		{"types", `{measurement: m, fields: {i: int, u: uint, s: string, o: {path: o, type: string}}}`, `{"i":-9223372036854775808,"u":18446744073709551615,"s":1.50,"o":{"k":[1]}}`,
			[]string{`m i=integer:-9223372036854775808 u=unsigned:18446744073709551615 s=string:1.50 o=string:{"k":[1]}`}},
		{"quoted key", `{measurement: m, fields: {v: {path: '"a.b".c', type: float}}}`, `{"a.b":{"c":1}}`, []string{"m v=float:1"}},
	} {
		var l record.List
		if err := New(mapping(t, c.mapping)).Decode([]byte(c.message), 0, &l); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, shown(&l)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestRefusals(t *testing.T) {
	deep := strings.Repeat("[", 70) + strings.Repeat("]", 70)
	for _, c := range []struct{ name, mapping, message, reason, says string }{
		{"empty", platform, ``, BadJSON, "at byte 0: want a value, found the end"},
		{"torn", platform, `{"value":1`, BadJSON, "want a comma or }"},
		{"trailing", platform, `{} {}`, BadJSON, "want the end behind the document"},
		{"NaN", platform, `{"value":NaN}`, BadJSON, "want a value"},
		{"leading zero", platform, `{"value":01}`, BadJSON, "not a number in JSON"},
		{"control character", platform, "{\"location\":\"a\nb\"}", BadJSON, "control character"},
		{"escape", platform, `{"location":"\x"}`, BadJSON, "no escape"},
		{"escape where nobody looks", platform, `{"other":{"\u12":1}}`, BadJSON, "at byte 11: want four hexadecimal digits"},
		{"not UTF-8", platform, "{\"location\":\"\xff\"}", BadUTF8, "at byte 13"},
		{"deep", platform, deep, BadJSON, "nested more than 64 deep"},
		{"number", platform, `5`, WrongType, "a reading is an object, not a number"},
		{"array of numbers", platform, `[5]`, WrongType, "a reading is an object"},
		{"text for a number", platform, `{"value":"5"}`, WrongType, `field value is the text "5", want a number`},
		{"too large", platform, `{"value":1e999}`, WrongType, "too large"},
		{"fraction for an integer", `{measurement: m, fields: {v: int}}`, `{"v":1.5}`, WrongType, "want a whole number"},
		{"object for a tag", platform, `{"location":{}}`, WrongType, "a tag is a text"},
		{"time in words", platform, `{"timestamp":"yesterday"}`, BadTime, "want a time such as"},
		{"year 9999", platform, `{"timestamp":"9999-12-31T00:00:00Z"}`, BadTime, "outside of the years 1677 to 2262"},
		{"huge time", platform, `{"timestamp":1e300}`, BadTime, "outside of the years 1677 to 2262"},
		{"very huge time", platform, `{"timestamp":1e999}`, BadTime, "outside of the years 1677 to 2262"},
		{"beyond the years by the zone", `{measurement: m, time: {path: t, zone: America/New_York}, fields: {v: float}}`, `{"t":"2262-04-11T23:47:00","v":1}`, BadTime,
			`t: "2262-04-11T23:47:00" in America/New_York is outside of the years 1677 to 2262`},
		{"before the years by the zone", `{measurement: m, time: {path: t, zone: Asia/Seoul}, fields: {v: float}}`, `{"t":"1677-09-21T00:13:00","v":1}`, BadTime,
			"is outside of the years 1677 to 2262"},
		{"beyond the years by a fraction", `{measurement: m, time: {path: t, unit: s}}`, `{"t":9223372036.854776}`, BadTime, "is outside of the years 1677 to 2262"},
		{"year 9999 in seconds", `{measurement: m, time: {path: t, unit: s}}`, `{"t":253402300799}`, BadTime, "t: \"253402300799\" is outside of the years 1677 to 2262"},
		{"year 9999 in seconds, with a fraction", `{measurement: m, time: {path: t, unit: s}}`, `{"t":253402300799.5}`, BadTime, "is outside of the years 1677 to 2262"},
		{"year 9999 as a text", `{measurement: m, time: {path: t, zone: Asia/Seoul}}`, `{"t":"9999-12-31T23:59:59"}`, BadTime, "outside of the years 1677 to 2262"},
		{"no number in quotes", `{measurement: m, time: {path: t, unit: s}}`, `{"t":"nan"}`, BadTime, `t: "nan": want a time such as`},
		{"milliseconds and a half", platform, `{"timestamp":1767366245000.5}`, BadTime, "is not whole and too large for seconds"},
		{"nothing at the path", `{each: a.b, measurement: m, fields: {v: float}}`, `{"a":1}`, WrongType, "there is no array at a.b"},
		{"second of two", platform, `[{"value":1},{"value":"x"}]`, WrongType, "want a number"},
	} {
		var l record.List
		l.Add(0).Measurement = "before"
		err := New(mapping(t, c.mapping)).Decode([]byte(c.message), 1, &l)
		refusal, ok := err.(*record.Refusal)
		if !ok || refusal.Reason != c.reason || !strings.Contains(refusal.Detail, c.says) {
			t.Errorf("%s: got %v, want %s: …%s…", c.name, err, c.reason, c.says)
		}
		if l.Len() != 1 || l.At(0).Measurement != "before" {
			t.Errorf("%s: records are left: %v", c.name, shown(&l))
		}
	}
}

// TestQuotedTimes: a text is a time if it is one, or a number and no more.
func TestQuotedTimes(t *testing.T) {
	for _, unit := range []string{"auto", "s", "ms", "us", "ns"} {
		d := New(mapping(t, `{measurement: m, time: {path: t, unit: `+unit+`}, fields: {v: float}}`))
		for _, text := range []string{"", " ", "-", ".", "error", "e5", "Early", "12eggs", "1e", "0e:", "1.", ".5", "+5", "007", "5 ", "0x5", "nan", "inf"} {
			var l record.List
			err := d.Decode([]byte(`{"t":"`+text+`","v":1}`), 0, &l)
			if refusal, ok := err.(*record.Refusal); !ok || refusal.Reason != BadTime {
				t.Errorf("unit %s: %q: got %v, %v: want %s", unit, text, shown(&l), err, BadTime)
			}
		}
		for _, text := range []string{"0", "-0", "1e0", "1.5", "-12"} {
			var l record.List
			if err := d.Decode([]byte(`{"t":"`+text+`","v":1}`), 0, &l); err != nil || !l.At(0).Timed {
				t.Errorf("unit %s: %q: %v", unit, text, err)
			}
		}
	}
}

// TestLongNames: a message does not make hundreds of times its size of itself by
// names that lie around many values.
func TestLongNames(t *testing.T) {
	values := strings.Repeat(",1", 8000)[1:]
	nulls := strings.Repeat(",null", 8000)[1:]
	for name, c := range map[string]struct{ message, says string }{
		"a long one around many":      {`{"` + strings.Repeat("k", 60_000) + `":[` + values + `]}`, "more than 16 times"},
		"a long one around nothing":   {`{"` + strings.Repeat("k", 60_000) + `":[` + nulls + `]}`, "more than 16 times"},
		"a long one in many readings": {`[` + strings.Repeat(`{"`+strings.Repeat("k", 4000)+`":[`+values[:3999]+`]},`, 20) + `{}]`, "more than 16 times"},
		"one that no store takes":     {`{"` + strings.Repeat("k", 70_000) + `":[1]}`, ""}, // as it finds itself
		"long ones that are nested":   {strings.Repeat(`{"`+strings.Repeat("k", 1000)+`":`, 60) + `[` + values + `]` + strings.Repeat("}", 60), "more than 16 times"},
		"a usual one around many":     {`{"device":{"samples":[` + values + `]}}`, ""},
		"a long one around few":       {`{"` + strings.Repeat("k", 200) + `":[` + values[:199] + `]}`, ""},
	} {
		d := New(mapping(t, `{measurement: m}`))
		var l record.List
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := d.Decode([]byte(c.message), 0, &l)
		runtime.ReadMemStats(&after)
		refusal, ok := err.(*record.Refusal)
		if ok != (c.says != "") || ok && (refusal.Reason != record.TooLarge || !strings.Contains(refusal.Detail, c.says)) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
			t.Errorf("%s: %d bytes took %d", name, len(c.message), took)
		}
	}
}

// TestRootsOfManyReadings: what is found from the document is not looked for again
// by each reading, which took seconds.
func TestRootsOfManyReadings(t *testing.T) {
	message := `{"site":"x"` + strings.Repeat(`,"a":1`, 100_000) + `,"kind":"k","t":5,"f":2,"r":[{"v":1}` + strings.Repeat(`,{"v":1}`, 20_000) + `]}`
	d := New(mapping(t, `{each: r, measurement_path: $.kind, time: $.t, tags: {site: $.site}, fields: {f: {path: $.f, type: int}, v: float}}`))
	var l record.List
	began := time.Now()
	if err := d.Decode([]byte(message), 0, &l); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("%d readings took %s", l.Len(), took)
	}
	all := shown(&l)
	for _, i := range []int{0, 20_000} {
		if want := "k,site=x f=integer:2 v=float:1 @5000000000"; all[i] != want {
			t.Errorf("reading %d is %s, want %s", i, all[i], want)
		}
	}
	// They are those of the message.
	l.Reset()
	if err := d.Decode([]byte(`{"kind":"other","r":[{"v":2}]}`), 0, &l); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"other v=float:2"}, shown(&l)); diff != "" {
		t.Error(diff)
	}
}

// TestRepeatedKeys: a key that stands again costs the same however many fields are
// there already.
func TestRepeatedKeys(t *testing.T) {
	for _, fields := range []int{manyFields - 1, manyFields, manyFields + 1} {
		var b strings.Builder
		b.WriteString("{")
		for i := range fields {
			fmt.Fprintf(&b, `"f%d":1,`, i)
		}
		b.WriteString(strings.Repeat(`"f1":2,`, 10_000) + `"f2":3}`)
		d := New(mapping(t, `{measurement: m}`))
		var l record.List
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := d.Decode([]byte(b.String()), 0, &l); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 5<<20 {
			t.Errorf("%d bytes with %d fields took %d", b.Len(), fields, took)
		}
		if n := len(l.At(0).Fields); n != fields {
			t.Errorf("%d fields, want %d", n, fields)
		}
	}
}

// TestManyFields: each of very many fields is there once, with its last value, in
// one record after the other.
func TestManyFields(t *testing.T) {
	var b strings.Builder
	b.WriteString("[")
	for r := range 3 {
		if r > 0 {
			b.WriteString(",")
		}
		b.WriteString("{")
		for i := range 300 {
			fmt.Fprintf(&b, `"f%d":%d,`, i%200, r*1000+i)
		}
		b.WriteString(`"last":1}`)
	}
	b.WriteString("]")
	var l record.List
	if err := New(mapping(t, `{measurement: m}`)).Decode([]byte(b.String()), 0, &l); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		r := l.At(i)
		if len(r.Fields) != 201 {
			t.Fatalf("record %d has %d fields", i, len(r.Fields))
		}
		for k := range 200 {
			want := float64(i*1000 + k)
			if k < 100 {
				want += 200
			}
			if got, _ := r.Field(fmt.Sprint("f", k)).Number(); got != want {
				t.Fatalf("record %d, field %d: %v, want %v", i, k, got, want)
			}
		}
	}
}

// FuzzDecode: whatever comes, the decoder takes what encoding/json takes and
// refuses what it refuses, and numbers and texts are those that it reads.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"timestamp":"2026-01-02T15:04:05Z","sensor_type":"t","location":"seoul","value":21.5,"quality":98}`,
		`[{"value":1},{"value":-2.5e-3}]`, `{"a":{"b":[1,"x",null,true]}}`, `{"value":"\ud83d\ude00"}`, `[[[[]]]]`, `{"v":123456789012345678901234567890}`} {
		f.Add([]byte(s))
	}
	fixed, open := mapping(f, platform), mapping(f, `{measurement: m}`)
	f.Fuzz(func(t *testing.T, message []byte) {
		var l record.List
		_ = New(fixed).Decode(message, 0, &l)
		l.Reset()
		err := New(open).Decode(message, 0, &l)
		if refusal, ok := err.(*record.Refusal); ok && (refusal.Reason == BadJSON || refusal.Reason == BadUTF8) {
			if json.Valid(message) && refusal.Reason == BadJSON && !strings.Contains(refusal.Detail, "deep") {
				t.Fatalf("refused although it is JSON: %s", err)
			}
			return
		}
		if err == nil && !json.Valid(message) {
			t.Fatalf("taken although it is not JSON: %q", message)
		}
		var flat map[string]any
		if err != nil || json.Unmarshal(message, &flat) != nil {
			return
		}
		for key, want := range flat {
			if strings.Contains(key, ".") {
				continue // two ways to the same name
			}
			got := l.At(0).Field(key)
			switch want := want.(type) {
			case float64:
				if got.Type != column.Float64 || math.Float64frombits(got.Word) != want {
					t.Fatalf("%q is %v, want %v", key, got.Text(), want)
				}
			case string:
				if got.Str != want {
					t.Fatalf("%q is %q, want %q", key, got.Str, want)
				}
			case bool:
				if got.Type != column.Bool || (got.Word != 0) != want {
					t.Fatalf("%q is %v, want %v", key, got.Text(), want)
				}
			}
		}
	})
}

func BenchmarkRest(b *testing.B) {
	message := []byte(`{"timestamp":"2026-01-02T15:04:05.123Z","device":{"sensor_type":"temperature","location":"seoul"},"data":{"value":21.53,"quality":98.2,"samples":[1.5,2.5,3.5]}}`)
	d := New(mapping(b, `{measurement: m, time: timestamp, tags: [device.location]}`))
	var l record.List
	b.ReportAllocs()
	for b.Loop() {
		l.Reset()
		if err := d.Decode(message, 0, &l); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	message := []byte(`{"timestamp":"2026-01-02T15:04:05.123Z","sensor_type":"temperature","location":"seoul","value":21.53,"quality":98.2}`)
	d := New(mapping(b, platform))
	var l record.List
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		l.Reset()
		if err := d.Decode(message, 0, &l); err != nil {
			b.Fatal(err)
		}
	}
}
