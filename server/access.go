package server

import (
	"context"
	"errors"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/manage"
	"github.com/varvedb/varve/meta"
)

// access answers the API's questions about tokens from package meta.
type access struct {
	meta   *meta.Store
	manage *manage.API
}

func (a access) Identify(secret string) (httpapi.Principal, bool) {
	t, ok := a.meta.Authenticate(secret)
	if !ok {
		return httpapi.Principal{}, false
	}
	return a.principal(t), true
}

func (a access) principal(t meta.Token) httpapi.Principal {
	name := t.ID.String()
	if t.ID == 0 {
		name = "login"
	}
	if t.Description != "" {
		name += " (" + t.Description + ")"
	}
	return httpapi.Principal{Name: name, Org: uint64(t.OrgID), DefaultBucket: uint64(t.DefaultBucket), Rights: &rights{a.meta, t}}
}

// Session implements httpapi.Access. A session that is in use lasts longer.
func (a access) Session(ctx context.Context, secret string) (httpapi.Principal, bool, error) {
	who, ok := a.meta.BySession(secret)
	if !ok {
		return httpapi.Principal{}, false, nil
	}
	if _, _, err := a.meta.Renew(ctx, who.Session); err != nil && !errors.Is(err, meta.ErrNotFound) {
		return httpapi.Principal{}, false, err
	}
	return a.principal(who.Token), true, nil
}

// Login implements httpapi.Access.
func (a access) Login(ctx context.Context, name, password, address string) (httpapi.Principal, bool, error) {
	t, ok, err := a.manage.Login(ctx, name, password, address)
	if err != nil || !ok {
		return httpapi.Principal{}, false, err
	}
	return a.principal(t), true, nil
}

// Database implements httpapi.Access.
func (a access) Database(org uint64, db, rp string) []uint64 {
	var all []uint64
	for _, id := range a.meta.FindDatabase(meta.ID(org), db, rp) {
		all = append(all, uint64(id))
	}
	return all
}

func (a access) Org(ref string) (uint64, bool) {
	o, ok := a.meta.FindOrg(ref)
	return uint64(o.ID), ok
}

func (a access) Bucket(org uint64, ref string) (uint64, bool) {
	b, ok := a.meta.FindBucket(meta.ID(org), ref)
	return uint64(b.ID), ok
}

// rights are those of one token.
type rights struct {
	meta  *meta.Store
	token meta.Token
}

func (r *rights) MayRead(bucket uint64) bool  { return r.may(meta.Read, bucket) }
func (r *rights) MayWrite(bucket uint64) bool { return r.may(meta.Write, bucket) }
func (r *rights) MaySee(org uint64) bool      { return r.token.Sees(meta.ID(org)) }
func (r *rights) MayOperate() bool            { return r.token.All }

func (r *rights) may(action meta.Action, bucket uint64) bool {
	b, ok := r.meta.Bucket(meta.ID(bucket))
	return ok && r.token.Allows(action, &b)
}
