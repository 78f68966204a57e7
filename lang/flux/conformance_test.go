package flux

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	cases    = flag.String("cases", "", "only conformance cases whose id matches this expression")
	detailed = flag.Bool("detailed", false, "print how each conformance case ended")
)

// conformance is where the published cases are, beside the repository.
const conformance = "../../../shared/conformance/flux"

// floor is how many cases passed when they were last counted.
const floor = 432

// TestConformance runs the published cases of influxdata/flux, by the runner
// that comes with them, against a small server in this process.
func TestConformance(t *testing.T) {
	runner := filepath.Join(conformance, "run.py")
	if _, err := os.Stat(runner); err != nil {
		t.Skipf("the published cases are not here: %v", err)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("the runner of the cases needs python3: %v", err)
	}
	server := httptest.NewServer(http.HandlerFunc(answer))
	defer server.Close()
	report := filepath.Join(t.TempDir(), "report.json")
	args := []string{runner, "--url", server.URL, "--token", "t", "--org", "o", "--json", report, "--exclude-needs", ""}
	if *cases != "" {
		args = append(args, "--filter", *cases)
	}
	if *detailed {
		args = append(args, "-v")
	}
	// The runner's status says whether a case failed; which ones may, is
	// decided below.
	out, _ := exec.Command(python, args...).CombinedOutput()
	if *detailed {
		t.Logf("%s", out)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var results struct {
		Cases []struct {
			ID      string `json:"id"`
			Verdict string `json:"verdict"` // pass, pass-unordered, loose, fail, error
			Message string `json:"message"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(text, &results); err != nil {
		t.Fatalf("read the report: %v\n%.2000s", err, text)
	}
	passed, failed := 0, []string{}
	for _, r := range results.Cases {
		if r.Verdict == "pass" || r.Verdict == "pass-unordered" {
			passed++
			continue
		}
		failed = append(failed, fmt.Sprintf("%s: %s: %.300s", r.ID, r.Verdict, r.Message))
	}
	if *cases == "" && passed < floor {
		t.Errorf("%d cases pass: want at least %d; those that do not:\n%s", passed, floor, strings.Join(failed, "\n"))
	}
	t.Logf("%d of %d cases pass", passed, len(results.Cases))
}

// answer is a server that runs scripts without storage.
func answer(w http.ResponseWriter, r *http.Request) {
	var req struct{ Query string }
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	text, err := run(ctx, req.Query)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"code": "invalid", "message": err.Error()})
		return
	}
	_, _ = w.Write(text)
}
