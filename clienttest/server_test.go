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

// server is a varve on a data folder of its own.
type server struct {
	url     string // of the port that InfluxDB clients use
	service string // of the other one
	otlp    string // host:port for OTLP over gRPC; "" if it is off
	dir     string
	env     []string
	log     *lockedBuffer

	mu    sync.Mutex // guards cmd, for as long as a process starts or ends
	cmd   *exec.Cmd  // nil if none runs
	ended chan error // gets what Wait of cmd returns
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
	s := &server{dir: filepath.Join(t.TempDir(), "data"), env: append(cleanEnv(), env...), log: &lockedBuffer{}}
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the server said:\n%s", s.log)
		}
	})
	if err := s.launch("127.0.0.1:0", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	return s
}

// launch starts a process and waits until it answers.
func (s *server) launch(points, service string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd := exec.Command(binary, "serve", "--data-dir", s.dir, "--http-addr", points, "--service-addr", service)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.env, s.log, s.log
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	s.cmd, s.ended = cmd, ended
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var a struct {
			HTTP, Service string
			PID           int
			OTLP          string `json:"otlp_grpc"`
		}
		b, err := os.ReadFile(filepath.Join(s.dir, "addresses.json"))
		if err == nil && json.Unmarshal(b, &a) == nil && a.PID == cmd.Process.Pid {
			s.url, s.service, s.otlp = "http://"+a.HTTP, "http://"+a.Service, a.OTLP
			return nil
		}
		select {
		case err := <-ended:
			s.cmd = nil
			return fmt.Errorf("server ended: %w\n%s", err, s.log)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return fmt.Errorf("server does not answer after %s", patience)
}

// kill ends the process as a power button would.
func (s *server) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	// It may have ended already.
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.cmd = nil
}

// downtime is how long a server that is restarted is away: long enough for
// clients to meet it.
const downtime = 500 * time.Millisecond

// restart kills the process and starts another on the same ports after
// downtime. It returns when the first is dead; the second is started by a
// goroutine that wait waits for.
func (s *server) restart(t *testing.T, wait *sync.WaitGroup) {
	points, service := strings.TrimPrefix(s.url, "http://"), strings.TrimPrefix(s.service, "http://")
	s.kill()
	wait.Go(func() {
		time.Sleep(downtime)
		if err := s.launch(points, service); err != nil {
			t.Error(err)
		}
	})
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
