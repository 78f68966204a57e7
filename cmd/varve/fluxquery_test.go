package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/prompt"
)

const numbersHead = "#datatype,string,long,dateTime:RFC3339,double,string\r\n#group,false,false,false,false,true\r\n" +
	"#default,_result,,,,\r\n,result,table,_time,_value,host\r\n"

// fakeServer answers scripts with a body, and returns what asks it.
func fakeServer(t *testing.T, status int, body string, asked *scriptRequest) *fluxQuery {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v2/query" || r.Header.Get("Authorization") != "Token secret" {
			t.Errorf("asked %s with %q", r.URL, r.Header.Get("Authorization"))
		}
		if asked != nil {
			if err := json.NewDecoder(r.Body).Decode(asked); err != nil {
				t.Error(err)
			}
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // who hangs up has failed already
	}))
	t.Cleanup(s.Close)
	return &fluxQuery{
		client: &client{url: s.URL, token: "secret", http: s.Client()}, flags: &scriptFlags{},
		question: &question{Start: "-1h", Stop: "now"}, out: new(bytes.Buffer),
	}
}

func TestFailureWithinAnswer(t *testing.T) {
	body := numbersHead + ",,0,2026-01-01T00:00:00Z,1.5,a\r\n\r\n#datatype,string,string\r\n#group,true,true\r\n#default,,\r\n,error,reference\r\n,\"too much, \"\"really\"\"\",\r\n"
	for _, format := range formats() {
		f := fakeServer(t, http.StatusOK, body, nil)
		f.format = format
		err := f.ask(context.Background(), &script{text: "x()"}, prompt.Script{Whole: "x()"})
		if err == nil || !strings.Contains(err.Error(), `the answer ends early: too much, "really"`) {
			t.Errorf("%s: error %v", format, err)
		}
		if out := f.out.(*bytes.Buffer).String(); !strings.Contains(out, "1.5") {
			t.Errorf("%s: what came before the error is not shown: %q", format, out)
		}
	}
}

// However the answer is cut into pieces, the error at its end is found, and
// nothing that only looks like one.
func TestFailureWatch(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for text, want := range map[string]string{
		numbersHead + ",,0,2026-01-01T00:00:00Z,1,a\r\n\r\n,error,reference\r\n,no more,\r\n":     "the answer ends early: no more",
		",error,reference\r\n,\"two\r\nlines\",\r\n":                                              "the answer ends early: two\nlines",
		numbersHead + ",,0,2026-01-01T00:00:00Z,1,\"a\r\n,error,reference\r\n,not one,\r\n\"\r\n": "",
		numbersHead + ",,0,2026-01-01T00:00:00Z,1,\",error,reference\"\r\n":                       "",
		",error,reference,more\r\n,a,b,c\r\n":                                                     "",
		"":                                                                                        "",
	} {
		for range 50 {
			var out bytes.Buffer
			w := &failureWatch{out: &out}
			for rest := []byte(text); len(rest) > 0; {
				n := 1 + r.IntN(min(len(rest), 20))
				if _, err := w.Write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			got := ""
			if err := w.err(); err != nil {
				got = err.Error()
			}
			if got != want || out.String() != text {
				t.Fatalf("seed %d: %q gave %q: want %q", seed, text, got, want)
			}
		}
	}
}

// endless is an answer of n rows that is made as it is read.
type endless struct {
	rows, n int
	buf     bytes.Buffer
	read    int
}

func (e *endless) Read(b []byte) (int, error) {
	if e.rows == 0 {
		e.buf.WriteString(numbersHead)
	}
	for e.buf.Len() < len(b) && e.rows < e.n {
		fmt.Fprintf(&e.buf, ",,0,2026-01-01T00:00:00Z,%d,a\r\n", e.rows)
		e.rows++
	}
	n, err := e.buf.Read(b)
	e.read += n
	return n, err
}

// firstWrite notes how much of an answer was read when the first row came out.
type firstWrite struct {
	from  *endless
	at    int
	lines int
}

func (w *firstWrite) Write(b []byte) (int, error) {
	if w.lines += bytes.Count(b, []byte{'\n'}); w.at == 0 && w.lines > 10 {
		w.at = w.from.read
	}
	return len(b), nil
}

// A long answer comes out as it comes in.
func TestLongAnswer(t *testing.T) {
	const rows = 200_000
	for name, sink := range map[string]func(io.Writer) tableSink{
		"table": func(w io.Writer) tableSink { return newBlocks(w) },
		"jsonl": func(w io.Writer) tableSink { return newTableLines(w, false) },
	} {
		in := &endless{n: rows}
		out := &firstWrite{from: in}
		if err := readTables(in, sink(out)); err != nil {
			t.Fatal(err)
		}
		if out.lines < rows || out.at > in.read/10 {
			t.Errorf("%s: %d lines, the first after %d of %d bytes", name, out.lines, out.at, in.read)
		}
	}
}

func TestTables(t *testing.T) {
	answer := strings.ReplaceAll(`#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,boolean,unsignedLong,string
#group,false,false,true,true,false,false,true
#default,_result,,,,,,
,result,table,_start,_stop,on,n,host
,,0,2026-01-01T00:00:00Z,2026-01-02T00:00:00Z,true,1,a
,,0,2026-01-01T00:00:00Z,2026-01-02T00:00:00Z,,20000,a
,,1,2026-01-01T00:00:00Z,2026-01-02T00:00:00Z,false,3,b

#datatype,string,long,double,string
#group,false,false,false,true
#default,other,2,,c
,result,table,_value,host

#datatype,string,long,double,string
#group,false,false,false,false
#default,other,,,
,result,table,_value,note
,,3,+Inf,"a	b"
`, "\n", "\r\n")
	var out bytes.Buffer
	if err := readTables(strings.NewReader(answer), newBlocks(&out)); err != nil {
		t.Fatal(err)
	}
	want := `from 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z
host=a
  on:bool  n:uint
  true          1
            20000

host=b
  on:bool  n:uint
  false         3

result other
of any time
host=c
  _value:float

all rows
  _value:float  note:string
          +Inf  "a\tb"

4 rows in 4 tables
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	if err := readTables(strings.NewReader(answer), newTableLines(&out, true)); err != nil {
		t.Fatal(err)
	}
	var rows []map[string]any
	if err := json.Unmarshal(out.Bytes(), &rows); err != nil || len(rows) != 4 {
		t.Fatalf("%d rows, %v in %s", len(rows), err, out.String())
	}
	if diff := cmp.Diff(map[string]any{"result": "other", "table": 3.0, "_value": nil, "note": "a\tb"}, rows[3]); diff != "" {
		t.Error(diff)
	}
}

// At a terminal what fits is a table with a plot, what does not is a plot, and
// what cannot be drawn is a table however long it is.
func TestWatchedTables(t *testing.T) {
	text := func(n int, kind, cell string) string {
		s := strings.Replace(numbersHead, "double", kind, 1)
		for i := range n {
			s += fmt.Sprintf(",,0,2026-01-01T00:%02d:00Z,%s,a\r\n", i, cell)
		}
		return s
	}
	for name, tt := range map[string]struct {
		in                  string
		cells, plot, number bool
	}{
		"short": {text(5, "double", "4"), true, true, false},
		"long":  {text(40, "double", "4"), false, true, true},
		"texts": {text(40, "string", "x"), true, false, false},
		"one":   {text(1, "double", "4"), true, false, false},
	} {
		var out bytes.Buffer
		ch := tableChart{&chart{out: &out, screen: screen{width: 60, height: 24}, zone: time.UTC}}
		if err := readTables(strings.NewReader(tt.in), &watchedTables{out: &out, blocks: newBlocks(&out), chart: ch}); err != nil {
			t.Fatal(err)
		}
		got := [3]bool{strings.Contains(out.String(), "_time:time"), strings.Contains(out.String(), "┤"), strings.Contains(out.String(), "--format table shows them")}
		if got != [3]bool{tt.cells, tt.plot, tt.number} {
			t.Errorf("%s: table, plot, number of rows: %v\n%s", name, got, out.String())
		}
	}
}

func TestScriptError(t *testing.T) {
	for name, tt := range map[string]struct {
		script
		reason string
		before int
		want   string
	}{
		"place": {script{"a.flux", "from(b)\n\t|> rnge()"}, `error @2:5-2:9: undefined identifier "rnge"`, 0,
			"a.flux:2:5: undefined identifier \"rnge\"\n    2 | \t|> rnge()\n      | \t   ^^^^"},
		"several": {script{"", "x y"}, "compilation failed: error @1:1-1:2: one\nerror @1:3-1:4: two", 0,
			"script:1:1: compilation failed: one\n    1 | x y\n      | ^\nscript:1:3: two\n    1 | x y\n      |   ^"},
		"before":         {script{"", "y"}, "error @3:1-3:2: one", 2, "script:1:1: one\n    1 | y\n      | ^"},
		"defined before": {script{"", "y"}, "error @1:1-1:2: one", 2, "one"},
		"elsewhere":      {script{"", "y"}, "error @9:1-9:2: one", 0, "script:9:1: one"},
		"lines":          {script{"", "ä(\n)"}, "error @1:1-2:2: one", 0, "script:1:1: one\n    1 | ä(\n      | ^^"},
		"no place":       {script{"", "y"}, "out of memory", 0, "out of memory"},
		"odd":            {script{"", "y"}, "error @1:99999999999999999999-1:0: one", 0, "script:1:9223372036854775807: one\n    1 | y\n      |  ^"},
	} {
		err := &scriptError{&tt.script, tt.reason, tt.before}
		if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	f := fakeServer(t, http.StatusBadRequest, `{"code":"invalid","message":"error @1:1-1:2: no"}`, nil)
	var e *scriptError
	if err := f.ask(context.Background(), &script{text: "x"}, prompt.Script{Whole: "x"}); !errors.As(err, &e) {
		t.Errorf("error %v", err)
	}
}

func TestScriptRequest(t *testing.T) {
	var asked scriptRequest
	f := fakeServer(t, http.StatusOK, "\r\n", &asked)
	f.flags.params = []string{"host=a=b", "n=12", "list=[1]", "text=\"12\""}
	if err := f.ask(context.Background(), &script{text: "from(bucket: params.host)"}, prompt.Script{Whole: "from(bucket: params.host)"}); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"host": "a=b", "n": 12.0, "list": []any{1.0}, "text": "12"}
	if diff := cmp.Diff(want, asked.Params); diff != "" {
		t.Error(diff)
	}
	if asked.Extern != nil {
		t.Error("a script that does not look at v got it")
	}
	f.flags.params = []string{"x"}
	if err := f.ask(context.Background(), &script{text: "x()"}, prompt.Script{Whole: "x()"}); exitStatus(err) != wrongUsage {
		t.Errorf("--param without a value: %v", err)
	}
	f.flags.params = nil
	f.question.Start = "1 day"
	if err := f.ask(context.Background(), &script{text: "v.bucket"}, prompt.Script{Whole: "v.bucket"}); exitStatus(err) != wrongUsage || !strings.Contains(err.Error(), `--start "1 day"`) {
		t.Errorf("--start that is no time: %v", err)
	}
}

// The prompt asks the server for what it completes, and checks definitions
// without showing anything.
func TestTalk(t *testing.T) {
	var asked scriptRequest
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v2/query/suggestions":
			_, _ = io.WriteString(w, `{"funcs":[{"name":"strings.split","package":"strings","params":{"v":"string"}}]}`)
		case "/api/v2/buckets":
			_, _ = io.WriteString(w, `{"buckets":[{"id":"1","name":"sensors"}]}`)
		default:
			if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(w, "a plan")
		}
	}))
	defer s.Close()
	var out bytes.Buffer
	c := conversation{&fluxQuery{client: &client{url: s.URL, http: s.Client()}, flags: &scriptFlags{}, question: &question{Start: "-1h", Stop: "now"}, out: &out}}
	ctx := context.Background()
	functions, err := c.Functions(ctx)
	if diff := cmp.Diff([]prompt.Function{{Name: "strings.split", Import: "strings", Params: map[string]string{"v": "string"}}}, functions); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if buckets, err := c.Buckets(ctx); err != nil || len(buckets) != 1 || buckets[0] != "sensors" {
		t.Error(buckets, err)
	}
	if err := c.Check(ctx, prompt.Script{Typed: "x = 1", Whole: "y = 2\nx = 1", Before: 1}); err != nil || out.Len() > 0 || !asked.Explain || asked.Query != "y = 2\nx = 1" {
		t.Errorf("checked %+v, showed %q, %v", asked, out.String(), err)
	}
	t.Setenv("XDG_STATE_HOME", "/state")
	if got := historyFile(); got != "/state/varve/flux-history" {
		t.Errorf("history in %s", got)
	}
	t.Setenv("XDG_STATE_HOME", "relative")
	t.Setenv("HOME", "/nonesuch")
	if got := historyFile(); got != "/nonesuch/.local/state/varve/flux-history" {
		t.Errorf("history in %s", got)
	}
}
