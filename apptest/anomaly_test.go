package apptest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBenchAnomaly: the command measures the detectors that it is given on the
// folder that it is given.
func TestBenchAnomaly(t *testing.T) {
	dir := t.TempDir()
	var rows strings.Builder
	rows.WriteString("timestamp,value\n")
	at := func(i int) string {
		return time.Unix(0, 0).Add(time.Duration(i) * 5 * time.Minute).UTC().Format(time.DateTime)
	}
	for i := range 400 {
		v := float64(i % 5)
		if i == 300 {
			v = 100
		}
		fmt.Fprintf(&rows, "%s,%g\n", at(i), v)
	}
	for name, text := range map[string]string{"a.csv": rows.String(), "windows.json": fmt.Sprintf(`{"a.csv": [[%q, %q]]}`, at(288), at(310))} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const detector = "zscore: {field: value, flag: found, window: 50}"
	out, err := varve(t, "bench", "anomaly", "--data", dir, "--detector", detector)
	if err != nil {
		t.Fatal(err, out)
	}
	if want := "| a.csv | `" + detector + "` | 1.00 | 0.04 | 1 of 1 | 1, 1 | 1.00 | 1.00 | 1.0 h |"; !strings.Contains(out, want) {
		t.Errorf("printed %s\nwant %s", out, want)
	}
	if out, err := varve(t, "bench", "anomaly", "--data", dir, "--detector", "zscore: {feld: value}"); err == nil || !strings.Contains(out, "did you mean field?") {
		t.Errorf("got %v, %s", err, out)
	}
}
