package apptest

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestUnit lets systemd look at the unit, with a program in place of ours that
// is there.
func TestUnit(t *testing.T) {
	unit := string(read(t, filepath.Join("..", "packaging/systemd/varve.service")))
	for _, want := range []string{"Type=notify", "WatchdogSec=", "NoNewPrivileges=yes", "ProtectSystem=strict", "User=varve"} {
		if !strings.Contains(unit, "\n"+want) {
			t.Errorf("the unit has no %s", want)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not there to look at the unit")
	}
	name := filepath.Join(t.TempDir(), "varve.service")
	if err := os.WriteFile(name, []byte(strings.ReplaceAll(unit, "/usr/local/bin/varve", "/bin/true")), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", name).CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// dockerLine is an instruction of a Dockerfile on one line.
var dockerLine = regexp.MustCompile(`(?m)^([A-Z]+) +(.*)$`)

// TestDockerfile checks what an engine would not have to be there for: that what
// is copied exists and is not ignored, that the program is built into a file
// which needs no other, and that the image starts it with commands that it has.
func TestDockerfile(t *testing.T) {
	const dir = ".."
	text := strings.ReplaceAll(string(read(t, filepath.Join("..", "Dockerfile"))), "\\\n", " ")
	made := map[string]bool{"/etc/ssl/certs/ca-certificates.crt": true} // the base image has it
	var build []string
	from := 0
	for _, m := range dockerLine.FindAllStringSubmatch(text, -1) {
		switch words := strings.Fields(m[2]); m[1] {
		case "FROM":
			from++
			if base := words[0]; strings.Contains(base, "/") {
				t.Errorf("FROM %s names a registry", base)
			}
		case "RUN":
			if i := strings.Index(m[2], " -o "); i >= 0 {
				build = words
				made[strings.Fields(m[2][i+4:])[0]] = true
			}
			if words[0] == "mkdir" {
				made[words[len(words)-1]] = true
			}
		case "COPY":
			stage := false
			for len(words) > 0 && strings.HasPrefix(words[0], "--") {
				stage = stage || strings.HasPrefix(words[0], "--from=")
				words = words[1:]
			}
			for _, source := range words[:len(words)-1] {
				if stage {
					if !made[source] {
						t.Errorf("COPY %s, which no step makes", source)
					}
				} else if _, err := os.Stat(filepath.Join(dir, source)); err != nil {
					t.Errorf("COPY: %v", err)
				}
			}
		}
	}
	if from != 2 || !strings.Contains(text, "\nUSER 65532:65532\n") {
		t.Errorf("%d stages, want 2, and a user that is not root", from)
	}
	if build == nil {
		t.Fatal("no step builds the program")
	}
	if testing.Short() {
		t.Skip("builds the program")
	}

	// The build as it stands there, but for where the result goes, from the files
	// that the engine would be given.
	program := filepath.Join(t.TempDir(), "varve")
	var env, args []string
	for _, w := range build {
		switch {
		case args == nil && strings.Contains(w, "="):
			env = append(env, w)
		case w == "/out/varve":
			args = append(args, program)
		default:
			args = append(args, w)
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = buildContext(t, dir), append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(build, " "), err, out)
	}
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if libraries, err := f.ImportedLibraries(); len(libraries) > 0 {
		t.Errorf("the program needs %v, %v, which the image has not", libraries, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program needs a loader, which the image has not")
		}
	}
	for _, args := range [][]string{{"serve", "--help"}, {"health", "--insecure", "--help"}} {
		if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
			t.Errorf("varve %v: %v\n%s", args, err, out)
		}
	}
	// What the image sets is understood.
	ask := exec.Command(program, "config")
	ask.Env = []string{"VARVE_DATA_DIR=/data", "VARVE_HTTP_ADDR=0.0.0.0:8086", "VARVE_SERVICE_ADDR=0.0.0.0:8000"}
	if out, err := ask.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("0.0.0.0:8086")) || bytes.Contains(out, []byte("warning")) {
		t.Errorf("the environment of the image: %v\n%s", err, out)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// buildContext returns a folder with a copy of what is not in .dockerignore at
// the top of the tree.
func buildContext(t *testing.T, dir string) string {
	t.Helper()
	ignored := strings.Fields(string(regexp.MustCompile(`(?m)^#.*$`).ReplaceAll(read(t, filepath.Join("..", ".dockerignore")), nil)))
	to := t.TempDir()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out := e.Name() == ".git" // whose history is of no use to the test
		for _, pattern := range ignored {
			if strings.Trim(pattern, "/") == e.Name() {
				out = true
			}
		}
		if out {
			continue
		}
		if e.IsDir() {
			err = os.CopyFS(filepath.Join(to, e.Name()), os.DirFS(filepath.Join(dir, e.Name())))
		} else {
			err = os.WriteFile(filepath.Join(to, e.Name()), read(t, filepath.Join(dir, e.Name())), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// TestImage builds and runs the image where there is an engine.
func TestImage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds an image")
	}
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("there is no docker to build the image with; TestDockerfile looks at what it copies")
	}
	if out, err := exec.Command(docker, "version", "--format", "{{.Server.Version}}").CombinedOutput(); err != nil {
		t.Skipf("no engine answers to build the image; TestDockerfile looks at what it copies: %s", bytes.TrimSpace(out))
	}
	const image = "varve-test:latest"
	build := exec.Command(docker, "build", "-t", image, ".")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("docker build: %v\n%s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command(docker, "rmi", image).Run() })
	if out, err := exec.Command(docker, "run", "--rm", image, "version").CombinedOutput(); err != nil || !bytes.HasPrefix(out, []byte("varve ")) {
		t.Errorf("varve version in the image: %v\n%s", err, out)
	}
	id, err := exec.Command(docker, "run", "-d", "--read-only", image).Output()
	if err != nil {
		t.Fatal(err)
	}
	container := string(bytes.TrimSpace(id))
	t.Cleanup(func() { _ = exec.Command(docker, "rm", "-f", "-v", container).Run() })
	for range 60 {
		if exec.Command(docker, "exec", container, "/varve", "health").Run() == nil {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
	out, _ := exec.Command(docker, "logs", container).CombinedOutput()
	t.Errorf("the server in the image does not become healthy\n%s", out)
}
