package meta

import (
	"context"
	"fmt"
	"time"
)

// User is a person who can sign in, and for whom tokens are made.
type User struct {
	ID       ID        `json:"id"`
	Name     string    `json:"name"`
	Status   Status    `json:"status,omitempty"`
	Operator bool      `json:"operator,omitempty"` // may do everything when signed in
	Password Password  `json:"password,omitempty"`
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated,omitzero"`
}

func (u *User) head() head    { return head{id: &u.ID, created: &u.Created, updated: &u.Updated} }
func (u *User) key() name     { return name{text: u.Name} }
func (u *User) title() string { return u.Name }
func (u *User) refs() []ID    { return nil }

func (u *User) validate() error {
	if err := checkName("user", u.Name); err != nil {
		return err
	}
	return u.Status.check("a user")
}

// SetPassword gives a user a password, and ends all of their sessions: who
// had the old one shall not stay signed in.
func (s *Store) SetPassword(ctx context.Context, id ID, password string) error {
	p, err := s.hashPassword(ctx, password)
	if err != nil {
		return err
	}
	if _, err := s.Users.Update(ctx, id, func(u *User) error {
		u.Password = p
		return nil
	}); err != nil {
		return err
	}
	return s.endSessions(ctx, id)
}

// CheckPassword returns the user of a name if password is theirs and they are
// active. It takes as long if there is no such user.
func (s *Store) CheckPassword(ctx context.Context, name, password string) (User, bool, error) {
	u, found := s.Users.find(nameOf(name))
	ok, err := s.prove(ctx, u.ID, u.Password, password)
	if err != nil {
		return User{}, false, fmt.Errorf("check the password of a user: %w", err)
	}
	return u, ok && found && u.Status != Inactive, nil
}

// RememberedUser returns the user of a name if password was found theirs not
// long ago and they are active. It costs nothing beside CheckPassword, which
// each device of a fleet that comes back under one name would pay otherwise.
func (s *Store) RememberedUser(name, password string) (User, bool) {
	u, ok := s.Users.find(nameOf(name))
	return u, ok && u.Status != Inactive && s.proven.has(u.ID, u.Password, password)
}

// UserRights returns who u, a user as CheckPassword returned them, is by now,
// with the rights of a session; false if they have another password or are not
// active any more.
func (s *Store) UserRights(u User) (Actor, bool) {
	now, ok := s.Users.Get(u.ID)
	if !ok || now.Status == Inactive || now.Password != u.Password {
		return Actor{}, false
	}
	return Actor{Token: s.rightsOf(now), User: now}, true
}

func nameOf(text string) name { return name{text: text} }
