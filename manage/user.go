package manage

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
)

// userBody is what a request says about a user.
type userBody struct {
	_      struct{} `additionalProperties:"true"`
	Name   *string  `json:"name,omitempty" doc:"unique"`
	Status *string  `json:"status,omitempty" enum:"active,inactive" doc:"an inactive one cannot sign in, and their tokens are void meanwhile"`
}

// userAnswer is a user in an answer.
type userAnswer struct {
	Links  links  `json:"links"`
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status" enum:"active,inactive"`
}

type userList struct {
	Links links        `json:"links"`
	Users []userAnswer `json:"users" nullable:"false"`
}

// passwordBody is a new password.
type passwordBody struct {
	_        struct{} `additionalProperties:"true"`
	Password string   `json:"password" doc:"at least 8 bytes"`
}

func status(s meta.Status) string {
	if s == meta.Inactive {
		return string(s)
	}
	return string(meta.Active)
}

// setStatus sets what a request says, if it does.
func setStatus(s *meta.Status, text *string) {
	switch {
	case text == nil:
	case *text == string(meta.Active):
		*s = ""
	default:
		*s = meta.Status(*text)
	}
}

func answerUser(u *meta.User) userAnswer {
	return userAnswer{links{"self": root + "users/" + u.ID.String()}, u.ID.String(), u.Name, status(u.Status)}
}

func (a *API) users() *resource[meta.User, userBody, userAnswer] {
	return &resource[meta.User, userBody, userAnswer]{
		api: a, path: "users", noun: "user", name: "User", group: groupAccess,
		kind: meta.ResourceUsers, objects: a.meta.Users, usual: usualPage,
		place: func(u *meta.User) (meta.ID, meta.ID) { return u.ID, 0 },
		title: func(u *meta.User) string { return u.Name },
		show:  answerUser,
		list:  func(l links, all []userAnswer) any { return userList{l, all} },
		filter: func(*meta.Actor, url.Values) (func(*meta.User) bool, error) {
			return func(*meta.User) bool { return true }, nil
		},
		// Who may write users shall not become an operator by one's password,
		// nor end operators' tokens with whom they are for.
		changes: func(who *meta.Actor, u *meta.User) bool {
			return who.May(meta.Write, meta.ResourceUsers, 0, u.ID) && (who.Token.All || !u.Operator &&
				!a.operates(func(t *meta.Token) bool { return t.UserID == u.ID }))
		},
		apply: func(_ context.Context, b *userBody, who *meta.Actor, u *meta.User, _ bool) error {
			if b.Name != nil {
				u.Name = *b.Name
			}
			was := u.Status
			setStatus(&u.Status, b.Status)
			if u.Status == meta.Inactive && was != meta.Inactive {
				return a.othersOperateWithoutUser(u)
			}
			return nil
		},
		allowed: func(_ *meta.Actor, u *meta.User) error { return a.othersOperateWithoutUser(u) },
		about:   "They cannot sign in until they have a password.",
		example: `{"name":"ada"}`, change: `{"status":"inactive"}`,
	}
}

func (a *API) othersOperateWithoutUser(u *meta.User) error {
	return a.othersOperate(u.ID, func(t *meta.Token) bool { return t.UserID == u.ID })
}

// othersOperate reports whether somebody may still operate the server without
// a user and the tokens that go: else nobody could undo it.
func (a *API) othersOperate(user meta.ID, gone func(*meta.Token) bool) error {
	for _, u := range a.meta.Users.All() {
		if u.ID != user && u.Operator && u.Status != meta.Inactive && u.Password != "" {
			return nil
		}
	}
	if a.operates(func(t *meta.Token) bool { return !gone(t) }) {
		return nil
	}
	return &httpapi.Error{Code: httpapi.Unprocessable, Message: "nobody could operate the server any more: make another operator's token first"}
}

// operates reports whether one of some tokens is an operator's and in force.
func (a *API) operates(of func(*meta.Token) bool) bool {
	return slices.ContainsFunc(a.meta.TokenSet.All(), func(t meta.Token) bool {
		if !t.All || t.Status == meta.Inactive || !of(&t) {
			return false
		}
		u, ok := a.meta.Users.Get(t.UserID)
		return t.UserID == 0 || ok && u.Status != meta.Inactive
	})
}

func (a *API) userRoutes() []httpapi.Route {
	k := a.users()
	all := k.routes()
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		all = append(all, httpapi.Route{Method: method, Path: root + "users/{id}/password", Group: groupAccess,
			Name: map[string]string{http.MethodPost: "setPassword", http.MethodPut: "putPassword"}[method], Summary: "Give a user a password",
			About: "Ends their sessions.", Takes: passwordBody{}, Example: `{"password":"correct horse"}`, Status: http.StatusNoContent, Serve: a.setPassword})
	}
	return all
}

// setPassword is POST /api/v2/users/{id}/password.
func (a *API) setPassword(w http.ResponseWriter, r *http.Request) error {
	ctx, _, id, _, err := a.users().toChange(r)
	if err != nil {
		return err
	}
	return a.givePassword(ctx, w, r, id)
}

func (a *API) givePassword(ctx context.Context, w http.ResponseWriter, r *http.Request, id meta.ID) error {
	var b passwordBody
	if err := httpapi.ReadJSON(r, &b); err != nil {
		return err
	}
	if err := a.meta.SetPassword(ctx, id, b.Password); err != nil {
		return told(err)
	}
	a.log.InfoContext(ctx, "password changed", "user", id)
	return noContent(w)
}

func (a *API) meRoutes() []httpapi.Route {
	all := []httpapi.Route{{Method: http.MethodGet, Path: root + "me", Group: groupAccess, Name: "me", Summary: "The user who asks",
		Status: http.StatusOK, Gives: userAnswer{},
		Serve: func(w http.ResponseWriter, r *http.Request) error {
			_, who, err := a.actor(r)
			if err != nil {
				return err
			}
			if who.User.ID == 0 {
				return notFound("the token belongs to no user")
			}
			return httpapi.WriteJSON(w, http.StatusOK, answerUser(&who.User))
		}}}
	for _, method := range []string{http.MethodPut, http.MethodPost} {
		all = append(all, httpapi.Route{Method: method, Path: root + "me/password", Group: groupAccess, Basic: true,
			Name: map[string]string{http.MethodPost: "postMyPassword", http.MethodPut: "myPassword"}[method], Summary: "Change one's password",
			About: "Takes the name and the old password as Basic authorization. Ends the sessions of the user.",
			Takes: passwordBody{}, Example: `{"password":"correct horse"}`, Status: http.StatusNoContent,
			Serve: func(w http.ResponseWriter, r *http.Request) error {
				u, err := a.basic(r)
				if err != nil {
					return err
				}
				return a.givePassword(a.as(r, meta.Author{User: u.ID, Name: u.Name}), w, r, u.ID)
			}})
	}
	return slices.Clip(all)
}
