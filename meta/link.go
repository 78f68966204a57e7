package meta

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Role is what a user or a label is to a resource.
type Role string

// The roles. A member of an organisation may read what it has, an owner do
// everything there; a member of another resource may read it, an owner change
// it. A label is for people.
const (
	Member  Role = "member"
	Owner   Role = "owner"
	Labeled Role = "label"
)

// Link ties a user or a label to a resource.
type Link struct {
	ID           ID        `json:"id"`
	From         ID        `json:"from"` // user or label
	Role         Role      `json:"role"`
	Resource     ID        `json:"resource"`
	ResourceKind Resource  `json:"resourceKind"`
	Created      time.Time `json:"created"`
}

func (l *Link) head() head    { return head{id: &l.ID, created: &l.Created} }
func (l *Link) key() name     { return name{l.Resource, string(l.Role) + "/" + l.From.String()} }
func (l *Link) title() string { return fmt.Sprintf("%s of %s", l.Role, l.Resource) }
func (l *Link) refs() []ID    { return []ID{l.From, l.Resource} }

func (l *Link) validate() error {
	if !slices.Contains([]Role{Member, Owner, Labeled}, l.Role) || l.From == 0 || l.Resource == 0 {
		return &InvalidError{fmt.Sprintf("link of %s as %q to %s is not complete", l.From, l.Role, l.Resource)}
	}
	return nil
}

// Linked returns the users or labels of a role of a resource.
func (s *Store) Linked(resource ID, r Role) (from []ID) {
	for l := range s.Links.each() {
		if l.Resource == resource && l.Role == r {
			from = append(from, l.From)
		}
	}
	slices.Sort(from)
	return from
}

// Tie makes a link; one that is there already stays.
func (s *Store) Tie(ctx context.Context, l Link) error {
	_, err := s.Links.Create(ctx, l)
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

// Untie removes a link. It fails with ErrNotFound if there is none.
func (s *Store) Untie(ctx context.Context, l Link) error {
	found, ok := s.Links.find(l.key())
	if !ok {
		return fmt.Errorf("%s %s of %s: %w", l.Role, l.From, l.Resource, ErrNotFound)
	}
	_, err := s.Links.Delete(ctx, found.ID)
	return err
}
