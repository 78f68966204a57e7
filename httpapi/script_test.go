package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestAnalyze(t *testing.T) {
	b := newRig(t, nil)
	for script, want := range map[string]string{
		`a = 1`:                  `{"errors":[]}`,
		"a = 1\\nb = )":          `{"errors":[{"line":2,"column":5,"character":0,"message":"invalid expression: expected a value, got \")\""}]}`,
		`from() |> b`:            `"message":"pipe destination must be a function call"`,
		`s = \"no end`:           `"message":"the string has no end`,
		`1 + $\nc = ] 2`:         `"line":1`,
		"v.start\\nx = 1 + nope": `{"errors":[{"line":2,"column":9,"character":0,"message":"undefined identifier \"nope\""}]}`,
	} {
		w := call(b.api.Points(), http.MethodPost, "/api/v2/query/analyze", `{"query": "`+script+`", "type": "flux"}`, asAdmin)
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: status %d: %s", script, w.Code, w.Body)
		}
	}
	if w := call(b.api.Points(), http.MethodPost, "/api/v2/query/analyze", `{"query": "a"}`, "Authorization: Token x"); w.Code != 401 {
		t.Errorf("a wrong token: %d", w.Code)
	}
	if w := call(b.api.Points(), http.MethodPost, "/api/v2/query/analyze", `{"query": 1}`, asAdmin); w.Code != 400 {
		t.Errorf("a query that is no string: %d", w.Code)
	}
}

func TestAST(t *testing.T) {
	b := newRig(t, nil)
	w := call(b.api.Points(), http.MethodPost, "/api/v2/query/ast", `{"query": "import \"date\"\nx = 1h"}`, asAdmin)
	var answer struct {
		AST struct {
			Type, Package string
			Files         []struct {
				Type    string
				Imports []struct{ Path struct{ Value string } }
				Body    []struct {
					Type string
					Init struct {
						Values []struct {
							Magnitude int
							Unit      string
						}
					}
				}
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 {
		t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
	}
	f := answer.AST.Files
	if answer.AST.Package != "main" || len(f) != 1 || f[0].Imports[0].Path.Value != "date" || f[0].Body[0].Init.Values[0].Unit != "h" {
		t.Errorf("the tree is %s", w.Body)
	}
	w = call(b.api.Points(), http.MethodPost, "/api/v2/query/ast", `{"query": "x = "}`, asAdmin)
	if w.Code != 400 || !strings.Contains(w.Body.String(), "error @1:5-1:5") {
		t.Errorf("a script without its end: status %d: %s", w.Code, w.Body)
	}
}
