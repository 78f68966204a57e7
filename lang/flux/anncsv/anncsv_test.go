package anncsv

import (
	"bytes"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

var seed = flag.Uint64("anncsv-seed", 1, "seed of the random test of floats")

func full() Dialect {
	d := DefaultDialect()
	for _, a := range []string{datatype, group, defaults} {
		d.Annotate(a)
	}
	return d
}

// cpu returns a table of one host.
func cpu(host string, values ...float64) *table.Table {
	times := make([]int64, len(values))
	for i := range times {
		times[i] = time.Date(2020, 1, 1, 0, 0, i, i*1e6, time.UTC).UnixNano()
	}
	return &table.Table{
		Key: table.NewKey([]string{"host"}, []value.Value{value.OfString(host)}),
		Cols: []table.Column{table.Times("_time", times), table.Floats("_value", values),
			table.Constant("host", value.OfString(host))},
		Rows: len(values),
	}
}

func encode(t *testing.T, d Dialect, tables ...*table.Table) string {
	t.Helper()
	var out bytes.Buffer
	e := NewEncoder(&out, d)
	if err := e.Begin("_result"); err != nil {
		t.Fatal(err)
	}
	for _, one := range tables {
		if err := e.Table(one); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.End(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func lines(list ...string) string { return strings.Join(list, "\r\n") + "\r\n" }

func TestEncode(t *testing.T) {
	odd := cpu("a,b", 1)
	odd = odd.With(table.Constant("text", value.OfString("say \"x\"\r\n")))
	for name, tt := range map[string]struct {
		d      Dialect
		tables []*table.Table
		want   string
	}{
		"two tables": {full(), []*table.Table{cpu("a", 1.5, 2), cpu("b", -1e21)}, lines(
			"#datatype,string,long,dateTime:RFC3339,double,string",
			"#group,false,false,false,false,true",
			"#default,_result,,,,",
			",result,table,_time,_value,host",
			",,0,2020-01-01T00:00:00Z,1.5,a",
			",,0,2020-01-01T00:00:01.001Z,2,a",
			",,1,2020-01-01T00:00:00Z,-1000000000000000000000,b", "")},
		"pieces": {full(), []*table.Table{cpu("a", 1), cpu("a", 2)}, lines(
			"#datatype,string,long,dateTime:RFC3339,double,string",
			"#group,false,false,false,false,true",
			"#default,_result,,,,",
			",result,table,_time,_value,host",
			",,0,2020-01-01T00:00:00Z,1,a",
			",,0,2020-01-01T00:00:00Z,2,a", "")},
		"no annotations": {DefaultDialect(), []*table.Table{cpu("a", math.Inf(1))}, lines(
			",result,table,_time,_value,host",
			",_result,0,2020-01-01T00:00:00Z,+Inf,a", "")},
		"empty": {full(), []*table.Table{cpu("a")}, lines(
			"#datatype,string,long,dateTime:RFC3339,double,string",
			"#group,false,false,false,false,true",
			"#default,_result,0,,,a",
			",result,table,_time,_value,host", "")},
		"quotes": {DefaultDialect(), []*table.Table{odd}, lines(
			",result,table,_time,_value,host,text",
			",_result,0,2020-01-01T00:00:00Z,1,\"a,b\",\"say \"\"x\"\"\r\n\"", "")},
		"other columns": {DefaultDialect(), []*table.Table{cpu("a", 1), odd}, lines(
			",result,table,_time,_value,host",
			",_result,0,2020-01-01T00:00:00Z,1,a", "",
			",result,table,_time,_value,host,text",
			",_result,1,2020-01-01T00:00:00Z,1,\"a,b\",\"say \"\"x\"\"\r\n\"", "")},
		"nothing": {full(), nil, "\r\n"},
	} {
		if got := encode(t, tt.d, tt.tables...); got != tt.want {
			t.Errorf("%s: wrote\n%q\nwant\n%q", name, got, tt.want)
		}
	}
}

func TestFail(t *testing.T) {
	var out bytes.Buffer
	e := NewEncoder(&out, full())
	_ = e.Begin("_result")
	_ = e.Table(cpu("a", 1))
	if err := e.Fail(errors.New("out of, luck")); err != nil {
		t.Fatal(err)
	}
	want := lines("", "#datatype,string,string", "#group,true,true", "#default,,", ",error,reference", `,"out of, luck",`)
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("wrote %q: want %q at the end", out.String(), want)
	}
	d := NewDecoder(&out, false)
	for {
		one, err := d.Next()
		if err != nil {
			var failure *FailureError
			if !errors.As(err, &failure) || failure.Text != "out of, luck" {
				t.Error(err)
			}
			return
		}
		if one == nil {
			t.Fatal("the error was not read")
		}
	}
}

func decode(text string, raw bool) ([]*table.Table, error) {
	d := NewDecoder(strings.NewReader(text), raw)
	var all []*table.Table
	for {
		t, err := d.Next()
		if t == nil || err != nil {
			return all, err
		}
		all = append(all, t)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, tables := range [][]*table.Table{
		{cpu("a", 1.5, math.Inf(-1)), cpu("b", 3)}, {cpu("a")}, {cpu("a", 1), cpu("b"), cpu("c", 2)},
	} {
		text := encode(t, full(), tables...)
		back, err := decode(text, false)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if again := encode(t, full(), back...); again != text {
			t.Errorf("read and written again\n%s\nis\n%s", text, again)
		}
	}
}

func TestDecode(t *testing.T) {
	all, err := decode(`
#datatype,string,long,dateTime:RFC3339,string,long
#group,false,false,false,true,false
#default,_result,,,,7
,result,table,_time,host,n
,,0,2020-01-01T00:00:00Z,a,1
,,0,2020-01-01T00:00:01Z,a,

,,1,2020-01-01T00:00:00Z,b,3

#datatype,string,long,boolean
#group,false,false,false
#default,_result,,
,result,table,on
,,0,true
,,0,
`, false)
	if err != nil {
		t.Fatal(err)
	}
	d := NewDecoder(strings.NewReader("#datatype,string,long,long\n#default,_result,,\n,result,table,n\n,,0,1\n,mean,1,2\n"), false)
	for _, want := range [][2]string{{"_result", "0"}, {"mean", "1"}} {
		_, err := d.Next()
		if name, number := d.Result(); err != nil || name != want[0] || number != want[1] {
			t.Errorf("piece of table %s of %s, %v: want %v", number, name, err, want)
		}
	}
	if len(all) != 3 || all[0].Rows != 2 || all[1].Rows != 1 || all[2].Rows != 2 {
		t.Fatalf("read %d tables", len(all))
	}
	if v := all[0].Col("n").Value(1); v.Int() != 7 {
		t.Errorf("an empty cell is %s: want the default", v.Text())
	}
	if !all[2].Cols[0].Null(1) {
		t.Error("an empty cell without a default is not null")
	}
	if all[1].Key.String() != "{host=b}" {
		t.Errorf("key %s", all[1].Key)
	}
	raw, err := decode("a,b\n1,\n", true)
	if err != nil || len(raw) != 1 || raw[0].Col("a").Value(0).Str() != "1" {
		t.Errorf("raw: %v %v", raw, err)
	}
}

func TestDecodeErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a,b\n1,2\n": "missing expected annotation datatype",
		"#datatype,string,long,int\n,result,table,a\n":                                   `unsupported data type "int"`,
		"#datatype,string,long,long\n#group,false,false,false\n,result,table,a\n,,0,x\n": `line 4: column "a"`,
		"#datatype,string,long,long\n#group,false\n,result,table,a\n,,0,x\n":             "annotation #group has 2 cells",
		"#datatype,string,long,long\n,result,table,a\n,,0\n":                             "row has 3 cells",
		"#wrong,1\n": "no annotation #wrong",
		"#datatype,string,long,long,long\n,result,table,a,a\n": `column "a" stands twice`,
	} {
		if _, err := decode(text, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gave %v: want %q", text, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("#datatype,string,long,dateTime:RFC3339,string,long\n#group,false,false,false,true,false\n#default,_result,,,,7\n,result,table,_time,host,n\n,,0,2020-01-01T00:00:00Z,a,1\n", false)
	f.Add("a,b\n1,2\n", true)
	f.Add("#datatype,string,long,double\n#default,_result,0,\n,result,table,_value\n", false)
	f.Fuzz(func(t *testing.T, text string, raw bool) {
		all, err := decode(text, raw)
		if err != nil {
			return
		}
		// What was read can be written and read again.
		if _, err := decode(encode(t, full(), all...), false); err != nil {
			t.Errorf("%v", err)
		}
	})
}

func TestClock(t *testing.T) {
	var c clock
	for _, at := range []time.Time{time.Unix(0, 0), time.Date(1969, 12, 31, 23, 59, 59, 999999999, time.UTC),
		time.Date(2262, 4, 11, 1, 2, 3, 40, time.UTC), time.Date(1677, 9, 22, 0, 0, 0, 100000000, time.UTC)} {
		if got, want := string(c.append(nil, at.UnixNano())), at.UTC().Format(time.RFC3339Nano); got != want {
			t.Errorf("wrote %s: want %s", got, want)
		}
	}
}

// Floats are written as package strconv writes them, whatever way was taken.
func TestAppendFloat(t *testing.T) {
	check := func(f float64) {
		t.Helper()
		if got, want := string(appendFloat(nil, f)), value.FormatFloat(f); got != want {
			t.Fatalf("%b is written as %s: want %s", f, got, want)
		}
	}
	for _, f := range []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 0.0001, 0.00011, 1e10, 1e11, 1e15, 1e22, -99999999999.9999, 99999999999.99998,
		0.3, 0.1 + 0.2, 1.0 / 3, math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN(), math.Inf(1), math.Inf(-1), 4503599627370496.5} {
		check(f)
	}
	r := rand.New(rand.NewPCG(*seed, 0))
	for range 50000 {
		check(math.Float64frombits(r.Uint64()))
		f := float64(r.Int64N(1<<uint(1+r.IntN(52)))) / math.Pow10(r.IntN(7))
		check(f)
		check(-f)
		check(math.Nextafter(f, math.Inf(1)))
	}
}

// Five cells a row, of which three are constant, as of most answers.
func BenchmarkEncode(b *testing.B) {
	for name, of := range map[string]func(i int) float64{
		"decimals": func(i int) float64 { return float64(i) * 37 / 100 },
		"digits":   func(i int) float64 { return math.Sqrt(float64(i)) },
	} {
		b.Run(name, func(b *testing.B) {
			values := make([]float64, 8192)
			for i := range values {
				values[i] = of(i)
			}
			t := cpu("a", values...)
			var w counting
			e := NewEncoder(&w, full())
			b.ReportAllocs()
			for b.Loop() {
				_ = e.Begin("_result")
				if err := e.Table(t); err != nil {
					b.Fatal(err)
				}
				if err := e.End(); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(w) / int64(b.N))
			b.ReportMetric(float64(b.N)*float64(t.Rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// counting counts bytes.
type counting int

func (c *counting) Write(b []byte) (int, error) {
	*c += counting(len(b))
	return len(b), nil
}
