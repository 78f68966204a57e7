package manage

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/varvedb/varve/httpapi"
)

// day is how days are written.
const day = "2006-01-02"

// auditRoutes show who changed what.
func (a *API) auditRoutes() []httpapi.Route {
	return []httpapi.Route{{Method: http.MethodGet, Path: "/api/v1/audit", Group: groupServer, Name: "audit", Summary: "Who changed what",
		About: "A JSON object in a line for each change of an object that is managed here, oldest first. Takes an operator's token. " +
			"Records are made with the change that they tell of, are changed by nothing, and are kept for 400 days.",
		Params: []httpapi.Parameter{{Name: "start", About: "first day, such as 2026-01-31, in UTC; default: six days ago"}, {Name: "stop", About: "last day; default: today"}},
		Status: http.StatusOK, GivesAs: "application/x-ndjson",
		Serve: func(w http.ResponseWriter, r *http.Request) error {
			if _, _, err := a.operator(r); err != nil {
				return err
			}
			last := a.now().UTC().Truncate(24 * time.Hour)
			first := last.AddDate(0, 0, -6)
			for name, into := range map[string]*time.Time{"start": &first, "stop": &last} {
				if text := r.URL.Query().Get(name); text != "" {
					t, err := time.Parse(day, text)
					if err != nil {
						return invalid(name + " is \"" + text + "\": want a day such as " + day)
					}
					*into = t
				}
			}
			if last.Sub(first) > 800*24*time.Hour {
				return invalid("start and stop are more than 800 days apart")
			}
			w.Header().Set("Content-Type", "application/x-ndjson")
			w.WriteHeader(http.StatusOK)
			out := json.NewEncoder(w)
			for e, err := range a.meta.Audit(r.Context(), first, last) {
				if err != nil {
					return err
				}
				if err := out.Encode(e); err != nil {
					return err
				}
			}
			return nil
		}}}
}
