package manage

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
)

// orgBody is what a request says about an organisation.
type orgBody struct {
	_           struct{} `additionalProperties:"true"`
	Name        *string  `json:"name,omitempty" doc:"unique"`
	Description *string  `json:"description,omitempty" doc:"for people"`
}

// orgAnswer is an organisation in an answer.
type orgAnswer struct {
	Links       links     `json:"links"`
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
}

type orgList struct {
	Links links       `json:"links"`
	Orgs  []orgAnswer `json:"orgs" nullable:"false"`
}

func answerOrg(o *meta.Org) orgAnswer {
	id := o.ID.String()
	self := root + "orgs/" + id
	updated := o.Updated
	if updated.IsZero() {
		updated = o.Created // made by a version that did not note it
	}
	return orgAnswer{
		Links: links{"self": self, "members": self + "/members", "owners": self + "/owners", "secrets": self + "/secrets",
			"buckets": root + "buckets?orgID=" + id, "dashboards": root + "dashboards?orgID=" + id, "tasks": root + "tasks?orgID=" + id},
		ID: id, Name: o.Name, Description: o.Description, CreatedAt: o.Created, UpdatedAt: updated,
	}
}

func (a *API) orgs() *resource[meta.Org, orgBody, orgAnswer] {
	return &resource[meta.Org, orgBody, orgAnswer]{
		api: a, path: "orgs", noun: "organization", name: "Org", group: groupOrgs,
		kind: meta.ResourceOrgs, objects: a.meta.OrgSet, usual: usualPage,
		place: func(o *meta.Org) (meta.ID, meta.ID) { return o.ID, o.ID },
		title: func(o *meta.Org) string { return o.Name },
		show:  answerOrg,
		list:  func(l links, all []orgAnswer) any { return orgList{l, all} },
		filters: []httpapi.Parameter{{Name: "org", About: "only the one of this name, which is 404 if there is none"}, {Name: "orgID", About: "only the one of this id"},
			{Name: "userID", About: "only those that this user is a member or owner of"}},
		filter: a.filterOrgs,
		apply: func(_ context.Context, b *orgBody, _ *meta.Actor, o *meta.Org, _ bool) error {
			if b.Name != nil {
				o.Name = *b.Name
			}
			if b.Description != nil {
				o.Description = *b.Description
			}
			return nil
		},
		made: func(ctx context.Context, who *meta.Actor, o *meta.Org) error {
			if who.User.ID == 0 {
				return nil
			}
			return a.meta.Tie(ctx, meta.Link{From: who.User.ID, Role: meta.Owner, Resource: o.ID, ResourceKind: meta.ResourceOrgs})
		},
		allowed: a.orgMayGo,
		deleted: a.gone,
		about:   "Takes a token that may write organisations everywhere. Its user becomes an owner.",
		example: `{"name":"acme","description":"who makes everything"}`, change: `{"description":"who makes all"}`,
	}
}

// orgMayGo reports whether an organisation can be deleted: operators' tokens
// that are of it go with it.
func (a *API) orgMayGo(who *meta.Actor, o *meta.Org) error {
	its := func(t *meta.Token) bool { return t.OrgID == o.ID }
	if !a.operates(its) {
		return nil
	}
	if !who.Token.All {
		return forbidden("deleting an organisation that operators' tokens are of takes such a token")
	}
	return a.othersOperate(0, its)
}

func (a *API) filterOrgs(who *meta.Actor, q url.Values) (func(*meta.Org) bool, error) {
	name, user := q.Get("org"), q.Get("userID")
	if name != "" {
		o, ok := a.meta.OrgSet.Find(0, name)
		if !ok || !who.May(meta.Read, meta.ResourceOrgs, o.ID, o.ID) {
			return nil, notFound("organization name \"" + name + "\" not found")
		}
		name = o.Name
	}
	var id, from meta.ID
	var err error
	if text := q.Get("orgID"); text != "" {
		if id, err = parseID("the organization", text); err != nil {
			return nil, err
		}
	}
	if user != "" {
		if from, err = parseID("the user", user); err != nil {
			return nil, err
		}
	}
	return func(o *meta.Org) bool {
		return (name == "" || o.Name == name) && (id == 0 || o.ID == id) &&
			(from == 0 || slices.Contains(a.meta.Linked(o.ID, meta.Member), from) || slices.Contains(a.meta.Linked(o.ID, meta.Owner), from))
	}, nil
}

func (a *API) orgRoutes() []httpapi.Route {
	k := a.orgs()
	return slices.Concat(k.routes(), k.memberRoutes(meta.Member), k.memberRoutes(meta.Owner))
}

// secretList is the names of the secrets of an organisation.
type secretList struct {
	Links   links    `json:"links"`
	Secrets []string `json:"secrets" nullable:"false"`
}

// secretNames are those to delete.
type secretNames struct {
	_       struct{} `additionalProperties:"true"`
	Secrets []string `json:"secrets" nullable:"false"`
}

// secretRoutes are those of the secrets of an organisation. Values are never
// shown.
func (a *API) secretRoutes() []httpapi.Route {
	k, at := a.orgs(), root+"orgs/{id}/secrets"
	// of returns the organisation of the path, if who may do something with
	// its secrets.
	of := func(r *http.Request, action meta.Action) (context.Context, meta.ID, error) {
		ctx, who, err := a.actor(r)
		if err != nil {
			return nil, 0, err
		}
		id, err := parseID(k.noun, r.PathValue("id"))
		if err != nil {
			return nil, 0, err
		}
		o, ok := a.meta.Org(id)
		may := who.May(action, meta.ResourceSecrets, id, 0)
		switch {
		case !ok || !may && !k.maySee(who, &o):
			err = notFound(k.noun + " not found")
		case !may:
			err = forbidden("this takes the permission to " + string(action) + " the secrets of the organisation")
		}
		return ctx, id, err
	}
	remove := func(w http.ResponseWriter, r *http.Request, names func() ([]string, error)) error {
		ctx, id, err := of(r, meta.Write)
		if err != nil {
			return err
		}
		all, err := names()
		if err != nil {
			return err
		}
		for _, name := range all {
			if err := a.meta.DeleteSecret(ctx, id, name); err != nil {
				return told(err)
			}
		}
		return noContent(w)
	}
	return []httpapi.Route{
		{Method: http.MethodGet, Path: at, Group: groupOrgs, Name: "listSecrets", Summary: "Names of the secrets of an organisation",
			Status: http.StatusOK, Gives: secretList{},
			Serve: func(w http.ResponseWriter, r *http.Request) error {
				_, id, err := of(r, meta.Read)
				if err != nil {
					return err
				}
				return httpapi.WriteJSON(w, http.StatusOK, secretList{links{"self": r.URL.Path, "org": root + "orgs/" + id.String()}, a.meta.SecretNames(id)})
			}},
		{Method: http.MethodPatch, Path: at, Group: groupOrgs, Name: "setSecrets", Summary: "Set secrets of an organisation",
			About: "An object of names and values. Others stay. Values are kept for scripts and shown nowhere.",
			Takes: map[string]string{}, Example: `{"key":"value"}`, Status: http.StatusNoContent,
			Serve: func(w http.ResponseWriter, r *http.Request) error {
				ctx, id, err := of(r, meta.Write)
				if err != nil {
					return err
				}
				var b map[string]string
				if err := httpapi.ReadJSON(r, &b); err != nil {
					return err
				}
				if err := a.meta.SetSecrets(ctx, id, b); err != nil {
					return told(err)
				}
				return noContent(w)
			}},
		{Method: http.MethodPost, Path: at + "/{key}", Group: groupOrgs, Name: "deleteSecrets", Summary: "Delete secrets of an organisation",
			About: "The last part of the path is `delete`.", Takes: secretNames{}, Example: `{"secrets":["key"]}`, Status: http.StatusNoContent,
			Serve: func(w http.ResponseWriter, r *http.Request) error {
				return remove(w, r, func() ([]string, error) {
					if r.PathValue("key") != "delete" {
						return nil, notFound("path not found; secrets are set by PATCH and deleted by POST …/secrets/delete")
					}
					var b secretNames
					err := httpapi.ReadJSON(r, &b)
					return b.Secrets, err
				})
			}},
		{Method: http.MethodDelete, Path: at + "/{key}", Group: groupOrgs, Name: "deleteSecret", Summary: "Delete a secret of an organisation",
			Status: http.StatusNoContent,
			Serve: func(w http.ResponseWriter, r *http.Request) error {
				return remove(w, r, func() ([]string, error) { return []string{r.PathValue("key")}, nil })
			}},
	}
}
