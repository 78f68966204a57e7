package apptest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// importLines makes a file of points that count up, with a bad line now and
// then, and returns how many are good and bad.
func importLines(t *testing.T, name string, points int, compress bool) (good, bad int) {
	t.Helper()
	var b bytes.Buffer
	for i := range points {
		if i%9973 == 17 {
			b.WriteString("i,w=0 v=\n")
			bad++
			continue
		}
		fmt.Fprintf(&b, "i,w=%d v=%di %d\n", i%50, i, i)
		good++
	}
	body := b.Bytes()
	if compress {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		body = z.Bytes()
	}
	if err := os.WriteFile(name, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return good, bad
}

// TestImportKilled kills an import again and again and resumes it: nothing is
// missing in the end, and every bad line was rejected once.
func TestImportKilled(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 3))
	dir := t.TempDir()
	s := start(t, filepath.Join(dir, "data"))
	for _, c := range []struct {
		name    string
		offline bool
	}{{"points.lp", false}, {"points.lp.gz", false}, {"offline.lp", true}} {
		name := filepath.Join(dir, c.name)
		good, bad := importLines(t, name, 1_500_000, strings.HasSuffix(c.name, ".gz"))
		state, rejects := filepath.Join(dir, c.name+".state"), filepath.Join(dir, c.name+".rejects")
		into := []string{"--data-dir", s.dir}
		if c.offline {
			into = []string{"--offline", filepath.Join(dir, "offline")}
		}
		args := append([]string{"import", "lines", "--max-bad", "-1", "--state", state, "--rejects", rejects, name}, into...)
		killed, resumed := 0, 0
		for range 4 {
			cmd := exec.Command(binary, args...)
			cmd.Env = append(cleanEnv(), "VARVE_TOKEN="+adminToken)
			var out lockedBuffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// The first is killed once it has kept a position, the others anywhere.
			if killed == 0 {
				for range 10_000 {
					if _, err := os.Stat(state); err == nil {
						break
					}
					time.Sleep(time.Millisecond)
				}
			} else {
				time.Sleep(time.Duration(rng.IntN(400)) * time.Millisecond)
			}
			_ = cmd.Process.Kill() // it may have ended
			if err := cmd.Wait(); err != nil {
				killed++
			}
			if strings.Contains(out.String(), "resuming behind row") {
				resumed++
			}
		}
		out := mustVarve(t, args...)
		t.Logf("%s: killed %d times, resumed %d times; %s", c.name, killed, resumed, out)
		if killed == 0 {
			t.Errorf("%s: no import was killed", c.name)
		}
		if _, err := os.Stat(state); err == nil {
			t.Errorf("%s: the state is left", c.name)
		}
		text, err := os.ReadFile(rejects)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "# row "); n != bad || strings.Count(string(text), "i,w=0 v=\n") != bad {
			t.Errorf("%s: %d rejects, want %d", c.name, n, bad)
		}
		asked := s
		if c.offline {
			asked = start(t, filepath.Join(dir, "offline"))
		}
		n := asked.query(`{"measurement":"i","start":0,"stop":1,"aggregation":"count","group_by":[]}`)
		if len(n) != 1 || fmt.Sprint(n[0].Value) != fmt.Sprint(good) {
			t.Errorf("%s: %+v points, want %d", c.name, n, good)
		}
		asked.must(204, "POST", asked.http+"/api/v2/delete", `{"start":"1970-01-01T00:00:00Z","stop":"1971-01-01T00:00:00Z"}`)
	}
}

// TestImportRejectsCanBeMended takes rows that the server leaves out through
// the file of rejects.
func TestImportRejectsCanBeMended(t *testing.T) {
	dir := t.TempDir()
	s := start(t, filepath.Join(dir, "data"))
	s.write("m v=1i 1\n")
	lines, table := filepath.Join(dir, "in.lp"), filepath.Join(dir, "in.csv")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(lines, "m v=2i 2\nm v=3.5 3\nm v= 4\nm v=5i 5\n")
	write(table, "t,v\n6,6\n7,seven\n8,8\n")
	rejects := filepath.Join(dir, "rejects")
	out := mustVarve(t, "import", "lines", "--data-dir", s.dir, "--rejects", rejects, lines)
	if !strings.Contains(out, "2 points in") || !strings.Contains(out, "1 rows could not be read, 1 were left out") || !strings.Contains(out, rejects) {
		t.Errorf("import: %s", out)
	}
	b, err := os.ReadFile(rejects)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(b); !strings.Contains(got, "# row 2: ") || !strings.Contains(got, "\nm v=3.5 3\n# row 3: ") || !strings.Contains(got, "field type conflict") {
		t.Errorf("rejects are %s", got)
	}
	write(rejects, strings.NewReplacer("3.5", "3i", "v= 4", "v=4i 4").Replace(string(b)))
	mustVarve(t, "import", "lines", "--data-dir", s.dir, rejects)

	csv := []string{"import", "csv", "--data-dir", s.dir, "--measurement", "m", "--time", "t", "--time-format", "ns", "--field", "v:v:int", "--comment", "#"}
	mustVarve(t, append(csv, "--rejects", rejects, table)...)
	if b, err = os.ReadFile(rejects); err != nil {
		t.Fatal(err)
	}
	if got := string(b); !strings.HasPrefix(got, "t,v\n# row 3: ") || !strings.HasSuffix(got, "\n7,seven\n") {
		t.Errorf("rejects are %s", got)
	}
	write(rejects, strings.ReplaceAll(string(b), "7,seven", "7,7"))
	mustVarve(t, append(csv, rejects)...)
	sum := s.query(`{"measurement":"m","start":0,"stop":1,"aggregation":"sum","group_by":[]}`)
	if len(sum) != 1 || fmt.Sprint(sum[0].Value) != "36" {
		t.Errorf("sum is %+v, want 36", sum)
	}

	for want, args := range map[string][]string{
		"did you mean \"t\"":          {"import", "csv", "--data-dir", s.dir, "--measurement", "m", "--time", "tt", table},
		"no such file":                {"import", "lines", "--data-dir", s.dir, filepath.Join(dir, "nowhere.lp")},
		"is a folder":                 {"import", "lines", "--data-dir", s.dir, dir},
		"name another one":            {"import", "lines", "--data-dir", s.dir, "--rejects", lines, lines},
		"it is no state of an import": {"import", "lines", "--data-dir", s.dir, "--state", table, lines},
	} {
		if out, err := varve(t, args...); err == nil || !strings.Contains(out, want) {
			t.Errorf("%v: %v %s, want %s", args, err, out, want)
		}
	}
}

func TestImportStandardInput(t *testing.T) {
	dir := t.TempDir()
	s := start(t, filepath.Join(dir, "data"))
	name := filepath.Join(dir, "in.gz")
	good, bad := importLines(t, name, 1000, true)
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command(binary, "import", "lines", "--data-dir", s.dir, "-")
	cmd.Env = append(cleanEnv(), "VARVE_TOKEN="+adminToken)
	cmd.Stdin = f
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("%d points in", good)) || !strings.Contains(string(out), fmt.Sprintf("%d rows could not be read", bad)) {
		t.Errorf("%v: %s", err, out)
	}
}
