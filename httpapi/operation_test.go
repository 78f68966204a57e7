package httpapi

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestDocumentAndRoutesAgree holds the list of routes, the document and what
// the router serves against each other.
func TestDocumentAndRoutesAgree(t *testing.T) {
	b := newRig(t, nil)
	for name, p := range map[string]struct {
		handler http.Handler
		routes  []route
	}{"points": {b.api.Points(), b.api.pointRoutes()}, "service": {b.api.Service(), b.api.serviceRoutes()}} {
		var doc struct {
			Paths map[string]map[string]struct {
				OperationID, Summary string
				Tags                 []string
				Security             []any
				Responses            map[string]any
			}
			Tags []struct{ Name string }
		}
		if err := json.Unmarshal(call(p.handler, "GET", "/openapi.json", "").Body.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{"GET /openapi.json": true, "GET /docs": true}
		for _, r := range p.routes {
			want[r.method+" "+r.path] = true
		}
		ids := map[string]bool{}
		for path, item := range doc.Paths {
			for method, op := range item {
				key := strings.ToUpper(method) + " " + path
				if !want[key] {
					t.Errorf("%s: %s is documented and not served", name, key)
				}
				delete(want, key)
				if ids[op.OperationID] || op.OperationID == "" || op.Summary == "" || op.Responses["default"] == nil || len(op.Responses) < 2 {
					t.Errorf("%s: %s says %+v", name, key, op)
				}
				ids[op.OperationID] = true
				if !slices.ContainsFunc(doc.Tags, func(tag struct{ Name string }) bool { return tag.Name == op.Tags[0] }) {
					t.Errorf("%s: %s belongs to the group %q, which is not described", name, key, op.Tags)
				}
				w := call(p.handler, strings.ToUpper(method), strings.NewReplacer("{", "", "}", "").Replace(path), "")
				if strings.Contains(w.Body.String(), "path not found") || w.Code == 405 {
					t.Errorf("%s: %s is not served: %d %s", name, key, w.Code, w.Body)
				}
				if open := w.Code != 401; open != (len(op.Security) == 0) {
					t.Errorf("%s: %s without a token is %d, and its security is %v", name, key, w.Code, op.Security)
				}
			}
		}
		if len(want) > 0 {
			t.Errorf("%s: not documented: %v", name, slices.Sorted(maps.Keys(want)))
		}
	}
}

// TestDocsPageIsWhole makes sure that the page asks no other server for
// anything.
func TestDocsPageIsWhole(t *testing.T) {
	w := call(newRig(t, nil).api.Service(), "GET", "/docs", "")
	page := w.Body.String()
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(page, `fetch("openapi.json")`) {
		t.Fatalf("%d %v %.200s", w.Code, w.Header(), page)
	}
	for _, elsewhere := range []string{"http://", "https://", "src=", "@import", "url("} {
		if strings.Contains(page, elsewhere) {
			t.Errorf("the page holds %q", elsewhere)
		}
	}
	if policy := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") {
		t.Errorf("the policy is %q", policy)
	}
}
