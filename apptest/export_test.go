package apptest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// randomPoints makes line protocol with all types, absent tags and fields, odd
// names and extreme values; a point may overwrite an earlier one.
func randomPoints(rng *rand.Rand, n int) string {
	pick := func(all ...string) string { return all[rng.IntN(len(all))] }
	var b strings.Builder
	for range n {
		at := int64(1767225600000000000) + int64(rng.IntN(200))*3_600_000_000_001
		if rng.IntN(20) == 0 {
			at = []int64{math.MinInt64 + 2, -1, 0, 1, math.MaxInt64 - 1}[rng.IntN(5)]
		}
		b.WriteString(pick(`cpu`, `odd\,\ name/%41=x`, `Привіт`))
		if rng.IntN(2) == 0 {
			b.WriteString(`,host=` + pick(`a`, `b\ c`, `d\,e\=f`, `x\y`, `г`))
		}
		if rng.IntN(3) == 0 {
			b.WriteString(`,a\ \,tag=` + pick(`1`, `"2"`))
		}
		fields := []string{
			`f=` + pick(`0`, `-0`, `1`, `5e-324`, `-1.7976931348623157e308`, `1e21`, `0.1`, `9007199254740993`),
			`i=` + pick(`-9223372036854775808i`, `-1i`, `0i`, `9223372036854775807i`),
			`u=` + pick(`0u`, `18446744073709551615u`),
			`b=` + pick(`true`, `false`),
			`s="` + pick(``, `plain`, `a,b`, `q\"q`, `back\\slash`, "two\nlines", `Привіт`, ` sp ace `) + `"`,
			`F\ 2\,\==7`,
		}
		rng.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
		fmt.Fprintf(&b, " %s %d\n", strings.Join(fields[:1+rng.IntN(len(fields))], ","), at)
	}
	return b.String()
}

func mustVarve(t *testing.T, args ...string) string {
	t.Helper()
	out, err := varve(t, args...)
	if err != nil {
		t.Fatalf("varve %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// TestExportRoundTrip exports a store, imports it into another one and exports
// that: nothing may differ.
func TestExportRoundTrip(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 2))
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	s := start(t, first, "--shards", "2")
	for i := range 3 {
		s.write(randomPoints(rng, 2000))
		if i == 1 {
			s.must(204, http.MethodPost, s.service+"/api/v1/settle", "")
		}
	}
	answer := s.must(200, http.MethodPost, s.service+"/api/v1/export", `{}`).body
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	mustVarve(t, "export", "--data-dir", first, "--format", "lines", "--compression", "none", one)
	mustVarve(t, "export", "--data-dir", first, filepath.Join(dir, "parquet"))
	s.stop()
	exported, err := os.ReadFile(filepath.Join(one, "part-0.lp"))
	if err != nil {
		t.Fatal(err)
	}
	if answer != string(exported) || len(answer) < 10_000 {
		t.Errorf("the port answers %d bytes, the file has %d", len(answer), len(exported))
	}

	mustVarve(t, "import", "lines", "--offline", second, filepath.Join(one, "part-0.lp"))
	mustVarve(t, "export", "--offline", second, "--format", "lines", "--compression", "none", two)
	again, err := os.ReadFile(filepath.Join(two, "part-0.lp"))
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(exported) {
		t.Error("the second store differs from the first one")
	}

	// Parquet by the day has as many rows, as many as there are lines.
	out := mustVarve(t, "export", "--offline", second, filepath.Join(dir, "parquet2"))
	lines := 0
	for _, line := range strings.Split(string(exported), "\n") {
		if line != "" && !strings.HasPrefix(line, "lines\"") {
			lines++
		}
	}
	if !strings.Contains(out, fmt.Sprintf("%d rows with", lines)) {
		t.Errorf("%d lines, but %s", lines, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "parquet", "measurement=cpu", "date=2026-01-01", "part-0.parquet")); err != nil {
		t.Error(err)
	}
}

func TestExportChooses(t *testing.T) {
	dir := t.TempDir()
	s := start(t, filepath.Join(dir, "data"))
	s.write("cpu,host=a u=1 0\ncpu,host=b u=2 86400000000000\nmem,host=a f=3i 1\n")
	for args, want := range map[string]string{
		"-m mem":              "mem,host=a f=3i 1\n",
		"-m cpu --tag host=b": "cpu,host=b u=2 86400000000000\n",
		"--stop 1970-01-01T12:00:00Z -m cpu --partition none": "cpu,host=a u=1 0\n",
		"--start 1":                 "cpu,host=b u=2 86400000000000\n",
		"--tag host=a --tag host=b": "cpu,host=a u=1 0\ncpu,host=b u=2 86400000000000\nmem,host=a f=3i 1\n",
	} {
		out := mustVarve(t, append([]string{"export", "--data-dir", s.dir, "--format", "lines", "-"}, strings.Fields(args)...)...)
		if got, _, _ := strings.Cut(out, fmt.Sprintf("%d rows with", strings.Count(want, "\n"))); got != want {
			t.Errorf("%s: %q, want %q", args, out, want)
		}
	}
	for args, want := range map[string]string{
		"-m cpus out":                     `"cpus" has no rows in this range; there are ["cpu" "mem"]`,
		"--bucket nowhere out":            "not found",
		"--partition week out":            "want day, month or none",
		"--format orc out":                "want parquet, csv or lines",
		"--tag host out":                  "want tag=value",
		"-":                               "parquet goes to a folder",
		"s3://":                           "want s3://BUCKET/PREFIX",
		"s3://b/p":                        "AWS_ACCESS_KEY_ID",
		"--s3-endpoint b:1 s3://b/p":      "want a URL",
		"--start now --stop -1d out":      "range is empty",
		"--format csv --partition none -": "choose one measurement",
	} {
		out, err := varve(t, append([]string{"export", "--data-dir", s.dir}, strings.Fields(strings.ReplaceAll(args, " out", " "+filepath.Join(dir, "out")))...)...)
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v %q, want %s", args, err, out, want)
		}
	}
	if out, err := varve(t, "export", "--offline", dir, filepath.Join(dir, "out")); err == nil || !strings.Contains(out, "no data folder") {
		t.Errorf("offline on another folder: %v %s", err, out)
	}
}
