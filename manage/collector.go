package manage

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
)

// collectorBody is what a request says about a configuration of Telegraf.
type collectorBody struct {
	_           struct{}        `additionalProperties:"true"`
	OrgID       string          `json:"orgID,omitempty" doc:"absent: the organisation of the token"`
	Name        *string         `json:"name,omitempty"`
	Description *string         `json:"description,omitempty"`
	Config      *string         `json:"config,omitempty" doc:"TOML"`
	Metadata    httpapi.AnyJSON `json:"metadata,omitempty" doc:"kept as it is"`
}

// collectorAnswer is a configuration of Telegraf in an answer.
type collectorAnswer struct {
	Links       links           `json:"links"`
	ID          string          `json:"id"`
	OrgID       string          `json:"orgID"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Config      string          `json:"config"`
	Metadata    httpapi.AnyJSON `json:"metadata"`
	Labels      []labelAnswer   `json:"labels" nullable:"false"`
}

type collectorList struct {
	Links          links             `json:"links"`
	Configurations []collectorAnswer `json:"configurations" nullable:"false"`
}

func (a *API) answerCollector(c *meta.Collector) collectorAnswer {
	self := root + "telegrafs/" + c.ID.String()
	answer := collectorAnswer{
		Links: links{"self": self, "labels": self + "/labels", "members": self + "/members", "owners": self + "/owners"},
		ID:    c.ID.String(), OrgID: c.OrgID.String(), Name: c.Name, Description: c.Description, Config: c.Config,
		Metadata: httpapi.AnyJSON(c.Metadata), Labels: a.labelsOf(c.ID),
	}
	if len(answer.Metadata) == 0 {
		answer.Metadata = httpapi.AnyJSON("{}")
	}
	return answer
}

func (a *API) collectorRoutes() []httpapi.Route {
	k := &resource[meta.Collector, collectorBody, collectorAnswer]{
		api: a, path: "telegrafs", noun: "telegraf configuration", name: "Telegraf", group: groupOthers,
		kind: meta.ResourceTelegrafs, objects: a.meta.Collectors, also: []string{http.MethodPut},
		place: func(c *meta.Collector) (meta.ID, meta.ID) { return c.ID, c.OrgID },
		title: func(c *meta.Collector) string { return c.Name },
		show:  a.answerCollector,
		list:  func(l links, all []collectorAnswer) any { return collectorList{l, all} },
		of:    func(b *collectorBody) string { return b.OrgID },
		put:   func(c *meta.Collector, org meta.ID) { c.OrgID = org },
		apply: func(_ context.Context, b *collectorBody, _ *meta.Actor, c *meta.Collector, _ bool) error {
			for from, into := range map[*string]*string{b.Name: &c.Name, b.Description: &c.Description, b.Config: &c.Config} {
				if from != nil {
					*into = *from
				}
			}
			if len(b.Metadata) > 0 {
				c.Metadata = json.RawMessage(b.Metadata)
			}
			return nil
		},
		example: `{"name":"hosts","config":"[[inputs.cpu]]\n"}`, change: `{"description":"of the hall"}`,
	}
	all := slices.Concat(k.routes(), k.memberRoutes(meta.Member), k.memberRoutes(meta.Owner), k.labelRoutes())
	for i := range all {
		if all[i].Name == "getTelegraf" {
			all[i].About = "With `Accept: application/toml` the configuration alone, as Telegraf fetches it (`telegraf --config <address>`). One that the token may not see is 404."
			all[i].Serve = func(w http.ResponseWriter, r *http.Request) error {
				_, _, _, c, err := k.ofPath(r)
				if err != nil {
					return err
				}
				accept := r.Header.Get("Accept")
				if !strings.Contains(accept, "application/toml") && !strings.Contains(accept, "application/octet-stream") {
					return k.answer(w, http.StatusOK, &c)
				}
				w.Header().Set("Content-Type", "application/toml; charset=utf-8")
				_, err = w.Write([]byte(c.Config))
				return err
			}
		}
	}
	return all
}
