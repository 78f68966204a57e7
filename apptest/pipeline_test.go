package apptest

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pipelineFile writes a file of pipelines.
func pipelineFile(t *testing.T, name, text string) string {
	t.Helper()
	if name == "" {
		name = filepath.Join(t.TempDir(), "pipelines.yaml")
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestPipelineOverHTTP: rules hold for what is posted, what they refuse is kept
// with its reason, and a file that changes is taken while the server runs; one with
// a mistake is not.
func TestPipelineOverHTTP(t *testing.T) {
	text := `
pipelines:
  points:
    source: data
    validate: [{range: {field: v, max: %s}}]
    tag: [{set: {high: v > 3}}]
    sinks: [{store: {}}]
`
	file := pipelineFile(t, "", fmt.Sprintf(text, "5"))
	s := start(t, t.TempDir(), "--pipelines-file", file)
	post := func(status int, v float64) string {
		t.Helper()
		return s.must(status, http.MethodPost, s.service+"/data", fmt.Sprintf(`{"measurement": "m", "fields": {"v": %g}, "timestamp": 1767366245}`, v)).body
	}
	post(200, 4)
	if body := post(422, 9); !strings.Contains(body, "v is 9, want at most 5") {
		t.Errorf("got %s", body)
	}
	if body := s.must(200, http.MethodPost, s.service+"/query", `{"measurement": "m", "start": 0}`).body; !strings.Contains(body, "true") {
		t.Errorf("stored %s", body)
	}
	dead := s.must(200, http.MethodPost, s.service+"/query", `{"measurement": "refused", "bucket": "dead-letter", "start": 0}`).body
	if !strings.Contains(dead, "v_out_of_range") || !strings.Contains(dead, "m v=9 1767366245000000000") {
		t.Errorf("kept %s", dead)
	}

	// What a body contradicts itself in is kept as well.
	if body := s.must(422, http.MethodPost, s.service+"/data", `[{"measurement": "x", "tags": {"t": "a"}, "fields": {"v": 1}}, {"measurement": "x", "fields": {"v": 1, "t": 5}}]`).body; !strings.Contains(body, "both a tag and a field") {
		t.Errorf("got %s", body)
	}

	// A mistake changes nothing and is told.
	pipelineFile(t, file, "pipelines: {points: {source: data, validate: [{rnge: {}}], sinks: [{store: {}}]}}")
	if body := s.must(400, http.MethodPost, s.service+"/api/v1/pipelines/reload", "").body; !strings.Contains(body, "did you mean range?") {
		t.Errorf("got %s", body)
	}
	post(422, 9)
	if body := s.must(200, http.MethodGet, s.service+"/api/v1/pipelines", "").body; !strings.Contains(body, `"trouble":`) {
		t.Errorf("got %s", body)
	}

	// A file that is away for a while is no trouble once it is there again, though it
	// says what it said.
	text1 := fmt.Sprintf(text, "5")
	pipelineFile(t, file, text1)
	s.must(204, http.MethodPost, s.service+"/api/v1/pipelines/reload", "")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s.must(400, http.MethodPost, s.service+"/api/v1/pipelines/reload", "")
	pipelineFile(t, file, text1)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		body := s.must(200, http.MethodGet, s.service+"/api/v1/pipelines", "").body
		if !strings.Contains(body, `"trouble":`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the trouble stays: %s", body)
		}
	}

	// By itself, and by SIGHUP.
	pipelineFile(t, file, fmt.Sprintf(text, "10"))
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		a, err := s.do(http.MethodPost, s.service+"/data", `{"measurement": "m", "fields": {"v": 9}, "timestamp": 1767366245}`)
		if err != nil {
			t.Fatal(err)
		}
		if a.status == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the new rule does not hold: %d %s", a.status, a.body)
		}
	}
}
