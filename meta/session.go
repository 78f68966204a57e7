package meta

import (
	"context"
	"errors"
	"time"
)

const (
	// sessionLength is that of InfluxDB; it begins anew when less than half
	// of it is left, so that who works stays signed in and a change of the
	// catalog comes with few requests.
	sessionLength = time.Hour
	// maxSessions bounds what one user can have open: the oldest ends.
	maxSessions = 20
)

// Session is of a user who signed in.
type Session struct {
	ID     ID   `json:"id"`
	UserID ID   `json:"user"`
	Hash   Hash `json:"hash"` // of its secret, which the cookie holds
	// Password is the hash of what was kept of the password that it began
	// with: another one makes it void in the same commit, and one that a
	// sign-in with the old one begins at that moment too.
	Password Hash      `json:"password"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires"`
}

func (s *Session) head() head      { return head{id: &s.ID, created: &s.Created} }
func (s *Session) key() name       { return name{text: string(s.Hash[:])} }
func (s *Session) title() string   { return "" }
func (s *Session) refs() []ID      { return []ID{s.UserID} }
func (s *Session) validate() error { return nil }

// SignIn begins a session of a user as CheckPassword returned them, and returns
// it with its secret.
func (s *Store) SignIn(ctx context.Context, user User) (Session, string, error) {
	var oldest Session
	n := 0
	for _, other := range s.Sessions.All() {
		switch {
		case !other.Expires.After(s.now()):
			if err := s.endSession(ctx, other.ID); err != nil {
				return Session{}, "", err
			}
		case other.UserID == user.ID:
			if n++; oldest.ID == 0 || other.Created.Before(oldest.Created) {
				oldest = other
			}
		}
	}
	if n >= maxSessions {
		if err := s.endSession(ctx, oldest.ID); err != nil {
			return Session{}, "", err
		}
	}
	secret, err := newSecret(s.random)
	if err != nil {
		return Session{}, "", err
	}
	made, err := s.Sessions.Create(ctx, Session{UserID: user.ID, Hash: hashSecret(secret), Password: hashSecret(string(user.Password)), Expires: s.now().UTC().Add(sessionLength)})
	return made, secret, err
}

// Session returns the session of a secret, if it is in force, and its user.
func (s *Store) Session(secret string) (Session, User, bool) {
	if secret == "" {
		return Session{}, User{}, false
	}
	h := hashSecret(secret)
	found, ok := s.Sessions.find(name{text: string(h[:])})
	if !ok || !found.Expires.After(s.now()) {
		return Session{}, User{}, false
	}
	u, ok := s.Users.Get(found.UserID)
	return found, u, ok && u.Status != Inactive && found.Password == hashSecret(string(u.Password))
}

// Renew lengthens a session that is in use. renewed is false if it is still
// long enough.
func (s *Store) Renew(ctx context.Context, session Session) (after Session, renewed bool, err error) {
	if session.Expires.Sub(s.now()) > sessionLength/2 {
		return session, false, nil
	}
	after, err = s.Sessions.Update(ctx, session.ID, func(v *Session) error {
		v.Expires = s.now().UTC().Add(sessionLength)
		return nil
	})
	return after, err == nil, err
}

// endSession ends a session; one that is gone is no error.
func (s *Store) endSession(ctx context.Context, id ID) error {
	_, err := s.Sessions.Delete(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// endSessions ends all sessions of a user.
func (s *Store) endSessions(ctx context.Context, user ID) error {
	for _, session := range s.Sessions.All() {
		if session.UserID == user {
			if err := s.endSession(ctx, session.ID); err != nil {
				return err
			}
		}
	}
	return nil
}
