package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/varvedb/varve/bench/fleet"
)

// asked is a configuration over 24 h of 200 hosts.
func asked(targets ...QueryTarget) QueryConfig {
	c := DefaultQuery()
	c.Targets = targets
	c.Fleet.Devices = 200
	c.Rows = 200 * 24 * 360
	c.Repeat, c.Warm, c.Check = 10, 1, 2
	return c
}

func TestQuestionsLieInTheData(t *testing.T) {
	c := asked()
	end := c.Fleet.End(c.Rows)
	for _, shape := range Shapes() {
		starts := map[time.Time]bool{}
		for n := range 50 {
			q := c.ask(shape, n)
			if !reflect.DeepEqual(q, c.ask(shape, n)) {
				t.Fatalf("%s: question %d differs when it is asked again", shape, n)
			}
			if q.start.Before(c.Fleet.Start) || q.stop.After(end) || !q.start.Before(q.stop) {
				t.Fatalf("%s: %s to %s is not in the data", shape, q.start, q.stop)
			}
			if q.every > 0 && q.start.Truncate(q.every) != q.start {
				t.Fatalf("%s: start %s is not a whole %s", shape, q.start, q.every)
			}
			starts[q.start] = true
		}
		if (shape == OneSeries || shape == Hosts1) && len(starts) < 5 {
			t.Errorf("%s: 50 questions begin at %d times", shape, len(starts))
		}
	}
	q := c.ask(Hosts10, 1)
	seen := map[string]bool{}
	for _, h := range q.hosts {
		seen[h] = true
	}
	if len(seen) != 100 || len(q.fields) != 10 || q.stop.Sub(q.start) != 12*time.Hour {
		t.Errorf("%d hosts, %d fields, %s", len(seen), len(q.fields), q.stop.Sub(q.start))
	}
	c.Rows = 200 * 10 // less than the ranges
	if q := c.ask(Hosts1, 1); !q.start.Equal(c.Fleet.Start) || !q.stop.Equal(c.Fleet.End(c.Rows)) {
		t.Errorf("short data is asked from %s to %s", q.start, q.stop)
	}
}

// text returns what a request sends: its form or body.
func text(t *testing.T, r *http.Request) (path string, form url.Values, body string) {
	t.Helper()
	var b []byte
	if r.Body != nil {
		var err error
		if b, err = io.ReadAll(r.Body); err != nil {
			t.Fatal(err)
		}
	}
	if r.Header.Get("Content-Type") == formType {
		var err error
		if form, err = url.ParseQuery(string(b)); err != nil {
			t.Fatal(err)
		}
	}
	return r.URL.Path, form, string(b)
}

func TestDialectsPutTheSameQuestion(t *testing.T) {
	start := time.Date(2024, 1, 1, 2, 0, 0, 0, time.UTC)
	one := question{shape: OneSeries, start: start, stop: start.Add(time.Hour), hosts: []string{"host_7"},
		fields: []string{"usage_user"}, aggregation: "max", every: time.Minute, interval: 10 * time.Second}
	ten := one
	ten.shape, ten.hosts, ten.fields, ten.aggregation, ten.every = Hosts10, []string{"host_1", "host_2"}, []string{"a", "b"}, "mean", time.Hour
	last := one
	last.shape, last.hosts, last.aggregation, last.every = LastOfEach, nil, "last", 0
	above := one
	above.shape, above.hosts, above.aggregation, above.every, above.above = FieldAbove, nil, "", 0, 98
	tags := one
	tags.shape = TagValues
	for _, tt := range []struct {
		q               question
		varve           string
		victoria        string
		first, end, gap string
		influx          string
	}{
		{one,
			`{"bucket":"b","start":"2024-01-01T02:00:00Z","stop":"2024-01-01T03:00:00Z","measurement":"cpu","filters":{"hostname":["host_7"]},"aggregation":"max","fields":["usage_user"],"every":"60s","group_by":["hostname"]}`,
			`max_over_time(cpu_usage_user{hostname="host_7"}[60s])`, "1704074459.999", "1704077999.999", "60s",
			`SELECT max("usage_user") AS "usage_user" FROM "cpu" WHERE time >= 1704074400000000000 AND time < 1704078000000000000 AND ("hostname" = 'host_7') GROUP BY time(60s), "hostname" fill(none)`},
		{ten,
			`{"bucket":"b","start":"2024-01-01T02:00:00Z","stop":"2024-01-01T03:00:00Z","measurement":"cpu","filters":{"hostname":["host_1","host_2"]},"aggregation":"mean","fields":["a","b"],"every":"3600s","group_by":["hostname"]}`,
			`avg_over_time({__name__=~"cpu_(a|b)",hostname=~"host_1|host_2"}[3600s]) keep_metric_names`, "1704077999.999", "1704077999.999", "3600s",
			`SELECT mean("a") AS "a", mean("b") AS "b" FROM "cpu" WHERE time >= 1704074400000000000 AND time < 1704078000000000000 AND ("hostname" = 'host_1' OR "hostname" = 'host_2') GROUP BY time(3600s), "hostname" fill(none)`},
		{last,
			`{"bucket":"b","start":"2024-01-01T02:00:00Z","stop":"2024-01-01T03:00:00Z","measurement":"cpu","aggregation":"last","fields":["usage_user"],"group_by":["hostname"]}`,
			`last_over_time(cpu_usage_user[3600s])`, "1704077999.999", "1704077999.999", "3600s",
			`SELECT last("usage_user") AS "usage_user" FROM "cpu" WHERE time >= 1704074400000000000 AND time < 1704078000000000000 GROUP BY "hostname"`},
		{above,
			`{"bucket":"b","start":"2024-01-01T02:00:00Z","stop":"2024-01-01T03:00:00Z","measurement":"cpu","where":[{"field":"usage_user","op":">","value":98}],"fields":["usage_user"]}`,
			`last_over_time(cpu_usage_user[10s]) > 98`, "1704074409.999", "1704077999.999", "10s",
			`SELECT "usage_user" FROM "cpu" WHERE time >= 1704074400000000000 AND time < 1704078000000000000 AND "usage_user" > 98 GROUP BY "hostname"`},
		{tags, "", "", "1704074400.000", "1704078000.000", "", `SHOW TAG VALUES FROM "cpu" WITH KEY = "hostname"`},
	} {
		for _, api := range []QueryAPI{Varve, Victoria, Influx} {
			target := QueryTarget{URL: "http://127.0.0.1:1/", API: api, Bucket: "b", Database: "d", Token: "t"}
			r, err := dialectOf(api).request(target, tt.q)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Header.Get("Authorization"); got != "Token t" {
				t.Errorf("%s: authorised by %q", api, got)
			}
			path, form, body := text(t, r)
			got, want := "", ""
			switch api {
			case Varve:
				got = path + " " + strings.ReplaceAll(body, `\u003e`, ">")
				want = "/query " + tt.varve
				if tt.q.shape == TagValues {
					want = "/tags/hostname/values "
				}
			case Victoria:
				got = fmt.Sprint(path, " ", form.Get("query"), form["start"], form["end"], form.Get("step"))
				want = fmt.Sprint("/api/v1/query_range ", tt.victoria, []string{tt.first}, []string{tt.end}, tt.gap)
				if tt.q.shape == TagValues {
					want = strings.Replace(want, "query_range", "label/hostname/values", 1)
				}
			case Influx:
				got = path + " " + form.Get("db") + " " + form.Get("q")
				want = "/query d " + tt.influx
			}
			if got != want {
				t.Errorf("%s, %s:\n got %s\nwant %s", tt.q.shape, api, got, want)
			}
		}
	}
}

// The same answer in the three dialects: two hosts, two windows, two fields.
const (
	varveAnswer = `{"status":"success","data":[
		{"time":"2024-01-01T00:00:00Z","measurement":"cpu","field":"a","value":1,"tags":{"hostname":"host_1"}},
		{"time":"2024-01-01T01:00:00Z","measurement":"cpu","field":"a","value":2.5,"tags":{"hostname":"host_1"}},
		{"time":"2024-01-01T00:00:00Z","measurement":"cpu","field":"b","value":3,"tags":{"hostname":"host_1"}},
		{"time":"2024-01-01T01:00:00Z","measurement":"cpu","field":"a","value":4,"tags":{"hostname":"host_2"}}],"count":4}`
	victoriaAnswer = `{"status":"success","data":{"resultType":"matrix","result":[
		{"metric":{"__name__":"cpu_a","hostname":"host_2"},"values":[[1704074399.999,"4"]]},
		{"metric":{"__name__":"cpu_b","hostname":"host_1"},"values":[[1704070799.999,"3"]]},
		{"metric":{"__name__":"cpu_a","hostname":"host_1"},"values":[[1704070799.999,"1"],[1704074399.999,"2.5000000000001"]]}]}}`
	influxAnswer = `{"results":[{"statement_id":0,"series":[
		{"name":"cpu","tags":{"hostname":"host_1"},"columns":["time","a","b"],"values":[[1704067200000000000,1,3],[1704070800000000000,2.5,null]]},
		{"name":"cpu","tags":{"hostname":"host_2"},"columns":["time","a","b"],"values":[[1704070800000000000,4,null]]}]}]}`
)

func TestDialectsReadTheSameAnswer(t *testing.T) {
	q := question{shape: Hosts10, fields: []string{"a", "b"}}
	var first []cell
	for _, tt := range []struct {
		api    QueryAPI
		answer string
	}{{Varve, varveAnswer}, {Victoria, victoriaAnswer}, {Influx, influxAnswer}} {
		cells, err := dialectOf(tt.api).cells(q, []byte(tt.answer))
		if err != nil {
			t.Fatalf("%s: %v", tt.api, err)
		}
		if first == nil {
			first = cells
		}
		if len(cells) != 4 {
			t.Errorf("%s: %d cells", tt.api, len(cells))
		}
		if d := difference(first, cells); d != "" {
			t.Errorf("%s: %s", tt.api, d)
		}
		if _, err := dialectOf(tt.api).cells(q, []byte(tt.answer[:len(tt.answer)/2])); err == nil {
			t.Errorf("%s: half an answer was read", tt.api)
		}
	}
	for api, answer := range map[QueryAPI]string{
		Varve:    `{"status":"success","data":["x","y"],"count":2}`,
		Victoria: `{"status":"success","data":["y","x"]}`,
		Influx:   `{"results":[{"series":[{"name":"cpu","columns":["key","value"],"values":[["hostname","x"],["hostname","y"]]}]}]}`,
	} {
		cells, err := dialectOf(api).cells(question{shape: TagValues}, []byte(answer))
		if err != nil {
			t.Fatalf("%s: %v", api, err)
		}
		if d := difference([]cell{{group: "x"}, {group: "y"}}, cells); d != "" {
			t.Errorf("%s: %s", api, d)
		}
	}
	if _, err := (influxDialect{}).cells(q, []byte(`{"results":[{"error":"no such database"}]}`)); err == nil || err.Error() != "no such database" {
		t.Errorf("got %v", err)
	}
	if _, err := (varveDialect{}).cells(q, []byte(`{"status":"success","data":[],"count":3}`)); err == nil {
		t.Error("an answer that misses rows was read")
	}
}

func TestDifferences(t *testing.T) {
	a := func() []cell { return []cell{{"x", 1, 1}, {"x", 2, 2}, {"y", 1, 1e12}} }
	for want, change := range map[string]func([]cell) []cell{
		"":                                   func(c []cell) []cell { c[2].value += 1e-3; return c },
		"1 groups instead of 2":              func(c []cell) []cell { return c[:2] },
		"2 values instead of 3":              func(c []cell) []cell { return c[1:] },
		"group \"z\" instead of \"y\"":       func(c []cell) []cell { c[2].group = "z"; return c },
		"1.00001 instead of 1 in group":      func(c []cell) []cell { c[0].value = 1.00001; return c },
		"NaN instead of 1 in group":          func(c []cell) []cell { c[0].value -= c[0].value; c[0].value /= c[0].value; return c },
		"2 instead of 1 in group \"x\"":      func(c []cell) []cell { c[0].time, c[1].time = 2, 1; return c },
		"1e+13 instead of 1e+12 in group \"": func(c []cell) []cell { c[2].value = 1e13; return c },
	} {
		got := difference(a(), change(a()))
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestRunQuery(t *testing.T) {
	var n atomic.Int64
	answers := func(value string) QueryTarget {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n.Add(1)
			if r.URL.Path == "/tags/hostname/values" {
				http.Error(w, `{"detail":"no such path"}`, http.StatusNotFound)
				return
			}
			fmt.Fprintf(w, `{"data":[{"time":"2024-01-01T00:00:00Z","field":"usage_user","value":%s,"tags":{"hostname":"h"}}],"count":1}`, value)
		}))
		t.Cleanup(server.Close)
		return QueryTarget{URL: server.URL, API: Varve}
	}
	c := asked(answers("1"), answers("1.0"))
	c.Shapes = []Shape{OneSeries, TagValues}
	c.Clients = 3
	c.JSON = true
	var out bytes.Buffer
	r, err := RunQuery(context.Background(), c, &out)
	if err != nil {
		t.Fatal(err)
	}
	var back QueryReport
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || !reflect.DeepEqual(back, r) {
		t.Errorf("JSON does not give the report back: %v: %s", err, &out)
	}
	if len(r.Shapes) != 4 {
		t.Fatalf("report %+v", r)
	}
	if s := r.Shapes[1]; s.Queries != 10 || !s.Agrees || s.Values != 1 || s.Groups != 1 || s.AnswerBytes < 100 || s.Latency.P50 <= 0 {
		t.Errorf("shape %+v", s)
	}
	if s := r.Shapes[2]; s.Agrees || s.Trouble != `404 {"detail":"no such path"}` {
		t.Errorf("a shape without an answer: %+v", s)
	}
	// Two servers: 2 to compare, 1 to warm up, 10 timed; and one that fails.
	if got := n.Load(); got != 2*(2+1+10)+2 {
		t.Errorf("%d questions", got)
	}

	c = asked(answers("1"), answers("2"))
	c.Shapes = []Shape{OneSeries}
	out.Reset()
	if _, err := RunQuery(context.Background(), c, &out); err == nil || !strings.Contains(err.Error(), "differently: 2 instead of 1") {
		t.Errorf("different answers: %v", err)
	}
	if !strings.Contains(out.String(), "NO: 2 instead of 1") {
		t.Errorf("printed %s", &out)
	}
	c.Shapes = []Shape{TagValues}
	if _, err := RunQuery(context.Background(), c, io.Discard); err == nil || !strings.Contains(err.Error(), "no question was answered: 404") {
		t.Errorf("no answers: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := RunQuery(ctx, c, io.Discard); err == nil {
		t.Error("a cancelled run succeeded")
	}
}

func TestQueryTimeLimit(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(20 * time.Millisecond)
		fmt.Fprint(w, `{"data":[],"count":0}`)
	}))
	defer server.Close()
	c := asked(QueryTarget{URL: server.URL, API: Varve})
	c.Shapes, c.Repeat, c.TimeLimit = []Shape{OneSeries}, 1_000_000, 100*time.Millisecond
	r, err := RunQuery(context.Background(), c, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Shapes[0].Queries; n < 1 || n > 6 {
		t.Errorf("%d questions of 20 ms in 100 ms", n)
	}
}

func TestQueryValidates(t *testing.T) {
	for want, change := range map[string]func(*QueryConfig){
		"no server":         func(c *QueryConfig) { c.Targets = nil },
		"none of varve":     func(c *QueryConfig) { c.Targets[0].API = "sql" },
		"needs a database":  func(c *QueryConfig) { c.Targets[0].API = Influx },
		"is not like":       func(c *QueryConfig) { c.Targets[0].URL = "x" },
		"about hosts":       func(c *QueryConfig) { c.Fleet = fleet.Default(fleet.Truck) },
		"rows were written": func(c *QueryConfig) { c.Rows = 0 },
		"no shape \"x\"":    func(c *QueryConfig) { c.Shapes = []Shape{"x"} },
		"no shape of":       func(c *QueryConfig) { c.Shapes = nil },
		"clients":           func(c *QueryConfig) { c.Clients = 0 },
		"0 questions":       func(c *QueryConfig) { c.Repeat = 0 },
		"time limits":       func(c *QueryConfig) { c.TimeLimit = 0 },
	} {
		c := asked(QueryTarget{URL: "http://127.0.0.1:1", API: Varve})
		change(&c)
		if _, err := RunQuery(context.Background(), c, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}
