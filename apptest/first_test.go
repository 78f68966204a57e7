package apptest

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFirstStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := startWith(t, dir, nil, "--init-org", "acme", "--init-bucket", "sensors")
	name := filepath.Join(dir, "admin-token")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("token file has mode %o, want 600", mode)
	}
	s.token = strings.TrimSpace(string(text))
	if len(s.token) < 32 || !strings.Contains(s.stdout.String(), s.token) {
		t.Errorf("token %q is not printed: %s", s.token, s.stdout)
	}
	if strings.Contains(s.stderr.String(), s.token) {
		t.Error("the log has the token")
	}
	s.must(204, http.MethodPost, s.http+"/api/v2/write?org=acme&bucket=sensors", "m v=1")
	s.must(404, http.MethodPost, s.http+"/api/v2/write?org=acme&bucket=default", "m v=1")
	s.stop()
	if _, err := os.Stat(filepath.Join(dir, "addresses.json")); err == nil {
		t.Error("addresses.json is there after the stop")
	}

	// The init flags act on the first start only, and the token is shown once.
	token := s.token
	s = startWith(t, dir, nil, "--init-org", "other", "--init-bucket", "else")
	if strings.Contains(s.stdout.String(), token) {
		t.Error("the second start prints the token")
	}
	s.token = token
	s.must(204, http.MethodPost, s.http+"/api/v2/write?org=acme&bucket=sensors", "m v=2")
	s.must(404, http.MethodPost, s.http+"/api/v2/write?org=other&bucket=else", "m v=1")
}

func TestProbes(t *testing.T) {
	s := start(t, t.TempDir())
	for url, want := range map[string]string{
		s.http + "/health":    `"status":"pass"`,
		s.http + "/ready":     `"status":"ready"`,
		s.service + "/health": `"status":"healthy"`,
	} {
		if a := s.must(200, http.MethodGet, url, "", "Authorization: "); !strings.Contains(a.body, want) {
			t.Errorf("%s: %s", url, a.body)
		}
	}
	a := s.must(204, http.MethodHead, s.http+"/ping", "", "Authorization: ")
	if a.header.Get("X-Influxdb-Build") != "OSS" || a.header.Get("X-Influxdb-Version") == "" {
		t.Errorf("headers of ping: %v", a.header)
	}
}

func TestSecondServerIsRefused(t *testing.T) {
	dir := t.TempDir()
	start(t, dir)
	second := spawn(t, dir, nil)
	<-second.ended
	if second.err == nil || !strings.Contains(second.stderr.String(), "is in use by another varve") {
		t.Errorf("second server: %v: %s", second.err, second.stderr)
	}
}

func TestBadConfigurationIsRefused(t *testing.T) {
	for args, want := range map[string]string{
		"--service-auth none --service-addr 0.0.0.0:0": "must be on loopback",
		"--memory-limit 1MiB":                          "want at least",
		"--init-retention soon":                        "want a length of time",
		"--log-level loud":                             "want debug, info, warn or error",
		"--http-addr nowhere":                          "want host:port",
		"--no-such-flag":                               "unknown flag",
	} {
		out, err := varve(t, append([]string{"serve", "--data-dir", t.TempDir()}, strings.Fields(args)...)...)
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v: %s", args, err, out)
		}
	}
}

func TestVersion(t *testing.T) {
	out, err := varve(t, "version")
	if err != nil || !strings.HasPrefix(out, "varve ") || !strings.Contains(out, "go1.") {
		t.Errorf("%v: %s", err, out)
	}
}
