package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// operation is what the OpenAPI document says about a route. The document is
// made of the same list that the router serves, so that neither can have what
// the other lacks.
type operation struct {
	name    string // unique in the document
	group   string
	summary string
	about   string // Markdown; may be empty
	open    bool   // takes no token
	basic   bool   // takes name and password instead
	params  []parameter

	// takes has the type of a JSON body, nil for none; takesAs is the content
	// type of a body that is text. Example is for people who try it.
	takes   any
	takesAs string
	example string

	status  int    // of success
	gives   any    // has the type of a JSON answer, nil for none
	givesAs string // content types of an answer that is no JSON, with spaces between
	also    []int  // further statuses with the same answer
	fault   any    // has the type of the JSON of an error, nil for that of the port
}

// parameter is one of the query.
type parameter struct {
	name, about string
	schema      *huma.Schema
	required    bool
}

// pathParameter describes a parameter that paths of this API have.
func pathParameter(name string) string {
	switch name {
	case "id":
		return "id: 16 hexadecimal digits"
	case "userID", "labelID":
		return "id of the user or label: 16 hexadecimal digits"
	case "key":
		return "name of the secret"
	case "measurement":
		return "name of a measurement"
	case "tag":
		return "name of a tag"
	case "device":
		return "name of a device: the value of the tag that names it"
	case "name":
		return "name of a function, with its package"
	}
	panic("BUG: the path parameter " + name + " is not described")
}

// inBraces finds the parameters of a path.
var inBraces = regexp.MustCompile(`\{(\w+)\}`)

// port is what a document says about the whole of a port.
type port struct {
	title, about string
	groups       [][2]string // name and description, in the order in which they are shown
	fault        any         // has the type of the JSON of an error
}

// document renders the OpenAPI document of the routes of a port.
func document(p port, version string, routes []route) ([]byte, error) {
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{Title: p.title, Description: p.about, Version: version,
			License: &huma.License{Name: "Apache 2.0", Identifier: "Apache-2.0"}},
		Servers: []*huma.Server{{URL: "/", Description: "where this document comes from"}},
		Paths:   map[string]*huma.PathItem{},
		Components: &huma.Components{
			Schemas: schemas,
			SecuritySchemes: map[string]*huma.SecurityScheme{basicScheme: {
				Type: "http", Scheme: "basic", Description: "name and password of a user",
			}, tokenScheme: {
				Type: "apiKey", In: "header", Name: "Authorization",
				Description: "`Token …` or `Bearer …`. The first start keeps the admin's token in the file admin-token of the data folder.",
			}},
		},
	}
	for _, g := range p.groups {
		doc.Tags = append(doc.Tags, &huma.Tag{Name: g[0], Description: g[1]})
	}
	fault := jsonContent(schemas.Schema(reflect.TypeOf(p.fault), true, ""))
	for i := range routes {
		r := &routes[i]
		op := r.about.describe(r.path, schemas)
		op.Method, op.Path = r.method, r.path
		content := fault
		if own := r.about.fault; own != nil {
			content = jsonContent(schemas.Schema(reflect.TypeOf(own), true, ""))
		}
		op.Responses["default"] = &huma.Response{Description: "an error, and what to do about it", Content: content}
		doc.AddOperation(op)
	}
	return json.Marshal(doc)
}

// Names of the security schemes in the document.
const (
	tokenScheme = "token"
	basicScheme = "basic"
)

func (o *operation) describe(path string, schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		OperationID: o.name, Summary: o.summary, Description: o.about, Tags: []string{o.group},
		Responses: map[string]*huma.Response{},
	}
	switch {
	case o.basic:
		op.Security = []map[string][]string{{basicScheme: {}}}
	case !o.open:
		op.Security = []map[string][]string{{tokenScheme: {}}}
	}
	for _, m := range inBraces.FindAllStringSubmatch(path, -1) {
		op.Parameters = append(op.Parameters, &huma.Param{Name: m[1], In: "path", Required: true,
			Description: pathParameter(m[1]), Schema: &huma.Schema{Type: "string"}})
	}
	for _, p := range o.params {
		op.Parameters = append(op.Parameters, &huma.Param{Name: p.name, In: "query", Required: p.required, Description: p.about, Schema: p.schema})
	}
	switch {
	case o.takesAs != "":
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			o.takesAs: {Schema: &huma.Schema{Type: "string"}, Example: o.example},
		}}
	case o.takes != nil:
		content := jsonContent(schemas.Schema(reflect.TypeOf(o.takes), true, ""))
		content[mediaJSON].Example = json.RawMessage(o.example)
		op.RequestBody = &huma.RequestBody{Required: true, Content: content}
	}
	success := &huma.Response{Description: http.StatusText(o.status)}
	switch {
	case o.givesAs != "":
		success.Content = map[string]*huma.MediaType{}
		for kind := range strings.SplitSeq(o.givesAs, " ") {
			schema := &huma.Schema{} // lines of JSON are no single string
			if strings.HasPrefix(kind, "text/") {
				schema.Type = huma.TypeString
			}
			success.Content[kind] = &huma.MediaType{Schema: schema}
		}
	case o.gives != nil:
		success.Content = jsonContent(schemas.Schema(reflect.TypeOf(o.gives), true, ""))
	}
	for _, status := range append(o.also, o.status) {
		op.Responses[strconv.Itoa(status)] = success
	}
	return op
}

const mediaJSON = "application/json"

func jsonContent(s *huma.Schema) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{mediaJSON: {Schema: s}}
}

// text, count and oneOf are schemas of parameters.
func text() *huma.Schema { return &huma.Schema{Type: "string"} }

func count(least, most float64) *huma.Schema {
	return &huma.Schema{Type: "integer", Minimum: &least, Maximum: &most}
}

func oneOf(words ...any) *huma.Schema { return &huma.Schema{Type: "string", Enum: words} }

// inDocument returns the routes of a port with those of its document.
func (a *API) inDocument(p port, routes []route) []route {
	var doc []byte
	routes = append(routes,
		route{http.MethodGet, "/openapi.json", func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Type", contentJSON)
			_, err := w.Write(doc)
			return err
		}, &operation{name: "openapi", group: "About", summary: "This document", open: true, status: http.StatusOK, gives: map[string]any{}}},
		route{http.MethodGet, "/docs", docsPage,
			&operation{name: "docs", group: "About", summary: "A page to read this document and to try it", open: true, status: http.StatusOK, givesAs: "text/html"}},
	)
	var err error
	if doc, err = document(p, a.config.Version, routes); err != nil {
		panic(fmt.Sprintf("BUG: the OpenAPI document cannot be rendered: %v", err))
	}
	return routes
}
