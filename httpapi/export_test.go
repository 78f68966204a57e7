package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/export/stream"
)

// fakeExporter remembers the request and gives out one row.
type fakeExporter struct {
	bucket  uint64
	request *stream.Request
	before  error
	behind  error
	tag     string
}

func (e *fakeExporter) Export(_ context.Context, bucket uint64, r *stream.Request, out stream.Receiver) error {
	e.bucket, e.request = bucket, r
	if e.before != nil {
		return e.before
	}
	key, err := column.AppendSeriesKey(nil, []column.Tag{{Key: []byte("host"), Value: []byte(e.tag)}})
	if err != nil {
		return err
	}
	t := &column.Table{Measurement: "cpu", Time: []int64{7}, Row: []uint32{0}}
	t.Series.Add(key, 0)
	t.Fields = []column.Field{{Name: "u", Vector: floats(-1.5)}}
	s := &stream.Schema{Measurement: "cpu", Tags: []string{"host"}, Fields: []column.FieldInfo{{Name: "u", Type: column.Float64}}}
	return errors.Join(out.Measurement(s), out.Rows(t), e.behind)
}

func exportRig(t *testing.T, e *fakeExporter) http.Handler {
	b := newRig(t, nil)
	b.api.exporter = e
	return b.api.Service()
}

func TestExportLines(t *testing.T) {
	e := &fakeExporter{tag: "a b"}
	w := call(exportRig(t, e), http.MethodPost, "/api/v1/export", `{"measurements":["cpu"],"start":"-1h","stop":"now","filters":{"host":["a b","c"]},"partition":"day"}`, asAdmin)
	if w.Code != 200 || w.Body.String() != "cpu,host=a\\ b u=-1.5 7\n" {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	r := e.request
	if e.bucket != 10 || r.Start != 1699996400e9 || r.Stop != 1700000000e9 || r.Partition != stream.Day || len(r.Measurements) != 1 || r.Tags.String() != `host in ["a b" "c"]` {
		t.Errorf("bucket %d, request %+v, tags %v", e.bucket, r, r.Tags)
	}
	call(exportRig(t, e), http.MethodPost, "/api/v1/export", `{}`, asAdmin)
	if r := e.request; r.Start != column.MinTime || r.Stop != column.MaxTime+1 || r.Tags != nil || r.Partition != stream.None {
		t.Errorf("the whole is %+v", r)
	}
}

func TestExportFrames(t *testing.T) {
	w := call(exportRig(t, &fakeExporter{tag: "a"}), http.MethodPost, "/api/v1/export", `{}`, asAdmin, "Accept: "+stream.ContentType)
	rows, err := stream.Decode(w.Body, stream.NewEncoder(httptest.NewRecorder()))
	if w.Code != 200 || rows != 1 || err != nil || w.Header().Get("Content-Type") != stream.ContentType {
		t.Errorf("status %d, %d rows, %v", w.Code, rows, err)
	}
}

func TestExportRefuses(t *testing.T) {
	for _, c := range []struct {
		body, token string
		status      int
		want        string
	}{
		{`{}`, "nobody", 401, "unauthorized"},
		{`{}`, "device", 404, "not found"}, // it may write there, not read
		{`{"bucket":"db/rp"}`, "device", 404, "not found"},
		{`{"bucket":"readable"}`, "device", 200, ""},
		{`{"start":"yesterday"}`, "admin", 400, "start: time"},
		{`{"stop":"x"}`, "admin", 400, "stop: time"},
		{`{"partition":"week"}`, "admin", 400, "want day, month or none"},
		{`{`, "admin", 400, "json"},
	} {
		w := call(exportRig(t, &fakeExporter{tag: "a"}), http.MethodPost, "/api/v1/export", c.body, "Authorization: Token "+c.token)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s as %s: status %d, want %d: %s", c.body, c.token, w.Code, c.status, w.Body)
		}
	}
	w := call(exportRig(t, &fakeExporter{before: &Error{Code: NotFound, Message: "no such measurement"}}), http.MethodPost, "/api/v1/export", `{}`, asAdmin)
	if w.Code != 404 || !strings.Contains(w.Body.String(), "no such measurement") || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	w = call(exportRig(t, &fakeExporter{tag: "a\nb"}), http.MethodPost, "/api/v1/export", `{}`, asAdmin)
	if w.Code != 422 || !strings.Contains(w.Body.String(), "holds a newline") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

// TestExportThatFailsHalfway ends without an end.
func TestExportThatFailsHalfway(t *testing.T) {
	s := httptest.NewServer(exportRig(t, &fakeExporter{tag: "a", behind: errors.New("disk is gone")}))
	defer s.Close()
	req, err := http.NewRequest(http.MethodPost, s.URL+"/api/v1/export", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token admin")
	req.Header.Set("Accept", stream.ContentType)
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		defer resp.Body.Close()
		_, err = stream.Decode(resp.Body, stream.NewEncoder(httptest.NewRecorder()))
		if !errors.Is(err, stream.ErrBroken) {
			t.Errorf("error is %v", err)
		}
	}
}
