package httpapi

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"strings"
)

// Access knows who may do what: package meta.
type Access interface {
	// Identify returns who carries a token; false if nobody does.
	Identify(token string) (Principal, bool)
	// Session returns who carries the secret of a session; false if nobody
	// does.
	Session(ctx context.Context, secret string) (Principal, bool, error)
	// Login returns who carries the name and password of a client of InfluxDB
	// 1; false if nobody does. A password may be a token instead; that is not
	// asked here.
	Login(ctx context.Context, name, password, address string) (Principal, bool, error)
	// Database returns the buckets that database and retention policy of
	// InfluxDB 1 can mean in an organisation, the likeliest first.
	Database(org uint64, db, rp string) []uint64
	// Org finds an organisation by its id or name.
	Org(ref string) (id uint64, ok bool)
	// Bucket finds a bucket of an organisation by its id or name. The empty
	// reference finds nothing.
	Bucket(org uint64, ref string) (id uint64, ok bool)
}

// Principal is who makes a request.
type Principal struct {
	Name          string // of the token, for logs; never its secret
	Org           uint64
	DefaultBucket uint64 // 0 for none
	Rights        Rights
}

// Rights says what a principal may do.
type Rights interface {
	MayRead(bucket uint64) bool
	MayWrite(bucket uint64) bool
	// MaySee reports whether the principal may read something that belongs to
	// an organisation.
	MaySee(org uint64) bool
	// MayOperate reports whether the principal may maintain the store as a
	// whole.
	MayOperate() bool
}

// credentials says where a request may carry its token.
type credentials int

const (
	headerOnly   credentials = iota // Token or Bearer, or the cookie of a session
	compatible1x                    // u and p, Token, Basic
)

// principal returns who makes a request.
func (a *API) principal(r *http.Request, from credentials) (Principal, error) {
	if from == compatible1x {
		return a.principal1x(r)
	}
	token, session := Credentials(r)
	if session != "" {
		if err := CheckOrigin(r); err != nil {
			return Principal{}, err
		}
		p, ok, err := a.access.Session(r.Context(), session)
		if err == nil && !ok {
			err = errUnauthorized()
		}
		return p, err
	}
	if token == "" {
		return Principal{}, errUnauthorized()
	}
	p, ok := a.access.Identify(token)
	if !ok {
		return Principal{}, errUnauthorized()
	}
	return p, nil
}

// principal1x returns who makes a request of a client of InfluxDB 1: by a
// token in the place of the password, or by name and password.
func (a *API) principal1x(r *http.Request) (Principal, error) {
	name, secret := credentials1x(r)
	if secret == "" {
		return Principal{}, errUnauthorized()
	}
	if p, ok := a.access.Identify(secret); ok {
		return p, nil
	}
	if name == "" {
		return Principal{}, errUnauthorized()
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	p, ok, err := a.access.Login(r.Context(), name, secret, host)
	if err == nil && !ok {
		err = errUnauthorized()
	}
	return p, err
}

// servicePrincipal returns who makes a request to the service port.
func (a *API) servicePrincipal(r *http.Request) (Principal, error) {
	if a.config.OpenService {
		return a.config.Anonymous, nil
	}
	p, err := a.principal(r, headerOnly)
	if err != nil {
		return p, &Error{Code: Unauthorized, Message: "unauthorized access: send a token in a header, `Authorization: Token …`; " +
			"the file admin-token in the server's data folder has that of the admin", Err: err}
	}
	return p, nil
}

// headerToken returns the token of an Authorization header of the schemes
// Token and Bearer.
func headerToken(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Token") && !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// credentials1x looks where InfluxDB 1.x clients put name and password: the
// parameters u and p, `Token user:password` or `Token token`, then Basic.
func credentials1x(r *http.Request) (name, secret string) {
	q := r.URL.Query()
	if p := q.Get("p"); p != "" {
		return q.Get("u"), p
	}
	if name, password, ok := r.BasicAuth(); ok {
		return name, password
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Token") {
		return "", ""
	}
	token = strings.TrimSpace(token)
	if name, password, ok := strings.Cut(token, ":"); ok {
		return name, password
	}
	return "", token
}

// target is the bucket that a request goes to.
type target struct {
	org, bucket uint64
}

// target finds the bucket that a v2 request names.
func (a *API) target(r *http.Request, p Principal) (target, error) {
	q := r.URL.Query()
	return a.find(p, cmp.Or(q.Get("orgID"), q.Get("org")), cmp.Or(q.Get("bucketID"), q.Get("bucket")))
}

// find returns the bucket that organisation and bucket mean, those of p where
// they are empty. What the principal cannot see does not exist for them.
func (a *API) find(p Principal, org, bucket string) (target, error) {
	t := target{org: p.Org}
	if org != "" {
		var err error
		if t.org, err = a.org(org); err != nil {
			return t, err
		}
	}
	found, err := a.bucket(t, bucket, p)
	if err != nil && t.org != p.Org && !p.Rights.MayOperate() {
		// Whether the organisation is there is none of their business.
		return t, noOrg(org)
	}
	return found, err
}

// bucket completes t with the bucket that ref names, or with the default.
func (a *API) bucket(t target, ref string, p Principal) (target, error) {
	if ref == "" {
		if p.DefaultBucket == 0 || t.org != p.Org {
			return t, &Error{Code: NotFound, Message: "bucket not found"}
		}
		t.bucket = p.DefaultBucket
		return t, nil
	}
	id, ok := a.access.Bucket(t.org, ref)
	if !ok || !p.Rights.MayRead(id) && !p.Rights.MayWrite(id) {
		return t, &Error{Code: NotFound, Message: "bucket \"" + ref + "\" not found"}
	}
	t.bucket = id
	return t, nil
}

// mayWrite checks that p may change the data of t.
func mayWrite(p Principal, t target, what string) error {
	switch {
	case p.Rights.MayWrite(t.bucket):
		return nil
	case p.Rights.MayRead(t.bucket):
		return &Error{Code: Forbidden, Message: "insufficient permissions " + what}
	}
	return &Error{Code: NotFound, Message: "bucket not found"}
}

// org returns the id of the organisation that ref, an id or a name, means.
func (a *API) org(ref string) (uint64, error) {
	id, ok := a.access.Org(ref)
	if !ok {
		return 0, noOrg(ref)
	}
	return id, nil
}

func noOrg(ref string) *Error {
	return &Error{Code: NotFound, Message: "organization name \"" + ref + "\" not found"}
}
