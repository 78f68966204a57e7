package apptest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Tokens, passwords and headers of the collector appear in no answer, log,
// metric or trace, whatever goes wrong with them.
func TestSecretsStayIn(t *testing.T) {
	const (
		admin     = "s3cret-of-admin"
		wrong     = "s3cret-mistyped"
		password  = "s3cret-password"
		collector = "s3cret-for-collector"
	)
	c := startCollector(t)
	env := []string{"VARVE_ADMIN_TOKEN=" + admin, "VARVE_TRACE_HEADERS=X-Key=" + collector}
	s := spawn(t, filepath.Join(t.TempDir(), "data"), env, "--trace-endpoint", c.url, "--log-level", "debug", "--query-slow", "1ns")
	s.token = admin
	s.await()

	var answers []string
	ask := func(method, target, body string, header ...string) {
		t.Helper()
		a, err := s.do(method, target, body, header...)
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a.body)
		for name, values := range a.header {
			answers = append(answers, name+": "+strings.Join(values, ", "))
		}
	}
	values := url.Values{"u": {"me"}, "p": {password}, "db": {"default"}}
	for _, auth := range []string{"Token " + admin, "Token " + wrong, "Bearer " + wrong, wrong, "Basic " + wrong, "Token  " + admin} {
		header := "Authorization: " + auth
		ask(http.MethodPost, s.http+"/api/v2/write", "m v=1", header)
		ask(http.MethodPost, s.http+"/api/v2/write?bucket=nowhere", "m v=1", header)
		ask(http.MethodPost, s.http+"/write?"+values.Encode(), "m v=1", header)
		ask(http.MethodPost, s.http+"/api/v2/write", "m v=", header)
		ask(http.MethodPost, s.http+"/api/v2/delete", "{", header)
		ask(http.MethodPost, s.service+"/query", `{"measurement": "m", "start": 0}`, header)
		ask(http.MethodPost, s.service+"/query", `{"measurement": 1}`, header)
		ask(http.MethodGet, s.service+"/measurements?"+values.Encode(), "", header)
		ask(http.MethodPost, s.service+"/api/v1/settle", "", header)
		ask(http.MethodGet, s.http+"/api/v2/buckets", "", header)
		ask("PUT", s.http+"/api/v2/write?"+values.Encode(), "", header)
		ask(http.MethodGet, s.http+"/lost?"+values.Encode(), "", header)
		ask(http.MethodGet, s.http+"/health", "", header)
		ask(http.MethodPost, s.http+"/api/v2/signin", "", header)
		ask(http.MethodGet, s.http+"/api/v2/authorizations?token="+admin, "", header)
		ask(http.MethodGet, s.http+"/api/v2/config", "", header)
		ask(http.MethodPost, s.http+"/api/v2/setup", `{"username":"me","password":"`+password+`","token":"`+wrong+`"}`, header)
	}
	// A user who gets a password, signs in, and mistypes it.
	var me struct{ ID string }
	if err := json.Unmarshal([]byte(s.must(201, http.MethodPost, s.http+"/api/v2/users", `{"name":"me"}`).body), &me); err != nil {
		t.Fatal(err)
	}
	ask(http.MethodPost, s.http+"/api/v2/users/"+me.ID+"/password", `{"password":"`+password+`"}`)
	for _, p := range []string{wrong, password} {
		r, err := http.NewRequest(http.MethodPost, s.http, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("me", p)
		basic := "Authorization: " + r.Header.Get("Authorization")
		ask(http.MethodPost, s.http+"/api/v2/signin", "", basic)
		ask(http.MethodPut, s.http+"/api/v2/me/password", `{"password":"`+wrong+`"}`, basic)
		ask(http.MethodPost, s.http+"/write?"+values.Encode(), "m v=1", "Authorization: none")
	}
	ask(http.MethodGet, s.http+"/api/v1/audit", "")
	// What net/http refuses by itself, and logs.
	for _, line := range []string{"Authorization : Token " + admin, "Authorization: Token " + admin + "\x00", strings.Repeat("Authorization: Token "+admin+"\r\n", 5000)} {
		answers = append(answers, raw(t, s.http, "GET /write?p="+password+" HTTP/1.1\r\nHost: x\r\n"+line+"\r\n\r\n"))
	}
	_, metrics := s.scrape()
	addresses := string(read(t, filepath.Join(s.dir, "addresses.json")))
	s.stop()

	// A collector that refuses is complained about in the log.
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer refusing.Close()
	refused := spawn(t, s.dir, env, "--trace-endpoint", refusing.URL)
	refused.token = admin
	refused.await()
	refused.write("m v=1")
	refused.stop()
	if !strings.Contains(refused.stderr.String(), "spans were not sent") {
		t.Errorf("nobody complains about the collector:\n%s", refused.stderr)
	}

	// So is a setting that makes no sense.
	bad := spawn(t, s.dir, []string{"VARVE_ADMIN_TOKEN=" + admin, "VARVE_TRACE_HEADERS=" + collector}, "--trace-endpoint", c.url)
	<-bad.ended
	if bad.err == nil || !strings.Contains(bad.stderr.String(), "is not name=value") {
		t.Errorf("%v: %s", bad.err, bad.stderr)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if got := c.header.Get("X-Key"); got != collector || len(c.spans) == 0 {
		t.Errorf("the collector got %d spans with the key %q", len(c.spans), got)
	}
	if !strings.Contains(s.stderr.String(), "msg=request method=POST path=/write status=") {
		t.Errorf("requests are not in the log:\n%s", s.stderr)
	}
	for where, text := range map[string]string{
		"an answer":          strings.Join(answers, "\n"),
		"the metrics":        metrics,
		"addresses.json":     addresses,
		"the log":            s.stderr.String() + refused.stderr.String(),
		"the output":         s.stdout.String() + refused.stdout.String(),
		"a trace":            strings.Join(c.text, "\n"),
		"a refused start":    bad.stderr.String() + bad.stdout.String(),
		"an effective value": effective(t, env),
	} {
		for line := range strings.Lines(text) {
			if strings.Contains(line, "s3cret") {
				t.Errorf("%s shows a secret: %s", where, line)
			}
		}
	}
}

// effective returns what `varve config` prints.
func effective(t *testing.T, env []string) string {
	t.Helper()
	cmd := exec.Command(binary, "config")
	cmd.Env = append(cleanEnv(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("varve config: %v\n%s", err, out)
	}
	return string(out)
}
