package meta

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"
)

// Org is an organisation: who owns buckets and tokens.
type Org struct {
	ID          ID        `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated,omitzero"`
}

func (o *Org) head() head    { return head{id: &o.ID, created: &o.Created, updated: &o.Updated} }
func (o *Org) key() name     { return name{text: o.Name} }
func (o *Org) title() string { return o.Name }
func (o *Org) refs() []ID    { return nil }

func (o *Org) validate() error {
	if err := checkName("organization", o.Name); err != nil {
		return err
	}
	return checkDescription("organization", o.Name, o.Description)
}

// checkDescription checks a text that is for people.
func checkDescription(what, of, text string) error {
	if len(text) > maxNameBytes || !utf8.ValidString(text) {
		return &InvalidError{fmt.Sprintf("description of %s %q is longer than %d bytes or not UTF-8", what, of, maxNameBytes)}
	}
	return nil
}

// Org returns the organisation of an id.
func (s *Store) Org(id ID) (Org, bool) { return s.OrgSet.Get(id) }

// FindOrg returns the organisation that ref means: its id or, if there is
// none of that id, its name.
func (s *Store) FindOrg(ref string) (Org, bool) { return s.OrgSet.Find(0, ref) }

// Orgs returns all organisations by name.
func (s *Store) Orgs() []Org {
	all := s.OrgSet.All()
	sortByName(all, func(o Org) (string, ID) { return o.Name, o.ID })
	return all
}

// CreateOrg makes an organisation.
func (s *Store) CreateOrg(ctx context.Context, name string) (Org, error) {
	return s.OrgSet.Create(ctx, Org{Name: name})
}
