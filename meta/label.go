package meta

import "time"

// Label is a word that people put on resources.
type Label struct {
	ID         ID                `json:"id"`
	OrgID      ID                `json:"org"`
	Name       string            `json:"name"`
	Properties map[string]string `json:"properties,omitempty"` // such as color
	Created    time.Time         `json:"created"`
	Updated    time.Time         `json:"updated,omitzero"`
}

func (l *Label) head() head      { return head{&l.ID, &l.OrgID, &l.Created, &l.Updated} }
func (l *Label) key() name       { return name{l.OrgID, l.Name} }
func (l *Label) title() string   { return l.Name }
func (l *Label) refs() []ID      { return []ID{l.OrgID} }
func (l *Label) validate() error { return checkName("label", l.Name) }
