package bench

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
)

func TestRunRemoteWrite(t *testing.T) {
	var seen atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = s2.Decode(nil, body)
		}
		switch {
		case err != nil || r.URL.Path != "/api/v1/write" || r.URL.Query().Get("bucket") != "b" || r.Header.Get("Authorization") != "Token secret" ||
			r.Header.Get("Content-Type") != "application/x-protobuf;proto=io.prometheus.write.v2.Request" || r.Header.Get("Content-Encoding") != "snappy":
			t.Errorf("%v, %s %s %v", err, r.Method, r.URL, r.Header)
		case seen.Add(1) == 1:
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer s.Close()
	cfg := DefaultRemoteWrite()
	cfg.Target.URL, cfg.Target.Token, cfg.Target.Bucket = s.URL, "secret", "b"
	cfg.Load.Version, cfg.Load.Series, cfg.Load.Metrics, cfg.Load.Batch = 2, 100, 10, 50
	cfg.Duration = 200 * time.Millisecond
	var out strings.Builder
	r, err := RunRemoteWrite(t.Context(), cfg, &out)
	if err != nil {
		t.Fatal(err)
	}
	if r.Samples != (seen.Load()-1)*50 || r.Samples == 0 || r.Requests != seen.Load() || len(r.Failures) != 1 {
		t.Errorf("%+v after %d requests", r, seen.Load())
	}
	for _, want := range []string{"samples/s", "by remote write 2.0", "1 × 503 not now"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
	cfg.Load.Version = 3
	if _, err := RunRemoteWrite(t.Context(), cfg, io.Discard); err == nil {
		t.Error("version 3 is sent")
	}
}
