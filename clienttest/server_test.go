package clienttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// binary is the path of the program under test; TestMain sets it once.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "varve-clienttest")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "varve")
	return m.Run()
}

// built is whether binary is there.
var built = sync.OnceValue(func() error {
	out, err := exec.Command("go", "build", "-o", binary, "../cmd/varve").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build varve: %w: %s", err, out)
	}
	return nil
})

// What servers are started with. The names are those of the platform's
// cluster test, so that its script fits.
const (
	adminToken = "admin-token"
	org        = "varve-org"
	bucket     = "mybucket"
)

// server is a running varve.
type server struct {
	url     string // of the port that InfluxDB clients use
	service string // of the other one
	cmd     *exec.Cmd
	log     *lockedBuffer
}

// lockedBuffer is written by a process and read by the test.
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

// patience is how long a start may take on a machine that tests in parallel.
const patience = 60 * time.Second

// start runs `varve serve` on a fresh data folder and waits until it answers.
func start(t *testing.T, env ...string) *server {
	t.Helper()
	if err := built(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	s := &server{log: &lockedBuffer{}}
	s.cmd = exec.Command(binary, "serve", "--data-dir", dir, "--http-addr", "127.0.0.1:0", "--service-addr", "127.0.0.1:0")
	s.cmd.Env = append(cleanEnv(), env...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.cmd.Wait() }()
	t.Cleanup(func() {
		// It may have ended already.
		_ = s.cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("the server said:\n%s", s.log)
		}
	})
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var a struct{ HTTP, Service string }
		b, err := os.ReadFile(filepath.Join(dir, "addresses.json"))
		if err == nil && json.Unmarshal(b, &a) == nil {
			s.url, s.service = "http://"+a.HTTP, "http://"+a.Service
			return s
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("server ended: %v\n%s", err, s.log)
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Fatalf("server does not answer after %s", patience)
	return nil
}

// cleanEnv is the environment without what would change the server or a
// client.
func cleanEnv() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "VARVE_") && !strings.HasPrefix(e, "INFLUX") {
			env = append(env, e)
		}
	}
	return env
}
