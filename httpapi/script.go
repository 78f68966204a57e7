package httpapi

import (
	"net/http"

	"github.com/varvedb/varve/lang/flux"
	"github.com/varvedb/varve/lang/flux/syntax"
)

// script is a Flux script that is read and not run.
type script struct {
	Query string `json:"query"`
	// What clients send besides, which makes no difference here.
	Type    string         `json:"type,omitempty" doc:"flux"`
	Dialect map[string]any `json:"dialect,omitempty"`
}

// scriptErrors is what is wrong with a script.
type scriptErrors struct {
	Errors []scriptError `json:"errors" nullable:"false"`
}

type scriptError struct {
	Line      int    `json:"line"`
	Column    int    `json:"column"`
	Character int    `json:"character"`
	Message   string `json:"message"`
}

// scriptTree is a script as the tree that influxdata/flux makes of it.
type scriptTree struct {
	AST scriptPackage `json:"ast"`
}

type scriptPackage struct {
	Type    string `json:"type" enum:"Package"`
	Package string `json:"package"`
	Files   []any  `json:"files" nullable:"false" doc:"one: the script"`
}

// readScript reads the body of a request that is about a script.
func (a *API) readScript(r *http.Request) (script, error) {
	var s script
	if _, err := a.principal(r, headerOnly); err != nil {
		return s, err
	}
	return s, readRequest(r, &s)
}

// analyze is POST /api/v2/query/analyze: a wrong script is a success with
// errors in it.
func (a *API) analyze(w http.ResponseWriter, r *http.Request) error {
	s, err := a.readScript(r)
	if err != nil {
		return err
	}
	answer := scriptErrors{Errors: []scriptError{}}
	for _, e := range flux.Check(s.Query, "v", "params") {
		answer.Errors = append(answer.Errors, scriptError{e.Start.Line, e.Start.Column, 0, e.Message})
	}
	return writeJSON(w, http.StatusOK, answer)
}

// ast is POST /api/v2/query/ast.
func (a *API) ast(w http.ResponseWriter, r *http.Request) error {
	s, err := a.readScript(r)
	if err != nil {
		return err
	}
	f, err := syntax.Parse(s.Query)
	if err != nil {
		return &Error{Code: Invalid, Message: err.Error(), Err: err}
	}
	name := f.Package
	if name == "" {
		name = "main"
	}
	return writeJSON(w, http.StatusOK, scriptTree{scriptPackage{"Package", name, []any{f}}})
}
