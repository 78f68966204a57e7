package manage

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
)

// loginBody is what a request says about a name and password for clients of
// InfluxDB 1.
type loginBody struct {
	authorizationBody
	Token *string `json:"token,omitempty" doc:"the name, which clients send as u"`
}

func (a *API) answerLogin(l *meta.Login) authorizationAnswer {
	t := l.Rights()
	t.ID, t.Description, t.Status, t.Created, t.Updated = l.ID, l.Description, l.Status, l.Created, l.Updated
	answer := a.answerAuthorization(&t)
	answer.Token = l.Name
	answer.Links["self"] = loginsPath + "/" + answer.ID
	return answer
}

const loginsPath = "/private/legacy/authorizations"

func (a *API) logins() *resource[meta.Login, loginBody, authorizationAnswer] {
	return &resource[meta.Login, loginBody, authorizationAnswer]{
		api: a, path: loginsPath, noun: "authorization", name: "Login", group: groupAccess,
		kind: meta.ResourceAuthorizations, objects: a.meta.Logins,
		place:   func(l *meta.Login) (meta.ID, meta.ID) { return l.ID, l.OrgID },
		title:   func(l *meta.Login) string { return l.Name },
		show:    a.answerLogin,
		list:    func(l links, all []authorizationAnswer) any { return authorizationList{l, all} },
		filters: []httpapi.Parameter{{Name: "token", About: "only the one of this name"}, {Name: "userID", About: "only of the user of this id"}},
		filter: func(_ *meta.Actor, q url.Values) (func(*meta.Login) bool, error) {
			var user meta.ID
			if text := q.Get("userID"); text != "" {
				var err error
				if user, err = parseID("the user", text); err != nil {
					return nil, err
				}
			}
			name := q.Get("token")
			return func(l *meta.Login) bool { return (name == "" || l.Name == name) && (user == 0 || l.UserID == user) }, nil
		},
		// Whoever gives it a password has what it may.
		changes: func(who *meta.Actor, l *meta.Login) bool {
			for _, p := range l.Permissions {
				if !a.meta.MayGrant(who, p, l.OrgID) {
					return false
				}
			}
			return who.May(meta.Write, meta.ResourceAuthorizations, l.OrgID, l.ID)
		},
		of:  func(b *loginBody) string { return cmp.Or(b.OrgID, b.Org) },
		put: func(l *meta.Login, org meta.ID) { l.OrgID = org },
		apply: func(ctx context.Context, b *loginBody, who *meta.Actor, l *meta.Login, fresh bool) error {
			t := l.Rights()
			t.Description, t.Status = l.Description, l.Status
			if err := a.applyAuthorization(ctx, &b.authorizationBody, who, &t, fresh); err != nil {
				return err
			}
			l.UserID, l.Description, l.Status, l.Permissions = t.UserID, t.Description, t.Status, t.Permissions
			if b.Token != nil {
				l.Name = *b.Token
			}
			return nil
		},
		about:   "A name for clients of InfluxDB 1, with permissions as a token has them. It can be used when it has a password.",
		example: `{"token":"collector","permissions":[{"action":"write","resource":{"type":"buckets","name":"default"}}]}`,
		change:  `{"status":"inactive"}`,
	}
}

func (a *API) loginRoutes() []httpapi.Route {
	k := a.logins()
	all := k.routes()
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		all = append(all, httpapi.Route{Method: method, Path: loginsPath + "/{id}/password", Group: groupAccess,
			Name: map[string]string{http.MethodPost: "setLoginPassword", http.MethodPut: "putLoginPassword"}[method], Summary: "Give a name for InfluxDB 1 a password",
			Takes: passwordBody{}, Example: `{"password":"correct horse"}`, Status: http.StatusNoContent,
			Serve: func(w http.ResponseWriter, r *http.Request) error {
				ctx, _, id, _, err := k.toChange(r)
				if err != nil {
					return err
				}
				var b passwordBody
				if err := httpapi.ReadJSON(r, &b); err != nil {
					return err
				}
				if err := a.meta.SetLoginPassword(ctx, id, b.Password); err != nil {
					return told(err)
				}
				return noContent(w)
			}})
	}
	return all
}

// Login returns the rights of a name and password that a client of InfluxDB 1
// sent from an address; false if they are not right. Failures make the next
// attempts wait.
func (a *API) Login(ctx context.Context, name, password, from string) (meta.Token, bool, error) {
	c, err := a.prove(ctx, credentials{name, password, false}, from)
	if err != nil || c == nil {
		return meta.Token{}, false, err
	}
	return c.login.Rights(), true, nil
}

func tooMany(wait time.Duration) error {
	return &httpapi.Error{Code: httpapi.TooMany, RetryAfter: wait,
		Message: fmt.Sprintf("too many failed attempts to sign in: try again in %s", wait.Round(time.Second))}
}
