package manage

import (
	"net/http"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
)

// basic returns the user whose name and password a request carries. Failures
// make the next attempts wait.
func (a *API) basic(r *http.Request) (meta.User, error) {
	name, password, ok := r.BasicAuth()
	if !ok || name == "" {
		return meta.User{}, httpapi.Unauthorised()
	}
	from := address(r)
	if wait := a.attempts.begin(name, from); wait > 0 {
		return meta.User{}, tooMany(wait)
	}
	u, ok, err := a.meta.CheckPassword(r.Context(), name, password)
	if err != nil {
		return u, err
	}
	if !ok {
		// Not the name: it may be a password in the wrong place.
		a.log.WarnContext(r.Context(), "sign-in failed", "remote", from)
		return u, httpapi.Unauthorised()
	}
	a.attempts.succeeded(name, from)
	return u, nil
}

// sessionRoutes begin and end sessions.
func (a *API) sessionRoutes() []httpapi.Route {
	return []httpapi.Route{
		{Method: http.MethodPost, Path: root + "signin", Group: groupAccess, Name: "signin", Basic: true, Summary: "Begin a session",
			About:  "Takes name and password as Basic authorization, and answers with a cookie, which then stands for a token.",
			Status: http.StatusNoContent, Serve: a.signIn},
		{Method: http.MethodPost, Path: root + "signout", Group: groupAccess, Name: "signout", Summary: "End the session",
			Status: http.StatusNoContent, Serve: a.signOut},
	}
}

// signIn is POST /api/v2/signin.
func (a *API) signIn(w http.ResponseWriter, r *http.Request) error {
	u, err := a.basic(r)
	if err != nil {
		return err
	}
	_, secret, err := a.meta.SignIn(a.as(r, meta.Author{User: u.ID, Name: u.Name}), u)
	if err != nil {
		return told(err)
	}
	setCookie(w, r, secret, 0)
	return noContent(w)
}

// signOut is POST /api/v2/signout.
func (a *API) signOut(w http.ResponseWriter, r *http.Request) error {
	ctx, who, err := a.actor(r)
	if err != nil {
		return err
	}
	if who.Session.ID == 0 {
		return httpapi.Unauthorised()
	}
	if _, err := a.meta.Sessions.Delete(ctx, who.Session.ID); err != nil {
		return told(err)
	}
	setCookie(w, r, "", -1)
	return noContent(w)
}

// setCookie gives the client the secret of a session. The cookie lasts as long
// as the client; when the session ends, the server knows. Pages of other sites
// cannot use it, and scripts cannot read it.
func setCookie(w http.ResponseWriter, r *http.Request, secret string, maxAge int) {
	http.SetCookie(w, &http.Cookie{Name: httpapi.SessionCookie, Value: secret, Path: "/api/", MaxAge: maxAge,
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode})
}
