package influxdb_test

import (
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux"
	"github.com/varvedb/varve/lang/flux/pushdown"
	"github.com/varvedb/varve/lang/flux/storage/storagetest"
	"github.com/varvedb/varve/run/runtest"
)

// at is a time of the points of tests, and when their scripts run.
func at(minutes int) time.Time { return time.Date(2024, 1, 1, 0, minutes, 0, 0, time.UTC) }

func points() storagetest.Points {
	p := func(series string, minutes int, fields map[string]any) runtest.Point {
		return runtest.Point{Series: series, Time: at(minutes).UnixNano(), Fields: fields}
	}
	return storagetest.Points{
		"cpu": {p("host=a,zone=x", 1, map[string]any{"user": 1.5, "idle": 2.5}), p("host=b", 2, map[string]any{"user": 3.5})},
		"mem": {p("", 3, map[string]any{"free": int64(4)})},
	}
}

// run runs a script and returns the values of _value in all its tables, or all
// cells of one without such a column.
func run(t *testing.T, h *storagetest.Host, script string) (string, error) {
	t.Helper()
	s, err := flux.Parse(script)
	if err != nil {
		t.Fatalf("%s\n%v", script, err)
	}
	e, err := s.Run(t.Context(), flux.Options{Memory: h.Question, Host: h, Now: at(10), Rewrite: pushdown.Rewrite})
	if err != nil {
		return "", err
	}
	defer e.Close()
	var out []string
	for e.Next() {
		_, tables := e.Result()
		for {
			p, err := tables.Next()
			if err != nil {
				return "", err
			}
			if p == nil {
				break
			}
			for i := range p.Rows {
				for c := range p.Cols {
					if p.Find("_value") < 0 || p.Cols[c].Label == "_value" {
						out = append(out, p.Cols[c].Value(i).Text())
					}
				}
			}
		}
	}
	return strings.Join(out, " "), e.Err()
}

func TestScripts(t *testing.T) {
	h := storagetest.New(t, points(), 1)
	const schema = "import \"influxdata/influxdb/schema\"\n"
	const v1 = "import \"influxdata/influxdb/v1\"\n"
	for _, c := range []struct{ script, want string }{
		{schema + `schema.measurements(bucket: "b")`, "cpu mem"},
		{schema + `schema.tagKeys(bucket: "b")`, "_field _measurement _start _stop host zone"},
		{schema + `schema.tagKeys(bucket: "b", predicate: (r) => r._measurement == "mem")`, "_field _measurement _start _stop"},
		{schema + `schema.tagValues(bucket: "b", tag: "host")`, "a b"},
		{schema + `schema.tagValues(bucket: "b", tag: "host", predicate: (r) => r.zone == "x")`, "a"},
		{schema + `schema.fieldKeys(bucket: "b")`, "free idle user"},
		{schema + `schema.measurementFieldKeys(bucket: "b", measurement: "mem")`, "free"},
		{schema + `schema.measurementTagValues(bucket: "b", measurement: "cpu", tag: "zone")`, "x"},
		{schema + `schema.measurementTagKeys(bucket: "b", measurement: "mem")`, "_field _measurement _start _stop"},
		{schema + `schema.measurements(bucket: "b", start: -30d, stop: -1d)`, ""},
		{schema + `schema.measurements(bucket: "empty")`, ""},
		{v1 + `v1.measurements(bucket: "b")`, "cpu mem"},
		{v1 + `v1.tagValues(bucket: "b", tag: "_field", predicate: (r) => r.host == "a")`, "idle user"},
		{v1 + `v1.measurementTagKeys(bucket: "b", measurement: "cpu")`, "_field _measurement _start _stop host zone"},
		{"import \"array\"\n" + schema + `option schema._from = (bucket) => array.from(rows: [{_time: 2024-01-01T00:00:00Z, _measurement: "own", _field: "f", _value: 1}]) |> group(columns: ["_measurement", "_field"])
schema.measurements(bucket: "none")`, "own"},
		{"import \"influxdata/influxdb\"\n" + `influxdb.cardinality(bucket: "b", start: -1h)`, "4"},
		{"import \"influxdata/influxdb\"\n" + `influxdb.from(bucketID: "0000000000000001") |> range(start: -1h) |> filter(fn: (r) => r._field == "free") |> last()`, "4"},
		{`from(bucket: "b", org: "org") |> range(start: -1h) |> filter(fn: (r) => r.host == "a") |> sum()`, "2.5 1.5"},
	} {
		if got, err := run(t, h, c.script); err != nil || got != c.want {
			t.Errorf("%s\ngave %q and %v, want %q", c.script, got, err, c.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	h := storagetest.New(t, points(), 1)
	for script, want := range map[string]string{
		`from(bucket: "secret") |> range(start: -1h)`:                                      `could not find bucket "secret"`,
		`from(bucket: "b", org: "other") |> range(start: -1h)`:                             `could not find bucket "b"`,
		`from() |> range(start: -1h)`:                                                      "exactly one of bucket or bucketID",
		`from(bucket: "b", bucketID: "0000000000000001")`:                                  "exactly one of bucket or bucketID",
		`from(bucket: "b", host: "http://elsewhere", token: "t")`:                          "cannot be asked",
		`from(bucket: "b")`:                                                                "unbounded read",
		`from(bucket: "b") |> range(start: -1h) |> to(bucket: "b")`:                        "no permission",
		`from(bucket: "b") |> range(start: -1h) |> to(bucket: "none")`:                     `could not find bucket "none"`,
		`from(bucket: "b") |> range(start: -1h) |> wideTo()`:                               "exactly one of bucket or bucketID",
		`from(bucket: "b") |> range(start: 2024-01-02T00:00:00Z)`:                          "empty range",
		`buckets(org: "other")`:                                                            `could not find organization "other"`,
		"import \"influxdata/influxdb/v1\"\nv1.databases()":                                "no storage",
		`from(bucket: "b") |> range(start: -1h) |> group() |> count()`:                     "schema collision",
		`from(bucket: "b") |> range(start: -1h) |> to(bucket: "empty", fieldFn: (r) => 1)`: "must return a record",
	} {
		if got, err := run(t, h, script); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngave %q and %v, want an error with %q", script, got, err, want)
		}
	}
}

func TestWriting(t *testing.T) {
	h := storagetest.New(t, points(), 1)
	for _, script := range []string{
		`from(bucket: "b") |> range(start: -1h) |> filter(fn: (r) => r._measurement == "cpu") |> to(bucket: "empty")`,
		`from(bucket: "b") |> range(start: -1h) |> filter(fn: (r) => r._measurement == "cpu") |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value") |> wideTo(bucketID: "0000000000000002")`,
		`from(bucket: "b") |> range(start: -1h) |> filter(fn: (r) => r._measurement == "cpu") |> to(bucket: "empty", tagColumns: ["host", "zone"], fieldFn: (r) => ({reading: r._value}))`,
	} {
		h.Written = nil
		if _, err := run(t, h, script); err != nil {
			t.Errorf("%s\n%v", script, err)
			continue
		}
		rows, values := 0, 0
		for _, b := range h.Written {
			rows, values = rows+b.Rows(), values+b.Values()
			if b.Tables[0].Measurement != "cpu" || b.Tables[0].Series.Len() != 2 {
				t.Errorf("%s\nwrote %q of %d series", script, b.Tables[0].Measurement, b.Tables[0].Series.Len())
			}
		}
		if values != 3 {
			t.Errorf("%s\nwrote %d values in %d rows, want 3", script, values, rows)
		}
	}
}
