package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/varvedb/varve/bench/fleet"
)

// sink is a server that keeps the lines it acknowledged and fails as told.
type sink struct {
	mu    sync.Mutex
	lines map[string]int
	// fail answers request n and returns true, or returns false.
	fail func(w http.ResponseWriter, n int64) bool
	n    atomic.Int64
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.n.Add(1)
	var from io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		from = z
	}
	text, err := io.ReadAll(from)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.fail != nil && s.fail(w, n) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines == nil {
		s.lines = map[string]int{}
	}
	for line := range strings.Lines(string(text)) {
		s.lines[line]++
	}
	w.WriteHeader(http.StatusNoContent)
}

func serve(t *testing.T, h http.Handler) Target {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return Target{URL: server.URL, API: V2, Org: "o", Bucket: "b", Token: "secret"}
}

// short is a load of 1,000 rows in bodies of 50.
func short(targets ...Target) WriteConfig {
	c := DefaultWrite(fleet.Host)
	c.Targets = targets
	c.Fleet.Devices = 100
	c.BodyLines = 50
	c.Rows, c.Duration = 1000, 0
	c.PoolBytes = 1 << 20
	return c
}

func TestWriteSendsEveryLineOnce(t *testing.T) {
	for _, packed := range []bool{false, true} {
		s := &sink{}
		c := short(serve(t, s))
		// More than a round, so that lines are stamped anew too.
		c.Rows = 10_000
		c.Gzip = packed
		var out bytes.Buffer
		r, err := RunWrite(context.Background(), c, &out)
		if err != nil {
			t.Fatal(err)
		}
		if r.Rows != 10_000 || r.Values != 100_000 || r.Requests != 200 || len(r.Failures) != 0 {
			t.Errorf("gzip %v: report %+v", packed, r)
		}
		if r.Rounds <= 1 {
			t.Errorf("gzip %v: %v rounds: the test wants more than one", packed, r.Rounds)
		}
		if len(s.lines) != 10_000 {
			t.Errorf("gzip %v: %d different lines arrived", packed, len(s.lines))
		}
		size := int64(0)
		for line, n := range s.lines {
			size += int64(len(line))
			if n != 1 {
				t.Fatalf("gzip %v: %q arrived %d times", packed, line, n)
			}
		}
		if r.Bytes != size {
			t.Errorf("gzip %v: reported %d bytes, %d arrived", packed, r.Bytes, size)
		}
		if !strings.Contains(out.String(), "rows/s") {
			t.Errorf("gzip %v: printed %q", packed, &out)
		}
	}
}

func TestWriteSpeaksBothAPIs(t *testing.T) {
	type seen struct{ path, query, auth, content string }
	for _, tt := range []struct {
		change func(*Target)
		want   seen
	}{
		{func(*Target) {}, seen{"/api/v2/write", "bucket=b&org=o&precision=ns", "Token secret", "text/plain; charset=utf-8"}},
		{func(t *Target) { t.API, t.Database, t.Token, t.URL = V1, "d b", "", t.URL+"/influx/" },
			seen{"/influx/write", "db=d+b&precision=ns", "", "text/plain; charset=utf-8"}},
	} {
		var got seen
		target := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = seen{r.URL.Path, r.URL.RawQuery, r.Header.Get("Authorization"), r.Header.Get("Content-Type")}
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusNoContent)
		}))
		tt.change(&target)
		c := short(target)
		c.Workers, c.Rows = 1, 1
		if _, err := RunWrite(context.Background(), c, io.Discard); err != nil {
			t.Fatal(err)
		}
		if got != tt.want {
			t.Errorf("got %+v, want %+v", got, tt.want)
		}
	}
}

func TestWriteRetriesPassingFaults(t *testing.T) {
	var retried atomic.Int64
	s := &sink{fail: func(w http.ResponseWriter, n int64) bool {
		switch n % 10 {
		case 3:
			w.Header().Set("Retry-After", "0.2")
			http.Error(w, `{"code":"unavailable","message":"log is full"}`, http.StatusServiceUnavailable)
		case 6:
			http.Error(w, "slow down", http.StatusTooManyRequests)
		case 9:
			retried.Add(1)
			panic(http.ErrAbortHandler) // the connection breaks
		default:
			return false
		}
		retried.Add(1)
		return true
	}}
	target := serve(t, s)
	began := time.Now()
	r, err := RunWrite(context.Background(), short(target), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if r.Rows != 1000 || r.FailedBodies != 0 || len(s.lines) != 1000 {
		t.Errorf("%d rows reported, %d arrived, %d bodies given up", r.Rows, len(s.lines), r.FailedBodies)
	}
	if r.Retries != retried.Load() || r.Requests != 20+r.Retries {
		t.Errorf("%d retries of %d requests reported, the server asked for %d", r.Retries, r.Requests, retried.Load())
	}
	var counted int64
	text := fmt.Sprint(r.Failures)
	for _, f := range r.Failures {
		counted += f.Count
	}
	if counted != r.Retries {
		t.Errorf("failures %v are not %d", text, r.Retries)
	}
	for _, want := range []string{`503 {"code":"unavailable","message":"log is full"}`, "429 slow down", "connection: "} {
		if !strings.Contains(text, want) {
			t.Errorf("failures %v do not name %q", text, want)
		}
	}
	if waited := time.Since(began); waited < 200*time.Millisecond {
		t.Errorf("Retry-After of 0.2 s was not honoured: all took %s", waited)
	}
}

func TestWriteGivesUpOnLastingFaults(t *testing.T) {
	long := strings.Repeat("x", 500)
	s := &sink{fail: func(w http.ResponseWriter, n int64) bool {
		if n%4 != 0 {
			return false
		}
		http.Error(w, long, http.StatusUnprocessableEntity)
		return true
	}}
	r, err := RunWrite(context.Background(), short(serve(t, s)), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if r.FailedBodies != 5 || r.FailedRows != 250 || r.Rows != 750 || r.Retries != 0 {
		t.Errorf("report %+v", r)
	}
	if want := (Reason{"422 " + long[:maxMessage], 5}); len(r.Failures) != 1 || r.Failures[0] != want {
		t.Errorf("failures %v, want %v", r.Failures, want)
	}
}

func TestWriteFailsWhenNothingIsTaken(t *testing.T) {
	s := &sink{fail: func(w http.ResponseWriter, _ int64) bool {
		http.Error(w, "unauthorized access", http.StatusUnauthorized)
		return true
	}}
	_, err := RunWrite(context.Background(), short(serve(t, s)), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "401 unauthorized access") {
		t.Errorf("got %v", err)
	}
}

// TestWriteReadsAnEarlyRefusal has a server that answers a body that is
// longer than the buffers between, and closes without reading it.
func TestWriteReadsAnEarlyRefusal(t *testing.T) {
	target := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	}))
	c := short(target)
	c.Workers, c.BodyLines, c.Rows, c.MaxRetries = 1, 50_000, 50_000, 0
	c.PoolBytes = 64 << 20
	r, err := RunWrite(context.Background(), c, io.Discard)
	if err == nil || len(r.Failures) != 1 {
		t.Fatalf("got %v and failures %v", err, r.Failures)
	}
	// A reset may overtake the answer: both are reported as what they are.
	if f := r.Failures[0].Reason; f != "413 too large" && !strings.HasPrefix(f, "connection: ") {
		t.Errorf("reason %q", f)
	}
}

func TestWriteEndsWithItsContext(t *testing.T) {
	hold := make(chan struct{})
	target := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-hold
	}))
	defer close(hold)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := RunWrite(ctx, short(target), io.Discard)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Errorf("got %v after %s", err, time.Since(began))
	}
}

func TestWriteKeepsItsRate(t *testing.T) {
	c := short(serve(t, &sink{}))
	c.RowsPerSecond, c.Rows, c.Duration = 5000, 0, 500*time.Millisecond
	r, err := RunWrite(context.Background(), c, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	// 51 bodies are due in half a second, the first at once.
	if r.Rows > 2550 || r.Rows < 1000 {
		t.Errorf("%d rows in half a second at 5,000 rows/s", r.Rows)
	}
}

func TestWriteSpreadsOverServers(t *testing.T) {
	a, b := &sink{}, &sink{}
	c := short(serve(t, a), serve(t, b))
	c.Rows = 5000
	c.Targets[0].PID = os.Getpid()
	c.Targets[0].DataDir = t.TempDir()
	if err := os.WriteFile(c.Targets[0].DataDir+"/x", bytes.Repeat([]byte("varve!"), 20_000), 0o600); err != nil {
		t.Fatal(err)
	}
	c.JSON = true
	c.Slice = 5 * time.Millisecond
	var out bytes.Buffer
	r, err := RunWrite(context.Background(), c, &out)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.lines)+len(b.lines) != 5000 || r.Servers[0].Rows != int64(len(a.lines)) || len(b.lines) == 0 {
		t.Errorf("servers got %d and %d lines, report %+v", len(a.lines), len(b.lines), r.Servers)
	}
	if s := r.Servers[0]; s.PeakRSSBytes < 1<<20 || s.PeakAnonBytes < 1<<20 || s.DiskBytes < 120_000 || s.DiskBytes > 256<<10 || s.Trouble != "" {
		t.Errorf("server %+v", s)
	}
	if r.LoaderCPUSeconds <= 0 || len(r.Course) == 0 {
		t.Errorf("loader's CPU %v, course %v", r.LoaderCPUSeconds, r.Course)
	}
	var back WriteReport
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.Rows != r.Rows {
		t.Errorf("JSON gives %d rows, %v: %s", back.Rows, err, &out)
	}
}

func TestWriteValidates(t *testing.T) {
	good := Target{URL: "http://127.0.0.1:1", API: V2, Bucket: "b"}
	for want, change := range map[string]func(*WriteConfig){
		"no server":       func(c *WriteConfig) { c.Targets = nil },
		"database":        func(c *WriteConfig) { c.Targets[0].API = V1 },
		"neither v1":      func(c *WriteConfig) { c.Targets[0].API = "v3" },
		"is not like":     func(c *WriteConfig) { c.Targets[0].URL = "127.0.0.1" },
		"line break":      func(c *WriteConfig) { c.Targets[0].Token = "a\r\nb" },
		"workers":         func(c *WriteConfig) { c.Workers = 0 },
		"how long":        func(c *WriteConfig) { c.Rows = 0 },
		"lines a body":    func(c *WriteConfig) { c.BodyLines = 0 },
		"pool":            func(c *WriteConfig) { c.PoolBytes = 1 },
		"devices":         func(c *WriteConfig) { c.Fleet.Devices = 0 },
		"request timeout": func(c *WriteConfig) { c.RequestTimeout = 0 },
	} {
		c := short(good)
		change(&c)
		if _, err := RunWrite(context.Background(), c, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	c := short(Target{URL: server.URL, API: V2, Bucket: "b"})
	c.Fleet.Devices, c.BodyLines, c.PoolBytes = 4000, 10_000, 256<<20
	c.Rows, c.Duration = 0, time.Second
	var r WriteReport
	for b.Loop() {
		var err error
		if r, err = RunWrite(context.Background(), c, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(r.RowsPerSecond, "rows/s")
}
