package httpapi

import (
	"encoding/json"
	"net/http"
)

// operator checks that whoever makes r may maintain the store.
func (a *API) operator(r *http.Request) error {
	p, err := a.servicePrincipal(r)
	if err != nil {
		return err
	}
	if !p.Rights.MayOperate() {
		return &Error{Code: Forbidden, Message: "this takes an operator's token"}
	}
	return nil
}

// settle is POST /api/v1/settle: it flushes and compacts until there is
// nothing left to do.
func (a *API) settle(w http.ResponseWriter, r *http.Request) error {
	if err := a.operator(r); err != nil {
		return err
	}
	if err := a.upkeep.Settle(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// check is POST /api/v1/check: a JSON object in a line for each problem, and
// one with the number of problems at the end, by which the client knows that
// the check was finished.
func (a *API) check(w http.ResponseWriter, r *http.Request) error {
	if err := a.operator(r); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	problems := 0
	var broken error // of the connection
	err := a.upkeep.Check(r.Context(), func(p Problem) {
		problems++
		if broken == nil {
			if broken = enc.Encode(p); broken == nil {
				broken = flush.Flush()
			}
		}
	})
	if err == nil {
		err = broken
	}
	if err != nil {
		return err
	}
	return enc.Encode(struct {
		Problems int `json:"problems"`
	}{problems})
}
