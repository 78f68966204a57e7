// Package goclient has the tests of influxdb-client-go. They run against the
// server that the tests one folder up start.
package goclient

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	clienthttp "github.com/influxdata/influxdb-client-go/v2/api/http"
)

// environ is a value that the tests one folder up hand in.
func environ(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv("CLIENTTEST_" + name)
	if v == "" {
		t.Fatalf("CLIENTTEST_%s is not set: these tests are run by make test-clients", name)
	}
	return v
}

func org(t *testing.T) string    { return environ(t, "ORG") }
func bucket(t *testing.T) string { return environ(t, "BUCKET") }

// connect returns a client of the server.
func connect(t *testing.T, options ...func(*influxdb2.Options)) influxdb2.Client {
	t.Helper()
	return client(t, environ(t, "URL"), environ(t, "TOKEN"), options...)
}

// connectProxy returns a client of the proxy before the server.
func connectProxy(t *testing.T, options ...func(*influxdb2.Options)) influxdb2.Client {
	t.Helper()
	ask(t, "GET", environ(t, "PROXY")+"/proxy/exchanges", "", nil) // forgets what was before
	return client(t, environ(t, "PROXY"), environ(t, "TOKEN"), options...)
}

func client(t *testing.T, url, token string, options ...func(*influxdb2.Options)) influxdb2.Client {
	t.Helper()
	o := influxdb2.DefaultOptions().SetApplicationName("clienttest")
	for _, set := range options {
		set(o)
	}
	c := influxdb2.NewClientWithOptions(url, token, o)
	t.Cleanup(c.Close)
	return c
}

// exchange is a request that passed the proxy.
type exchange struct {
	Method, Path, Query                             string
	ContentEncoding, AcceptEncoding, AnswerEncoding string
	Status                                          int
}

// faults has the proxy answer the next writes.
func faults(t *testing.T, body string) {
	t.Helper()
	ask(t, "POST", environ(t, "PROXY")+"/proxy/faults", body, nil)
}

// exchanges returns the requests of a path that passed since the last call.
func exchanges(t *testing.T, path string) []exchange {
	t.Helper()
	var all []exchange
	ask(t, "GET", environ(t, "PROXY")+"/proxy/exchanges", "", &all)
	return slices.DeleteFunc(all, func(e exchange) bool { return e.Path != path })
}

// statuses are the answers to all writes since the last call.
func statuses(t *testing.T) []int {
	t.Helper()
	var all []int
	for _, e := range exchanges(t, "/api/v2/write") {
		all = append(all, e.Status)
	}
	return all
}

// count returns how many values of a field the default bucket has, as the
// service port tells.
func count(t *testing.T, measurement, field string) int {
	t.Helper()
	body, err := json.Marshal(map[string]any{"measurement": measurement, "fields": []string{field},
		"start": "1970-01-01T00:00:00Z", "aggregation": "count", "group_by": []string{}})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Data []struct{ Value int } }
	ask(t, "POST", environ(t, "SERVICE")+"/query", string(body), &answer)
	if len(answer.Data) == 0 {
		return 0
	}
	return answer.Data[0].Value
}

// ask makes a request without the client under test.
func ask(t *testing.T, method, url, body string, into any) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+environ(t, "TOKEN"))
	resp, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", method, url, resp.Status)
	}
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}

// status is that of an error which the client got as an answer.
func status(t *testing.T, err error) int {
	t.Helper()
	var e *clienthttp.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want one of HTTP", err)
	}
	return e.StatusCode
}
