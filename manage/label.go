package manage

import (
	"context"
	"maps"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
)

// labelBody is what a request says about a label.
type labelBody struct {
	_          struct{}          `additionalProperties:"true"`
	OrgID      string            `json:"orgID,omitempty" doc:"absent: the organisation of the token"`
	Name       *string           `json:"name,omitempty" doc:"unique in the organisation"`
	Properties map[string]string `json:"properties,omitempty" doc:"such as color and description; an empty value removes one"`
}

// labelAnswer is a label in an answer.
type labelAnswer struct {
	ID         string            `json:"id"`
	OrgID      string            `json:"orgID"`
	Name       string            `json:"name"`
	Properties map[string]string `json:"properties,omitempty"`
}

func answerLabel(l *meta.Label) labelAnswer {
	return labelAnswer{l.ID.String(), l.OrgID.String(), l.Name, l.Properties}
}

func (a *API) labelRoutes() []httpapi.Route {
	k := &resource[meta.Label, labelBody, labelAnswer]{
		api: a, path: "labels", noun: "label", name: "Label", group: groupOthers,
		kind: meta.ResourceLabels, objects: a.meta.Labels,
		place: func(l *meta.Label) (meta.ID, meta.ID) { return l.ID, l.OrgID },
		title: func(l *meta.Label) string { return l.Name },
		show:  answerLabel,
		list:  func(l links, all []labelAnswer) any { return labelList{l, all} },
		wrap:  func(l links, one labelAnswer) any { return labelOne{l, one} },
		of:    func(b *labelBody) string { return b.OrgID },
		put:   func(l *meta.Label, org meta.ID) { l.OrgID = org },
		apply: func(_ context.Context, b *labelBody, _ *meta.Actor, l *meta.Label, _ bool) error {
			if b.Name != nil {
				l.Name = *b.Name
			}
			l.Properties = maps.Clone(l.Properties)
			for key, value := range b.Properties {
				switch {
				case value == "":
					delete(l.Properties, key)
				case l.Properties == nil:
					l.Properties = map[string]string{key: value}
				default:
					l.Properties[key] = value
				}
			}
			return nil
		},
		example: `{"name":"building 7","properties":{"color":"#ffb3b3"}}`, change: `{"properties":{"color":"#b3ffb3"}}`,
	}
	return k.routes()
}
