package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/httpapi"
)

// form is any object in an answer.
type form map[string]any

func (f form) text(path ...string) string {
	var v any = map[string]any(f)
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	text, _ := v.(string)
	return text
}

func (f form) list(key string) []any {
	l, _ := f[key].([]any)
	return l
}

// do makes a request with whatever header and returns the answer.
func (c caller) do(method, target, body string, header ...string) *httptest.ResponseRecorder {
	c.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if c.token != "" {
		r.Header.Set("Authorization", "Token "+c.token)
	}
	for _, line := range header {
		k, v, _ := strings.Cut(line, ": ")
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	c.h.ServeHTTP(w, r)
	return w
}

// make makes an object and returns it.
func (c caller) make(target, body string) form {
	c.t.Helper()
	var f form
	c.call(201, "POST", target, body, &f)
	return f
}

func decode(t testing.TB, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

func basicHeader(name, password string) string {
	r := httptest.NewRequest("GET", "/", nil)
	r.SetBasicAuth(name, password)
	return "Authorization: " + r.Header.Get("Authorization")
}

func TestSetup(t *testing.T) {
	c := Default()
	c.InitBy = InitBySetup
	b := openTrial(t, t.TempDir(), c)
	t.Cleanup(b.shut)
	if err := b.openAPI(); err != nil {
		t.Fatal(err)
	}
	nobody := caller{t, b.api.Points(), ""}
	var may struct{ Allowed bool }
	if nobody.call(200, "GET", "/api/v2/setup", "", &may); !may.Allowed {
		t.Error("a new server cannot be set up")
	}
	nobody.call(401, "GET", "/api/v2/me", "", nil)
	for _, body := range []string{`{}`, `{"username":"ada","org":"acme"}`, `{"username":"ada","org":"acme","bucket":"b","password":"short"}`,
		`{"username":"ada","org":"acme","bucket":"b","token":"two words"}`, `{"username":"ada","org":"acme","bucket":"b","retentionPeriodSeconds":-1}`} {
		nobody.call(422, "POST", "/api/v2/setup", body, nil)
	}
	made := nobody.make("/api/v2/setup", `{"username":"ada","password":"correct horse","org":"acme","bucket":"metrics","retentionPeriodSeconds":86400,"token":"my-token"}`)
	if made.text("user", "name") != "ada" || made.text("org", "name") != "acme" || made.text("bucket", "name") != "metrics" ||
		made.text("auth", "token") != "my-token" || made.text("auth", "orgID") != made.text("org", "id") || made.text("auth", "userID") != made.text("user", "id") {
		t.Errorf("made %+v", made)
	}
	if nobody.call(200, "GET", "/api/v2/setup", "", &may); may.Allowed {
		t.Error("a server can be set up twice")
	}
	var e struct{ Code, Message string }
	nobody.call(422, "POST", "/api/v2/setup", `{"username":"eve","password":"correct horse","org":"evil","bucket":"b"}`, &e)
	if e.Code != "conflict" || !strings.HasPrefix(e.Message, "onboarding has already been completed") {
		t.Errorf("the second setup: %+v", e)
	}
	admin := caller{t, nobody.h, "my-token"}
	var me form
	admin.call(200, "GET", "/api/v2/me", "", &me)
	if me.text("id") != made.text("user", "id") {
		t.Errorf("I am %v", me)
	}
	// Neither organisation nor bucket is named.
	admin.call(204, "POST", "/api/v2/write", "m v=1", nil)
	if n := len(signedIn(t, nobody, "ada", "correct horse").all("/api/v2/orgs", "orgs")); n != 1 {
		t.Errorf("ada sees %d organisations", n)
	}
}

func TestSetupIsDoneByTheFirstStart(t *testing.T) {
	_, c := apiTrial(t)
	var may struct{ Allowed bool }
	if c.call(200, "GET", "/api/v2/setup", "", &may); may.Allowed {
		t.Error("a server that set itself up can be set up")
	}
	c.call(422, "POST", "/api/v2/setup", `{"username":"eve","password":"correct horse","org":"evil","bucket":"b"}`, nil)
}

// session is a caller with a cookie.
type session struct {
	caller
	cookie string
}

func signedIn(t testing.TB, c caller, name, password string) session {
	t.Helper()
	c.token = ""
	w := c.do("POST", "/api/v2/signin", "", basicHeader(name, password))
	cookies := w.Result().Cookies()
	if w.Code != 204 || len(cookies) != 1 || cookies[0].Name != httpapi.SessionCookie || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode {
		t.Fatalf("sign in: %d %s %v", w.Code, w.Body, cookies)
	}
	return session{c, "Cookie: " + cookies[0].Name + "=" + cookies[0].Value}
}

func (s session) must(status int, method, target, body string) *httptest.ResponseRecorder {
	s.t.Helper()
	w := s.do(method, target, body, s.cookie)
	if w.Code != status {
		s.t.Fatalf("%s %s: status %d, want %d: %s", method, target, w.Code, status, w.Body)
	}
	return w
}

func (s session) all(target, key string) []any {
	s.t.Helper()
	w := s.must(200, "GET", target, "")
	var f form
	decode(s.t, w.Body.String(), &f)
	return f.list(key)
}

func TestSessions(t *testing.T) {
	b, admin := apiTrial(t)
	u := admin.make("/api/v2/users", `{"name":"ada"}`)
	password := "/api/v2/users/" + u.text("id") + "/password"
	wrong := admin
	wrong.token = ""
	if w := wrong.do("POST", "/api/v2/signin", "", basicHeader("ada", "")); w.Code != 401 {
		t.Errorf("without a password: %d %s", w.Code, w.Body)
	}
	admin.call(422, "POST", password, `{"password":"short"}`, nil)
	admin.call(204, "POST", password, `{"password":"correct horse"}`, nil)
	ada := signedIn(t, admin, "ada", "correct horse")
	var me form
	decode(t, ada.must(200, "GET", "/api/v2/me", "").Body.String(), &me)
	if me.text("name") != "ada" {
		t.Errorf("I am %v", me)
	}
	// Who belongs to no organisation sees themselves and nothing else.
	for target, key := range map[string]string{"/api/v2/orgs": "orgs", "/api/v2/buckets": "buckets", "/api/v2/authorizations": "authorizations"} {
		if all := ada.all(target, key); len(all) != 0 {
			t.Errorf("%s shows %v", target, all)
		}
	}
	if all := ada.all("/api/v2/users", "users"); len(all) != 1 {
		t.Errorf("users are %v", all)
	}
	ada.must(404, "POST", "/api/v2/write?org=main&bucket=default", "m v=1")

	// A member reads, an owner does everything in the organisation.
	org := b.init.Org.String()
	admin.make("/api/v2/orgs/"+org+"/members", `{"id":"`+u.text("id")+`"}`)
	ada.must(403, "POST", "/api/v2/write?bucket=default", "m v=1")
	ada.must(403, "POST", "/api/v2/buckets", `{"name":"x"}`)
	if all := ada.all("/api/v2/buckets", "buckets"); len(all) != 1 {
		t.Errorf("a member sees %v", all)
	}
	admin.make("/api/v2/orgs/"+org+"/owners", `{"id":"`+u.text("id")+`"}`)
	ada.must(204, "POST", "/api/v2/write?bucket=default", "m v=1")
	ada.must(201, "POST", "/api/v2/buckets", `{"name":"x"}`)
	ada.must(403, "POST", "/api/v2/orgs", `{"name":"x"}`)
	admin.call(204, "DELETE", "/api/v2/orgs/"+org+"/owners/"+u.text("id"), "", nil)
	ada.must(403, "POST", "/api/v2/buckets", `{"name":"y"}`)

	// It lasts while it is used, and an hour after that.
	b.at = b.at.Add(45 * time.Minute)
	ada.must(200, "GET", "/api/v2/me", "")
	b.at = b.at.Add(45 * time.Minute)
	ada.must(200, "GET", "/api/v2/me", "")
	b.at = b.at.Add(61 * time.Minute)
	ada.must(401, "GET", "/api/v2/me", "")

	// Another password, a status and the sign-out end it.
	ada = signedIn(t, admin, "ada", "correct horse")
	if w := wrong.do("PUT", "/api/v2/me/password", `{"password":"battery staple"}`, basicHeader("ada", "wrong")); w.Code != 401 {
		t.Errorf("a wrong password changes the password: %d", w.Code)
	}
	if w := wrong.do("PUT", "/api/v2/me/password", `{"password":"battery staple"}`, basicHeader("ada", "correct horse")); w.Code != 204 {
		t.Errorf("change my password: %d %s", w.Code, w.Body)
	}
	ada.must(401, "GET", "/api/v2/me", "")
	ada = signedIn(t, admin, "ada", "battery staple")
	admin.call(200, "PATCH", "/api/v2/users/"+u.text("id"), `{"status":"inactive"}`, nil)
	ada.must(401, "GET", "/api/v2/me", "")
	if w := wrong.do("POST", "/api/v2/signin", "", basicHeader("ada", "battery staple")); w.Code != 401 {
		t.Errorf("an inactive user signs in: %d", w.Code)
	}
	admin.call(200, "PATCH", "/api/v2/users/"+u.text("id"), `{"status":"active"}`, nil)
	ada.must(200, "GET", "/api/v2/me", "")
	ada.must(204, "POST", "/api/v2/signout", "")
	ada.must(401, "POST", "/api/v2/signout", "")
	ada.must(401, "GET", "/api/v2/me", "")
	admin.call(401, "POST", "/api/v2/signout", "", nil) // a token has no session
	ada = signedIn(t, admin, "ada", "battery staple")
	admin.call(204, "DELETE", "/api/v2/users/"+u.text("id"), "", nil)
	ada.must(401, "GET", "/api/v2/me", "")
}

func TestFailedSignInsAreSlowedDown(t *testing.T) {
	b, admin := apiTrial(t)
	u := admin.make("/api/v2/users", `{"name":"ada"}`)
	admin.call(204, "POST", "/api/v2/users/"+u.text("id")+"/password", `{"password":"correct horse"}`, nil)
	nobody := admin
	nobody.token = ""
	try := func(password string) *httptest.ResponseRecorder {
		return nobody.do("POST", "/api/v2/signin", "", basicHeader("ada", password))
	}
	for i := range 5 {
		if w := try("wrong horse"); w.Code != 401 || w.Body.String() != `{"code":"unauthorized","message":"unauthorized access"}`+"\n" {
			t.Fatalf("attempt %d: %d %s", i, w.Code, w.Body)
		}
	}
	for _, password := range []string{"wrong horse", "correct horse"} {
		if w := try(password); w.Code != 429 || w.Header().Get("Retry-After") == "" || w.Header().Get("X-Platform-Error-Code") != "too many requests" {
			t.Errorf("the sixth attempt: %d %v %s", w.Code, w.Header(), w.Body)
		}
	}
	b.at = b.at.Add(2 * time.Second)
	if w := try("correct horse"); w.Code != 204 {
		t.Errorf("after the wait: %d %s", w.Code, w.Body)
	}
	if w := try("wrong horse"); w.Code != 401 {
		t.Errorf("after a success: %d %s", w.Code, w.Body)
	}
}

func TestAuthorizations(t *testing.T) {
	b, admin := apiTrial(t)
	org := b.init.Org.String()
	admin.make("/api/v2/buckets", `{"name":"other"}`)
	bucket := b.init.Bucket.String()
	body := `{"orgID":"` + org + `","description":"sensors","permissions":[{"action":"write","resource":{"type":"buckets","id":"` + bucket + `","orgID":"` + org + `"}}]}`
	made := admin.make("/api/v2/authorizations", body)
	secret, self := made.text("token"), made["links"].(map[string]any)["self"].(string)
	if secret == "" || made.text("status") != "active" || made.text("userID") != b.init.User.String() || made.text("org") != "main" || made.text("defaultBucketID") != bucket {
		t.Errorf("made %+v", made)
	}
	if text := admin.call(200, "GET", self, "", nil) + admin.call(200, "GET", "/api/v2/authorizations", "", nil); strings.Contains(text, secret) || strings.Contains(text, `"token"`) {
		t.Errorf("the secret is shown again: %s", text)
	}
	device := caller{t, admin.h, secret}
	device.call(204, "POST", "/api/v2/write", "m v=1", nil)
	device.call(404, "POST", "/api/v2/write?bucket=other", "m v=1", nil)
	admin.call(200, "PATCH", self, `{"status":"inactive","description":"off"}`, nil)
	device.call(401, "POST", "/api/v2/write", "m v=1", nil)
	admin.call(200, "PATCH", self, `{"status":"active"}`, nil)
	device.call(204, "POST", "/api/v2/write", "m v=1", nil)
	admin.call(422, "PATCH", self, `{"status":"asleep"}`, nil)
	for query, n := range map[string]int{"": 2, "?orgID=" + org: 2, "?org=main": 2, "?user=admin": 2, "?userID=" + b.init.User.String(): 2, "?token=" + secret: 1, "?token=x": 0, "?limit=1": 1} {
		var f form
		if admin.call(200, "GET", "/api/v2/authorizations"+query, "", &f); len(f.list("authorizations")) != n {
			t.Errorf("%s lists %d, want %d", query, len(f.list("authorizations")), n)
		}
	}
	admin.call(404, "GET", "/api/v2/authorizations?user=nobody", "", nil)
	admin.call(404, "GET", "/api/v2/authorizations?org=nowhere", "", nil)
	admin.call(400, "GET", "/api/v2/authorizations?userID=xcv", "", nil)
	for body, status := range map[string]int{
		`{"orgID":"` + org + `"}`: 400,
		`{"permissions":[{"action":"eat","resource":{"type":"buckets"}}]}`:                             422,
		`{"permissions":[{"action":"read","resource":{"type":"cakes"}}]}`:                              422,
		`{"permissions":[{"action":"read","resource":{"type":"buckets","id":"x"}}]}`:                   400,
		`{"permissions":[{"action":"read","resource":{"type":"labels","name":"x"}}]}`:                  400,
		`{"permissions":[{"action":"read","resource":{"type":"buckets","name":"x"}}]}`:                 404,
		`{"orgID":"00000000000000ff","permissions":[{"action":"read","resource":{"type":"buckets"}}]}`: 404,
	} {
		admin.call(status, "POST", "/api/v2/authorizations", body, nil)
	}
	device.call(403, "POST", "/api/v2/authorizations", body, nil)
	admin.call(204, "DELETE", self, "", nil)
	device.call(401, "POST", "/api/v2/write", "m v=1", nil)
	admin.call(404, "GET", self, "", nil)
	admin.call(404, "DELETE", self, "", nil)
}

// A token cannot give what it does not have, nor touch who has more.
func TestNobodyGrowsByTokens(t *testing.T) {
	b, admin := apiTrial(t)
	org := b.init.Org.String()
	other := admin.make("/api/v2/orgs", `{"name":"other"}`).text("id")
	in := func(org, kind, action string) string {
		return `{"action":"` + action + `","resource":{"type":"` + kind + `","orgID":"` + org + `"}}`
	}
	grow := func(who caller, status int, permissions ...string) form {
		t.Helper()
		var f form
		who.call(status, "POST", "/api/v2/authorizations", `{"orgID":"`+org+`","permissions":[`+strings.Join(permissions, ",")+`]}`, &f)
		return f
	}
	clerk := caller{t, admin.h, grow(admin, 201, in(org, "authorizations", "write"), in(org, "authorizations", "read"), in(org, "buckets", "read"),
		`{"action":"write","resource":{"type":"users"}}`, `{"action":"read","resource":{"type":"users"}}`).text("token")}
	grow(clerk, 201, in(org, "buckets", "read"))
	grow(clerk, 201, `{"action":"read","resource":{"type":"buckets","id":"`+b.init.Bucket.String()+`"}}`)
	grow(clerk, 403, in(org, "buckets", "write"))
	grow(clerk, 404, in(other, "buckets", "read"))
	grow(clerk, 403, `{"action":"read","resource":{"type":"buckets"}}`)
	grow(clerk, 403, `{"action":"write","resource":{"type":"orgs"}}`)
	clerk.call(403, "PATCH", "/api/v2/authorizations/"+b.init.Token.String(), `{"status":"inactive"}`, nil)
	clerk.call(403, "DELETE", "/api/v2/authorizations/"+b.init.Token.String(), "", nil)
	clerk.call(403, "POST", "/api/v2/users/"+b.init.User.String()+"/password", `{"password":"my own now"}`, nil)
	clerk.call(403, "DELETE", "/api/v2/users/"+b.init.User.String(), "", nil)
	for _, target := range []string{"/api/v2/config", "/api/v1/audit"} {
		clerk.call(403, "GET", target, "", nil)
	}
	// The last who may operate stays.
	for target, body := range map[string]string{"/api/v2/authorizations/" + b.init.Token.String(): `{"status":"inactive"}`, "/api/v2/users/" + b.init.User.String(): `{"status":"inactive"}`} {
		admin.call(422, "DELETE", target, "", nil)
		admin.call(422, "PATCH", target, body, nil)
	}
	everything := []string{}
	var kinds []string
	admin.call(200, "GET", "/api/v2/resources", "", &kinds)
	for _, k := range kinds {
		for _, action := range []string{"read", "write"} {
			everything = append(everything, `{"action":"`+action+`","resource":{"type":"`+k+`"}}`)
		}
	}
	second := caller{t, admin.h, grow(admin, 201, everything...).text("token")}
	second.call(200, "GET", "/api/v2/config", "", nil)
	second.call(204, "DELETE", "/api/v2/authorizations/"+b.init.Token.String(), "", nil)
	admin.call(401, "GET", "/api/v2/me", "", nil)
}

// Clients of InfluxDB 1 send name and password with each request.
func TestLogins(t *testing.T) {
	b, admin := apiTrial(t)
	made := admin.make("/private/legacy/authorizations", `{"token":"collector","permissions":[{"action":"write","resource":{"type":"buckets","name":"default"}}]}`)
	self := made.text("links", "self")
	if made.text("token") != "collector" || self != "/private/legacy/authorizations/"+made.text("id") {
		t.Errorf("made %v", made)
	}
	nobody := admin
	nobody.token = ""
	write := func(status int, query string, header ...string) {
		t.Helper()
		if w := nobody.do("POST", "/write?db=default&"+query, "m v=1", header...); w.Code != status {
			t.Errorf("write with %s %v: %d %s, want %d", query, header, w.Code, w.Body, status)
		}
	}
	write(401, "u=collector&p=")
	write(401, "u=collector&p=correct+horse")
	admin.call(204, "POST", self+"/password", `{"password":"correct horse"}`, nil)
	write(204, "u=collector&p=correct+horse")
	write(204, "", basicHeader("collector", "correct horse"))
	write(204, "", "Authorization: Token collector:correct horse")
	write(401, "", "Authorization: Bearer collector:correct horse")
	write(401, "u=collector&p=wrong+horse")
	write(401, "u=other&p=correct+horse")
	write(204, "u=whoever&p=admin") // a token as the password
	if w := nobody.do("POST", "/api/v2/write", "m v=1", basicHeader("collector", "correct horse")); w.Code != 401 {
		t.Errorf("Basic on the API of version 2: %d", w.Code)
	}
	admin.call(204, "PUT", self+"/password", `{"password":"battery staple"}`, nil)
	write(401, "u=collector&p=correct+horse")
	write(204, "u=collector&p=battery+staple")
	admin.call(200, "PATCH", self, `{"status":"inactive"}`, nil)
	write(401, "u=collector&p=battery+staple")
	admin.call(200, "PATCH", self, `{"status":"active"}`, nil)
	write(204, "u=collector&p=battery+staple")
	for i := range 5 {
		write(401, fmt.Sprint("u=mallory&p=guess+", i))
	}
	write(429, "u=mallory&p=guess+5")
	write(204, "u=collector&p=battery+staple") // others are not held up
	for range 20 {                             // one that nobody has told the new password is no guess
		write(401, "u=collector&p=correct+horse")
	}
	for i := range 4 { // after the one above
		write(401, fmt.Sprint("u=collector&p=guess+", i))
	}
	write(429, "u=collector&p=guess+4")
	write(401, "u=collector&p=correct+horse")  // which tells nothing new
	write(429, "u=collector&p=battery+staple") // which would tell that it is right
	b.at = b.at.Add(2 * time.Second)
	write(204, "u=collector&p=battery+staple")
	admin.call(422, "POST", "/private/legacy/authorizations", `{"token":"collector","permissions":[{"action":"read","resource":{"type":"buckets"}}]}`, nil)
	clerk := caller{t, admin.h, admin.make("/api/v2/authorizations", `{"permissions":[{"action":"read","resource":{"type":"authorizations"}},{"action":"write","resource":{"type":"authorizations"}}]}`).text("token")}
	clerk.call(200, "GET", self, "", nil)
	clerk.call(403, "POST", self+"/password", `{"password":"my own now"}`, nil)
	clerk.call(403, "DELETE", self, "", nil)
	if text := admin.call(200, "GET", "/private/legacy/authorizations?token=collector", "", nil); !strings.Contains(text, made.text("id")) || strings.Contains(text, "argon2") {
		t.Errorf("the list is %s", text)
	}
	admin.call(204, "DELETE", self, "", nil)
	write(401, "u=collector&p=battery+staple")
}
