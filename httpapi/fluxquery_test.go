package httpapi

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/varvedb/varve/lang/flux/flow"
)

// freeScripts lets scripts run without storage.
type freeScripts struct{}

func (freeScripts) Begin(ctx context.Context, _ Principal, _ uint64) (Question, flow.Host) {
	return freeQuestion{ctx}, nil
}

func (freeScripts) ReadError(error) error { return nil }

type freeQuestion struct{ ctx context.Context }

func (freeQuestion) Reserve(int64) error        { return nil }
func (freeQuestion) Release(int64)              {}
func (q freeQuestion) Context() context.Context { return q.ctx }
func (freeQuestion) Close()                     {}

// numbers is a script whose answer has so many rows.
const numbers = `import "array" import "strings" ` +
	`array.from(rows: strings.split(v: strings.repeat(v: "x,", i: %), t: ",") |> array.map(fn: (x) => ({a: x})))`

func TestFluxRequests(t *testing.T) {
	h := newRig(t, nil).api.Points()
	ask := func(body string, headers ...string) *httptest.ResponseRecorder {
		return call(h, http.MethodPost, "/api/v2/query", body, append(headers, asAdmin)...)
	}
	const script = `import "array" array.from(rows: [{a: 1}])`
	quoted := strings.ReplaceAll(script, `"`, `\"`)
	for name, tt := range map[string]struct {
		body   string
		header []string
		status int
		want   string
	}{
		"json":           {`{"query": "` + quoted + `"}`, nil, 200, ",result,table,a\r\n,_result,0,1\r\n\r\n"},
		"script":         {script, []string{"Content-Type: application/vnd.flux"}, 200, ",result,table,a\r\n,_result,0,1\r\n\r\n"},
		"delimiter":      {`{"query": "` + quoted + `", "dialect": {"delimiter": ";", "header": false}}`, nil, 200, ";_result;0;1\r\n\r\n"},
		"params":         {`{"query": "import \"array\" array.from(rows: [{a: params.n}])", "params": {"n": 7}}`, nil, 200, ",result,table,a\r\n,_result,0,7\r\n\r\n"},
		"now":            {`{"query": "import \"array\" array.from(rows: [{a: now()}])", "now": "2020-01-01T00:00:00Z"}`, nil, 200, ",result,table,a\r\n,_result,0,2020-01-01T00:00:00Z\r\n\r\n"},
		"extern":         {`{"query": "import \"array\" array.from(rows: [{a: v.x}])", "extern": {"type": "File", "body": [{"type": "OptionStatement", "assignment": {"type": "VariableAssignment", "id": {"type": "Identifier", "name": "v"}, "init": {"type": "ObjectExpression", "properties": [{"type": "Property", "key": {"type": "Identifier", "name": "x"}, "value": {"type": "IntegerLiteral", "value": "5"}}]}}}]}}`, nil, 200, ",result,table,a\r\n,_result,0,5\r\n\r\n"},
		"tree":           {`{"ast": {"type": "Package", "files": [{"type": "File", "imports": [{"type": "ImportDeclaration", "path": {"type": "StringLiteral", "value": "array"}}], "body": [{"type": "ExpressionStatement", "expression": {"type": "CallExpression", "callee": {"type": "MemberExpression", "object": {"type": "Identifier", "name": "array"}, "property": {"type": "Identifier", "name": "from"}}, "arguments": [{"type": "ObjectExpression", "properties": [{"type": "Property", "key": {"type": "Identifier", "name": "rows"}, "value": {"type": "ArrayExpression", "elements": [{"type": "ObjectExpression", "properties": [{"type": "Property", "key": {"type": "Identifier", "name": "a"}, "value": {"type": "IntegerLiteral", "value": "6"}}]}]}}]}]}}]}]}}`, nil, 200, ",result,table,a\r\n,_result,0,6\r\n\r\n"},
		"no tree":        {`{"ast": {"type": "Nonsense"}}`, nil, 400, "compilation failed: ast: "},
		"no content":     {`{"query": "` + quoted + `"}`, []string{"Prefer: return-no-content"}, 204, ""},
		"syntax":         {`{"query": "from("}`, nil, 400, `"code":"invalid"`},
		"run":            {`{"query": "x = 1 / 0"}`, nil, 400, "cannot divide by zero"},
		"no query":       {`{}`, nil, 400, "requires either query or AST"},
		"wrong type":     {`{"query": "x = 1", "type": "influxql"}`, nil, 400, "unknown query type"},
		"wrong dialect":  {`{"query": "x = 1", "dialect": {"annotations": ["nonsense"]}}`, nil, 400, `no annotation \"nonsense\"`},
		"no json":        {`from`, nil, 400, "failed to decode request body"},
		"explain":        {`{"query": "` + quoted + `", "explain": true}`, nil, 200, "_result:\narray.from 1 rows\n"},
		"nothing to say": {`{"query": "x = 1"}`, nil, 400, "this Flux script returns no streaming data"},
		"definitions":    {`{"query": "x = 1", "explain": true}`, nil, 200, "\n"}, // a prompt checks them like this
		"only a number":  {`{"query": "1 + 1"}`, nil, 400, "this Flux script returns no streaming data"},
	} {
		w := ask(tt.body, tt.header...)
		if w.Code != tt.status || tt.status < 300 && w.Body.String() != tt.want || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s: %d %q: want %d %q", name, w.Code, w.Body.String(), tt.status, tt.want)
		}
	}
	long := `{"query": "` + strings.ReplaceAll(strings.ReplaceAll(numbers, "%", "20000"), `"`, `\"`) + `"}`
	plain, packed := ask(long), ask(long, "Accept-Encoding: gzip")
	if packed.Header().Get("Content-Encoding") != "gzip" || plain.Header().Get("Content-Encoding") != "" {
		t.Fatalf("encodings %q and %q", packed.Header().Get("Content-Encoding"), plain.Header().Get("Content-Encoding"))
	}
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || string(text) != plain.Body.String() || strings.Count(string(text), "\n") != 20003 {
		t.Errorf("unpacked are %d bytes, %v: want %d", len(text), err, plain.Body.Len())
	}
}
