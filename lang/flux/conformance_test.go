package flux

import (
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var (
	cases    = flag.String("cases", "", "only conformance cases whose id matches this expression")
	detailed = flag.Bool("detailed", false, "print how each conformance case ended")
)

// conformance is where the published cases are, beside the repository.
const conformance = "../../../shared/conformance/flux"

// deviations are cases that do not pass, with the reason.
var deviations = map[string]string{
	"planner/window_eval.window_evaluate":            "the runner takes rows of the expected answer that follow an empty line for the names of columns",
	"experimental/array/array.array_touint_exp":      "the expected answer has negative numbers in a column of unsigned ones",
	"universe/holt_winters_panic.holt_winters_panic": "the expected answer is a row without columns, which is not written here",
}

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
	passed := 0
	for _, r := range results.Cases {
		pass := r.Verdict == "pass" || r.Verdict == "pass-unordered"
		switch reason := deviations[r.ID]; {
		case pass && reason != "":
			t.Errorf("%s passes, although %s", r.ID, reason)
		case !pass && reason == "":
			t.Errorf("%s: %s: %.300s", r.ID, r.Verdict, r.Message)
		}
		if pass {
			passed++
		}
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
