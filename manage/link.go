package manage

import (
	"net/http"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
)

// memberAnswer is a user as a member or owner of a resource.
type memberAnswer struct {
	Role string `json:"role" enum:"member,owner"`
	userAnswer
}

type memberList struct {
	Links links          `json:"links"`
	Users []memberAnswer `json:"users" nullable:"false"`
}

// memberBody names a user.
type memberBody struct {
	_    struct{} `additionalProperties:"true"`
	ID   string   `json:"id" doc:"id of the user"`
	Name string   `json:"name,omitempty" doc:"of no importance"`
}

// labelList is the labels of a resource, or all of them.
type labelList struct {
	Links  links         `json:"links"`
	Labels []labelAnswer `json:"labels" nullable:"false"`
}

type labelOne struct {
	Links links       `json:"links"`
	Label labelAnswer `json:"label"`
}

// labelLink names a label.
type labelLink struct {
	_       struct{} `additionalProperties:"true"`
	LabelID string   `json:"labelID" doc:"id of the label"`
}

// memberRoutes are those of the users of a role.
func (k *resource[T, B, A]) memberRoutes(role meta.Role) []httpapi.Route {
	word := map[meta.Role]string{meta.Member: "Member", meta.Owner: "Owner"}[role]
	at := k.at() + "/{id}/" + string(role) + "s"
	show := func(u *meta.User) memberAnswer { return memberAnswer{string(role), answerUser(u)} }
	return []httpapi.Route{
		{Method: http.MethodGet, Path: at, Group: k.group, Name: "list" + k.name + word + "s", Summary: "Users who are " + string(role) + "s",
			Status: http.StatusOK, Gives: memberList{},
			Serve: func(w http.ResponseWriter, r *http.Request) error {
				_, _, id, _, err := k.ofPath(r)
				if err != nil {
					return err
				}
				l := memberList{links{"self": r.URL.Path}, []memberAnswer{}}
				for _, from := range k.api.meta.Linked(id, role) {
					if u, ok := k.api.meta.Users.Get(from); ok {
						l.Users = append(l.Users, show(&u))
					}
				}
				return httpapi.WriteJSON(w, http.StatusOK, l)
			}},
		{Method: http.MethodPost, Path: at, Group: k.group, Name: "add" + k.name + word, Summary: "Make a user " + string(role),
			Takes: memberBody{}, Example: `{"id":"0000000000000001"}`, Status: http.StatusCreated, Gives: memberAnswer{},
			Serve: func(w http.ResponseWriter, r *http.Request) error {
				ctx, _, id, _, err := k.toChange(r)
				if err != nil {
					return err
				}
				var b memberBody
				if err := httpapi.ReadJSON(r, &b); err != nil {
					return err
				}
				from, err := parseID("the user", b.ID)
				if err != nil {
					return err
				}
				u, ok := k.api.meta.Users.Get(from)
				if !ok {
					return notFound("user not found")
				}
				if err := k.api.meta.Tie(ctx, meta.Link{From: from, Role: role, Resource: id, ResourceKind: k.kind}); err != nil {
					return told(err)
				}
				return httpapi.WriteJSON(w, http.StatusCreated, show(&u))
			}},
		{Method: http.MethodDelete, Path: at + "/{userID}", Group: k.group, Name: "remove" + k.name + word, Summary: "Make a user no " + string(role) + " any more",
			Status: http.StatusNoContent, Serve: k.untie(role, "userID")},
	}
}

// untie removes the link of a role that the parameter of the path names.
func (k *resource[T, B, A]) untie(role meta.Role, parameter string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, _, id, _, err := k.toChange(r)
		if err != nil {
			return err
		}
		from, err := parseID("the "+string(role), r.PathValue(parameter))
		if err != nil {
			return err
		}
		if err := k.api.meta.Untie(ctx, meta.Link{From: from, Role: role, Resource: id}); err != nil {
			return told(err)
		}
		return noContent(w)
	}
}

// labelsOf returns the labels of a resource.
func (a *API) labelsOf(id meta.ID) []labelAnswer {
	all := []labelAnswer{}
	for _, from := range a.meta.Linked(id, meta.Labeled) {
		if l, ok := a.meta.Labels.Get(from); ok {
			all = append(all, answerLabel(&l))
		}
	}
	return all
}

// labelRoutes are those of the labels of a resource.
func (k *resource[T, B, A]) labelRoutes() []httpapi.Route {
	at := k.at() + "/{id}/labels"
	return []httpapi.Route{
		{Method: http.MethodGet, Path: at, Group: k.group, Name: "list" + k.name + "Labels", Summary: "Labels of a " + k.noun,
			Status: http.StatusOK, Gives: labelList{},
			Serve: func(w http.ResponseWriter, r *http.Request) error {
				_, _, id, _, err := k.ofPath(r)
				if err != nil {
					return err
				}
				return httpapi.WriteJSON(w, http.StatusOK, labelList{links{"self": r.URL.Path}, k.api.labelsOf(id)})
			}},
		{Method: http.MethodPost, Path: at, Group: k.group, Name: "add" + k.name + "Label", Summary: "Put a label on a " + k.noun,
			Takes: labelLink{}, Example: `{"labelID":"0000000000000001"}`, Status: http.StatusCreated, Gives: labelOne{},
			Serve: func(w http.ResponseWriter, r *http.Request) error {
				ctx, who, id, v, err := k.toChange(r)
				if err != nil {
					return err
				}
				var b labelLink
				if err := httpapi.ReadJSON(r, &b); err != nil {
					return err
				}
				from, err := parseID("the label", b.LabelID)
				if err != nil {
					return err
				}
				l, ok := k.api.meta.Labels.Get(from)
				if _, org := k.place(&v); !ok || l.OrgID != org || !who.May(meta.Read, meta.ResourceLabels, l.OrgID, l.ID) {
					return notFound("label not found")
				}
				if err := k.api.meta.Tie(ctx, meta.Link{From: from, Role: meta.Labeled, Resource: id, ResourceKind: k.kind}); err != nil {
					return told(err)
				}
				return httpapi.WriteJSON(w, http.StatusCreated, labelOne{links{"self": root + "labels/" + l.ID.String()}, answerLabel(&l)})
			}},
		{Method: http.MethodDelete, Path: at + "/{labelID}", Group: k.group, Name: "remove" + k.name + "Label", Summary: "Take a label off a " + k.noun,
			Status: http.StatusNoContent, Serve: k.untie(meta.Labeled, "labelID")},
	}
}
