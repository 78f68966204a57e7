package server

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
)

// openAPISeed repeats a run of TestGeneratedRequests.
var openAPISeed = flag.Int64("openapi-seed", 0, "seed of generated requests; 0 takes one from the clock")

// openAPIRequests is how many requests are generated for each port: some
// seconds of work.
var openAPIRequests = flag.Int("openapi-requests", 1500, "generated requests for each port")

// described is a port with its document.
type described struct {
	caller
	fault string // key that every error has
	doc   map[string]any
	valid validator.Validator
}

func describedPorts(t *testing.T) map[string]*described {
	t.Helper()
	b, points := apiTrial(t)
	service := points
	service.h = b.api.Service()
	ports := map[string]*described{"points": {caller: points, fault: "message"}, "service": {caller: service, fault: "detail"}}
	for name, p := range ports {
		text := p.call(200, "GET", "/openapi.json", "", &p.doc)
		parsed, err := libopenapi.NewDocument([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var errs []error
		if p.valid, errs = validator.NewValidator(parsed); len(errs) > 0 {
			t.Fatalf("%s: %v", name, errs)
		}
	}
	return ports
}

func TestOpenAPIDocumentIsValid(t *testing.T) {
	for name, p := range describedPorts(t) {
		if p.doc["openapi"] != "3.1.0" {
			t.Errorf("%s: the version is %v", name, p.doc["openapi"])
		}
		if ok, errs := p.valid.ValidateDocument(); !ok {
			for _, err := range errs {
				t.Errorf("%s: %s: %s", name, err.Message, err.Reason)
			}
		}
	}
}

// TestExamples sends each operation its own example.
func TestExamples(t *testing.T) {
	ports := describedPorts(t)
	ports["points"].call(204, "POST", "/api/v2/write", "weather,city=Kyiv temperature=21.5", nil) // an export of nothing is 404
	for name, p := range ports {
		for _, o := range p.operations() {
			media, body := o.body()
			if body == nil {
				continue
			}
			text, ok := body["example"].(string)
			if !ok {
				b, err := json.Marshal(body["example"])
				if err != nil {
					t.Fatal(err)
				}
				text = string(b)
			}
			target := o.path
			switch {
			case strings.Contains(o.path, "{"), o.path == "/api/v2/dbrps":
				continue // which take an id that is there
			case o.path == "/api/v2/setup", o.path == "/api/v2/me/password":
				continue // see manage_test.go
			case target == "/write":
				target += "?db=default"
			}
			w := p.send(o.method, target, media, text)
			if w.Code >= 300 {
				t.Errorf("%s: the example of %s %s: %d %s", name, o.method, o.path, w.Code, w.Body)
			}
		}
	}
}

// TestGeneratedRequests makes requests of the document, right ones and wrong
// ones, and demands that none ends in a 500, that errors are JSON and say what
// was wrong, and that answers are as documented.
func TestGeneratedRequests(t *testing.T) {
	seed := *openAPISeed
	if seed == 0 {
		seed = time.Now().UnixNano()
	}
	t.Logf("seed %d (-openapi-seed)", seed)
	for name, p := range describedPorts(t) {
		t.Run(name, func(t *testing.T) {
			p.t = t
			p.call(map[string]int{"points": 204, "service": 200}[name], "POST", map[string]string{"points": "/api/v2/write", "service": "/data"}[name],
				map[string]string{"points": "weather,city=Kyiv temperature=21.5", "service": `{"measurement":"weather","tags":{"city":"Kyiv"},"fields":{"temperature":21.5}}`}[name], nil)
			g := &generator{rand.New(rand.NewSource(seed)), p.doc["components"].(map[string]any)["schemas"].(map[string]any)}
			operations := p.operations()
			statuses := map[int]int{}
			for range *openAPIRequests {
				o := operations[g.Intn(len(operations))]
				if strings.HasPrefix(o.path, "/api/v1/") && g.Intn(20) > 0 {
					continue // they walk the whole store
				}
				media, body := o.body()
				text := ""
				if body != nil {
					text = g.body(body)
				}
				method := o.method
				if g.Intn(20) == 0 {
					method = g.pick("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "POST", "TRACE")
				}
				target := g.target(o)
				w := p.send(method, target, media, text)
				statuses[w.Code]++
				p.judge(method, target, media, text, w)
			}
			t.Logf("statuses %v", statuses)
			if statuses[200]+statuses[204] == 0 || statuses[400] == 0 {
				t.Errorf("the requests are not of both kinds: statuses %v", statuses)
			}
		})
	}
}

// send makes a request, which must not take long.
func (p *described) send(method, target, media, body string) *httptest.ResponseRecorder {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, method, "/", strings.NewReader(body))
	u, err := url.Parse(target)
	if err != nil {
		p.t.Fatalf("%q: %v", target, err)
	}
	r.URL, r.RequestURI = u, target
	r.Header.Set("Authorization", "Token "+p.token)
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	w := httptest.NewRecorder()
	p.h.ServeHTTP(w, r)
	return w
}

// judge looks at an answer.
func (p *described) judge(method, target, media, body string, w *httptest.ResponseRecorder) {
	p.t.Helper()
	said := fmt.Sprintf("%s %s %.2000q: %d %.500s", method, target, body, w.Code, w.Body)
	if w.Code == http.StatusInternalServerError {
		p.t.Errorf("%s", said)
	}
	if w.Code >= 400 {
		var fault map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &fault); err != nil || w.Header().Get("Content-Type") != "application/json; charset=utf-8" {
			p.t.Errorf("an error that is no JSON: %s", said)
		} else if text, ok := fault[p.fault].(string); !ok || text == "" {
			p.t.Errorf("an error without %s: %s", p.fault, said)
		}
	}
	if w.Code == http.StatusMethodNotAllowed || w.Code == http.StatusNotFound || w.Code >= 300 && w.Code < 400 {
		return // not necessarily an operation of the document
	}
	if strings.HasSuffix(target, "/openapi.json") || method == "HEAD" {
		return
	}
	if w.Header().Get("Content-Type") == "application/x-ndjson" {
		return // the validator takes many lines of JSON for a mistake
	}
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.URL, _ = url.Parse(target)
	r.Header.Set("Content-Type", media)
	response := &http.Response{StatusCode: w.Code, Header: w.Header(), Body: io.NopCloser(bytes.NewReader(w.Body.Bytes())), Request: r}
	if ok, errs := p.valid.ValidateHttpResponse(r, response); !ok {
		for _, err := range errs {
			reasons := []string{}
			for _, e := range err.SchemaValidationErrors {
				reasons = append(reasons, e.Reason)
			}
			p.t.Errorf("not as documented: %s: %s: %s %q", said, err.Message, err.Reason, reasons)
		}
	}
}

// described operations.
type describedOperation struct {
	method, path string
	op           map[string]any
}

// operations lists those of the document.
func (p *described) operations() (all []describedOperation) {
	paths := p.doc["paths"].(map[string]any)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := paths[path].(map[string]any)
		for _, method := range slices.Sorted(maps.Keys(item)) {
			all = append(all, describedOperation{strings.ToUpper(method), path, item[method].(map[string]any)})
		}
	}
	return all
}

// body returns the content type and description of the body, nil for none.
func (o *describedOperation) body() (media string, described map[string]any) {
	body, ok := o.op["requestBody"].(map[string]any)
	if !ok {
		return "", nil
	}
	for media, described := range body["content"].(map[string]any) {
		return media, described.(map[string]any)
	}
	return "", nil
}

// generator makes values of schemas, and others.
type generator struct {
	*rand.Rand
	schemas map[string]any
}

func (g *generator) pick(of ...string) string { return of[g.Intn(len(of))] }

// target makes path and query.
func (g *generator) target(o describedOperation) string {
	path, query := o.path, url.Values{}
	list, _ := o.op["parameters"].([]any)
	for _, item := range list {
		p := item.(map[string]any)
		name := p["name"].(string)
		value := fmt.Sprint(g.value(p["schema"].(map[string]any), 0))
		if g.Intn(2) == 0 {
			value = g.pick("weather", "city", "default", "main", "00000000000000ff", "-1h", "2026-01-01T00:00:00Z", "now", "7")
		}
		if p["in"] == "path" {
			if value == "" || value == "." || value == ".." {
				value = "x" // another path
			}
			path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
		} else if p["required"] == true || g.Intn(4) == 0 {
			query.Set(name, value)
		}
	}
	if d := query.Get("duration"); strings.HasSuffix(path, "/stream") && (d == "" || d == "1d") {
		query.Set("duration", "5ms") // it would not end
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

// body makes a body: mostly as described, sometimes the example with a change,
// sometimes anything.
func (g *generator) body(described map[string]any) string {
	schema := described["schema"].(map[string]any)
	var v any
	switch {
	case g.Intn(15) == 0:
		return g.pick("", "null", "{", "[]", "7", `"x"`, "\xff\xfe", `{"a":`, "true", strings.Repeat("[", 2000), `{"start":1e400}`, "\x00")
	case g.Intn(3) == 0:
		v = described["example"]
		if m, ok := clone(v).(map[string]any); ok && g.Intn(2) == 0 {
			keys := slices.Sorted(maps.Keys(m))
			m[keys[g.Intn(len(keys))]] = g.anything(0)
			v = m
		}
	default:
		v = g.value(schema, 0)
	}
	if text, ok := v.(string); ok {
		return text
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	text := string(b)
	if g.Intn(30) == 0 { // bytes that change or are missing
		at := g.Intn(len(text))
		text = text[:at] + g.pick("", "}", `"`, "\\u12", "é", "\x01") + text[min(at+1, len(text)):]
	}
	return text
}

func clone(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var c any
	if err := json.Unmarshal(b, &c); err != nil {
		panic(err)
	}
	return c
}

// value makes a value of a schema; in one of some twenty places another.
func (g *generator) value(s map[string]any, depth int) any {
	if ref, ok := s["$ref"].(string); ok {
		return g.value(g.schemas[ref[strings.LastIndexByte(ref, '/')+1:]].(map[string]any), depth)
	}
	if g.Intn(25) == 0 {
		return g.anything(depth)
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		if some, ok := s[key].([]any); ok {
			return g.value(some[g.Intn(len(some))].(map[string]any), depth)
		}
	}
	if words, ok := s["enum"].([]any); ok {
		return words[g.Intn(len(words))]
	}
	kind, _ := s["type"].(string)
	if kinds, ok := s["type"].([]any); ok {
		kind = kinds[g.Intn(len(kinds))].(string)
	}
	switch kind {
	case "object":
		m := map[string]any{}
		properties, _ := s["properties"].(map[string]any)
		required, _ := s["required"].([]any)
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			if slices.Contains(required, any(name)) && g.Intn(30) > 0 || g.Intn(3) == 0 {
				m[name] = g.value(properties[name].(map[string]any), depth+1)
			}
		}
		if more, ok := s["additionalProperties"].(map[string]any); ok {
			for range g.Intn(4) {
				m[g.text()] = g.value(more, depth+1)
			}
		}
		return m
	case "array":
		list := []any{}
		for range g.Intn(4) {
			list = append(list, g.value(s["items"].(map[string]any), depth+1))
		}
		return list
	case "string":
		if s["format"] == "date-time" {
			return time.Unix(g.Int63n(2e9), 0).UTC().Format(time.RFC3339)
		}
		return g.text()
	case "integer", "number":
		return g.number()
	case "boolean":
		return g.Intn(2) == 0
	case "null":
		return nil
	}
	return g.anything(depth)
}

func (g *generator) text() string {
	return g.pick("", "weather", "temperature", "city", "Kyiv", "a b", "a,b=c", `back\slash`, `end\`, `"quoted"`, "\x00", "\n", "é", "日本語", "😀", "\u202e",
		"\ufeff", "time", "_field", "-1h", "now", "1d", "1mo", "0s", "-5m", "Europe/Kyiv", "Mars/Olympus", "2026-01-02T15:04:05Z", "9999-12-31", "1e999", "$(id)", "../../etc/passwd",
		"%00", "[(", ".*", "NaN", strings.Repeat("x", 5000), strings.Repeat("(", 300))
}

func (g *generator) number() any {
	numbers := []string{"0", "1", "-1", "1.5", "1e3", "1e308", "-1e308", "1e-320", "9007199254740993", "9223372036854775807", "-9223372036854775808",
		"18446744073709551615", "99999999999999999999999", "1700000000", "1700000000000", "0.95", "-0.0", "60", "86400"}
	return json.RawMessage(numbers[g.Intn(len(numbers))])
}

func (g *generator) anything(depth int) any {
	switch g.Intn(7) {
	case 0:
		return nil
	case 1:
		return g.text()
	case 2:
		return g.number()
	case 3:
		return g.Intn(2) == 0
	}
	if depth > 3 {
		return "deep"
	}
	if g.Intn(2) == 0 {
		return []any{g.anything(depth + 1)}
	}
	return map[string]any{g.text(): g.anything(depth + 1)}
}
