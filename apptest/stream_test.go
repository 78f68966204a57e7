package apptest

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

var streamRows = flag.Int("stream-rows", 500_000, "rows of the answer of TestLongAnswer")

// streamMemory is what a long answer may add to the memory of the server.
const streamMemory = 64 << 20

// TestLongAnswer reads an answer that is far larger than what the server may
// use for it.
func TestLongAnswer(t *testing.T) {
	s := start(t, t.TempDir())
	devices := 100
	mustVarve(t, "bench", "write", "--url", s.http, "--devices", strconv.Itoa(devices), "--rows", strconv.Itoa(*streamRows), "--pool", "64MiB")
	s.must(204, http.MethodPost, s.service+"/api/v1/settle", "")
	counted := s.must(200, http.MethodPost, s.service+"/query", `{"measurement": "cpu", "start": 0, "fields": ["usage_user"], "aggregation": "count", "group_by": []}`)
	_, after, _ := strings.Cut(counted.body, `"value":`)
	rows, _, _ := strings.Cut(after, ",")
	if n, err := strconv.Atoi(rows); err != nil || n < *streamRows {
		t.Fatalf("%s rows are stored: %s", rows, counted.body)
	}
	before := s.resident()
	req, err := http.NewRequest(http.MethodPost, s.service+"/query", strings.NewReader(`{"measurement": "cpu", "start": 0, "fields": ["usage_user"]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+s.token)
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	peak, size := before, int64(0)
	tail := make([]byte, 0, 64)
	block := make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(resp.Body, block)
		size += int64(n)
		tail = append(tail, block[max(0, n-64):n]...)
		tail = tail[max(0, len(tail)-64):]
		peak = max(peak, s.resident())
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if want := fmt.Sprintf(`],"count":%s}`, rows); !bytes.Contains(tail, []byte(want)) {
		t.Errorf("the answer ends with %q, want %s", tail, want)
	}
	t.Logf("%s rows, %d MB in %s; resident %d MiB before, %d MiB at most meanwhile", rows, size/1e6, time.Since(began).Round(time.Millisecond), before>>20, peak>>20)
	if peak-before > streamMemory {
		t.Errorf("the answer added %d MiB, want at most %d", (peak-before)>>20, streamMemory>>20)
	}
}

// resident returns the memory of the server without mapped files, in bytes.
func (s *server) resident() int64 {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "RssAnon:")
	fields := strings.Fields(rest)
	if len(fields) < 2 || fields[1] != "kB" {
		s.t.Fatalf("no memory in\n%s", text)
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return kib << 10
}
