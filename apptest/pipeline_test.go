package apptest

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

	// Nor does a file that is empty, as one is while it is written.
	pipelineFile(t, file, "")
	if body := s.must(400, http.MethodPost, s.service+"/api/v1/pipelines/reload", "").body; !strings.Contains(body, "is empty") {
		t.Errorf("got %s", body)
	}
	post(422, 9)

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

	// Another bucket for what is refused is made, one to store in is not.
	pipelineFile(t, file, "pipelines: {points: {source: data, validate: [{range: {field: v, max: 5}}], sinks: [{store: {bucket: nowhere}}], dead_letter: {bucket: quarantine}}}")
	s.must(204, http.MethodPost, s.service+"/api/v1/pipelines/reload", "")
	post(422, 9)
	if dead := s.must(200, http.MethodPost, s.service+"/query", `{"measurement": "refused", "bucket": "quarantine", "start": 0}`).body; !strings.Contains(dead, "v_out_of_range") {
		t.Errorf("kept %s", dead)
	}
	if body := post(503, 4); !strings.Contains(body, `there is no bucket \"nowhere\" to store in: make it`) {
		t.Errorf("got %s", body)
	}
	if said := s.stderr.String(); !strings.Contains(said, "a pipeline cannot store as it is") {
		t.Errorf("the log does not say that it cannot store:\n%s", said)
	}
}

// TestContradictingLines: lines that contradict others of their body are kept as they
// were meant, each with its reason, with rules and without; and what cannot be read.
func TestContradictingLines(t *testing.T) {
	text := "pipelines: {lines: {source: write, %ssinks: [{store: {}}]}}"
	file := pipelineFile(t, "", fmt.Sprintf(text, ""))
	s := start(t, t.TempDir(), "--pipelines-file", file)
	post := func(measurement string) {
		t.Helper()
		body := strings.ReplaceAll("c,a=b x=1,y=1i 1767366245\nc,a=b x=\"no\",y=2i 1767366246\nc,a=b y=3i,x=t 1767366247\nc a=4 1767366248\nc,a=b x=5 1767366249\n", "c", measurement)
		answer := s.must(422, http.MethodPost, s.http+"/api/v2/write?precision=s", body).body
		if !strings.Contains(answer, `is type string, already exists as type float`) || !strings.Contains(answer, "dropped=3") {
			t.Errorf("answered %s", answer)
		}
		if stored := s.query(fmt.Sprintf(`{"measurement": %q, "fields": ["x"], "start": 0}`, measurement)); len(stored) != 2 {
			t.Errorf("stored %v", stored)
		}
	}
	kept := func() (all []string) {
		t.Helper()
		for _, v := range s.query(`{"measurement": "refused", "bucket": "dead-letter", "start": 0}`) {
			if v.Field == "payload" || v.Field == "detail" {
				all = append(all, fmt.Sprintf("%s %s %s: %v", v.Tags["pipeline"], v.Tags["place"], v.Tags["reason"], v.Value))
			}
		}
		slices.Sort(all)
		return all
	}
	var want []string
	for measurement, steps := range map[string]string{"c": "", "d": "validate: [{range: {field: x, max: 10}}], "} {
		pipelineFile(t, file, fmt.Sprintf(text, steps))
		s.must(204, http.MethodPost, s.service+"/api/v1/pipelines/reload", "")
		post(measurement)
		for _, w := range []string{"name_conflict: c a=4 1767366248000000000", "type_conflict: c,a=b x=\"no\",y=2i 1767366246000000000", "type_conflict: c,a=b y=3i,x=t 1767366247000000000"} {
			want = append(want, "lines decode "+strings.ReplaceAll(w, ": c", ": "+measurement))
		}
		for _, w := range []string{`name_conflict: name conflict: "a" on measurement "c" is both a tag and a field`,
			`type_conflict: field type conflict: input field "x" on measurement "c" is type boolean, already exists as type float`,
			`type_conflict: field type conflict: input field "x" on measurement "c" is type string, already exists as type float`} {
			want = append(want, "lines decode "+strings.ReplaceAll(w, `"c"`, strconv.Quote(measurement)))
		}
	}
	// A body that cannot be read is kept as it came.
	s.must(400, http.MethodPost, s.http+"/api/v2/write?precision=s", "c x=6\nc x=\n")
	want = append(want, "lines decode bad_message: c x=6\nc x=\n", "lines decode bad_message: unable to parse 'c x=': missing field value")
	slices.Sort(want)
	if diff := cmp.Diff(want, kept()); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if body := s.must(200, http.MethodGet, s.service+"/api/v1/pipelines", "").body; !strings.Contains(body, `"reasons":{"bad_message":1,"name_conflict":2,"type_conflict":4}`) {
		t.Errorf("status %s", body)
	}
}
