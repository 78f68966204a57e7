package manage

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"sync"

	"github.com/varvedb/varve/meta"
)

// Client is who showed a name and password over a protocol whose connections
// stay: a name for InfluxDB 1, or a user.
type Client struct {
	meta  *meta.Store
	login meta.Login // zero for a user
	user  meta.User  // zero for a login
}

// Rights returns the name of a client and what it may by now, which for a user
// is what a session of theirs may; false if the password was changed since, or
// the name is not in force any more.
func (c *Client) Rights() (name string, t meta.Token, ok bool) {
	if c.login.ID != 0 {
		l, ok := c.meta.FindLogin(c.login.Name)
		return l.Name, l.Rights(), ok && l.ID == c.login.ID && l.Password == c.login.Password
	}
	who, ok := c.meta.UserRights(c.user)
	return who.User.Name, who.Token, ok
}

// ID returns that of the name for InfluxDB 1, or of the user: no two of them have
// the same, nor do those who had the name before.
func (c *Client) ID() meta.ID { return cmp.Or(c.login.ID, c.user.ID) }

// Connect returns who shows a name and password from an address: the name for
// InfluxDB 1 of that name, or else the user; nil if the password is neither's.
// Failures make the next attempts wait, as those to sign in.
func (a *API) Connect(ctx context.Context, name, password, from string) (*Client, error) {
	return a.prove(ctx, credentials{name, password, true}, from)
}

// prove returns whose credentials are shown from an address; nil if they are not
// right.
//
// A password that was found right is remembered, and those who show the same at
// the same time have it checked once: a fleet that comes back under one name
// would hash it for each device otherwise. Who guesses gains nothing by that,
// because an address that has to wait is not answered from memory. A password that
// was found wrong is remembered too (refuted).
func (a *API) prove(ctx context.Context, of credentials, from string) (*Client, error) {
	for {
		wait := a.attempts.blamed(of.name, from)
		if wait == 0 {
			if c := a.remembered(of); c != nil {
				return c, nil
			}
		}
		known := a.refutedAs(of, from)
		switch {
		case a.refuted.has(known):
			return nil, nil
		case wait > 0:
			return nil, tooMany(wait)
		}
		c, err := a.checks.share(ctx, of, func() (*Client, error) { return a.check(ctx, of, from) })
		if c == nil && err == nil {
			a.refuted.add(known)
		}
		// Who checked it has gone meanwhile: that says nothing to the others.
		if errors.Is(err, context.Canceled) && ctx.Err() == nil {
			continue
		}
		return c, err
	}
}

// remembered returns whose credentials were found right not long ago.
func (a *API) remembered(of credentials) *Client {
	if l, ok := a.meta.FindLogin(of.name); ok && a.meta.Remembered(&l, of.password) {
		return &Client{meta: a.meta, login: l}
	}
	if of.users {
		if u, ok := a.meta.RememberedUser(of.name, of.password); ok {
			return &Client{meta: a.meta, user: u}
		}
	}
	return nil
}

// refutedAs returns as what the password is remembered if it is wrong.
func (a *API) refutedAs(of credentials, from string) [sha256.Size]byte {
	l, _ := a.meta.FindLogin(of.name)
	u, _ := a.meta.Users.Find(0, of.name)
	return a.refuted.of(of, from, &l, &u)
}

// check is prove without memory.
func (a *API) check(ctx context.Context, of credentials, from string) (*Client, error) {
	if wait := a.attempts.begin(of.name, from); wait > 0 {
		return nil, tooMany(wait)
	}
	c, err := a.whose(ctx, of)
	switch {
	case err != nil:
		return nil, err
	case c == nil:
		// Not the name: it may be a password in the wrong place.
		a.log.WarnContext(ctx, "sign-in failed", "remote", from)
		return nil, nil
	}
	a.attempts.succeeded(of.name, from)
	return c, nil
}

// whose hashes the password, once where there is none of that name, too.
func (a *API) whose(ctx context.Context, of credentials) (*Client, error) {
	l, is := a.meta.FindLogin(of.name)
	users := of.users
	if users && is {
		// To hash for both would take longer than for a name that is not there.
		_, users = a.meta.Users.Find(0, of.name)
	}
	if is || !users {
		right, err := a.meta.CheckLogin(ctx, &l, of.password)
		switch {
		case err != nil:
			return nil, err
		case right && is:
			return &Client{meta: a.meta, login: l}, nil
		}
	}
	if !users {
		return nil, nil
	}
	u, ok, err := a.meta.CheckPassword(ctx, of.name, of.password)
	if err != nil || !ok {
		return nil, err
	}
	return &Client{meta: a.meta, user: u}, nil
}

// credentials are what a check is of.
type credentials struct {
	name, password string
	users          bool // they may be a user's, not only a name's for InfluxDB 1
}

// checks are those of passwords that are under way.
type checks struct {
	mu  sync.Mutex // guards all
	all map[credentials]*underWay
}

type underWay struct {
	done   chan struct{} // closed when what is below is there
	client *Client
	err    error
}

// errUnchecked is what those get who waited for a check that did not end.
var errUnchecked = errors.New("the password could not be checked")

// share returns what f returns, called once for all who ask for the same
// meanwhile.
func (c *checks) share(ctx context.Context, of credentials, f func() (*Client, error)) (*Client, error) {
	c.mu.Lock()
	w, shared := c.all[of]
	if !shared {
		w = &underWay{done: make(chan struct{})}
		c.all[of] = w
	}
	c.mu.Unlock()
	if shared {
		select {
		case <-w.done:
			return w.client, w.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	w.err = errUnchecked // in case f panics
	defer func() {
		c.mu.Lock()
		delete(c.all, of)
		c.mu.Unlock()
		close(w.done)
	}()
	w.client, w.err = f()
	return w.client, w.err
}
