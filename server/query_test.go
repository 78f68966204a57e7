package server

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/scan"
)

// questions is a server in which each question runs into what change sets,
// with some rows, and what it logged.
func questions(t testing.TB, change func(*Config)) (*trial, caller, *strings.Builder) {
	t.Helper()
	c := Default()
	c.AdminToken, c.DataDir, c.Memory = "s3cr3t-admin", t.TempDir(), 256<<20
	change(&c)
	logs := &strings.Builder{}
	b := &trial{server: newServer(c, io.Discard, logs), t: t, ctx: t.Context()}
	b.at = b.server.now()
	if err := b.open(b.ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.shut)
	if err := b.openAPI(); err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&lines, "m,h=%d x=%d %d\n", i%7, rand.IntN(100), i+1)
	}
	b.write(lines.String())
	return b, caller{t, b.api.Service(), c.AdminToken}, logs
}

const allOfM = `{"measurement":"m","start":0,"stop":10,"order":"asc"}`

func TestQuestionOverItsMemory(t *testing.T) {
	_, ask, _ := questions(t, func(c *Config) { c.Query.Memory = 64 << 10 })
	if body := ask.call(422, "POST", "/query", allOfM, nil); !strings.Contains(body, "query.memory_limit") {
		t.Errorf("the answer does not say what to do: %s", body)
	}
}

func TestQuestionWithoutPlace(t *testing.T) {
	b, _, _ := questions(t, func(c *Config) { c.Query.Concurrency, c.Query.Queue = 1, 0 })
	p := plan.New(uint64(b.init.Bucket), 0, 1<<40)
	p.Rows = &plan.Rows{}
	q := b.query.Begin(b.ctx)
	defer q.Close()
	if _, err := q.Run(p); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/query", strings.NewReader(allOfM))
	r.Header.Set("Authorization", "Token s3cr3t-admin")
	w := httptest.NewRecorder()
	b.api.Service().ServeHTTP(w, r)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "query.concurrency") {
		t.Errorf("status %d, headers %v: %s", w.Code, w.Header(), w.Body)
	}
}

func TestSlowQuestionIsLogged(t *testing.T) {
	_, ask, logs := questions(t, func(c *Config) { c.Query.Slow = 1 })
	logs.Reset()
	ask.call(200, "POST", "/query", allOfM, nil)
	for _, want := range []string{"slow question", "request_id=", "asked_by=", "rows=20000", "merge series by time"} {
		if !strings.Contains(logs.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, logs)
		}
	}
	if strings.Contains(logs.String(), "s3cr3t") {
		t.Errorf("the log has the token:\n%s", logs)
	}
}

func TestAnswersAreKept(t *testing.T) {
	const small = `{"measurement":"m","start":0,"stop":10,"aggregation":"max","explain":true}`
	for kept, change := range map[bool]func(*Config){true: func(*Config) {}, false: func(c *Config) { c.QueryCache = false }} {
		b, ask, _ := questions(t, change)
		first := ask.call(200, "POST", "/query", small, nil)
		second := ask.call(200, "POST", "/query", small, nil)
		if strings.Contains(first, "result cache") || strings.Contains(second, "from the result cache") != kept {
			t.Errorf("kept %t:\n%s%s", kept, first, second)
		}
		if a, _, _ := strings.Cut(first, `"explain"`); !strings.HasPrefix(second, a) {
			t.Errorf("kept %t: the answers differ:\n%s%s", kept, first, second)
		}
		b.write("m,h=1 x=1000 5")
		if third := ask.call(200, "POST", "/query", small, nil); !strings.Contains(third, `"value":1000,`) {
			t.Errorf("kept %t: after a write:\n%s", kept, third)
		}
	}
}

// BenchmarkQuestion asks for an hour of minutes by the plan alone, then by
// POST /query over a connection: the difference is what the API and HTTP add.
func BenchmarkQuestion(b *testing.B) {
	s, _, _ := questions(b, func(c *Config) { c.QueryCache = false })
	p := plan.New(uint64(s.init.Bucket), 0, 6000)
	p.Measurements = []string{"m"}
	p.Tags = predicate.Eq("h", "3")
	p.Aggregate = &plan.Aggregate{Calls: []plan.Call{{Func: plan.Max, Field: "x"}}, Group: plan.BySeries(), Window: &plan.Window{Every: plan.Duration{Nanos: 100}}}
	b.Run("plan", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.query.Run(b.Context(), p, func(*scan.Batch) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	http1 := httptest.NewServer(s.api.Service())
	defer http1.Close()
	b.Run("http", func(b *testing.B) {
		for b.Loop() {
			r, err := http.NewRequest(http.MethodPost, http1.URL+"/query", strings.NewReader(`{"measurement":"m","start":"1970-01-01T00:00:00Z","stop":"1970-01-01T00:00:00.000006Z","filters":{"h":"3"},"fields":["x"],"aggregation":"max","every":"100ns"}`))
			if err != nil {
				b.Fatal(err)
			}
			r.Header.Set("Authorization", "Token s3cr3t-admin")
			w, err := http.DefaultClient.Do(r)
			if err != nil {
				b.Fatal(err)
			}
			body, err := io.ReadAll(w.Body)
			w.Body.Close()
			if err != nil || !strings.Contains(string(body), `"count":60`) {
				b.Fatalf("%v: %s", err, body)
			}
		}
	})
}
