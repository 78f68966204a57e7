package meta

import (
	"context"
	"time"
)

// Login is a name and password for clients of InfluxDB 1, with permissions as
// a token has them. Name and password go with each request, so they are not
// those of a user who signs in.
type Login struct {
	ID          ID           `json:"id"`
	OrgID       ID           `json:"org"`
	UserID      ID           `json:"user,omitempty"` // for whom it was made; it goes with them
	Name        string       `json:"name"`
	Description string       `json:"description,omitempty"`
	Status      Status       `json:"status,omitempty"`
	Permissions []Permission `json:"permissions,omitempty"`
	Password    Password     `json:"password,omitempty"`
	Created     time.Time    `json:"created"`
	Updated     time.Time    `json:"updated,omitzero"`
}

func (l *Login) head() head    { return head{&l.ID, &l.OrgID, &l.Created, &l.Updated} }
func (l *Login) key() name     { return name{text: l.Name} }
func (l *Login) title() string { return l.Name }
func (l *Login) refs() []ID    { return []ID{l.OrgID, l.UserID} }

func (l *Login) validate() error {
	if err := checkName("authorization", l.Name); err != nil {
		return err
	}
	if err := checkDescription("authorization", l.Name, l.Description); err != nil {
		return err
	}
	if err := l.Status.check("an authorization"); err != nil {
		return err
	}
	return checkPermissions(l.Permissions)
}

// Rights returns a token, which nobody has, with the rights of l.
func (l *Login) Rights() Token {
	return Token{OrgID: l.OrgID, UserID: l.UserID, Description: l.Name, Permissions: l.Permissions}
}

// SetLoginPassword gives a login a password.
func (s *Store) SetLoginPassword(ctx context.Context, id ID, password string) error {
	p, err := s.hashPassword(ctx, password)
	if err != nil {
		return err
	}
	_, err = s.Logins.Update(ctx, id, func(l *Login) error {
		l.Password = p
		return nil
	})
	return err
}

// FindLogin returns the login of a name, if it is in force.
func (s *Store) FindLogin(name string) (Login, bool) {
	l, ok := s.Logins.find(nameOf(name))
	if !ok || l.Status == Inactive || l.Password == "" {
		return Login{}, false
	}
	if _, ok := s.Org(l.OrgID); !ok {
		return Login{}, false
	}
	if l.UserID != 0 {
		if u, ok := s.Users.Get(l.UserID); !ok || u.Status == Inactive {
			return Login{}, false
		}
	}
	return l, true
}

// Remembered reports whether password was found right for l not long ago. It
// costs nothing beside CheckLogin, which every write of a client would pay
// otherwise.
func (s *Store) Remembered(l *Login, password string) bool {
	return s.proven.has(l.ID, l.Password, password)
}

// CheckLogin reports whether password is that of l.
func (s *Store) CheckLogin(ctx context.Context, l *Login, password string) (bool, error) {
	return s.prove(ctx, l.ID, l.Password, password)
}
