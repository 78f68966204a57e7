package apptest

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPacketsAndFiles: line protocol in packets and files, and rows of CSV, go
// through the rules of their pipelines into the store; a kill in the middle of a
// file loses nothing of it.
func TestPacketsAndFiles(t *testing.T) {
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp := free.LocalAddr().String()
	free.Close()
	in, rows := t.TempDir(), t.TempDir()
	file := pipelineFile(t, "", fmt.Sprintf(`
pipelines:
  packets:
    source: {udp: {listen: %q}}
    decode: {line: {}}
    validate: [{deduplicate: {}}, {range: {field: v, max: 5}}]
    sinks: [{store: {}}]
  files:
    source: {folder: {path: %q, complete: renamed}}
    decode: {line: {precision: s}}
    sinks: [{store: {}}]
  rows:
    source: {folder: {path: %q, complete: renamed, format: csv, csv: {measurement: row, time: at, time_format: s, tags: {id: ""}}}}
    validate: [{range: {field: v, max: 5}}]
    sinks: [{store: {}}]
`, udp, in, rows))
	dir := t.TempDir()
	s := start(t, dir, "--pipelines-file", file)
	put := func(folder, name, text string) {
		t.Helper()
		at := filepath.Join(folder, name)
		if err := os.WriteFile(at+".tmp", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(at+".tmp", at); err != nil {
			t.Fatal(err)
		}
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("waited in vain until %s", what)
			}
		}
	}
	stored := func(measurement string) int {
		return len(s.query(fmt.Sprintf(`{"measurement": %q, "start": 0, "limit": 100000}`, measurement)))
	}
	refused := func() string {
		return s.must(200, http.MethodPost, s.service+"/query", `{"measurement": "refused", "bucket": "dead-letter", "start": 0}`).body
	}

	conn, err := net.Dial("udp", udp)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, packet := range []string{"packet v=1 1767366245000000000\npacket v=2 1767366246000000000", "packet v=1 1767366245000000000", "packet v=9 1767366247000000000", "not a line"} {
		if _, err := conn.Write([]byte(packet)); err != nil {
			t.Fatal(err)
		}
	}
	until("packets are stored", func() bool { return stored("packet") == 2 })
	until("packets are kept", func() bool { return strings.Contains(refused(), "not a line") })
	if dead := refused(); !strings.Contains(dead, "v_out_of_range") || !strings.Contains(dead, "bad_line") {
		t.Errorf("kept %s", dead)
	}
	_, metrics := s.scrape()
	for _, want := range []string{`varve_pipeline_source_events_total{event="packets",pipeline="packets"} 4`, `varve_pipeline_dropped_total{pipeline="packets"} 1`, `varve_pipeline_step_series{pipeline="packets",step="validate/deduplicate"} 2`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics do not have %s", want)
		}
	}

	put(rows, "a.csv", "at,id,v\n1767366245,a,1\n1767366246,b,7\n1767366247,c,3\nnever,d,4\n")
	until("rows are stored", func() bool { return stored("row") == 2 })
	until("the file is done", func() bool {
		_, err := os.Stat(filepath.Join(rows, "done", "a.csv"))
		return err == nil
	})
	if b, err := os.ReadFile(filepath.Join(rows, "failed", "a.csv.rejects")); err != nil || !bytes.Contains(b, []byte("never,d,4")) {
		t.Errorf("rejects are %q, %v", b, err)
	}

	const lines = 60_000
	var text strings.Builder
	for i := range lines {
		fmt.Fprintf(&text, "file v=%d %d\n", i, 1767366245+i)
	}
	put(in, "big.lp", text.String())
	until("it begins", func() bool { return stored("file") > 0 })
	s.kill()
	s = start(t, dir, "--pipelines-file", file)
	until("the file is done", func() bool {
		_, err := os.Stat(filepath.Join(in, "done", "big.lp"))
		return err == nil
	})
	if n := stored("file"); n != lines {
		t.Errorf("%d lines of %d are stored", n, lines)
	}
}
