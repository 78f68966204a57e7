package manage

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
)

// arguments say what a variable can be.
type arguments struct {
	Type   string          `json:"type" enum:"constant,map,query"`
	Values httpapi.AnyJSON `json:"values" doc:"constant: a list of texts; map: an object of names and texts; query: an object with query and language"`
}

// variableBody is what a request says about a variable.
type variableBody struct {
	_           struct{}   `additionalProperties:"true"`
	OrgID       string     `json:"orgID,omitempty" doc:"absent: the organisation of the token"`
	Name        *string    `json:"name,omitempty" doc:"unique in the organisation"`
	Description *string    `json:"description,omitempty"`
	Selected    []string   `json:"selected,omitempty" doc:"what is chosen to begin with"`
	Arguments   *arguments `json:"arguments,omitempty"`
}

// variableAnswer is a variable in an answer.
type variableAnswer struct {
	Links       links         `json:"links"`
	ID          string        `json:"id"`
	OrgID       string        `json:"orgID"`
	Name        string        `json:"name"`
	Description string        `json:"description"`
	Selected    []string      `json:"selected" nullable:"false"`
	Arguments   *arguments    `json:"arguments,omitempty"`
	Labels      []labelAnswer `json:"labels" nullable:"false"`
	CreatedAt   time.Time     `json:"createdAt"`
	UpdatedAt   time.Time     `json:"updatedAt"`
}

type variableList struct {
	Links     links            `json:"links"`
	Variables []variableAnswer `json:"variables" nullable:"false"`
}

func (a *API) answerVariable(v *meta.Variable) variableAnswer {
	self := root + "variables/" + v.ID.String()
	answer := variableAnswer{
		Links: links{"self": self, "labels": self + "/labels", "org": root + "orgs/" + v.OrgID.String()},
		ID:    v.ID.String(), OrgID: v.OrgID.String(), Name: v.Name, Description: v.Description, Selected: v.Selected,
		Labels: a.labelsOf(v.ID), CreatedAt: v.Created, UpdatedAt: v.Updated,
	}
	if answer.Selected == nil {
		answer.Selected = []string{}
	}
	if len(v.Arguments) > 0 {
		answer.Arguments = &arguments{}
		if err := json.Unmarshal(v.Arguments, answer.Arguments); err != nil {
			panic("BUG: arguments of a variable were stored that cannot be read: " + err.Error())
		}
	}
	return answer
}

func (b *variableBody) apply(v *meta.Variable) error {
	if b.Name != nil {
		v.Name = *b.Name
	}
	if b.Description != nil {
		v.Description = *b.Description
	}
	if b.Selected != nil {
		v.Selected = b.Selected
	}
	if b.Arguments == nil {
		return nil
	}
	if !slices.Contains([]string{"constant", "map", "query"}, b.Arguments.Type) || len(b.Arguments.Values) == 0 {
		return invalid("arguments of a variable are of the type constant, map or query, and have values")
	}
	text, err := json.Marshal(b.Arguments)
	if err != nil {
		return invalid("arguments of a variable are not JSON: " + err.Error())
	}
	v.Arguments = text
	return nil
}

func (a *API) variableRoutes() []httpapi.Route {
	k := &resource[meta.Variable, variableBody, variableAnswer]{
		api: a, path: "variables", noun: "variable", name: "Variable", group: groupOthers,
		kind: meta.ResourceVariables, objects: a.meta.Variables, also: []string{http.MethodPut},
		place: func(v *meta.Variable) (meta.ID, meta.ID) { return v.ID, v.OrgID },
		title: func(v *meta.Variable) string { return v.Name },
		show:  a.answerVariable,
		list:  func(l links, all []variableAnswer) any { return variableList{l, all} },
		of:    func(b *variableBody) string { return b.OrgID },
		put:   func(v *meta.Variable, org meta.ID) { v.OrgID = org },
		apply: func(_ context.Context, b *variableBody, _ *meta.Actor, v *meta.Variable, _ bool) error {
			return b.apply(v)
		},
		example: `{"name":"city","arguments":{"type":"constant","values":["Kyiv","Seoul"]}}`, change: `{"selected":["Kyiv"]}`,
	}
	return slices.Concat(k.routes(), k.labelRoutes())
}
