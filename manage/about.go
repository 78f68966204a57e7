package manage

import (
	"net/http"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
)

// settingsAnswer is what the server runs with.
type settingsAnswer struct {
	Config map[string]string `json:"config" doc:"settings by key; secrets are left out"`
}

// aboutRoutes tell of the server.
func (a *API) aboutRoutes() []httpapi.Route {
	return []httpapi.Route{
		{Method: http.MethodGet, Path: root + "config", Group: groupServer, Name: "config", Summary: "Settings that the server runs with",
			About: "Takes an operator's token.", Status: http.StatusOK, Gives: settingsAnswer{},
			Serve: func(w http.ResponseWriter, r *http.Request) error {
				if _, _, err := a.operator(r); err != nil {
					return err
				}
				return httpapi.WriteJSON(w, http.StatusOK, settingsAnswer{a.settings})
			}},
		{Method: http.MethodGet, Path: root + "resources", Group: groupServer, Name: "resources", Summary: "Kinds of resources that permissions can name",
			Status: http.StatusOK, Gives: []string{},
			Serve: func(w http.ResponseWriter, r *http.Request) error {
				if _, _, err := a.actor(r); err != nil {
					return err
				}
				return httpapi.WriteJSON(w, http.StatusOK, meta.Resources())
			}},
		{Method: http.MethodGet, Path: root + "flags", Group: groupServer, Name: "flags", Summary: "Switches of the user interface of InfluxDB",
			About: "There are none.", Status: http.StatusOK, Gives: map[string]any{},
			Serve: func(w http.ResponseWriter, r *http.Request) error {
				if _, _, err := a.actor(r); err != nil {
					return err
				}
				return httpapi.WriteJSON(w, http.StatusOK, map[string]any{})
			}},
	}
}
