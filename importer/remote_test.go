package importer_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/importer"
	"github.com/varvedb/varve/protocol/lineproto"
)

func parse(t testing.TB, text string) *column.Batch {
	t.Helper()
	b, err := lineproto.NewParser(lineproto.Default()).Parse([]byte(text), lineproto.Nanosecond, 0)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// server answers as told and keeps what it was sent.
type server struct {
	t       *testing.T
	answers []func(http.ResponseWriter)
	bodies  []string
	request *http.Request
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	zip, err := gzip.NewReader(r.Body)
	if err != nil {
		s.t.Error(err)
		return
	}
	body, err := io.ReadAll(zip)
	if err != nil {
		s.t.Error(err)
	}
	s.bodies, s.request = append(s.bodies, string(body)), r
	if n := len(s.bodies) - 1; n < len(s.answers) {
		s.answers[n](w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func answer(status int, retryAfter, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func remote(t *testing.T, answers ...func(http.ResponseWriter)) (*importer.Remote, *server, *[]time.Duration) {
	t.Helper()
	s := &server{t: t, answers: answers}
	hs := httptest.NewServer(s)
	t.Cleanup(hs.Close)
	waits := &[]time.Duration{}
	cfg := importer.DefaultRemote(hs.URL+"/base/", "secret")
	cfg.Org, cfg.Bucket, cfg.Attempts, cfg.Compress = "my org", "b&b", 4, true
	cfg.Sleep = func(_ context.Context, d time.Duration) error {
		*waits = append(*waits, d)
		return nil
	}
	r, err := importer.NewRemote(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r, s, waits
}

func TestRemoteSends(t *testing.T) {
	r, s, waits := remote(t)
	text := "m,a=1 x=1 1\nm,a=2 x=2i,y=\"s\" 2\n"
	for range 2 {
		if err := r.Write(context.Background(), parse(t, strings.ReplaceAll(text, "x=2i", "z=2i"))); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.bodies) != 2 || s.bodies[0] != s.bodies[1] || s.bodies[0] != strings.ReplaceAll(text, "x=2i", "z=2i") || len(*waits) != 0 {
		t.Errorf("bodies are %q", s.bodies)
	}
	q := s.request.URL.Query()
	if s.request.URL.Path != "/base/api/v2/write" || q.Get("org") != "my org" || q.Get("bucket") != "b&b" || q.Get("precision") != "ns" ||
		s.request.Header.Get("Authorization") != "Token secret" || s.request.Method != http.MethodPost {
		t.Errorf("request is %s %s %v", s.request.Method, s.request.URL, s.request.Header)
	}
}

func TestRemoteRetries(t *testing.T) {
	r, s, waits := remote(t, answer(429, "7", ""), answer(503, "", `{"code":"unavailable","message":"disk full"}`), answer(502, "100000", ""))
	if err := r.Write(context.Background(), parse(t, "m x=1 1")); err != nil {
		t.Fatal(err)
	}
	if want := []time.Duration{7 * time.Second, 500 * time.Millisecond, time.Minute}; !slices.Equal(*waits, want) || len(s.bodies) != 4 {
		t.Errorf("waited %v, want %v", *waits, want)
	}
	r, s, waits = remote(t, answer(503, "", `{"message":"disk full"}`), answer(503, "", ""), answer(504, "", ""), answer(503, "", `{"message":"disk full"}`))
	err := r.Write(context.Background(), parse(t, "m x=1 1"))
	if err == nil || !strings.Contains(err.Error(), "disk full (tried 4 times)") || len(s.bodies) != 4 {
		t.Errorf("error is %v after %d attempts", err, len(s.bodies))
	}
	if want := []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second}; !slices.Equal(*waits, want) {
		t.Errorf("waited %v, want %v", *waits, want)
	}
}

func TestRemoteIsRefused(t *testing.T) {
	const message = `failure writing points to database: partial write: field type conflict: x dropped=1`
	r, s, _ := remote(t, answer(422, "", `{"code":"unprocessable entity","message":"`+message+`"}`),
		answer(422, "", `{"message":"something else"}`), answer(401, "", `{"message":"unauthorized access"}`), answer(500, "", "plain text"))
	var refused *importer.RefusedError
	if err := r.Write(context.Background(), parse(t, "m x=1 1")); !errors.As(err, &refused) || refused.DroppedRows() != 1 || err.Error() != message {
		t.Errorf("a partial write: %v", err)
	}
	for _, want := range []string{"something else", "unauthorized access", "plain text"} {
		err := r.Write(context.Background(), parse(t, "m x=1 1"))
		if err == nil || !strings.Contains(err.Error(), want) || errors.As(err, &refused) || strings.Contains(err.Error(), "secret") {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
	if len(s.bodies) != 4 {
		t.Errorf("%d requests: what cannot pass was tried again", len(s.bodies))
	}

	// The same through an import, which goes on.
	r, _, _ = remote(t, answer(422, "", `{"message":"`+message+`"}`))
	cfg := config()
	cfg.RoundBytes = 16
	rep, err := importLines(t, strings.Repeat("m x=1 1\n", 10), r, cfg)
	if err != nil || rep.Dropped != 0 || rep.Points != 10 {
		t.Errorf("%v, report %+v: the halves were taken", err, rep)
	}
}

func TestRemoteIsUnreachable(t *testing.T) {
	hs := httptest.NewServer(http.NotFoundHandler())
	cfg := importer.DefaultRemote(hs.URL, "")
	hs.Close()
	ctx, cancel := context.WithCancel(context.Background())
	tries := 0
	cfg.Sleep = func(ctx context.Context, _ time.Duration) error {
		if tries++; tries == 3 {
			cancel()
		}
		return ctx.Err()
	}
	r, err := importer.NewRemote(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Write(ctx, parse(t, "m x=1 1")); !errors.Is(err, context.Canceled) || tries != 3 {
		t.Errorf("error is %v after %d tries", err, tries)
	}
	for _, bad := range []string{"", "127.0.0.1:8086", "ftp://x", "http://"} {
		if _, err := importer.NewRemote(importer.DefaultRemote(bad, "")); err == nil {
			t.Errorf("URL %q was taken", bad)
		}
	}
}
