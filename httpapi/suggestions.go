package httpapi

import (
	"fmt"
	"net/http"

	"github.com/varvedb/varve/lang/flux"
)

// suggestion is a function of Flux, for editors that complete names.
type suggestion struct {
	Name    string            `json:"name"`
	Package string            `json:"package,omitempty" doc:"what to import for it"`
	Params  map[string]string `json:"params" doc:"parameter to the kind of its argument"`
}

// suggestions is the answer of GET /api/v2/query/suggestions.
type suggestions struct {
	Funcs []suggestion `json:"funcs" nullable:"false"`
}

// suggest is GET /api/v2/query/suggestions.
func (a *API) suggest(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.principal(r, headerOnly); err != nil {
		return err
	}
	all := suggestions{Funcs: []suggestion{}}
	for _, s := range flux.Suggestions() {
		all.Funcs = append(all.Funcs, suggestion(s))
	}
	return writeJSON(w, http.StatusOK, all)
}

// suggestOne is GET /api/v2/query/suggestions/{name}.
func (a *API) suggestOne(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.principal(r, headerOnly); err != nil {
		return err
	}
	name := r.PathValue("name")
	for _, s := range flux.Suggestions() {
		if s.Name == name {
			return writeJSON(w, http.StatusOK, suggestion(s))
		}
	}
	return &Error{Code: NotFound, Message: fmt.Sprintf("there is no function %q", name)}
}
