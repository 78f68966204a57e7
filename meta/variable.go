package meta

import (
	"encoding/json"
	"time"
)

// Variable is a list of values that dashboards choose from. Arguments and
// Selected are JSON as clients give it.
type Variable struct {
	ID          ID              `json:"id"`
	OrgID       ID              `json:"org"`
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Selected    []string        `json:"selected,omitempty"`
	Arguments   json.RawMessage `json:"arguments,omitempty"`
	Created     time.Time       `json:"created"`
	Updated     time.Time       `json:"updated,omitzero"`
}

func (v *Variable) head() head    { return head{&v.ID, &v.OrgID, &v.Created, &v.Updated} }
func (v *Variable) key() name     { return name{v.OrgID, v.Name} }
func (v *Variable) title() string { return v.Name }
func (v *Variable) refs() []ID    { return []ID{v.OrgID} }

func (v *Variable) validate() error {
	if err := checkName("variable", v.Name); err != nil {
		return err
	}
	return checkDescription("variable", v.Name, v.Description)
}
