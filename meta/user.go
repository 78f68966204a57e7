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
	ok, err := s.matches(ctx, u.Password, password)
	if err != nil {
		return User{}, false, fmt.Errorf("check the password of a user: %w", err)
	}
	return u, ok && found && u.Status != Inactive, nil
}

func nameOf(text string) name { return name{text: text} }
