package httpapi

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const onePoint = `{"measurement":"m","tags":{"a":"1"},"fields":{"f":1.5}}`

func TestData(t *testing.T) {
	b := newRig(t, nil)
	h := b.api.Service()
	for _, test := range []struct {
		name, target, body string
		headers            []string
		status             int
		want               string // in the answer
	}{
		{"a point", "/data", onePoint, []string{asAdmin}, 200, `{"status":"success","message":"1 point is stored"}`},
		{"an array", "/data", "[" + onePoint + "," + onePoint + "]", []string{asAdmin}, 200, `{"status":"success","message":"2 points are stored"}`},
		{"no points", "/data", "[]", []string{asAdmin}, 200, "0 points"},
		{"bucket", "/data?bucket=db/rp&org=acme", onePoint, []string{asAdmin}, 200, "success"},
		{"writer", "/data", onePoint, []string{"Authorization: Bearer device"}, 200, "success"},
		{"no token", "/data", onePoint, nil, 401, `{"detail":"unauthorized access: send a token`},
		{"wrong token", "/data", onePoint, []string{"Authorization: Token x"}, 401, "admin-token"},
		{"reader", "/data?bucket=readable", onePoint, []string{"Authorization: Token device"}, 403, "insufficient permissions"},
		{"no bucket", "/data?bucket=nothing", onePoint, []string{asAdmin}, 404, "not found"},
		{"empty", "/data", "", []string{asAdmin}, 400, "writing requires points"},
		{"bad", "/data", "[" + onePoint + ",7]", []string{asAdmin}, 400, `"detail":"point 2 (byte 57): a point is an object`},
		{"too large", "/data", "[" + strings.Repeat(onePoint+",", 20000) + onePoint + "]", []string{asAdmin}, 413, "too large"},
		{"not gzip", "/data", onePoint, []string{asAdmin, "Content-Encoding: gzip"}, 400, "unable to read data"},
		{"method", "/data", "", []string{asAdmin}, 200, ""}, // below
	} {
		method := "POST"
		if test.name == "method" {
			method, test.status, test.want = "GET", 405, `"detail":"method GET is not for this path, which takes POST"`
		}
		w := call(h, method, test.target, test.body, test.headers...)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s: %d %s, want %d with %s", test.name, w.Code, w.Body, test.status, test.want)
		}
		if !json.Valid(w.Body.Bytes()) || w.Header().Get("Content-Type") != contentJSON {
			t.Errorf("%s: the answer is no JSON: %s", test.name, w.Body)
		}
	}
	want := []int{1, 2, 1, 1}
	for i, got := range b.store.writes {
		if i >= len(want) || got.Rows != want[i] {
			t.Errorf("write %d is %+v", i, got)
		}
	}
	if len(b.store.writes) != 4 || b.store.writes[2].Bucket != 12 || b.store.writes[0].Bucket != 10 {
		t.Errorf("writes are %+v", b.store.writes)
	}

	b.store.refused = Refused{Points: 1, Reason: "field type conflict"}
	if w := call(h, "POST", "/data", "["+onePoint+","+onePoint+"]", asAdmin); w.Code != 422 || !strings.Contains(w.Body.String(), `{"detail":"1 of 2 points were refused, the others are stored: field type conflict"}`) {
		t.Errorf("partial: %d %s", w.Code, w.Body)
	}
	b.store.err = &Error{Code: Unavailable, Message: "no room"}
	if w := call(h, "POST", "/data", onePoint, asAdmin); w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "no room") {
		t.Errorf("unavailable: %d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestDataEncodings(t *testing.T) {
	b := newRig(t, nil)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(onePoint)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{"gzip": zipped.Bytes(), "zstd": enc.EncodeAll([]byte(onePoint), nil)} {
		if w := callReader(b.api.Service(), "POST", "/data", bytes.NewReader(body), asAdmin, "Content-Encoding: "+name); w.Code != 200 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if len(b.store.writes) != 2 {
		t.Errorf("writes are %+v", b.store.writes)
	}
}

// BenchmarkData is a point a request, without network and store.
func BenchmarkData(b *testing.B) {
	r := newRig(b, nil)
	r.store.discard = true
	h := r.api.Service()
	b.ReportAllocs()
	for b.Loop() {
		if w := call(h, "POST", "/data", onePoint, asAdmin); w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}
