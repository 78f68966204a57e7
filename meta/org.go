package meta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/varvedb/varve/catalog"
)

// Org is an organisation: who owns buckets and tokens.
type Org struct {
	ID      ID        `json:"id"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
}

// Org returns the organisation of an id.
func (s *Store) Org(id ID) (Org, bool) {
	o, ok := s.state.Load().orgs[id]
	return o, ok
}

// FindOrg returns the organisation that ref means: its id or, if there is
// none of that id, its name.
func (s *Store) FindOrg(ref string) (Org, bool) {
	st := s.state.Load()
	if id, err := ParseID(ref); err == nil {
		if o, ok := st.orgs[id]; ok {
			return o, true
		}
	}
	id, ok := st.orgIDs[ref]
	if !ok {
		return Org{}, false
	}
	return st.orgs[id], true
}

// Orgs returns all organisations by name.
func (s *Store) Orgs() []Org {
	var all []Org
	for _, o := range s.state.Load().orgs {
		all = append(all, o)
	}
	sortByName(all, func(o Org) (string, ID) { return o.Name, o.ID })
	return all
}

// CreateOrg makes an organisation.
func (s *Store) CreateOrg(ctx context.Context, name string) (Org, error) {
	o, ops, err := s.newOrg(name)
	if err != nil {
		return Org{}, err
	}
	err = s.commit(ctx, ops...)
	if errors.Is(err, catalog.ErrConflict) {
		return Org{}, fmt.Errorf("organization with name %s: %w", name, ErrExists)
	}
	return o, err
}

func (s *Store) newOrg(name string) (Org, []catalog.Op, error) {
	if err := checkName("organization", name); err != nil {
		return Org{}, nil, err
	}
	id, err := newID(s.random)
	if err != nil {
		return Org{}, nil, err
	}
	o := Org{ID: id, Name: name, Created: s.now().UTC()}
	v, err := json.Marshal(o)
	if err != nil {
		return Org{}, nil, fmt.Errorf("encode organization %s: %w", id, err)
	}
	return o, []catalog.Op{
		{Key: orgPrefix + id.String(), Value: v},
		{Key: orgNameKey(name), Value: []byte(id.String())},
	}, nil
}
