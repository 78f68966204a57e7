package apptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// readmeLimit is for all commands of the README together, the demo and a build
// included.
const readmeLimit = 4 * time.Minute

// shellBlock is a fenced block that people copy into a shell.
var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// curlWrapper stands in for curl: README and program agree on ports 8086 and
// 8000, which may be taken where the tests run.
const curlWrapper = `#!/bin/bash
address() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" data/addresses.json; }
points=$(address http) service=$(address service)
args=()
for a in "$@"; do
	a=${a//127.0.0.1:8086/$points}
	args+=("${a//127.0.0.1:8000/$service}")
done
exec %s --fail-with-body -sS "${args[@]}"
`

// TestReadme runs every shell block of the README as it is written there, in
// order, in one shell, in a copy of the sources. A server in the background
// gets the time to start that a person gives it without thinking.
func TestReadme(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program and runs the demo")
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not there")
	}
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := shellBlock.FindAllSubmatchIndex(text, -1)
	if len(blocks) < 3 {
		t.Fatalf("the README has %d shell blocks", len(blocks))
	}
	dir := copySources(t)
	needsData := linkRealData(t, dir)
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "curl"), fmt.Appendf(nil, curlWrapper, curl), 0o755); err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString("set -euo pipefail\n")
	for _, b := range blocks {
		commands := string(text[b[2]:b[3]])
		line := 1 + bytes.Count(text[:b[2]], []byte("\n"))
		if needsData && strings.Contains(commands, ".csv") {
			t.Logf("README.md:%d needs the public data sets, which are not there: left out", line)
			continue
		}
		fmt.Fprintf(&script, "echo 'README.md:%d'\n", line)
		for command := range strings.Lines(commands) {
			script.WriteString(command)
			if strings.HasSuffix(strings.TrimSpace(command), "&") {
				script.WriteString("for i in $(seq 200); do [ -e data/addresses.json ] && break; sleep 0.1; done\n")
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), readmeLimit)
	defer cancel()
	sh := exec.CommandContext(ctx, "bash", "-c", script.String())
	sh.Dir = dir
	sh.Env = append(cleanEnv(), "PATH="+bin+":"+os.Getenv("PATH"),
		"VARVE_HTTP_ADDR=127.0.0.1:0", "VARVE_SERVICE_ADDR=127.0.0.1:0", "DEMO_SECONDS=6", "DEMO_ARGS=--backlog 1h --hosts 100 --trucks 20")
	out := &lockedBuffer{}
	sh.Stdout, sh.Stderr = out, out
	sh.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// The shell ends, but the server that it left in the background does not.
	sh.WaitDelay = time.Second
	end := func() error { return syscall.Kill(-sh.Process.Pid, syscall.SIGKILL) } // the whole group
	sh.Cancel = end
	if err := sh.Start(); err != nil {
		t.Fatal(err)
	}
	err = sh.Wait()
	if e := end(); e != nil && !errors.Is(e, syscall.ESRCH) {
		t.Error(e)
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatalf("%v:\n%s", err, out)
	}
	if said := out.String(); strings.Contains(said, "\n0 values") {
		t.Errorf("a question of the README has no answer:\n%s", said)
	}
}

// copySources returns a folder with what a clone has.
func copySources(t *testing.T) string {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = ".."
	names, err := list.Output()
	if err != nil {
		t.Skipf("git cannot list the sources: %v", err)
	}
	dir := t.TempDir()
	for _, name := range strings.Split(strings.TrimRight(string(names), "\x00"), "\x00") {
		if strings.Contains(name, "testdata/") {
			continue // is not needed for a build
		}
		body, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, body, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// linkRealData puts the public data sets where the README has them, beside
// the program; it reports whether they are missing.
func linkRealData(t *testing.T, dir string) (missing bool) {
	t.Helper()
	for _, name := range []string{"ett/ETTh1.csv", "nab/machine_temperature_system_failure.csv"} {
		from, err := filepath.Abs(filepath.Join(realData, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(from); err != nil {
			return true
		}
		if err := os.Symlink(from, filepath.Join(dir, filepath.Base(name))); err != nil {
			t.Fatal(err)
		}
	}
	return false
}
