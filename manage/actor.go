package manage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/trace"
	"github.com/varvedb/varve/vfs"
)

// actor returns who makes a request, and a context in which changes are noted
// as theirs.
func (a *API) actor(r *http.Request) (context.Context, *meta.Actor, error) {
	token, session := httpapi.Credentials(r)
	var who meta.Actor
	var ok bool
	if session != "" {
		if err := httpapi.CheckOrigin(r); err != nil {
			return nil, nil, err
		}
		if who, ok = a.meta.BySession(session); ok {
			if _, _, err := a.meta.Renew(r.Context(), who.Session); err != nil && !errors.Is(err, meta.ErrNotFound) {
				return nil, nil, told(err)
			}
		}
	} else {
		who, ok = a.meta.ByToken(token)
	}
	if !ok {
		return nil, nil, httpapi.Unauthorised()
	}
	return a.as(r, who.Author()), &who, nil
}

// as returns the context of r in which changes are noted as by.
func (a *API) as(r *http.Request, by meta.Author) context.Context {
	by.Address = address(r)
	by.Request = trace.RequestOf(r.Context()).ID
	return meta.WithAuthor(r.Context(), by)
}

// address returns where a request came from, without the port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// operator returns who makes a request that only those who may do everything
// can make.
func (a *API) operator(r *http.Request) (context.Context, *meta.Actor, error) {
	ctx, who, err := a.actor(r)
	if err == nil && !who.Token.All {
		err = forbidden("this takes an operator's token, such as the admin's")
	}
	return ctx, who, err
}

// org returns the organisation that ref, an id or a name, means: that of who
// if it is empty. One of which who may see nothing does not exist for them.
func (a *API) org(who *meta.Actor, ref string) (meta.Org, error) {
	if ref == "" {
		if o, ok := a.meta.Org(who.Token.OrgID); ok {
			return o, nil
		}
		return meta.Org{}, invalid("the organisation is missing: name it as orgID")
	}
	o, ok := a.meta.FindOrg(ref)
	if !ok || !a.sees(who, o.ID) {
		return meta.Org{}, notFound("organization name \"" + ref + "\" not found")
	}
	return o, nil
}

// sees reports whether who has to do with an organisation at all.
func (a *API) sees(who *meta.Actor, org meta.ID) bool {
	if who.Token.All || who.Token.OrgID == org {
		return true
	}
	for _, p := range who.Token.Permissions {
		// Users belong to no organisation.
		if p.Everywhere && p.Resource != meta.ResourceUsers || p.Org == org || p.Resource == meta.ResourceOrgs && p.ID == org {
			return true
		}
	}
	return false
}

func notFound(text string) error { return &httpapi.Error{Code: httpapi.NotFound, Message: text} }
func invalid(text string) error  { return &httpapi.Error{Code: httpapi.Invalid, Message: text} }

func forbidden(text string) error {
	return &httpapi.Error{Code: httpapi.Forbidden, Message: "insufficient permissions: " + text}
}

// told makes of an error of package meta what clients are told.
func told(err error) error {
	var bad *meta.InvalidError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &bad):
		return &httpapi.Error{Code: httpapi.Unprocessable, Message: bad.Reason, Err: err}
	case errors.Is(err, meta.ErrExists):
		return &httpapi.Error{Code: httpapi.Conflict, Message: err.Error(), Err: err}
	case errors.Is(err, meta.ErrNotFound):
		return &httpapi.Error{Code: httpapi.NotFound, Message: err.Error(), Err: err}
	case errors.Is(err, catalog.ErrConflict):
		return &httpapi.Error{Code: httpapi.Unavailable, Message: "others change the same at this time: try again", RetryAfter: time.Second, Err: err}
	case vfs.IsNoSpace(err):
		return &httpapi.Error{Code: httpapi.Unavailable, Message: "no space on the disk to store what was asked for", Err: err}
	}
	return err
}

// parseID reads an id of the thing that noun names.
func parseID(noun, text string) (meta.ID, error) {
	id, err := meta.ParseID(text)
	if err != nil {
		return 0, &httpapi.Error{Code: httpapi.Invalid, Err: err,
			Message: fmt.Sprintf("id %q of %s is invalid: want 16 lower-case hexadecimal digits", text, noun)}
	}
	return id, nil
}
