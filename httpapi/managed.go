package httpapi

import (
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Managed are routes of the points port that another package answers: package
// manage.
type Managed struct {
	Routes []Route
	// Groups are those of the routes in the document: name and description.
	Groups [][2]string
}

// Route is one of Managed, with what the OpenAPI document says about it.
type Route struct {
	Method, Path string
	// Serve answers. An error that a client can do something about is an
	// *Error.
	Serve func(w http.ResponseWriter, r *http.Request) error

	Name    string // unique in the document
	Group   string
	Summary string
	About   string // Markdown; may be empty
	Open    bool   // takes no token
	Basic   bool   // takes name and password instead of a token
	Params  []Parameter

	Takes   any // has the type of a JSON body, nil for none
	Example string
	Status  int
	Gives   any    // has the type of a JSON answer, nil for none
	GivesAs string // content type of an answer that is no JSON
}

// Parameter is one of the query. It is a number from Least to Most, or a text
// if Most is 0.
type Parameter struct {
	Name, About string
	Least, Most float64
}

func (m Managed) routes() (all []route) {
	for i := range m.Routes {
		r := &m.Routes[i]
		op := &operation{
			name: r.Name, group: r.Group, summary: r.Summary, about: r.About, open: r.Open, basic: r.Basic,
			takes: r.Takes, example: r.Example, status: r.Status, gives: r.Gives, givesAs: r.GivesAs,
		}
		for _, p := range r.Params {
			schema := text()
			if p.Most > 0 {
				schema = count(p.Least, p.Most)
			}
			op.params = append(op.params, parameter{p.Name, p.About, schema, false})
		}
		all = append(all, route{r.Method, r.Path, r.Serve, op})
	}
	return all
}

// AnyJSON is a value of any kind that is handed on as it came.
type AnyJSON json.RawMessage

// Schema implements huma.SchemaProvider.
func (AnyJSON) Schema(huma.Registry) *huma.Schema { return &huma.Schema{} }

// MarshalJSON implements json.Marshaler.
func (v AnyJSON) MarshalJSON() ([]byte, error) { return json.RawMessage(v).MarshalJSON() }

// UnmarshalJSON implements json.Unmarshaler.
func (v *AnyJSON) UnmarshalJSON(b []byte) error { return (*json.RawMessage)(v).UnmarshalJSON(b) }

// ReadJSON reads a JSON object from the body of a request.
func ReadJSON(r *http.Request, into any) error { return readRequest(r, into) }

// WriteJSON answers with JSON.
func WriteJSON(w http.ResponseWriter, status int, v any) error { return writeJSON(w, status, v) }

// Unauthorised is the error for a request whose credentials are not right. It
// does not say which part of them is wrong.
func Unauthorised() *Error { return errUnauthorized() }

// Credentials returns the token of a request, from a header of the schemes
// Token and Bearer, or the secret of its session.
func Credentials(r *http.Request) (token, session string) {
	if token = headerToken(r); token != "" {
		return token, ""
	}
	if c, err := r.Cookie(SessionCookie); err == nil {
		return "", c.Value
	}
	return "", ""
}

// CheckOrigin refuses a request with a session that changes something and
// comes from the page of another origin. The cookie is SameSite=Strict, but
// another port, or another host of the same domain, is of the same site.
func CheckOrigin(r *http.Request) error {
	if err := new(http.CrossOriginProtection).Check(r); err != nil {
		return &Error{Code: Forbidden, Err: err, Message: "the request has a session and comes from the page of another origin: pages elsewhere send a token instead"}
	}
	return nil
}

// SessionCookie is the name of the cookie that holds the secret of a session;
// it is InfluxDB's, which clients look for.
const SessionCookie = "influxdb-oss-session"
