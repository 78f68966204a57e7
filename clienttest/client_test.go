package clienttest

import (
	"flag"
	"os/exec"
	"path/filepath"
	"testing"
)

var (
	goClients = flag.Bool("go", false, "run the tests of the clients in Go; they take their modules from the module proxy")
	node      = flag.String("node", "", "node_modules folder with the JavaScript client")
	python    = flag.String("python", "", "Python that has the Python client")
	telegraf  = flag.String("telegraf", "", "Telegraf")
)

// environment starts what the tests of a client need, and returns what tells
// them of it:
//
//	CLIENTTEST_URL     a server with organisation, bucket and token
//	CLIENTTEST_PROXY   the same server behind a proxy, see [proxy]
//	CLIENTTEST_SERVICE the service port of that server, by which tests learn
//	                   what is stored without the client that they test
//	CLIENTTEST_OTLP    the port of that server for OTLP over gRPC
//	CLIENTTEST_FRESH   a server that nobody has set up
//	CLIENTTEST_TOKEN, CLIENTTEST_ORG, CLIENTTEST_BUCKET
func environment(t *testing.T) []string {
	t.Helper()
	s := start(t, "VARVE_ADMIN_TOKEN="+adminToken, "VARVE_INIT_ORG="+org, "VARVE_INIT_BUCKET="+bucket, "VARVE_OTLP_GRPC_ADDR=127.0.0.1:0")
	fresh := start(t, "VARVE_INIT_BY=setup")
	return append(cleanEnv(), "CLIENTTEST_FRESH="+fresh.url,
		"CLIENTTEST_URL="+s.url, "CLIENTTEST_SERVICE="+s.service, "CLIENTTEST_OTLP="+s.otlp,
		"CLIENTTEST_PROXY="+startProxy(t, s),
		"CLIENTTEST_TOKEN="+adminToken, "CLIENTTEST_ORG="+org, "CLIENTTEST_BUCKET="+bucket)
}

// runTests runs the tests of a client and shows what they say.
func runTests(t *testing.T, env []string, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	t.Logf("%s\n%s", cmd, out)
	if err != nil {
		t.Fatal(err)
	}
}

func TestGo(t *testing.T) {
	if !*goClients {
		t.Skip("needs -go; make test-clients runs it")
	}
	t.Parallel()
	runTests(t, environment(t), "go", "go", "test", "-count", "1", "-v", "./...")
}

func TestMetrics(t *testing.T) {
	if !*goClients {
		t.Skip("needs -go; make test-clients runs it")
	}
	t.Parallel()
	runTests(t, environment(t), "metrics", "go", "test", "-count", "1", "-v", "./...")
}

func TestJavaScript(t *testing.T) {
	if *node == "" {
		t.Skip("needs -node; make test-clients runs it")
	}
	t.Parallel()
	files, err := filepath.Glob("js/*.test.js")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in js: %v", err)
	}
	for i, f := range files {
		files[i] = filepath.Base(f)
	}
	// One after another: they share a server and its proxy.
	args := append([]string{"--test", "--test-concurrency=1", "--test-reporter=spec"}, files...)
	runTests(t, append(environment(t), "NODE_PATH="+*node), "js", "node", args...)
}

func TestPython(t *testing.T) {
	if *python == "" {
		t.Skip("needs -python; make test-clients runs it")
	}
	t.Parallel()
	runTests(t, append(environment(t), "PYTHONDONTWRITEBYTECODE=1"), "python", *python, "-m", "unittest", "discover", "-v", "-p", "test_*.py")
}
