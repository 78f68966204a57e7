package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/jsonpoints"
	"github.com/varvedb/varve/protocol/lineproto"
)

func TestWriteStatuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		target  string
		body    string
		headers []string
		status  int
		code    string
		message string // of the error
		bucket  uint64 // that was written to
	}{
		{"plain", "/api/v2/write?org=acme&bucket=sensors", "cpu", []string{asAdmin}, 204, "", "", 10},
		{"bearer", "/api/v2/write?org=acme&bucket=sensors", "cpu", []string{"Authorization: bearer admin"}, 204, "", "", 10},
		{"ids", "/api/v2/write?orgID=0000000000000001&bucket=000000000000000a", "cpu", []string{asAdmin}, 204, "", "", 10},
		{"defaults", "/api/v2/write", "cpu", []string{asAdmin}, 204, "", "", 10},
		{"only comments", "/api/v2/write", "# nothing\n\n", []string{asAdmin}, 204, "", "", 0},
		{"unknown encoding is read as it is", "/api/v2/write", "cpu", []string{asAdmin, "Content-Encoding: br"}, 204, "", "", 10},
		{"write-only token", "/api/v2/write", "cpu", []string{"Authorization: Token device"}, 204, "", "", 10},

		{"no token", "/api/v2/write", "cpu", nil, 401, "unauthorized", "unauthorized access", 0},
		{"wrong token", "/api/v2/write", "cpu", []string{"Authorization: Token x"}, 401, "unauthorized", "unauthorized access", 0},
		{"basic is for v1", "/api/v2/write", "cpu", []string{"Authorization: Basic dTphZG1pbg=="}, 401, "unauthorized", "unauthorized access", 0},
		{"wrong org", "/api/v2/write?org=x&bucket=sensors", "cpu", []string{asAdmin}, 404, "not found", `organization name "x" not found`, 0},
		{"wrong bucket", "/api/v2/write?bucket=x", "cpu", []string{asAdmin}, 404, "not found", `bucket "x" not found`, 0},
		{"no bucket", "/api/v2/write", "cpu", []string{"Authorization: Token homeless"}, 404, "not found", "bucket not found", 0},
		{"hidden bucket", "/api/v2/write?bucket=db/rp", "cpu", []string{"Authorization: Token device"}, 404, "not found", `bucket "db/rp" not found`, 0},
		{"read-only bucket", "/api/v2/write?bucket=readable", "cpu", []string{"Authorization: Token device"}, 403, "forbidden", "insufficient permissions for write", 0},
		{"precision of 1.x", "/api/v2/write?precision=u", "cpu", []string{asAdmin}, 400, "invalid", "invalid precision; valid precision units are ns, us, ms, and s", 0},
		{"empty", "/api/v2/write", "", []string{asAdmin}, 400, "invalid", "writing requires points", 0},
		{"syntax", "/api/v2/write", "cpu\nbad\n", []string{asAdmin}, 400, "invalid", "unable to parse 'bad': missing fields", 0},
		{"not gzip", "/api/v2/write", "cpu is no gzip", []string{asAdmin, "Content-Encoding: gzip"}, 400, "invalid", "unable to read data: gzip: invalid header", 0},
		{"too large", "/api/v2/write", strings.Repeat("x", 1<<20+1), []string{asAdmin}, 413, "request too large", "unable to read data: points batch is too large", 0},

		{"v1", "/write?db=sensors&u=x&p=admin", "cpu", nil, 204, "", "", 10},
		{"v1 autogen", "/write?db=sensors&rp=autogen&p=admin", "cpu", nil, 204, "", "", 10},
		{"v1 policy", "/write?db=db&rp=rp&p=admin", "cpu", nil, 204, "", "", 12},
		{"v1 token", "/write?db=sensors", "cpu", []string{"Authorization: Token admin"}, 204, "", "", 10},
		{"v1 user and token", "/write?db=sensors", "cpu", []string{"Authorization: Token me:admin"}, 204, "", "", 10},
		{"v1 basic", "/write?db=sensors", "cpu", []string{"Authorization: Basic dTphZG1pbg=="}, 204, "", "", 10},
		{"v1 bearer", "/write?db=sensors", "cpu", []string{"Authorization: Bearer admin"}, 401, "unauthorized", "unauthorized access", 0},
		{"v1 wrong password", "/write?db=sensors&u=x&p=y", "cpu", nil, 401, "unauthorized", "unauthorized access", 0},
		{"v1 no db", "/write?p=admin", "cpu", nil, 400, "invalid", "missing db", 0},
		{"v1 unknown db", "/write?db=nope&p=admin", "cpu", nil, 404, "not found", "no dbrp mapping found", 0},
		{"v1 precision", "/write?db=sensors&p=admin&precision=y", "cpu", nil, 400, "invalid", "invalid precision; valid precision units are ns, us, ms, s, m, and h", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newRig(t, nil)
			w := call(b.api.Points(), http.MethodPost, c.target, c.body, c.headers...)
			if w.Code != c.status {
				t.Fatalf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
			if w.Header().Get("X-Influxdb-Version") == "" || w.Header().Get("X-Influxdb-Build") != "OSS" {
				t.Errorf("headers %v", w.Header())
			}
			if c.status == 204 {
				if w.Body.Len() > 0 {
					t.Errorf("body %q, want none", w.Body)
				}
			} else {
				want := `{"code":"` + c.code + `","message":` + string(jsonpoints.AppendText(nil, []byte(c.message))) + "}\n"
				if diff := cmp.Diff(want, w.Body.String()); diff != "" {
					t.Error(diff)
				}
				if got := w.Header().Get("X-Platform-Error-Code"); got != c.code {
					t.Errorf("X-Platform-Error-Code %q, want %q", got, c.code)
				}
				if got := w.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
					t.Errorf("Content-Type %q", got)
				}
			}
			var bucket uint64
			if len(b.store.writes) > 0 {
				bucket = b.store.writes[0].Bucket
			}
			if bucket != c.bucket {
				t.Errorf("wrote to bucket %d, want %d", bucket, c.bucket)
			}
		})
	}
}

func TestWritePrecisions(t *testing.T) {
	for target, unit := range map[string]lineproto.Precision{
		"/api/v2/write":                              1,
		"/api/v2/write?precision=ns":                 1,
		"/api/v2/write?precision=us":                 1e3,
		"/api/v2/write?precision=ms":                 1e6,
		"/api/v2/write?precision=s":                  1e9,
		"/write?db=sensors&p=admin&precision=n":      1,
		"/write?db=sensors&p=admin&precision=u":      1e3,
		"/write?db=sensors&p=admin&precision=ms":     1e6,
		"/write?db=sensors&p=admin&precision=s":      1e9,
		"/write?db=sensors&p=admin&precision=m":      60e9,
		"/write?db=sensors&p=admin&precision=h":      3600e9,
		"/write?db=sensors&p=admin&precision=%C2%B5": 1e3,
	} {
		b := newRig(t, nil)
		if w := call(b.api.Points(), http.MethodPost, target, "cpu", asAdmin); w.Code != 204 {
			t.Errorf("%s: status %d: %s", target, w.Code, w.Body)
		} else if got := b.store.writes[0].Unit; got != unit {
			t.Errorf("%s: unit %d, want %d", target, got, unit)
		}
	}
}

func TestWriteCompressed(t *testing.T) {
	text := strings.Repeat("cpu\n", 100_000)
	encodings := map[string][]byte{"gzip": gzipped(t, text), "zstd": zstded(t, text)}
	encodings["x-gzip"] = encodings["gzip"]
	for name, body := range encodings {
		b := newRig(t, nil)
		// Twice, so that a decoder and a buffer are used again.
		for range 2 {
			w := callReader(b.api.Points(), http.MethodPost, "/api/v2/write", bytes.NewReader(body), asAdmin, "Content-Encoding: "+name)
			if w.Code != 204 {
				t.Fatalf("%s: status %d: %s", name, w.Code, w.Body)
			}
		}
		if got := b.store.writes[1].Rows; got != 100_000 {
			t.Errorf("%s: %d rows, want 100000", name, got)
		}
		w := callReader(b.api.Points(), http.MethodPost, "/api/v2/write", bytes.NewReader(body[:len(body)/2]), asAdmin, "Content-Encoding: "+name)
		if w.Code != 400 {
			t.Errorf("half of %s: status %d, want 400: %s", name, w.Code, w.Body)
		}
	}
}

// A body that grows far beyond the limit when decompressed costs no more
// memory than the limit.
func TestWriteBombs(t *testing.T) {
	bomb := strings.Repeat("0", 64<<20)
	for name, body := range map[string][]byte{"gzip": gzipped(t, bomb), "zstd": zstded(t, bomb)} {
		b := newRig(t, nil)
		b.budget.free = 2<<20 + 2
		w := callReader(b.api.Points(), http.MethodPost, "/api/v2/write", bytes.NewReader(body), asAdmin, "Content-Encoding: "+name)
		if w.Code != 413 {
			t.Errorf("%s: status %d, want 413: %s", name, w.Code, w.Body)
		}
		if b.budget.free != 2<<20+2 {
			t.Errorf("%s: budget has %d bytes", name, b.budget.free)
		}
		b.budget.free = testBudget
	}
}

func TestWriteOfUnknownLength(t *testing.T) {
	b := newRig(t, nil)
	body := struct{ *strings.Reader }{strings.NewReader(strings.Repeat("cpu\n", 200_000))}
	r := httptest.NewRequest(http.MethodPost, "/api/v2/write", body)
	r.ContentLength = -1
	r.Header.Set("Authorization", "Token admin")
	w := httptest.NewRecorder()
	b.api.Points().ServeHTTP(w, r)
	if w.Code != 204 || b.store.writes[0].Rows != 200_000 {
		t.Fatalf("status %d, writes %v: %s", w.Code, b.store.writes, w.Body)
	}
}

func TestPartialWrite(t *testing.T) {
	b := newRig(t, nil)
	b.store.refused = Refused{Points: 2, Reason: "field type conflict: x"}
	w := call(b.api.Points(), http.MethodPost, "/api/v2/write", "a\nb\nc", asAdmin)
	want := `{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: x dropped=2"}` + "\n"
	if w.Code != 422 || w.Body.String() != want {
		t.Errorf("status %d, body %s", w.Code, w.Body)
	}
	m := call(b.api.Points(), http.MethodGet, "/metrics", "").Body.String()
	for _, line := range []string{"varve_write_points_total 1\n", "varve_write_refused_points_total 2\n"} {
		if !strings.Contains(m, line) {
			t.Errorf("metrics lack %q", line)
		}
	}
}

// leftWriter is a Writer that looks at what was left out after the next body has
// been read.
type leftWriter struct {
	next   func()
	lines  []string
	unread []string
	err    error // of Unread
}

func (w *leftWriter) Unread(_ context.Context, body []byte, why error) error {
	w.unread = append(w.unread, fmt.Sprintf("%s: %s", body, why))
	return w.err
}

func (w *leftWriter) Write(_ context.Context, _ uint64, _ *column.Batch, left lineproto.Left) (Refused, error) {
	if w.next != nil {
		next := w.next
		w.next = nil
		next()
	}
	for _, line := range left.Each {
		w.lines = append(w.lines, string(line))
	}
	return Refused{Points: left.Rows}, nil
}

// TestUnread: a body that cannot be read is handed to who keeps it; if that cannot be
// now, its sender comes again.
func TestUnread(t *testing.T) {
	b := newRig(t, nil)
	below := &leftWriter{}
	b.api.writer, b.api.points = below, below
	for path, body := range map[string]string{"/api/v2/write": "bad", "/data": "[1"} {
		h := b.api.Points()
		if path == "/data" {
			h = b.api.Service()
		}
		below.unread, below.err = nil, nil
		if w := call(h, http.MethodPost, path, body, asAdmin); w.Code != 400 || len(below.unread) != 1 || !strings.HasPrefix(below.unread[0], body+": ") {
			t.Errorf("%s: status %d, kept %q", path, w.Code, below.unread)
		}
		below.err = &Error{Code: Unavailable, Message: "full"}
		if w := call(h, http.MethodPost, path, body, asAdmin); w.Code != 503 {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}

// TestLeft: the rows that a body contradicts itself in can be looked at until the
// write ends, and count.
func TestLeft(t *testing.T) {
	b := newRig(t, nil)
	below := &leftWriter{}
	b.api.writer = below
	for _, ds := range []*decoders[Decoder]{b.api.decoders.small, b.api.decoders.large} {
		ds.make = func() Decoder { return lineproto.NewParser(lineproto.Default()) }
	}
	write := func(body string) int {
		return call(b.api.Points(), http.MethodPost, "/api/v2/write?precision=ms", body, asAdmin).Code
	}
	below.next = func() {
		for range 4 {
			if status := write(strings.Repeat("z z=1 1\n", 1000)); status != 204 {
				t.Errorf("the next body: status %d", status)
			}
		}
	}
	if status := write("m x=1 1\n" + strings.Repeat("m x=2i 2\n", 1000)); status != 422 {
		t.Errorf("status %d", status)
	}
	if len(below.lines) != 1000 || below.lines[0] != "m x=2i 2000000" || below.lines[999] != "m x=2i 2000000" {
		t.Errorf("%d lines: %.200q", len(below.lines), below.lines)
	}
	m := call(b.api.Points(), http.MethodGet, "/metrics", "").Body.String()
	for _, line := range []string{"varve_write_points_total 4001\n", "varve_write_refused_points_total 1000\n"} {
		if !strings.Contains(m, line) {
			t.Errorf("metrics lack %q", line)
		}
	}
}

func TestUnavailableSaysWhenToComeBack(t *testing.T) {
	b := newRig(t, nil)
	for _, c := range []struct {
		err   error
		after string
	}{
		{&Error{Code: Unavailable, Message: "the disk is full"}, "2"},
		{&Error{Code: Unavailable, Message: "the disk is full", RetryAfter: 1500 * time.Millisecond}, "2"},
		{&Error{Code: Unavailable, Message: "the disk is full", RetryAfter: time.Minute}, "60"},
	} {
		b.store.err = c.err
		w := call(b.api.Points(), http.MethodPost, "/api/v2/write", "cpu", asAdmin)
		if w.Code != 503 || w.Header().Get("Retry-After") != c.after || !strings.Contains(w.Body.String(), "the disk is full") {
			t.Errorf("status %d, Retry-After %q: %s", w.Code, w.Header().Get("Retry-After"), w.Body)
		}
	}
}

func TestMemoryUsedUpIsUnavailable(t *testing.T) {
	b := newRig(t, nil)
	b.budget.free = 100
	w := call(b.api.Points(), http.MethodPost, "/api/v2/write", strings.Repeat("x", 1000), asAdmin)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	b.budget.free = testBudget
}

func TestWaitForDecoderEnds(t *testing.T) {
	b := newRig(t, func(c *Config) { c.SmallDecoders = 1 })
	b.store.block = make(chan struct{})
	done := make(chan int)
	go func() {
		done <- call(b.api.Points(), http.MethodPost, "/api/v2/write", "first", asAdmin).Code
	}()
	for len(b.api.decoders.small.places) == 0 {
		time.Sleep(time.Millisecond)
	}
	if w := call(b.api.Points(), http.MethodPost, "/api/v2/write", "second", asAdmin); w.Code != 503 {
		t.Errorf("status %d, want 503", w.Code)
	}
	close(b.store.block)
	if code := <-done; code != 204 {
		t.Errorf("first write: status %d", code)
	}
}

func TestInternalErrorsAreLoggedAndNotShown(t *testing.T) {
	b := newRig(t, nil)
	b.store.err = errors.New("secret detail")
	w := call(b.api.Points(), http.MethodPost, "/api/v2/write", "cpu", asAdmin)
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") || !strings.Contains(w.Body.String(), `"internal error"`) {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if !strings.Contains(b.log.String(), "secret detail") {
		t.Errorf("log %q lacks the cause", b.log.String())
	}
}

func TestPanicIsAnsweredAndLogged(t *testing.T) {
	b := newRig(t, nil)
	w := call(b.api.Points(), http.MethodPost, "/api/v2/write", "panic", asAdmin)
	if w.Code != 500 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if log := b.log.String(); !strings.Contains(log, "a bug") || !strings.Contains(log, "fakes_test.go") {
		t.Errorf("log lacks the panic or its stack: %s", log)
	}
	if w := call(b.api.Points(), http.MethodPost, "/api/v2/write", "cpu", asAdmin); w.Code != 204 {
		t.Errorf("afterwards: status %d", w.Code)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	b := newRig(t, nil)
	w := call(b.api.Points(), http.MethodGet, "/nope", "")
	if w.Code != 404 || w.Body.String() != `{"code":"not found","message":"path not found; GET /docs has a page with those that there are"}`+"\n" {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	w = call(b.api.Points(), http.MethodGet, "/api/v2/write", "")
	if w.Code != 405 || w.Header().Get("Allow") != "POST" || w.Header().Get("X-Platform-Error-Code") != "method not allowed" {
		t.Errorf("status %d, headers %v", w.Code, w.Header())
	}
	w = call(b.api.Service(), http.MethodGet, "/nope", "")
	if w.Code != 404 || w.Body.String() != `{"detail":"path not found; GET /docs has a page with those that there are"}`+"\n" {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

// An answer that breaks off in the middle must not look like a whole one.
func TestBrokenAnswerClosesConnection(t *testing.T) {
	b := newRig(t, nil)
	b.store.err = context.Canceled // behind the first problem
	server := httptest.NewServer(b.api.Service())
	defer server.Close()
	req, err := http.NewRequest(http.MethodPost, server.URL+"/api/v1/check", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token admin")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err == nil {
		t.Errorf("the answer ended as if it were whole: %s", &body)
	}
}

func gzipped(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstded(t *testing.T, s string) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return z.EncodeAll([]byte(s), nil)
}
