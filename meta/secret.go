package meta

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// Secret is a value that scripts of an organisation use and nobody reads. It
// is kept as it is, because scripts need it so.
type Secret struct {
	ID      ID        `json:"id"`
	OrgID   ID        `json:"org"`
	Name    string    `json:"name"`
	Value   string    `json:"value"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated,omitzero"`
}

func (v *Secret) head() head      { return head{&v.ID, &v.OrgID, &v.Created, &v.Updated} }
func (v *Secret) key() name       { return name{v.OrgID, v.Name} }
func (v *Secret) title() string   { return v.Name }
func (v *Secret) refs() []ID      { return []ID{v.OrgID} }
func (v *Secret) validate() error { return checkName("secret", v.Name) }

// Secret returns the value of a secret of an organisation.
func (s *Store) Secret(org ID, key string) (string, bool) {
	v, ok := s.Secrets.find(name{org, key})
	return v.Value, ok
}

// SecretNames returns the names of the secrets of an organisation.
func (s *Store) SecretNames(org ID) []string {
	names := []string{}
	for _, v := range s.Secrets.All() {
		if v.OrgID == org {
			names = append(names, v.Name)
		}
	}
	slices.Sort(names)
	return names
}

// SetSecret makes a secret or gives it another value.
func (s *Store) SetSecret(ctx context.Context, org ID, key, value string) error {
	if old, ok := s.Secrets.find(name{org, key}); ok {
		_, err := s.Secrets.Update(ctx, old.ID, func(v *Secret) error {
			v.Value = value
			return nil
		})
		if !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	_, err := s.Secrets.Create(ctx, Secret{OrgID: org, Name: key, Value: value})
	return err
}

// SetSecrets sets several, none of them if one cannot be. They are set one after
// the other.
func (s *Store) SetSecrets(ctx context.Context, org ID, values map[string]string) error {
	keys := slices.Sorted(maps.Keys(values))
	for _, key := range keys {
		v := Secret{OrgID: org, Name: key, Value: values[key]}
		if err := v.validate(); err != nil {
			return err
		}
		if _, err := s.Secrets.ops(&v); err != nil {
			return err
		}
	}
	for _, key := range keys {
		if err := s.SetSecret(ctx, org, key, values[key]); err != nil {
			return err
		}
	}
	return nil
}

// DeleteSecret removes a secret; one that is not there is no error.
func (s *Store) DeleteSecret(ctx context.Context, org ID, key string) error {
	old, ok := s.Secrets.find(name{org, key})
	if !ok {
		return nil
	}
	_, err := s.Secrets.Delete(ctx, old.ID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
