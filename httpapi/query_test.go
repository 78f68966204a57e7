package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/health"
)

func floats(values ...float64) column.Vector {
	v := column.Vector{Type: column.Float64}
	for _, f := range values {
		v.AppendFloat(f)
	}
	return v
}

func TestQueryCompiles(t *testing.T) {
	for body, want := range map[string]string{
		`{"measurement":"cpu","start":"-1h"}`: `rows: all fields
  scan: bucket 000000000000000a, "cpu", from 2023-11-14T21:13:20Z until 2023-11-14T22:13:20Z`,
		`{"measurement":"cpu","start":"2023-01-01T00:00:00Z","stop":"2023-01-02","filters":{"host":"a","rack":["1","2"]},"fields":["u"],"order":"desc","limit":5}`: `page of all rows: limit 5
  order: newest first
    rows: "u", series merged by time
      scan: bucket 000000000000000a, "cpu", from 2023-01-01T00:00:00Z until 2023-01-02T00:00:00Z, tags (host = "a" and rack in ["1" "2"])`,
		`{"bucket":"readable","measurement":"cpu","start":0,"stop":3600,"aggregation":"mean","every":"1m","fields":["a","b"],"group_by":["host"]}`: `aggregate: mean("a"), mean("b") every 1m0s by tags "host"
  scan: bucket 000000000000000b, "cpu", from 1970-01-01T00:00:00Z until 1970-01-01T01:00:00Z`,
		`{"measurement":"cpu","start":0,"stop":1,"aggregation":"last"}`: `aggregate: last(every field) by series
  scan: bucket 000000000000000a, "cpu", from 1970-01-01T00:00:00Z until 1970-01-01T00:00:01Z`,
		`{"measurement":"cpu","start":0,"stop":1,"aggregation":"median","group_by":[],"every":"1mo","zone":"Europe/Kyiv"}`: `aggregate: quantile(every field, 0.5) every 1mo in Europe/Kyiv of all series together
  scan: bucket 000000000000000a, "cpu", from 1970-01-01T00:00:00Z until 1970-01-01T00:00:01Z`,
		`{"measurement":"cpu","start":0,"stop":1,"where":[{"field":"u","op":">","value":9007199254740993},{"field":"s","op":"=~","value":"^x"},{"field":"b","op":"=","value":true},{"field":"z","op":"exists"},{"field":"f","op":"<=","value":1.5},{"field":"t","op":"!=","value":"y"}]}`: `rows: all fields
  scan: bucket 000000000000000a, "cpu", from 1970-01-01T00:00:00Z until 1970-01-01T00:00:01Z, where (((((\"u\" > 9007199254740993i and \"s\" =~ /^x/) and \"b\" = true) and \"z\" exists) and \"f\" <= 1.5) and \"t\" != \"y\")`,
	} {
		b := newRig(t, nil)
		w := call(b.api.Service(), http.MethodPost, "/query", body, asAdmin)
		if w.Code != 200 {
			t.Errorf("%s: status %d: %s", body, w.Code, w.Body)
			continue
		}
		want = strings.ReplaceAll(want, `\"`, `"`)
		if diff := cmp.Diff(want, b.querier.plan.String()); diff != "" {
			t.Errorf("%s:\n%s", body, diff)
		}
	}
}

func TestQueryErrors(t *testing.T) {
	for _, c := range []struct {
		body, token string
		status      int
		detail      string
	}{
		{`{}`, "", 401, "unauthorized access"},
		{`{"measurement":"cpu","start":"-1h"}`, "device", 404, "not found"}, // write-only default bucket
		{`{"bucket":"db/rp","measurement":"cpu","start":"-1h"}`, "device", 404, `bucket "db/rp" not found`},
		{`{"bucket":"nope","measurement":"cpu","start":"-1h"}`, "admin", 404, `bucket "nope" not found`},
		{`{"start":"-1h"}`, "admin", 400, "measurement is missing"},
		{`{"measurement":"cpu"}`, "admin", 400, "start is missing"},
		{`{"measurement":"cpu","start":"yesterday"}`, "admin", 400, `start: time "yesterday" is neither`},
		{`{"measurement":"cpu","start":"-1h","stop":"-2h"}`, "admin", 400, "is not before stop"},
		{`{"measurement":"cpu","start":"-1h","order":"up"}`, "admin", 400, "want asc or desc"},
		{`{"measurement":"cpu","start":"-1h","limit":-1}`, "admin", 400, "limit -1 is negative"},
		{`{"measurement":"cpu","start":"-1h","aggregation":"avg"}`, "admin", 400, `aggregation "avg" is not known; there are count`},
		{`{"measurement":"cpu","start":"-1h","every":"1m"}`, "admin", 400, "need an aggregation"},
		{`{"measurement":"cpu","start":"-1h","aggregation":"mean","every":"1q"}`, "admin", 400, "not a length of time"},
		{`{"measurement":"cpu","start":"-1h","aggregation":"mean","every":"1m","zone":"Mars"}`, "admin", 400, `time zone "Mars" is not known`},
		{`{"measurement":"cpu","start":"-1h","aggregation":"quantile","quantile":2}`, "admin", 400, "quantile 2 is not between"},
		{`{"measurement":"cpu","start":"-1h","filters":{"host":3}}`, "admin", 400, "a filter is a string or a list"},
		{`{"measurement":"cpu","start":"-1h","where":[{"field":"u","op":"~","value":3}]}`, "admin", 400, `operation "~" is not known`},
		{`{"measurement":"cpu","start":"-1h","where":[{"field":"u","op":"="}]}`, "admin", 400, "a value is missing"},
		{`{"measurement":"cpu","start":"-1h","filter":{}}`, "admin", 400, `unknown field "filter"`},
		{`{"measurement":`, "admin", 400, "error parsing request json"},
	} {
		b := newRig(t, nil)
		var headers []string
		if c.token != "" {
			headers = append(headers, "Authorization: Token "+c.token)
		}
		w := call(b.api.Service(), http.MethodPost, "/query", c.body, headers...)
		var e struct{ Detail string }
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
			t.Errorf("%s: %v in %s", c.body, err, w.Body)
		}
		if w.Code != c.status || !strings.Contains(e.Detail, c.detail) {
			t.Errorf("%s: status %d: %s; want %d: %s", c.body, w.Code, e.Detail, c.status, c.detail)
		}
	}
}

func TestAnswer(t *testing.T) {
	b := newRig(t, nil)
	u, s := floats(1.5, 0), column.Vector{Type: column.String}
	u.AppendNulls(1)
	s.AppendNulls(1)
	s.AppendString([]byte("a \"b\"\n\xff"))
	s.AppendString(nil)
	b.querier.pieces = []*Piece{
		{Measurement: "cpu", Tags: []byte(`host=a\ b,rack=1`), Fields: []string{"u", "s"},
			Rows: column.Rows{Time: []int64{0, 1e9, 1700000000123456789}, Cols: []column.Vector{u, s}}},
		{Measurement: "cpu", Fields: []string{"i", "n", "b", "x", "none"},
			Rows: column.Rows{Time: []int64{5}, Cols: []column.Vector{
				{Type: column.Int64, Words: []uint64{math.MaxUint64}},
				{Type: column.Uint64, Words: []uint64{math.MaxUint64}},
				{Type: column.Bool, Words: []uint64{1}},
				floats(math.NaN()), {},
			}},
			Overflow: [][]bool{{true}, {false}, nil, nil, nil}},
	}
	w := call(b.api.Service(), http.MethodPost, "/query", `{"measurement":"cpu","start":0,"explain":true}`, asAdmin)
	want := `{"status":"success","data":[` +
		`{"time":"1970-01-01T00:00:00Z","measurement":"cpu","field":"u","value":1.5,"tags":{"host":"a b","rack":"1"}},` +
		`{"time":"1970-01-01T00:00:01Z","measurement":"cpu","field":"u","value":0,"tags":{"host":"a b","rack":"1"}},` +
		`{"time":"1970-01-01T00:00:01Z","measurement":"cpu","field":"s","value":"a \"b\"\n\ufffd","tags":{"host":"a b","rack":"1"}},` +
		`{"time":"2023-11-14T22:13:20.123456789Z","measurement":"cpu","field":"s","value":"","tags":{"host":"a b","rack":"1"}},` +
		`{"time":"1970-01-01T00:00:00.000000005Z","measurement":"cpu","field":"i","value":-1,"overflow":true,"tags":{}},` +
		`{"time":"1970-01-01T00:00:00.000000005Z","measurement":"cpu","field":"n","value":18446744073709551615,"tags":{}},` +
		`{"time":"1970-01-01T00:00:00.000000005Z","measurement":"cpu","field":"b","value":true,"tags":{}},` +
		`{"time":"1970-01-01T00:00:00.000000005Z","measurement":"cpu","field":"x","value":null,"tags":{}}` +
		`],"count":8,"explain":"read 1 block"}` + "\n"
	if diff := cmp.Diff(want, w.Body.String()); diff != "" {
		t.Error(diff)
	}
	if got := w.Header().Get("Content-Type"); got != contentJSON {
		t.Errorf("Content-Type %q", got)
	}
}

func TestAnswerLimit(t *testing.T) {
	b := newRig(t, nil)
	p := &Piece{Measurement: "m", Fields: []string{"a", "b"}, Rows: column.Rows{Time: []int64{1, 2}, Cols: []column.Vector{floats(1, 2), floats(3, 4)}}}
	b.querier.pieces = []*Piece{p, p}
	w := call(b.api.Service(), http.MethodPost, "/query", `{"measurement":"m","start":0,"limit":3,"explain":true}`, asAdmin)
	var a struct {
		Data    []struct{ Value float64 }
		Count   int
		Explain string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	if a.Count != 3 || len(a.Data) != 3 || a.Data[2].Value != 2 || a.Explain != "stopped" {
		t.Errorf("answer %+v", a)
	}
}

// An error behind the first bytes must not leave an answer that looks whole;
// one before them has its own status.
func TestQueryThatFails(t *testing.T) {
	big := &Piece{Measurement: "m", Fields: []string{"a"}}
	for i := range int64(10_000) {
		big.Rows.Time = append(big.Rows.Time, i)
	}
	big.Rows.Cols = []column.Vector{floats(make([]float64, 10_000)...)}
	for _, c := range []struct {
		pieces []*Piece
		broken bool
	}{{nil, false}, {[]*Piece{big}, true}} {
		b := newRig(t, nil)
		b.querier.pieces, b.querier.err = c.pieces, errors.New("block is torn")
		server := httptest.NewServer(b.api.Service())
		req, err := http.NewRequest(http.MethodPost, server.URL+"/query", strings.NewReader(`{"measurement":"m","start":0}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Token admin")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if broken := err != nil; broken != c.broken || !c.broken && resp.StatusCode != 500 {
			t.Errorf("status %d, error %v", resp.StatusCode, err)
		}
		server.Close()
	}
}

func TestOpenService(t *testing.T) {
	b := newRig(t, func(c *Config) {
		c.OpenService = true
		c.Anonymous, _ = fakeAccess{}.Identify("admin")
	})
	if w := call(b.api.Service(), http.MethodPost, "/query", `{"measurement":"m","start":0}`); w.Code != 200 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	// The points port still wants a token.
	if w := call(b.api.Points(), http.MethodPost, "/api/v2/write", "cpu"); w.Code != 401 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

func TestLists(t *testing.T) {
	for target, want := range map[string]string{
		"/measurements":                     "list: measurements\n  scan: bucket 000000000000000a, all measurements, from the beginning until the end",
		"/measurements/c%2Fpu/tags?start=0": "list: tag keys\n  scan: bucket 000000000000000a, \"c/pu\", from 1970-01-01T00:00:00Z until the end",
		"/measurements/cpu/fields?stop=-1h": "list: fields\n  scan: bucket 000000000000000a, \"cpu\", from the beginning until 2023-11-14T21:13:20Z",
		"/tags/host/values?measurement=cpu": "list: values of tag \"host\"\n  scan: bucket 000000000000000a, \"cpu\", from the beginning until the end",
		"/tags/host/values?bucket=readable": "list: values of tag \"host\"\n  scan: bucket 000000000000000b, all measurements, from the beginning until the end",
	} {
		b := newRig(t, nil)
		b.querier.names = []Name{{Name: "a"}, {Name: "b"}}
		w := call(b.api.Service(), http.MethodGet, target, "", asAdmin)
		if w.Code != 200 || w.Body.String() != `{"status":"success","data":["a","b"],"count":2}`+"\n" {
			t.Errorf("%s: status %d: %s", target, w.Code, w.Body)
			continue
		}
		if diff := cmp.Diff(want, b.querier.plan.String()); diff != "" {
			t.Errorf("%s:\n%s", target, diff)
		}
	}
	b := newRig(t, nil)
	b.querier.names = []Name{{"a", "float"}, {"b", "string"}}
	if w := call(b.api.Service(), http.MethodGet, "/measurements/cpu/fields", "", asAdmin); w.Body.String() != `{"status":"success","data":["a","b"],"count":2,"types":{"a":"float","b":"string"}}`+"\n" {
		t.Errorf("fields: status %d: %s", w.Code, w.Body)
	}
	b.querier.names = nil
	if w := call(b.api.Service(), http.MethodGet, "/tags/host/values", "", "Authorization: Token x"); w.Code != 401 {
		t.Errorf("wrong token: status %d", w.Code)
	}
	if w := call(b.api.Service(), http.MethodGet, "/measurements", "", asAdmin); !strings.Contains(w.Body.String(), `"data":[]`) {
		t.Errorf("without names: %s", w.Body)
	}
}

func TestProbes(t *testing.T) {
	b := newRig(t, nil)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		if w := call(b.api.Points(), method, "/ping", ""); w.Code != 204 || w.Header().Get("X-Influxdb-Version") != "v2.9.1" {
			t.Errorf("%s /ping: status %d, headers %v", method, w.Code, w.Header())
		}
	}
	w := call(b.api.Points(), http.MethodGet, "/health", "")
	want := `{"name":"influxdb","message":"ready for queries and writes","status":"pass","checks":[],"score":100,"version":"v2.9.1","commit":""}` + "\n"
	if w.Code != 200 || w.Body.String() != want {
		t.Errorf("/health: status %d: %s", w.Code, w.Body)
	}
	w = call(b.api.Points(), http.MethodGet, "/ready", "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `{"status":"ready","started":"2023-11-14T22:13:20Z","up":"0s"}`) {
		t.Errorf("/ready: status %d: %s", w.Code, w.Body)
	}
	w = call(b.api.Service(), http.MethodGet, "/health", "")
	if w.Code != 200 || w.Body.String() != `{"status":"healthy","timestamp":"2023-11-14T22:13:20Z","score":100}`+"\n" {
		t.Errorf("service /health: status %d: %s", w.Code, w.Body)
	}
}

// What has to be looked after serves, and says so; what fails is 503.
func TestHealthStates(t *testing.T) {
	b := newRig(t, nil)
	slow := health.Result{Name: "compaction", Deduction: 10, Finding: health.Finding{Severity: 0.5, Reasons: []string{"is behind"}}}
	full := health.Result{Name: "disk", Deduction: 40, Finding: health.Finding{Severity: 1, Failing: true, Reasons: []string{"is full"}}}
	for _, c := range []struct {
		report          health.Report
		status          int
		service, influx string
	}{
		{health.Report{Score: 90, Results: []health.Result{slow}}, 200,
			`{"status":"degraded","timestamp":"2023-11-14T22:13:20Z","score":90,"reasons":["is behind"]}`,
			`"message":"is behind","status":"pass","checks":[{"name":"compaction","message":"is behind","status":"pass"}],"score":90,`},
		{health.Report{Score: 50, Results: []health.Result{slow, full}}, 503,
			`{"status":"unhealthy","timestamp":"2023-11-14T22:13:20Z","score":50,"reasons":["is full","is behind"]}`,
			`"message":"is full; is behind","status":"fail","checks":[{"name":"compaction","message":"is behind","status":"pass"},{"name":"disk","message":"is full","status":"fail"}],"score":50,`},
	} {
		b.report = c.report
		if w := call(b.api.Service(), http.MethodGet, "/health", ""); w.Code != c.status || w.Body.String() != c.service+"\n" {
			t.Errorf("service /health: status %d: %s, want %s", w.Code, w.Body, c.service)
		}
		if w := call(b.api.Points(), http.MethodGet, "/health", ""); w.Code != c.status || !strings.Contains(w.Body.String(), c.influx) {
			t.Errorf("/health: status %d: %s, want %s", w.Code, w.Body, c.influx)
		}
	}
}

func TestUpkeep(t *testing.T) {
	b := newRig(t, nil)
	h := b.api.Service()
	for _, target := range []string{"/api/v1/settle", "/api/v1/check"} {
		if w := call(h, http.MethodPost, target, ""); w.Code != 401 {
			t.Errorf("%s without token: status %d", target, w.Code)
		}
		if w := call(h, http.MethodPost, target, "", "Authorization: Token device"); w.Code != 403 {
			t.Errorf("%s with a device's token: status %d", target, w.Code)
		}
	}
	if w := call(h, http.MethodPost, "/api/v1/settle", "", asAdmin); w.Code != 204 {
		t.Errorf("settle: status %d: %s", w.Code, w.Body)
	}
	w := call(h, http.MethodPost, "/api/v1/check", "", asAdmin)
	want := `{"file":"x.seg","offset":7,"message":"checksum differs"}` + "\n" + `{"problems":1}` + "\n"
	if w.Code != 200 || w.Body.String() != want {
		t.Errorf("check: status %d: %s", w.Code, w.Body)
	}
}

func BenchmarkAnswer(b *testing.B) {
	const rows = 10_000
	p := &Piece{Measurement: "cpu", Tags: []byte("host=host_17,rack=3,region=eu-central-1"), Fields: []string{"usage_user"}}
	v := column.Vector{Type: column.Float64}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	for i := range int64(rows) {
		p.Rows.Time = append(p.Rows.Time, at+i*1e9)
		v.AppendFloat(float64(i) / 10)
	}
	p.Rows.Cols = []column.Vector{v}
	w := discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		a := newAnswer(w, 0)
		if err := a.add(p); err != nil {
			b.Fatal(err)
		}
		if err := a.end(""); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "values/s")
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkWrite is the API's own share of a write of a hundred lines.
func BenchmarkWrite(b *testing.B) {
	r := newRig(b, nil)
	r.store.discard = true
	h := r.api.Points()
	body := strings.Repeat("cpu,host=a usage=1.5 1700000000000000000\n", 100)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequest(http.MethodPost, "/api/v2/write?org=acme&bucket=sensors", strings.NewReader(body))
		req.Header.Set("Authorization", "Token admin")
		h.ServeHTTP(discard{http.Header{}}, req)
	}
}
