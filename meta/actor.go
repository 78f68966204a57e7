package meta

import "cmp"

// rightsOf returns a token, which nobody has, with the rights that a user has
// when signed in: those of an owner or member of their organisations and of
// other resources, and to see and change themselves. An operator may do
// everything. Its organisation is the one that the user has belonged to for
// longest: who is made a member elsewhere stays at home.
func (s *Store) rightsOf(u User) Token {
	t := Token{UserID: u.ID, Description: u.Name, All: u.Operator}
	for _, a := range []Action{Read, Write} {
		t.Permissions = append(t.Permissions, Permission{Action: a, Resource: ResourceUsers, ID: u.ID})
	}
	var home Link
	for l := range s.Links.each() {
		if l.From != u.ID {
			continue
		}
		actions := []Action{Read}
		if l.Role == Owner {
			actions = append(actions, Write)
		}
		if l.ResourceKind == ResourceOrgs {
			if _, ok := s.Org(l.Resource); ok && (home.ID == 0 || cmp.Or(l.Created.Compare(home.Created), cmp.Compare(l.Resource, home.Resource)) < 0) {
				home, t.OrgID = l, l.Resource
			}
			t.Permissions = append(t.Permissions, everything(l.Resource, actions...)...)
			continue
		}
		for _, a := range actions {
			t.Permissions = append(t.Permissions, Permission{Action: a, Resource: l.ResourceKind, ID: l.Resource})
		}
	}
	return t
}

// Actor is who makes a request: a token, or a user who signed in.
type Actor struct {
	// Token has the rights. That of a session is made for it, and has no id.
	Token   Token
	User    User    // zero for a token that belongs to nobody
	Session Session // zero for a token
}

// ByToken returns who presents the secret of a token; false if it is not in
// force.
func (s *Store) ByToken(secret string) (Actor, bool) {
	t, ok := s.Authenticate(secret)
	if !ok {
		return Actor{}, false
	}
	u, _ := s.Users.Get(t.UserID)
	return Actor{Token: t, User: u}, true
}

// BySession returns who presents the secret of a session; false if it is not
// in force.
func (s *Store) BySession(secret string) (Actor, bool) {
	session, u, ok := s.Session(secret)
	if !ok {
		return Actor{}, false
	}
	return Actor{Token: s.rightsOf(u), User: u, Session: session}, true
}

// May reports whether the actor may do something: see Token.May.
func (a *Actor) May(action Action, k Resource, org, id ID) bool {
	return a.Token.May(action, k, org, id)
}

// MayGrant reports whether an actor has all that p allows a token of an
// organisation, so that nobody gives what they do not have. An object counts
// for the organisation that it is in, whatever p says.
func (s *Store) MayGrant(a *Actor, p Permission, org ID) bool {
	if a.Token.All {
		return true
	}
	if p.Everywhere {
		for _, own := range a.Token.Permissions {
			if own.Everywhere && own.Action == p.Action && own.Resource == p.Resource {
				return true
			}
		}
		return false
	}
	if p.Org != 0 {
		org = p.Org
	}
	if p.ID != 0 {
		// What is not there yet belongs to nobody.
		org, _ = s.home(p.Resource, p.ID)
	}
	return a.Token.May(p.Action, p.Resource, org, p.ID)
}

// home returns the organisation that an object of a kind is in, zero for one
// of none; false if there is no such object.
func (s *Store) home(k Resource, id ID) (ID, bool) {
	switch k {
	case ResourceBuckets:
		return s.BucketSet.home(id)
	case ResourceOrgs:
		return s.OrgSet.home(id)
	case ResourceUsers:
		return s.Users.home(id)
	case ResourceLabels:
		return s.Labels.home(id)
	case ResourceVariables:
		return s.Variables.home(id)
	case ResourceSecrets:
		return s.Secrets.home(id)
	case ResourceTelegrafs:
		return s.Collectors.home(id)
	case ResourceAuthorizations:
		if org, ok := s.TokenSet.home(id); ok {
			return org, true
		}
		return s.Logins.home(id)
	case ResourceDBRP:
		if org, ok := s.Databases.home(id); ok {
			return org, true
		}
		return s.BucketSet.home(id) // whose name stands for one
	}
	return 0, false
}

// Author returns what the audit log says of the actor.
func (a *Actor) Author() Author {
	by := Author{User: a.User.ID, Token: a.Token.ID, Session: a.Session.ID, Name: a.User.Name}
	if by.Name == "" {
		by.Name = a.Token.Description
	}
	return by
}
