package apptest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func TestWriteAndQuery(t *testing.T) {
	s := start(t, t.TempDir())
	s.write("cpu,host=a u=1.5,n=-3i,c=7u,s=\"x y\",b=true 1000000000\n")
	s.write("cpu,host=a u=2.5 2000000000\ncpu,host=b u=10 2000000000\n")

	got := map[string]string{}
	for _, v := range s.query(`{"measurement":"cpu","start":0,"stop":10}`) {
		got[fmt.Sprintf("%s %s %d", v.Tags["host"], v.Field, v.Time.Unix())] = fmt.Sprint(v.Value)
	}
	want := map[string]string{"a u 1": "1.5", "a n 1": "-3", "a c 1": "7", "a s 1": "x y", "a b 1": "true", "a u 2": "2.5", "b u 2": "10"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}

	mean := s.query(`{"measurement":"cpu","start":0,"stop":10,"aggregation":"mean","fields":["u"],"group_by":["host"]}`)
	if len(mean) != 2 || fmt.Sprintf("%v %v", mean[0].Value, mean[1].Value) != "2 10" {
		t.Errorf("means %+v", mean)
	}
	last := s.query(`{"measurement":"cpu","start":0,"stop":10,"aggregation":"last","fields":["u"],"filters":{"host":"a"}}`)
	if len(last) != 1 || fmt.Sprint(last[0].Value) != "2.5" || last[0].Time.Unix() != 2 {
		t.Errorf("last %+v", last)
	}
	newest := s.query(`{"measurement":"cpu","start":0,"stop":10,"fields":["u"],"order":"desc","limit":1}`)
	if len(newest) != 1 || newest[0].Time.Unix() != 2 {
		t.Errorf("newest %+v", newest)
	}
	above := s.query(`{"measurement":"cpu","start":0,"stop":10,"fields":["u"],"where":[{"field":"u","op":">","value":2}]}`)
	if len(above) != 2 {
		t.Errorf("above %+v", above)
	}
	for path, want := range map[string]string{
		"/measurements":            `["cpu"]`,
		"/measurements/cpu/tags":   `["host"]`,
		"/measurements/cpu/fields": `["b","c","n","s","u"]`,
		"/tags/host/values":        `["a","b"]`,
	} {
		if a := s.must(200, http.MethodGet, s.service+path, ""); !strings.Contains(a.body, `"data":`+want) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	if a := s.must(200, http.MethodGet, s.service+"/measurements/cpu/fields", ""); !strings.Contains(a.body, `"types":{"b":"boolean","c":"unsigned","n":"integer","s":"string","u":"float"}`) {
		t.Errorf("types of fields: %s", a.body)
	}
	// What the data cannot give is the client's to mend, and said in words.
	for body, want := range map[string]string{
		`"aggregation":"mean","fields":["s"]`:           `mean(\"s\") cannot be computed: field \"s\" holds string values; count, first and last take any`,
		`"where":[{"field":"s","op":">","value":3}]`:    `field \"s\" holds string values`,
		`"where":[{"field":"n","op":"=~","value":"a"}]`: `field \"n\" holds integer values`,
	} {
		a := s.must(400, http.MethodPost, s.service+"/query", `{"measurement":"cpu","start":0,"stop":10,`+body+`}`)
		if !strings.Contains(a.body, want) {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	explained := s.must(200, http.MethodPost, s.service+"/query", `{"measurement":"cpu","start":0,"stop":10,"aggregation":"max","explain":true}`)
	if !strings.Contains(explained.body, `"explain":"`) {
		t.Errorf("explained: %s", explained.body)
	}
}

// A sum of integers that does not fit says so, in windows too and not beside
// ones that fit.
func TestOverflow(t *testing.T) {
	s := start(t, t.TempDir())
	s.write("m,h=a x=9223372036854775807i 1\nm,h=a x=2i 2\nm,h=b x=3i 1\nm,h=a x=5i 3000000000")
	for extra, want := range map[string]int{``: 1, `,"every":"1s"`: 1, `,"group_by":[]`: 1, `,"filters":{"h":"b"}`: 0} {
		a := s.must(200, http.MethodPost, s.service+"/query", `{"measurement":"m","start":0,"stop":10,"aggregation":"sum"`+extra+`}`)
		if got := strings.Count(a.body, `"overflow":true`); got != want || strings.Count(a.body, `"overflow"`) != want {
			t.Errorf("%s: %d sums are marked, want %d: %s", extra, got, want, a.body)
		}
	}
	if out, err := varve(t, "query", "--url", s.service, "-m", "m", "--start", "0", "--aggregation", "sum"); err != nil || strings.Count(out, "(overflow)") != 1 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestOverwrites(t *testing.T) {
	s := start(t, t.TempDir())
	s.write("m,a=1 x=1,y=2 1")
	s.write("m,a=1 x=5 1")
	got := s.query(`{"measurement":"m","start":0,"stop":1}`)
	if len(got) != 2 || fmt.Sprintf("%v %v", got[0].Value, got[1].Value) != "5 2" {
		t.Errorf("got %+v, want x=5 and y=2", got)
	}
}

func TestEncodings(t *testing.T) {
	s := start(t, t.TempDir())
	var lines strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&lines, "m,d=%d v=%di %d\n", i%10, i, i+1)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(lines.String())); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ measurement, encoding, body string }{
		{"plain", "identity", strings.ReplaceAll(lines.String(), "m,", "plain,")},
		{"m", "gzip", zipped.String()},
		{"packed", "zstd", string(enc.EncodeAll([]byte(strings.ReplaceAll(lines.String(), "m,", "packed,")), nil))},
	} {
		s.write(c.body, "Content-Encoding: "+c.encoding)
		n := s.query(fmt.Sprintf(`{"measurement":%q,"start":0,"stop":1,"aggregation":"count","group_by":[]}`, c.measurement))
		if len(n) != 1 || fmt.Sprint(n[0].Value) != "5000" {
			t.Errorf("%s: count %+v", c.encoding, n)
		}
	}
}

func TestRefusals(t *testing.T) {
	s := start(t, t.TempDir(), "--max-body", "64KiB")
	s.write("m,t=a x=1 1")
	write := s.http + "/api/v2/write"
	for _, c := range []struct {
		url, body, authorization string
		status                   int
		code, message            string
	}{
		{write, "m x=1", "Token wrong", 401, "unauthorized", "unauthorized access"},
		{write + "?bucket=nope", "m x=1", "", 404, "not found", `bucket "nope" not found`},
		{write, strings.Repeat("x", 64<<10+1), "", 413, "request too large", "unable to read data: points batch is too large"},
		{write, "m x=2 2\nm x=\nm,t y=1", "", 400, "invalid", "unable to parse 'm x=': missing field value\nunable to parse 'm,t y=1': missing tag value"},
		{write + "?precision=m", "m x=1", "", 400, "invalid", "invalid precision; valid precision units are ns, us, ms, and s"},
		{write, "m,t=a x=3 3\nm,t=a x=\"s\" 4", "", 422, "unprocessable entity",
			`failure writing points to database: partial write: field type conflict: input field "x" on measurement "m" is type string, already exists as type float dropped=1`},
		{s.http + "/write?db=default&p=wrong", "m x=1", "", 401, "unauthorized", "unauthorized access"},
		{s.http + "/write?p=" + adminToken, "m x=1", "", 400, "invalid", "missing db"},
	} {
		var header []string
		if c.authorization != "" {
			header = append(header, "Authorization: "+c.authorization)
		}
		a := s.must(c.status, http.MethodPost, c.url, c.body, header...)
		var e struct{ Code, Message string }
		if err := json.Unmarshal([]byte(a.body), &e); err != nil {
			t.Fatalf("%v in %s", err, a.body)
		}
		if e.Code != c.code || e.Message != c.message || a.header.Get("X-Platform-Error-Code") != c.code {
			t.Errorf("%s %.40q: %q %q\nwant %q %q", c.url, c.body, e.Code, e.Message, c.code, c.message)
		}
	}
	// Of the refused body nothing is stored, of the partial one the rest.
	got := s.query(`{"measurement":"m","start":0,"stop":1}`)
	if len(got) != 2 || fmt.Sprintf("%v %v", got[0].Value, got[1].Value) != "1 3" {
		t.Errorf("stored %+v", got)
	}
}

func TestV1Write(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(204, http.MethodPost, s.http+"/write?db=default&precision=m&u=me&p="+adminToken, "m x=1 2", "Authorization: ")
	got := s.query(`{"measurement":"m","start":0,"stop":1000}`)
	if len(got) != 1 || got[0].Time.Unix() != 120 {
		t.Errorf("got %+v, want minute 2", got)
	}
}

func TestRetention(t *testing.T) {
	s := start(t, t.TempDir(), "--init-retention", "1h")
	a := s.must(422, http.MethodPost, s.http+"/api/v2/write", "m x=1 1\nm x=2")
	if !strings.Contains(a.body, "partial write: points beyond retention policy dropped=1") {
		t.Errorf("answer %s", a.body)
	}
}

func TestLimitsOfPoints(t *testing.T) {
	s := start(t, t.TempDir(), "--ingest-max-future", "1h", "--schema-max-columns", "2")
	ahead := fmt.Sprintf("m,h=a x=1 %d\nm,h=a x=2", time.Now().Add(2*time.Hour).UnixNano())
	for body, want := range map[string]string{
		ahead:                  "points more than 1h0m0s ahead of the server's clock dropped=1",
		"m,h=a x=1,y=1\nm x=1": `measurement \"m\" has 2 tags and fields, which is the limit (--schema-max-columns) dropped=1`,
	} {
		if a := s.must(422, http.MethodPost, s.http+"/api/v2/write", body); !strings.Contains(a.body, want) {
			t.Errorf("%s: %s, want %s", body, a.body, want)
		}
	}
}

func TestDelete(t *testing.T) {
	s := start(t, t.TempDir())
	fill := func() {
		s.write("m,h=a x=1,y=1 1\nm,h=a x=2,y=2 2\nm,h=b x=3,y=3 1\nother,h=a x=4 1")
	}
	all := func() string {
		var parts []string
		for _, m := range []string{"m", "other"} {
			for _, v := range s.query(fmt.Sprintf(`{"measurement":%q,"start":0,"stop":1}`, m)) {
				parts = append(parts, fmt.Sprintf("%s.%s@%d", v.Tags["h"], v.Field, v.Time.UnixNano()))
			}
		}
		return strings.Join(parts, " ")
	}
	remove := func(body string) {
		s.must(204, http.MethodPost, s.http+"/api/v2/delete", body)
	}
	settle := func() { s.must(204, http.MethodPost, s.service+"/api/v1/settle", "") }
	const span = `"start":"1970-01-01T00:00:00Z","stop":"1970-01-01T00:00:01Z"`
	for _, c := range []struct{ body, want string }{
		{`{` + span + `,"predicate":"_measurement=\"m\" AND h=\"a\""}`, "b.x@1 b.y@1 a.x@1"},
		{`{` + span + `,"predicate":"_measurement=m AND _field=y"}`, "a.x@1 a.x@2 b.x@1 a.x@1"},
		{`{"start":"1970-01-01T00:00:00.000000002Z","stop":"1970-01-01T00:00:01Z"}`, "a.x@1 a.y@1 b.x@1 b.y@1 a.x@1"},
		{`{` + span + `}`, ""},
	} {
		fill()
		remove(c.body)
		if got := all(); got != c.want {
			t.Errorf("after %s:\n got %s\nwant %s", c.body, got, c.want)
		}
		settle()
		if got := all(); got != c.want {
			t.Errorf("after %s and settling:\n got %s\nwant %s", c.body, got, c.want)
		}
	}
	// What is written after a delete is there.
	fill()
	if got := all(); strings.Count(got, "@") != 7 {
		t.Errorf("after writing again: %s", got)
	}
}

func TestSettleAndCheck(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	var lines strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&lines, "m,h=%d x=%d,y=%di %d\n", i%100, i, i, i)
	}
	s.write(lines.String())
	if a := s.must(200, http.MethodPost, s.service+"/api/v1/check", ""); a.body != "{\"problems\":0}\n" {
		t.Errorf("check before settling: %s", a.body)
	}
	s.must(204, http.MethodPost, s.service+"/api/v1/settle", "")
	if a := s.must(200, http.MethodPost, s.service+"/api/v1/check", ""); a.body != "{\"problems\":0}\n" {
		t.Errorf("check: %s", a.body)
	}
	if out, err := varve(t, "check", "--data-dir", dir, "--online"); err != nil || !strings.Contains(out, "no problems") {
		t.Errorf("varve check --online: %v: %s", err, out)
	}
	s.stop()
	if out, err := varve(t, "check", "--data-dir", dir); err != nil || !strings.Contains(out, "no problems") {
		t.Errorf("varve check: %v: %s", err, out)
	}

	// A flipped byte in a segment is found and named.
	segments, err := filepath.Glob(filepath.Join(dir, "store", "shard-0", "segments", "*"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("no segments: %v", err)
	}
	b, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/3] ^= 0x40
	if err := os.WriteFile(segments[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := varve(t, "check", "--data-dir", dir)
	if err == nil || !strings.Contains(out, filepath.Base(segments[0])) {
		t.Errorf("varve check of a damaged store: %v: %s", err, out)
	}
}

func TestServiceWithoutTokens(t *testing.T) {
	s := start(t, t.TempDir(), "--service-auth", "none")
	s.write("m x=1 1")
	a := s.must(200, http.MethodPost, s.service+"/query", `{"measurement":"m","start":0,"stop":1}`, "Authorization: ")
	if !strings.Contains(a.body, `"count":1`) {
		t.Errorf("answer %s", a.body)
	}
	s.must(401, http.MethodPost, s.http+"/api/v2/write", "m x=1 1", "Authorization: ")
}

func TestQueryCommand(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.write("cpu,host=a u=1.5 1000000000\ncpu,host=bb u=2 2000000000")
	out, err := varve(t, "query", "--data-dir", dir, "-m", "cpu", "--start", "0", "--stop", "10", "--explain")
	want := "time                  host  field  value\n1970-01-01T00:00:01Z  a     u      1.5\n1970-01-01T00:00:02Z  bb    u      2\n2 values\n"
	if err != nil || !strings.HasPrefix(out, want) || !strings.Contains(out, "scan") {
		t.Errorf("%v:\n%s\nwant\n%s", err, out, want)
	}
	out, err = varve(t, "query", "--data-dir", dir, "-m", "cpu", "--start", "soon")
	if err == nil || !strings.Contains(out, `start: time "soon"`) {
		t.Errorf("%v: %s", err, out)
	}
	out, err = varve(t, "query", "--url", s.service, "--token", "wrong", "-m", "cpu")
	if err == nil || !strings.Contains(out, "unauthorized access") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestImportCommand(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "m.csv")
	if err := os.WriteFile(file, []byte("at,site,temp\n2026-01-01 00:00:00,north,1.5\n2026-01-01 00:01:00,south,2.5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := filepath.Join(dir, "m.lp")
	if err := os.WriteFile(lines, []byte("w,site=east temp=3.5 1767225720\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	mapping := []string{"--measurement", "w", "--time", "at", "--tag", "site"}
	if out, err := varve(t, append([]string{"import", "csv", "--offline", data, file}, mapping...)...); err != nil || !strings.Contains(out, "2 points") {
		t.Fatalf("%v: %s", err, out)
	}
	s := start(t, data)
	if out, err := varve(t, "import", "lines", "--data-dir", data, "--precision", "s", lines); err != nil || !strings.Contains(out, "1 points") {
		t.Fatalf("%v: %s", err, out)
	}
	var got []string
	for _, v := range s.query(`{"measurement":"w","start":"2026-01-01","stop":"2026-01-02","order":"asc"}`) {
		got = append(got, fmt.Sprint(v.Tags["site"], v.Value))
	}
	if fmt.Sprint(got) != "[north1.5 south2.5 east3.5]" {
		t.Errorf("got %v", got)
	}
	if out, err := varve(t, "import", "lines", "--offline", data, lines); err == nil || !strings.Contains(out, "is in use by another varve") {
		t.Errorf("offline import beside a server: %v: %s", err, out)
	}
}

func TestBenchCommand(t *testing.T) {
	s := start(t, t.TempDir())
	out, err := varve(t, "bench", "write", "--url", s.http, "--devices", "100", "--rows", "20000", "--body-lines", "1000", "--try", "100ms", "--pool", "16MiB")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"fsyncs", "tried:", "--workers 8", "--body-lines 10000", "--gzip=true"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in the report:\n%s", want, out)
		}
	}
	out, err = varve(t, "bench", "query", "--url", s.service, "--devices", "100", "--rows", "20000", "--repeat", "3")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, shape := range []string{"one-series", "100-hosts-1", "last-of-each", "values-of-tag"} {
		if !strings.Contains(out, shape) {
			t.Errorf("no %s in the report:\n%s", shape, out)
		}
	}
}

func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	out, err := varve(t, "demo", "--data-dir", t.TempDir(), "--http-addr", "127.0.0.1:0", "--service-addr", "127.0.0.1:0",
		"--seconds", "6", "--hosts", "50", "--trucks", "20", "--backlog", "2h")
	if err != nil || !strings.Contains(out, "points/s") || !strings.Contains(out, " 0 missing") {
		t.Errorf("%v:\n%s", err, out)
	}
}
