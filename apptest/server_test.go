package apptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the path of the program under test; TestMain sets it once.
var binary string

func TestMain(m *testing.M) {
	if broker := os.Getenv(kafkaHelper); broker != "" {
		os.Exit(serveKafka(broker))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "varve-apptest")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "varve")
	build := exec.Command("go", "build", "-o", binary, "../cmd/varve")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build varve:", err)
		return 1
	}
	return m.Run()
}

// adminToken is what every server of the tests is given, but for those that
// test what happens without.
const adminToken = "apptest-admin"

// server is a running varve.
type server struct {
	t       *testing.T
	dir     string
	cmd     *exec.Cmd
	stdout  *lockedBuffer
	stderr  *lockedBuffer
	http    string
	service string
	token   string
	ended   chan struct{}
	err     error // of Wait, valid once ended is closed
}

// lockedBuffer is written by the process and read by the test.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start runs `varve serve` on a data folder and waits until it answers.
func start(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	return startWith(t, dir, []string{"VARVE_ADMIN_TOKEN=" + adminToken}, args...)
}

func startWith(t *testing.T, dir string, env []string, args ...string) *server {
	t.Helper()
	s := spawn(t, dir, env, args...)
	s.await()
	return s
}

func spawn(t *testing.T, dir string, env []string, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: dir, stdout: &lockedBuffer{}, stderr: &lockedBuffer{}, token: adminToken, ended: make(chan struct{})}
	s.cmd = exec.Command(binary, append([]string{"serve", "--data-dir", dir, "--http-addr", "127.0.0.1:0", "--service-addr", "127.0.0.1:0"}, args...)...)
	s.cmd.Env = append(cleanEnv(), env...)
	s.cmd.Stdout, s.cmd.Stderr = s.stdout, s.stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("server on %s said:\n%s%s", dir, s.stdout, s.stderr)
		}
	})
	return s
}

// cleanEnv is the environment without what would change the server.
func cleanEnv() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "VARVE_") {
			env = append(env, e)
		}
	}
	return env
}

// patience is how long a start may take on a machine that tests in parallel.
const patience = 60 * time.Second

// await waits for the ports of this very process.
func (s *server) await() {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		var a struct {
			HTTP, Service string
			PID           int
		}
		b, err := os.ReadFile(filepath.Join(s.dir, "addresses.json"))
		if err == nil && json.Unmarshal(b, &a) == nil && a.PID == s.cmd.Process.Pid {
			s.http, s.service = "http://"+a.HTTP, "http://"+a.Service
			return
		}
		select {
		case <-s.ended:
			s.t.Fatalf("server ended: %v\n%s", s.err, s.stderr)
		case <-time.After(5 * time.Millisecond):
		}
	}
	s.t.Fatalf("server does not answer after %s", patience)
}

// kill ends the process as a power button would.
func (s *server) kill() {
	// It may have ended already.
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// stop ends the process as a service manager would.
func (s *server) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Fatal("server does not stop")
	}
	if s.err != nil {
		s.t.Fatalf("server stopped with %v\n%s", s.err, s.stderr)
	}
}

// answer is what came back of a request.
type answer struct {
	status int
	header http.Header
	body   string
}

// do makes a request with the admin's token, unless the header has another.
func (s *server) do(method, url, body string, header ...string) (answer, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Token "+s.token)
	for _, h := range header {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b)}, err
}

func (s *server) must(status int, method, url, body string, header ...string) answer {
	s.t.Helper()
	a, err := s.do(method, url, body, header...)
	if err != nil {
		s.t.Fatal(err)
	}
	if a.status != status {
		s.t.Fatalf("%s %s: status %d, want %d: %s", method, url, a.status, status, a.body)
	}
	return a
}

func (s *server) write(lines string, header ...string) {
	s.t.Helper()
	s.must(204, http.MethodPost, s.http+"/api/v2/write", lines, header...)
}

// value is one value of an answer to a query.
type value struct {
	Time        time.Time
	Measurement string
	Field       string
	Value       any
	Tags        map[string]string
}

func (s *server) query(body string) []value {
	s.t.Helper()
	a := s.must(200, http.MethodPost, s.service+"/query", body)
	var result struct {
		Status string
		Data   []value
		Count  int
	}
	dec := json.NewDecoder(strings.NewReader(a.body))
	dec.UseNumber()
	if err := dec.Decode(&result); err != nil {
		s.t.Fatalf("%v in %.300s", err, a.body)
	}
	if result.Status != "success" || result.Count != len(result.Data) {
		s.t.Fatalf("status %q, count %d of %d values", result.Status, result.Count, len(result.Data))
	}
	return result.Data
}

// varve runs another command of the binary and returns what it printed.
func varve(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(cleanEnv(), "VARVE_TOKEN="+adminToken)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), err
}
