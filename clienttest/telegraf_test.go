package clienttest

import (
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTelegraf runs Telegraf with its own plugins through a proxy that refuses
// the first writes: it keeps what it gathered until it is taken.
func TestTelegraf(t *testing.T) {
	if *telegraf == "" {
		t.Skip("needs -telegraf; make test-clients runs it")
	}
	t.Parallel()
	s := start(t, "VARVE_ADMIN_TOKEN="+adminToken, "VARVE_INIT_ORG="+org, "VARVE_INIT_BUCKET="+bucket)
	front := startProxy(t, s)
	ask(t, http.MethodPost, front+"/proxy/faults", `[{"Status": 503, "RetryAfter": 1}, {"Status": 429, "RetryAfter": 1}]`, nil)

	log := &lockedBuffer{}
	agent := exec.Command(*telegraf, "--config", "telegraf/telegraf.conf")
	agent.Env = append(cleanEnv(), "INFLUX_URL="+front, "INFLUX_TOKEN="+adminToken, "INFLUX_ORG="+org, "INFLUX_BUCKET="+bucket)
	agent.Stdout, agent.Stderr = log, log
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- agent.Wait() }()
	t.Cleanup(func() {
		// It has ended already unless the test failed.
		_ = agent.Process.Kill()
		if t.Failed() {
			t.Logf("Telegraf said:\n%s", log)
		}
	})
	fields := map[string]string{"cpu": "usage_idle", "mem": "used_percent", "disk": "free", "system": "load1"}
	deadline := time.Now().Add(patience)
	for measurement, field := range fields {
		for stored(t, s, measurement, field) < 3 {
			if time.Now().After(deadline) {
				t.Fatalf("no points of %s after %s", measurement, patience)
			}
			time.Sleep(200 * time.Millisecond)
		}
	}
	// As a dashboard would have it.
	script := `from(bucket: "` + bucket + `") |> range(start: -1h)
		|> filter(fn: (r) => r._measurement == "cpu" and r._field == "usage_idle" and r.cpu == "cpu-total") |> keep(columns: ["_time", "_value", "host"])`
	if rows := strings.Count(flux(t, s, script), ",clienttest\r\n"); rows < 3 {
		t.Errorf("%d rows of the host, want at least 3", rows)
	}
	if err := agent.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Telegraf ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("Telegraf does not end")
	}
	var seen []exchange
	ask(t, http.MethodGet, front+"/proxy/exchanges", "", &seen)
	var statuses []int
	for _, e := range seen {
		statuses = append(statuses, e.Status)
		if e.ContentEncoding != "gzip" {
			t.Errorf("a write was not compressed: %+v", e)
		}
	}
	if len(statuses) < 3 || !slices.Equal(statuses[:2], []int{503, 429}) || slices.ContainsFunc(statuses[2:], func(s int) bool { return s != http.StatusNoContent }) {
		t.Errorf("statuses %v, want 503, 429, and 204 from there on", statuses)
	}
}

// stored returns how many values of a field are stored.
func stored(t *testing.T, s *server, measurement, field string) int {
	t.Helper()
	body, err := json.Marshal(map[string]any{"measurement": measurement, "fields": []string{field},
		"start": "-1h", "aggregation": "count", "group_by": []string{}})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Data []struct{ Value int } }
	ask(t, http.MethodPost, s.service+"/query", string(body), &answer)
	if len(answer.Data) == 0 {
		return 0
	}
	return answer.Data[0].Value
}

// ask makes a request with the admin's token.
func ask(t *testing.T, method, url, body string, into any) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+adminToken)
	resp, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", method, url, resp.Status)
	}
	if into == nil {
		return
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// flux runs a script and returns the answer.
func flux(t *testing.T, s *server, script string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, s.url+"/api/v2/query", strings.NewReader(script))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+adminToken)
	req.Header.Set("Content-Type", "application/vnd.flux")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", resp.Status, answer)
	}
	return string(answer)
}

// TestTelegrafMetrics runs Telegraf with its outputs for remote write 1.0 and for
// OTLP over gRPC.
func TestTelegrafMetrics(t *testing.T) {
	if *telegraf == "" {
		t.Skip("needs -telegraf; make test-clients runs it")
	}
	t.Parallel()
	s := start(t, "VARVE_ADMIN_TOKEN="+adminToken, "VARVE_OTLP_GRPC_ADDR=127.0.0.1:0")
	log := &lockedBuffer{}
	agent := exec.Command(*telegraf, "--config", "telegraf/metrics.conf")
	agent.Env = append(cleanEnv(), "REMOTE_WRITE_URL="+s.url+"/api/v1/write?bucket=default", "OTLP_ADDRESS="+s.otlp, "INFLUX_TOKEN="+adminToken)
	agent.Stdout, agent.Stderr = log, log
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = agent.Process.Kill() // it has nothing left to do
		_ = agent.Wait()
		if t.Failed() {
			t.Logf("Telegraf said:\n%s", log)
		}
	})
	// The same metric by both ways: their schemas differ in the field.
	deadline := time.Now().Add(patience)
	for _, field := range []string{"value", "gauge"} {
		for stored(t, s, "mem_used_percent", field) < 3 {
			if time.Now().After(deadline) {
				t.Fatalf("no points with the field %s after %s", field, patience)
			}
			time.Sleep(200 * time.Millisecond)
		}
	}
}
