package goclient

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/api/http"
	"github.com/influxdata/influxdb-client-go/v2/api/query"
	"github.com/influxdata/influxdb-client-go/v2/domain"
)

// fill writes 10 points of a measurement for each of the hosts a and b, a second
// apart, with the fields load (0.5 times the number of the point) and users (its
// number), and returns the beginning of a script that asks for them.
func fill(t *testing.T, c influxdb2.Client, measurement string) string {
	t.Helper()
	var lines []string
	for _, host := range []string{"a", "b"} {
		for i := range 10 {
			lines = append(lines, fmt.Sprintf("%s,host=%s load=%g,users=%di %d", measurement, host, float64(i)/2, i, at(i).UnixNano()))
		}
	}
	if err := c.WriteAPIBlocking(org(t), bucket(t)).WriteRecord(context.Background(), lines...); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`from(bucket: %q) |> range(start: %s, stop: %s) |> filter(fn: (r) => r._measurement == %q)`,
		bucket(t), at(0).UTC().Format(time.RFC3339), at(60).UTC().Format(time.RFC3339), measurement)
}

// table is what the client makes of a table.
type table struct {
	meta    *query.FluxTableMetadata
	records []*query.FluxRecord
}

func tables(t *testing.T, c influxdb2.Client, script string, params any) []table {
	t.Helper()
	result, err := c.QueryAPI(org(t)).QueryWithParams(context.Background(), script, params)
	if err != nil {
		t.Fatalf("%v\n%s", err, script)
	}
	defer result.Close()
	var all []table
	for result.Next() {
		// The client says that a table changed when its columns did.
		if result.TableChanged() || all[len(all)-1].records[0].ValueByKey("table") != result.Record().ValueByKey("table") {
			all = append(all, table{meta: result.TableMetadata()})
		}
		last := &all[len(all)-1]
		last.records = append(last.records, result.Record())
	}
	if err := result.Err(); err != nil {
		t.Fatalf("%v\n%s", err, script)
	}
	return all
}

func TestQueryTables(t *testing.T) {
	c := connect(t)
	got := tables(t, c, fill(t, c, "go_query"), nil)
	if len(got) != 4 {
		t.Fatalf("%d tables, want one for each of 4 series", len(got))
	}
	columns := map[string]string{"result": "string", "table": "long", "_start": "dateTime:RFC3339", "_stop": "dateTime:RFC3339",
		"_time": "dateTime:RFC3339", "_measurement": "string", "_field": "string", "host": "string"}
	grouped := []string{"_start", "_stop", "_measurement", "_field", "host"}
	seen := map[string]bool{}
	for _, table := range got {
		if len(table.records) != 10 {
			t.Errorf("%d records, want 10", len(table.records))
		}
		first := table.records[0]
		seen[first.Field()+" of "+first.ValueByKey("host").(string)] = true
		for _, col := range table.meta.Columns() {
			want := columns[col.Name()]
			if col.Name() == "_value" {
				want = map[string]string{"load": "double", "users": "long"}[first.Field()]
			}
			if col.DataType() != want {
				t.Errorf("column %s has type %q, want %q", col.Name(), col.DataType(), want)
			}
			if col.IsGroup() != slices.Contains(grouped, col.Name()) {
				t.Errorf("column %s: in the group key %t", col.Name(), col.IsGroup())
			}
		}
		for i, r := range table.records {
			if !r.Time().Equal(at(i)) || !r.Start().Equal(at(0)) || !r.Stop().Equal(at(60)) || r.Measurement() != "go_query" || r.Result() != "_result" {
				t.Errorf("record %v", r)
			}
			want := any(float64(i) / 2)
			if r.Field() == "users" {
				want = int64(i)
			}
			if r.Value() != want {
				t.Errorf("value %v, want %v", r.Value(), want)
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("series %v", seen)
	}
}

func TestQueryTypes(t *testing.T) {
	c := connect(t)
	want := map[string]any{"float": -1.5e300, "int": int64(math.MinInt64), "uint": uint64(math.MaxUint64), "yes": true, "no": false,
		"text": "a, \"quoted\" text, and ünïcode"}
	// The client itself makes two characters of a new line in a point.
	lines := "a text of\ntwo lines"
	if err := c.WriteAPIBlocking(org(t), bucket(t)).WriteRecord(context.Background(), fmt.Sprintf(`go_query_types,tag=x\,"y" lines="%s" %d`, lines, at(0).Add(123456789).UnixNano())); err != nil {
		t.Fatal(err)
	}
	p := influxdb2.NewPoint("go_query_types", map[string]string{"tag": "x,\"y\""}, want, at(0).Add(123456789))
	if err := c.WriteAPIBlocking(org(t), bucket(t)).WritePoint(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	want["lines"] = lines
	got := map[string]any{}
	for _, table := range tables(t, c, fmt.Sprintf(`from(bucket: %q) |> range(start: -4h) |> filter(fn: (r) => r._measurement == "go_query_types")`, bucket(t)), nil) {
		for _, r := range table.records {
			got[r.Field()] = r.Value()
			if !r.Time().Equal(at(0).Add(123456789)) || r.ValueByKey("tag") != "x,\"y\"" {
				t.Errorf("record %v", r)
			}
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
}

// Values that are special in CSV or in a client.
func TestQuerySpecialValues(t *testing.T) {
	got := tables(t, connect(t), `import "array"
array.from(rows: [{whole: 3.0, huge: 1e300, inf: float(v: "+Inf"), nan: float(v: "NaN"), at: 2026-01-02T03:04:05.123456789Z, text: "#x", none: ""}])`, nil)
	if len(got) != 1 || len(got[0].records) != 1 {
		t.Fatalf("%d tables", len(got))
	}
	v := got[0].records[0].Values()
	if nan, ok := v["nan"].(float64); !ok || !math.IsNaN(nan) {
		t.Errorf("NaN is %v", v["nan"])
	}
	delete(v, "nan")
	want := map[string]any{"result": "_result", "table": int64(0), "whole": 3.0, "huge": 1e300, "inf": math.Inf(1),
		"at": time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.UTC), "text": "#x", "none": nil}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("got %#v, want %#v", v, want)
	}
}

// A script that fails after a part of its answer is on the way fails at the
// client too.
func TestQueryFailsLate(t *testing.T) {
	c := connect(t)
	var lines []string
	for i := range 5000 {
		lines = append(lines, fmt.Sprintf("go_late,host=a value=%d %d", i, at(i).UnixNano()))
	}
	if err := c.WriteAPIBlocking(org(t), bucket(t)).WriteRecord(context.Background(), lines...); err != nil {
		t.Fatal(err)
	}
	result, err := c.QueryAPI(org(t)).Query(context.Background(), fmt.Sprintf(`import "array"
from(bucket: %q) |> range(start: -4h) |> filter(fn: (r) => r._measurement == "go_late") |> yield(name: "one")
array.from(rows: [{x: "no number"}]) |> map(fn: (r) => ({x: int(v: r.x)})) |> yield(name: "two")`, bucket(t)))
	n := 0
	if err == nil {
		defer result.Close()
		for result.Next() {
			n++
		}
		err = result.Err()
	}
	if err == nil || !strings.Contains(err.Error(), "no number") {
		t.Errorf("%d records and error %v", n, err)
	}
}

func TestQueryShapes(t *testing.T) {
	c := connect(t)
	from := fill(t, c, "go_shapes")
	for name, q := range map[string]struct {
		rest string
		// want has the values of each table, in its order.
		want [][]any
	}{
		"mean":   {` |> filter(fn: (r) => r._field == "load") |> mean()`, [][]any{{2.25}, {2.25}}},
		"window": {` |> filter(fn: (r) => r._field == "load" and r.host == "a") |> aggregateWindow(every: 5s, fn: max, createEmpty: false)`, [][]any{{2.0, 4.5}}},
		"last":   {` |> filter(fn: (r) => r._field == "users") |> last()`, [][]any{{int64(9)}, {int64(9)}}},
		"group":  {` |> filter(fn: (r) => r._field == "users") |> group() |> sum()`, [][]any{{int64(90)}}},
		"sort":   {` |> filter(fn: (r) => r._field == "users" and r.host == "b") |> sort(desc: true) |> limit(n: 3)`, [][]any{{int64(9), int64(8), int64(7)}}},
		"map":    {` |> filter(fn: (r) => r._field == "users" and r.host == "b" and r._value < 2) |> map(fn: (r) => ({r with _value: string(v: r._value) + "!"}))`, [][]any{{"0!", "1!"}}},
		"empty":  {` |> filter(fn: (r) => r.host == "c")`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got [][]any
			for _, table := range tables(t, c, from+q.rest, nil) {
				var values []any
				for _, r := range table.records {
					values = append(values, r.Value())
				}
				got = append(got, values)
			}
			if !reflect.DeepEqual(got, q.want) {
				t.Errorf("got %#v, want %#v", got, q.want)
			}
		})
	}
	t.Run("pivot", func(t *testing.T) {
		got := tables(t, c, from+` |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")`, nil)
		if len(got) != 2 || len(got[0].records) != 10 {
			t.Fatalf("%d tables, want 2", len(got))
		}
		for i, r := range got[1].records {
			if r.ValueByKey("load") != float64(i)/2 || r.ValueByKey("users") != int64(i) || r.ValueByKey("host") != "b" {
				t.Errorf("record %v", r)
			}
		}
	})
	t.Run("several results", func(t *testing.T) {
		got := tables(t, c, "data = "+from+"\ndata |> first() |> yield(name: \"one\")\ndata |> last() |> yield(name: \"two\")", nil)
		n := map[string]int{}
		for _, table := range got {
			for _, r := range table.records {
				n[r.Result()]++
			}
		}
		if !reflect.DeepEqual(n, map[string]int{"one": 4, "two": 4}) {
			t.Errorf("records by result: %v", n)
		}
	})
}

func TestQueryParameters(t *testing.T) {
	c := connect(t)
	fill(t, c, "go_params")
	got := tables(t, c, `from(bucket: params.bucket) |> range(start: time(v: params.start)) |> filter(fn: (r) =>
		r._measurement == params.measurement and r._field == "load" and r.host == params.host and r._value >= params.least)`,
		struct {
			Bucket      string    `json:"bucket"`
			Start       time.Time `json:"start"`
			Measurement string    `json:"measurement"`
			Host        string    `json:"host"`
			Least       float64   `json:"least"`
		}{bucket(t), at(0), "go_params", "b", 3.5})
	if len(got) != 1 || len(got[0].records) != 3 {
		t.Errorf("%d tables: %v", len(got), got)
	}
}

// QueryRaw hands on what the server sends.
func TestQueryRaw(t *testing.T) {
	c := connect(t)
	script := fill(t, c, "go_raw") + ` |> filter(fn: (r) => r.host == "a" and r._field == "users" and r._value < 2)`
	start, stop := at(0).UTC().Format(time.RFC3339), at(60).UTC().Format(time.RFC3339)
	rows := []string{}
	for i := range 2 {
		rows = append(rows, fmt.Sprintf("%s,%s,%s,%d,users,go_raw,a", start, stop, at(i).UTC().Format(time.RFC3339), i))
	}
	off, semicolon, on := false, ";", true
	for name, d := range map[string]struct {
		dialect *domain.Dialect
		want    string
	}{
		"default": {influxdb2.DefaultDialect(), "#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,long,string,string,string\r\n" +
			"#group,false,false,true,true,false,false,true,true,true\r\n#default,_result,,,,,,,,\r\n" +
			",result,table,_start,_stop,_time,_value,_field,_measurement,host\r\n,,0," + rows[0] + "\r\n,,0," + rows[1] + "\r\n\r\n"},
		"none":       {nil, ",result,table,_start,_stop,_time,_value,_field,_measurement,host\r\n,_result,0," + rows[0] + "\r\n,_result,0," + rows[1] + "\r\n\r\n"},
		"no header":  {&domain.Dialect{Header: &off}, ",_result,0," + rows[0] + "\r\n,_result,0," + rows[1] + "\r\n\r\n"},
		"semicolons": {&domain.Dialect{Header: &on, Delimiter: &semicolon}, strings.ReplaceAll(",result,table,_start,_stop,_time,_value,_field,_measurement,host\r\n,_result,0,"+rows[0]+"\r\n,_result,0,"+rows[1]+"\r\n\r\n", ",", ";")},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.QueryAPI(org(t)).QueryRaw(context.Background(), script, d.dialect)
			if err != nil {
				t.Fatal(err)
			}
			if got != d.want {
				t.Errorf("got\n%q\nwant\n%q", got, d.want)
			}
		})
	}
}

func TestQueryGzip(t *testing.T) {
	c := connectProxy(t)
	var lines []string
	for i := range 3000 {
		lines = append(lines, fmt.Sprintf("go_query_gzip,host=a value=%d %d", i, at(i).UnixNano()))
	}
	if err := c.WriteAPIBlocking(org(t), bucket(t)).WriteRecord(context.Background(), lines...); err != nil {
		t.Fatal(err)
	}
	got := tables(t, c, fmt.Sprintf(`from(bucket: %q) |> range(start: -4h) |> filter(fn: (r) => r._measurement == "go_query_gzip")`, bucket(t)), nil)
	if len(got) != 1 || len(got[0].records) != 3000 {
		t.Errorf("%d tables", len(got))
	}
	if e := exchanges(t, "/api/v2/query"); len(e) != 1 || e[0].AcceptEncoding != "gzip" || e[0].AnswerEncoding != "gzip" {
		t.Errorf("the answer was not compressed: %+v", e)
	}
}

func TestQueryErrors(t *testing.T) {
	for name, q := range map[string]struct {
		token, org, script string
		status             int
		code, message      string
	}{
		"syntax":       {script: "from(bucket: \"x\"\n|> range(", status: 400, code: "invalid", message: "2:"},
		"name":         {script: `from(bucket: "x") |> rang(start: -1h)`, status: 400, code: "invalid", message: "rang"},
		"type":         {script: `from(bucket: 1) |> range(start: -1h)`, status: 400, code: "invalid", message: "bucket"},
		"no range":     {script: fmt.Sprintf(`from(bucket: %q)`, bucket(t)), status: 400, code: "invalid", message: "range"},
		"bucket":       {script: `from(bucket: "nowhere") |> range(start: -1h)`, status: 404, code: "not found", message: `could not find bucket "nowhere"`},
		"token":        {token: "wrong", script: `buckets()`, status: 401, code: "unauthorized", message: "unauthorized access"},
		"organisation": {org: "nobody", script: `buckets()`, status: 404, code: "not found", message: "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			if q.token == "" {
				q.token = environ(t, "TOKEN")
			}
			if q.org == "" {
				q.org = org(t)
			}
			_, err := client(t, environ(t, "URL"), q.token).QueryAPI(q.org).Query(context.Background(), q.script)
			var e *http.Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v, want one of HTTP", err)
			}
			if e.StatusCode != q.status || e.Code != q.code || !strings.Contains(e.Message, q.message) {
				t.Errorf("error %d %q %q, want %d %q %q", e.StatusCode, e.Code, e.Message, q.status, q.code, q.message)
			}
		})
	}
}
