package jsonpoints

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/column"
)

const arrival = int64(1_700_000_000_123_456_789)

// noTypes is a schema without fields.
func noTypes(string, string) column.Type { return 0 }

// row is a row of a batch as text.
type row struct {
	Series string // measurement and key
	Time   int64
	Fields string
}

// rows lists a batch. Values show their type: 1f, 1i, 1u, "s", true.
func rows(b *column.Batch) []row {
	var all []row
	for _, t := range b.Tables {
		for i, at := range t.Time {
			r := row{t.Measurement + "," + string(t.Series.Key(int(t.Row[i]))), at, ""}
			for k := range t.Fields {
				if f := &t.Fields[k]; f.Valid.Get(i) {
					r.Fields += f.Name + "=" + text(&f.Vector, i) + " "
				}
			}
			all = append(all, r)
		}
	}
	return all
}

func text(v *column.Vector, i int) string {
	switch v.Type {
	case column.Float64:
		return fmt.Sprintf("%vf", math.Float64frombits(v.Words[i]))
	case column.Int64:
		return fmt.Sprintf("%di", int64(v.Words[i]))
	case column.Uint64:
		return fmt.Sprintf("%du", v.Words[i])
	case column.Bool:
		return fmt.Sprint(v.Words[i] == 1)
	}
	return fmt.Sprintf("%q", v.Str(i))
}

func TestPoints(t *testing.T) {
	types := func(m, f string) column.Type {
		return map[string]column.Type{"m.int": column.Int64, "m.uint": column.Uint64, "m.float": column.Float64, "m.text": column.String}[m+"."+f]
	}
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC).UnixNano()
	one := func(fields string) []row { return []row{{"m,", arrival, fields}} }
	for _, test := range []struct {
		body string
		want []row
	}{
		{`[]`, nil},
		{`{"measurement":"m","fields":{"a":1}}`, one("a=1f ")},
		{` [ {"fields" : { "a" : 1.5 , "b":true,"c":false,"d":"x\ty","e":null } , "tags":{"z":"1","a":"2 3","n":null,"o":""},
			"measurement":"m","timestamp":"2026-01-02T15:04:05Z"} ] `,
			[]row{{`m,a=2\ 3,z=1`, at, `a=1.5f b=true c=false d="x\ty" `}}},
		{`{"measurement":"m","tags":null,"fields":{"a":1},"timestamp":null}`, one("a=1f ")},
		{`{"measurement":"m","tags":{},"fields":{"a":-0.0}}`, one("a=-0f ")},
		// A number is what its field is registered as.
		{`{"measurement":"m","fields":{"int":3,"uint":4,"float":5,"text":6}}`, one("int=3i uint=4u float=5f text=6f ")},
		{`{"measurement":"m","fields":{"int":3.0,"uint":4e0,"float":5.5}}`, one("int=3i uint=4u float=5.5f ")},
		{`{"measurement":"m","fields":{"int":-9223372036854775808,"uint":18446744073709551615}}`, one("int=-9223372036854775808i uint=18446744073709551615u ")},
		{`{"measurement":"m","fields":{"int":9007199254740993}}`, one("int=9007199254740993i ")},
		{`{"measurement":"m","fields":{"int":9007199254740991.4,"uint":1.00000000000000000001}}`, one("int=9.007199254740991e+15f uint=1f ")},
		{`{"measurement":"m","fields":{"int":-4503599627370497.25,"uint":1e-400}}`, one("int=-4.503599627370497e+15f uint=0f ")},
		{`{"measurement":"m","fields":{"int":-9007199254740991.00,"uint":1.0000000000000000000000}}`, one("int=-9007199254740991i uint=1u ")},
		{`{"measurement":"m","fields":{"int":9223372036854775808,"uint":-1}}`, one("int=9.223372036854776e+18f uint=-1f ")},
		{`{"measurement":"m","fields":{"int":1.5,"uint":1e300}}`, one("int=1.5f uint=1e+300f ")},
		{`{"measurement":"m","fields":{"int":-0}}`, one("int=0i ")},
		// Later counts; types that change continue in another table, in order.
		{`{"measurement":"m","fields":{"a":1,"b":2,"a":"x"}}`, one(`a="x" b=2f `)},
		{`[{"measurement":"m","fields":{"a":1}},{"measurement":"m","fields":{"a":"x"}},{"measurement":"m","fields":{"a":2}},{"measurement":"m","fields":{"b":2}}]`,
			[]row{{"m,", arrival, "a=1f "}, {"m,", arrival, `a="x" `}, {"m,", arrival, "a=2f "}, {"m,", arrival, "b=2f "}}},
		{`[{"measurement":"m","fields":{"a":1}},{"measurement":"n","fields":{"a":true}},{"measurement":"m","tags":{"t":"1"},"fields":{"b":2}},{"measurement":"m","fields":{"a":3}}]`,
			[]row{{"m,", arrival, "a=1f "}, {"m,t=1", arrival, "b=2f "}, {"m,", arrival, "a=3f "}, {"n,", arrival, "a=true "}}},
		{`{"measurement":"\u00e9\ud83d\ude00\ud800x","tags":{"\"":"a,b=c\\d"},"fields":{"\/\b\f\n":"\n"}}`, nil}, // refused below
		{`{"measurement":"\u00e9\ud83d\ude00\ud800x","tags":{"\"":"a,b=c\\d"},"fields":{"\/":"\n"}}`,
			[]row{{"é😀\ufffdx," + `"=a\,b\=c\\d`, arrival, `/="\n" `}}},
	} {
		d := NewDecoder(Default())
		b, err := d.Parse([]byte(test.body), types, arrival)
		if strings.Contains(test.body, `\b\f`) {
			if err == nil {
				t.Errorf("%s is taken", test.body)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.body, err)
			continue
		}
		if d := cmp.Diff(test.want, rows(b)); d != "" {
			t.Errorf("%s:\n%s", test.body, d)
		}
	}
}

func TestRefused(t *testing.T) {
	c := Default()
	c.MaxPointBytes, c.MaxTags, c.MaxFields, c.MaxTables, c.MaxColumns = 1000, 2, 3, 3, 4
	p := func(rest string) string { return `{"measurement":"m","fields":{"a":1}` + rest }
	for _, test := range []struct{ body, want string }{
		{"", "neither a point"},
		{"7", "neither a point"},
		{`"x"`, "neither a point"},
		{"m f=1", "neither a point"},
		{p(`}x`), "comes behind the end"},
		{p(`},`), "comes behind the end"},
		{p(``), "found the end of the body"},
		{p(`,}`), "want a key in quotes"},
		{p(`,"time":1}`), `key "time" is not known`},
		{p(`,"fields":{"a":1}}`), `key "fields" stands twice`},
		{`[` + p(`}`) + `,` + `7]`, "point 2 (byte 38): a point is an object"},
		{`[` + p(`}`) + `,]`, "a point is an object"},
		{`[` + p(`}`) + p(`}`) + `]`, "want a comma or ]"},
		{`[` + p(`}`), "found the end of the body"},
		{`{}`, "measurement is missing"},
		{`{"measurement":"m"}`, "fields is missing"},
		{`{"measurement":7,"fields":{"a":1}}`, "measurement is a string"},
		{`{"measurement":"","fields":{"a":1}}`, "measurement is empty"},
		{`{"measurement":"#m","fields":{"a":1}}`, "begins with #"},
		{`{"measurement":"m\n","fields":{"a":1}}`, "control character"},
		{`{"measurement":"m\\","fields":{"a":1}}`, "backslash"},
		{`{"measurement":"m","fields":{}}`, "no value that is not null"},
		{`{"measurement":"m","fields":{"a":null}}`, "no value that is not null"},
		{`{"measurement":"m","fields":null}`, "fields is an object"},
		{`{"measurement":"m","fields":[1]}`, "fields is an object"},
		{`{"measurement":"m","fields":{"a":[1]}}`, "object or array"},
		{`{"measurement":"m","fields":{"a":{}}}`, "object or array"},
		{`{"measurement":"m","fields":{"a":NaN}}`, "write null"},
		{`{"measurement":"m","fields":{"a":Infinity}}`, "write null"},
		{`{"measurement":"m","fields":{"a":-Infinity}}`, "not a number"},
		{`{"measurement":"m","fields":{"a":01}}`, "begins with 0"},
		{`{"measurement":"m","fields":{"a":1.}}`, "no digit behind the point"},
		{`{"measurement":"m","fields":{"a":1e}}`, "exponent without a digit"},
		{`{"measurement":"m","fields":{"a":1e999}}`, "too large for a float"},
		{`{"measurement":"m","fields":{"a":+1}}`, "no value that JSON knows"},
		{`{"measurement":"m","fields":{"a":nul}}`, "want null"},
		{`{"measurement":"m","fields":{"a":truex}}`, "want a comma"},
		{`{"measurement":"m","fields":{"":1}}`, "field is empty"},
		{`{"measurement":"m","fields":{"a" 1}}`, "want a colon"},
		{`{"measurement":"m","fields":{"a":1,"b":2,"c":3,"d":4}}`, "more than 3 fields"},
		{`{"measurement":"m","fields":{"a":"\x"}}`, "which JSON does not have"},
		{`{"measurement":"m","fields":{"a":"\u12g4"}}`, "four hexadecimal digits"},
		{"{\"measurement\":\"m\",\"fields\":{\"a\":\"\n\"}}", "control character"},
		{`{"measurement":"m","fields":{"a":"x`, "closing quote"},
		{"{\"measurement\":\"\xff\",\"fields\":{\"a\":1}}", "not UTF-8"},
		{p(`,"tags":{"a":1}}`), `tag "a" is not a string`},
		{p(`,"tags":{"a":"1","a":"2"}}`), "stands twice"},
		{p(`,"tags":{"a":"1","b":"2","c":"3"}}`), "more than 2 tags"},
		{p(`,"tags":["a"]}`), "tags is an object"},
		{p(`,"tags":{"a":"b"]}`), "want a comma"},
		{p(`,"tags":{"a\u0000":"b"}}`), "control character"},
		{p(`,"timestamp":"yesterday"}`), "want a time such as"},
		{p(`,"timestamp":true}`), "timestamp is a string"},
		{p(`,"timestamp":1x}`), "timestamp is not a number"},
		{p(`,"timestamp":99999999999}`), "outside of the years"},
		{p(`,"timestamp":9223372036854775807}`), "outside of the years"},
		{p(`,"timestamp":99999999999999999999}`), "outside of the years"},
		{p(`,"timestamp":1500000000000.5}`), "not whole and too large"},
		{p(`,"timestamp":1.5e99}`), "outside of the years"},
		{p(`,"timestamp":"1600-01-01"}`), "outside of the years"},
		{`{"measurement":"m","fields":{"a":"` + strings.Repeat("x", 1000) + `"}}`, "at most 1000"},
		{`[` + strings.Repeat(`{"measurement":"m","fields":{"a":1}},{"measurement":"m","fields":{"a":"x"}},`, 2) + `{"measurement":"m","fields":{"a":1}}]`, "send fewer points"},
		{`[{"measurement":"m","fields":{"a":1,"b":1}},{"measurement":"n","tags":{"x":"1","y":"2"},"fields":{"a":1}}]`, "more than 4 field and tag keys"},
	} {
		b, err := NewDecoder(c).Parse([]byte(test.body), noTypes, arrival)
		if err == nil || b != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.body, err, test.want)
		}
	}
	long := `{"measurement":"m","tags":{"t":"` + strings.Repeat("x", maxKeyBytes) + `"},"fields":{"a":1}}`
	if _, err := NewDecoder(Default()).Parse([]byte(long), noTypes, arrival); err == nil || !strings.Contains(err.Error(), "more than 65535 bytes together") {
		t.Errorf("long key: %v", err)
	}
}

func TestTime(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-02T15:04:05Z":                 "2026-01-02T15:04:05Z",
		"2026-01-02T15:04:05":                  "2026-01-02T15:04:05Z",
		"2026-01-02 15:04:05.123456+05:30":     "2026-01-02T09:34:05.123456Z",
		"2026-01-02T15:04:05.1234567899-01:00": "2026-01-02T16:04:05.123456789Z",
		"2024-02-29":                           "2024-02-29T00:00:00Z",
		"1969-12-31T23:59:59.5Z":               "1969-12-31T23:59:59.5Z",
		"2262-04-11T23:47:15Z":                 "2262-04-11T23:47:15Z",
	} {
		at, err := Time([]byte(text))
		if got := time.Unix(0, at).UTC().Format(time.RFC3339Nano); err != nil || got != want {
			t.Errorf("%s is %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "2026", "2026-13-01", "2023-02-29", "2026-01-02T", "2026-01-02T24:00:00", "2026-01-02T15:04",
		"2026-01-02T15:04:05.", "2026-01-02T15:04:05+0100", "2026-01-02T15:04:05Zx", "2026-01-02x", "1677-01-01", "9999-01-01", "-001-01-01"} {
		if at, err := Time([]byte(text)); err == nil {
			t.Errorf("%q is %d", text, at)
		}
	}
}

// FuzzTime holds Time against the standard library.
func FuzzTime(f *testing.F) {
	for _, s := range []string{"2026-01-02T15:04:05.123Z", "2026-01-02 15:04:05+05:30", "2000-02-29", "1969-12-31T23:59:59.999999999-23:59"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Time([]byte(s))
		if err != nil {
			return
		}
		for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
			if at, err := time.Parse(layout, s); err == nil {
				if at.UnixNano() != got {
					t.Fatalf("%q is %d, want %d", s, got, at.UnixNano())
				}
				return
			}
		}
		t.Fatalf("%q is taken as %d", s, got)
	})
}

func TestNumericTimestamps(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1700000000": 1700000000e9, "1700000000.25": 1700000000_250e6, "-1": -1e9, "1700000000123": 1700000000123e6,
		"1700000000123456": 1700000000123456e3, "1700000000123456789": 1700000000123456789, "1.7e9": 1700000000e9,
		"1.767366245e18": 1767366245e9, "1767366245000000001.0": 1767366245000000001, "1.767366245e12": 1767366245e9,
	} {
		b, err := NewDecoder(Default()).Parse([]byte(`{"measurement":"m","fields":{"a":1},"timestamp":`+text+`}`), noTypes, arrival)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := b.Tables[0].Time[0]; got != want {
			t.Errorf("%s is %d, want %d", text, got, want)
		}
	}
}

// TestSparse bounds the nulls of points that share few fields.
func TestSparse(t *testing.T) {
	c := Default()
	c.MaxNulls = 1000
	var body strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&body, `%s{"measurement":"m","tags":{"t":"%d"},"fields":{"f%d":%d}}`, map[bool]string{true: ",", false: "["}[i > 0], i%7, i%100, i)
	}
	body.WriteString("]")
	b, err := NewDecoder(c).Parse([]byte(body.String()), noTypes, arrival)
	if err != nil {
		t.Fatal(err)
	}
	cells := 0
	for _, table := range b.Tables {
		cells += len(table.Time) * len(table.Fields)
	}
	if b.Rows() != 2000 || b.Values() != 2000 || cells > 9*2000+1000+100*len(b.Tables) {
		t.Errorf("%d rows, %d values in %d tables of %d cells", b.Rows(), b.Values(), len(b.Tables), cells)
	}
	for i, r := range rows(b) {
		if want := fmt.Sprintf("f%d=%df ", i%100, i); r.Fields != want {
			t.Fatalf("row %d has %s, want %s", i, r.Fields, want)
		}
	}
}

// TestMemoryIsGivenBack decodes a large body, good or bad, and small ones after
// it.
func TestMemoryIsGivenBack(t *testing.T) {
	c := Default()
	c.KeepBytes = 1 << 20
	big := manyPoints(20000, 20000)
	for _, body := range [][]byte{big, append(bytes.Clone(big[:len(big)-1]), "x"...)} {
		d := NewDecoder(c)
		_, _ = d.Parse(body, noTypes, arrival)
		if n := d.MemoryBytes(); n < 1<<20 {
			t.Errorf("a decoder of %d bytes says that it holds %d", len(body), n)
		}
		if _, err := d.Parse([]byte(`{"measurement":"m","fields":{"a":1}}`), noTypes, arrival); err != nil {
			t.Fatal(err)
		}
		if n := d.MemoryBytes(); n > 1<<20 {
			t.Errorf("after a small body the decoder still holds %d bytes", n)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	d := NewDecoder(Default())
	body := manyPoints(100, 50)
	parse := func() {
		if _, err := d.Parse(body, noTypes, arrival); err != nil {
			t.Fatal(err)
		}
	}
	parse()
	if n := testing.AllocsPerRun(10, parse); n > 0 {
		t.Errorf("100 points take %v allocations", n)
	}
}

// manyPoints makes a body like those of the platform's clients: three tags,
// four fields.
func manyPoints(n, series int) []byte {
	rng := rand.New(rand.NewSource(1))
	type point struct {
		Measurement string             `json:"measurement"`
		Tags        map[string]string  `json:"tags"`
		Fields      map[string]float64 `json:"fields"`
		Timestamp   string             `json:"timestamp"`
	}
	all := make([]point, n)
	for i := range all {
		s := i % series
		all[i] = point{"machine",
			map[string]string{"plant": fmt.Sprintf("plant-%d", s%5), "line": fmt.Sprintf("line-%d", s%50), "machine": fmt.Sprintf("m%05d", s)},
			map[string]float64{"temperature": math.Round(rng.Float64()*1e4) / 100, "pressure": math.Round(rng.Float64()*1e4) / 1000, "speed": float64(rng.Intn(3000)), "load": rng.Float64()},
			time.Unix(1_700_000_000+int64(i/series), 0).UTC().Format(time.RFC3339Nano)}
	}
	b, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return b
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{1, 100, 10000} {
		body := manyPoints(n, 1000)
		if n == 1 {
			body = body[1 : len(body)-1]
		}
		b.Run(fmt.Sprintf("points=%d", n), func(b *testing.B) {
			d := NewDecoder(Default())
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Parse(body, noTypes, arrival); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "points/s")
		})
	}
}
