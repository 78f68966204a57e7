package server

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// grant is the JSON of a permission; empty parts are left out.
func grant(action, kind, id, org string) string {
	p := `{"action":"` + action + `","resource":{"type":"` + kind + `"`
	for key, v := range map[string]string{"id": id, "orgID": org} {
		if v != "" {
			p += `,"` + key + `":"` + v + `"`
		}
	}
	return p + "}}"
}

// grants is a request for a token.
func grants(org string, permissions ...string) string {
	return `{"orgID":"` + org + `","permissions":[` + strings.Join(permissions, ",") + `]}`
}

// allIn are the permissions to do everything in an organisation.
func (c caller) allIn(org string) (all []string) {
	var kinds []string
	c.call(200, "GET", "/api/v2/resources", "", &kinds)
	for _, k := range kinds {
		all = append(all, grant("read", k, "", org), grant("write", k, "", org))
	}
	return all
}

// Who may do everything in an organisation has nothing to give that belongs to
// another or to none, whatever they know of its ids.
func TestPermissionsForOneObjectStayInItsOrganisation(t *testing.T) {
	b, admin := apiTrial(t)
	home := b.init.Org.String()
	other := admin.make("/api/v2/orgs", `{"name":"other"}`).text("id")
	owner := caller{t, admin.h, admin.make("/api/v2/authorizations", grants(home, admin.allIn(home)...)).text("token")}
	ada := admin.make("/api/v2/users", `{"name":"ada"}`).text("id")

	admin.call(204, "PATCH", "/api/v2/orgs/"+other+"/secrets", `{"key":"value"}`, nil)
	for kind, id := range map[string]string{
		"buckets":        admin.make("/api/v2/buckets", `{"orgID":"`+other+`","name":"b"}`).text("id"),
		"users":          ada,
		"orgs":           other,
		"labels":         admin.make("/api/v2/labels", `{"orgID":"`+other+`","name":"l"}`).text("label", "id"),
		"variables":      admin.make("/api/v2/variables", `{"orgID":"`+other+`","name":"v"}`).text("id"),
		"telegrafs":      admin.make("/api/v2/telegrafs", `{"orgID":"`+other+`","name":"t"}`).text("id"),
		"authorizations": admin.make("/api/v2/authorizations", grants(other, grant("read", "buckets", "", other))).text("id"),
		"dbrp":           admin.make("/api/v2/buckets", `{"orgID":"`+other+`","name":"db"}`).text("id"),
		"tasks":          "0123456789abcdef", // there is none, now
	} {
		for _, org := range []string{"", home} {
			for _, action := range []string{"read", "write"} {
				owner.call(403, "POST", "/api/v2/authorizations", grants(home, grant(action, kind, id, org)), nil)
				owner.call(403, "POST", "/private/legacy/authorizations", `{"token":"x","orgID":"`+home+`","permissions":[`+grant(action, kind, id, org)+`]}`, nil)
			}
		}
	}
	// What is theirs they can give, and an operator anything.
	for _, org := range []string{"", home} {
		owner.make("/api/v2/authorizations", grants(home, grant("write", "buckets", b.init.Bucket.String(), org)))
		owner.make("/api/v2/authorizations", grants(home, grant("write", "orgs", home, org)))
	}
	admin.make("/api/v2/authorizations", grants(home, grant("write", "users", ada, "")))
}

// The organisation that the operators' tokens are of cannot go with the last
// of them, nor by the hand of somebody who may less.
func TestOrganisationOfOperatorsStays(t *testing.T) {
	b, admin := apiTrial(t)
	home := b.init.Org.String()
	other := admin.make("/api/v2/orgs", `{"name":"other"}`).text("id")
	owner := caller{t, admin.h, admin.make("/api/v2/authorizations", grants(home, admin.allIn(home)...)).text("token")}
	owner.call(403, "DELETE", "/api/v2/orgs/"+home, "", nil)
	admin.call(422, "DELETE", "/api/v2/orgs/"+home, "", nil)
	second := caller{t, admin.h, admin.make("/api/v2/authorizations", grants(other, admin.allIn("")...)).text("token")}
	owner.call(403, "DELETE", "/api/v2/orgs/"+home, "", nil)
	second.call(204, "DELETE", "/api/v2/orgs/"+home, "", nil)
	admin.call(401, "GET", "/api/v2/me", "", nil)
	second.call(422, "DELETE", "/api/v2/orgs/"+other, "", nil)
}

// Who is made a member elsewhere stays at home.
func TestMembershipElsewhereMovesNobody(t *testing.T) {
	b, admin := apiTrial(t)
	ada := admin.make("/api/v2/users", `{"name":"ada"}`).text("id")
	admin.call(204, "POST", "/api/v2/users/"+ada+"/password", `{"password":"correct horse"}`, nil)
	home := admin.make("/api/v2/orgs", `{"name":"home"}`).text("id")
	admin.make("/api/v2/orgs/"+home+"/owners", `{"id":"`+ada+`"}`)
	b.at = b.at.Add(time.Minute)
	s := signedIn(t, admin, "ada", "correct horse")
	for i := range 8 {
		admin.make("/api/v2/orgs/"+admin.make("/api/v2/orgs", fmt.Sprintf(`{"name":"o%d"}`, i)).text("id")+"/owners", `{"id":"`+ada+`"}`)
	}
	var l form
	decode(t, s.must(201, "POST", "/api/v2/labels", `{"name":"mine"}`).Body.String(), &l)
	if got := l.text("label", "orgID"); got != home {
		t.Errorf("the label is in %s, want %s", got, home)
	}
}

// A page of another origin of the same site (another port, another host of
// the domain) sends the cookie, and has the browser say where it is from.
func TestSessionsTakeNothingFromOtherOrigins(t *testing.T) {
	b, admin := apiTrial(t)
	u := admin.make("/api/v2/users", `{"name":"ada"}`).text("id")
	admin.call(204, "POST", "/api/v2/users/"+u+"/password", `{"password":"correct horse"}`, nil)
	admin.make("/api/v2/orgs/"+b.init.Org.String()+"/owners", `{"id":"`+u+`"}`)
	s := signedIn(t, admin, "ada", "correct horse")
	for _, header := range []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Site: cross-site", "Origin: http://example.com:3000", "Origin: null"} {
		for target, body := range map[string]string{"/api/v2/labels": `{"name":"x"}`, "/api/v2/write?bucket=default": "m v=1", "/api/v2/signout": "", "/api/v2/query": "{}"} {
			if w := s.do("POST", target, body, s.cookie, header); w.Code != 403 {
				t.Errorf("POST %s with %s: %d %s", target, header, w.Code, w.Body)
			}
		}
		if w := s.do("GET", "/api/v2/me", "", s.cookie, header); w.Code != 200 {
			t.Errorf("GET with %s: %d", header, w.Code)
		}
		if w := admin.do("POST", "/api/v2/write?bucket=default", "m v=1", header); w.Code != 204 {
			t.Errorf("a token with %s: %d", header, w.Code)
		}
	}
	for i, header := range []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none", "Origin: http://example.com", "X-None: 1"} {
		if w := s.do("POST", "/api/v2/labels", `{"name":"`+string(rune('a'+i))+`"}`, s.cookie, header); w.Code != 201 {
			t.Errorf("POST with %s: %d %s", header, w.Code, w.Body)
		}
	}
}

// An object just below what the catalog holds is made, or refused with a
// reason; its audit record is not what fails.
func TestLargeObjects(t *testing.T) {
	b, admin := apiTrial(t)
	home := b.init.Org.String()
	one := grant("read", "buckets", b.init.Bucket.String(), home)
	for _, n := range []int{100, 2_000, 7_000, 8_500, 9_000, 12_000} {
		body := grants(home, slices.Repeat([]string{one}, n)...)
		if w := admin.do("POST", "/api/v2/authorizations", body); w.Code != 201 && w.Code != 422 && w.Code != 413 {
			t.Errorf("%d permissions: %d %s", n, w.Code, w.Body)
		}
	}
	for _, n := range []int{1_000, 1_040_000, 1_046_000, 1_046_400, 1_047_000, 2_000_000} {
		if w := admin.do("PATCH", "/api/v2/orgs/"+home+"/secrets", `{"k":"`+strings.Repeat("x", n)+`"}`); w.Code != 204 && w.Code != 422 && w.Code != 413 {
			t.Errorf("a secret of %d bytes: %d %s", n, w.Code, w.Body)
		}
	}
}

// Many changes of one object at once are all made.
func TestManyChangesAtOnce(t *testing.T) {
	b, admin := apiTrial(t)
	target := "/api/v2/buckets/" + b.init.Bucket.String()
	var wg sync.WaitGroup
	answers := make([]*httptest.ResponseRecorder, 40)
	for i := range answers {
		wg.Go(func() { answers[i] = admin.do("PATCH", target, `{"description":"`+string(rune('a'+i%26))+`"}`) })
	}
	wg.Wait()
	for _, w := range answers {
		if w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// Of a database one mapping is the default, whatever happens at once.
func TestOneDefaultOfADatabase(t *testing.T) {
	b, admin := apiTrial(t)
	bucket := b.init.Bucket.String()
	for round := range 10 {
		db := string(rune('a' + round))
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				admin.do("POST", "/api/v2/dbrps", `{"database":"`+db+`","retention_policy":"`+string(rune('a'+i))+`","bucketID":"`+bucket+`"}`)
			})
		}
		wg.Wait()
		var f form
		admin.call(200, "GET", "/api/v2/dbrps?default=true&db="+db, "", &f)
		if n := len(f.list("content")); n != 1 {
			t.Fatalf("database %s has %d defaults", db, n)
		}
		// It is handed on, by who shall not be it and by who goes.
		first := f.list("content")[0].(map[string]any)["id"].(string)
		admin.call(200, "PATCH", "/api/v2/dbrps/"+first, `{"default":false}`, nil)
		admin.call(200, "GET", "/api/v2/dbrps?default=true&db="+db, "", &f)
		if n := len(f.list("content")); n != 1 || f.list("content")[0].(map[string]any)["id"] == first {
			t.Errorf("database %s has %v", db, f)
		}
		admin.call(204, "DELETE", "/api/v2/dbrps/"+f.list("content")[0].(map[string]any)["id"].(string), "", nil)
		admin.call(204, "POST", "/write?db="+db, "m v=1", nil)
	}
}

// A token that may use the secrets of an organisation and nothing else can.
func TestSecretsTakeTheirPermissionOnly(t *testing.T) {
	b, admin := apiTrial(t)
	home := b.init.Org.String()
	other := admin.make("/api/v2/orgs", `{"name":"other"}`).text("id")
	c := caller{t, admin.h, admin.make("/api/v2/authorizations", grants(home, grant("read", "secrets", "", home), grant("write", "secrets", "", home))).text("token")}
	c.call(204, "PATCH", "/api/v2/orgs/"+home+"/secrets", `{"k":"v"}`, nil)
	c.call(200, "GET", "/api/v2/orgs/"+home+"/secrets", "", nil)
	c.call(404, "GET", "/api/v2/orgs/"+other+"/secrets", "", nil)
	c.call(404, "PATCH", "/api/v2/orgs/"+other+"/secrets", `{"k":"v"}`, nil)
	// All or nothing.
	admin.call(422, "PATCH", "/api/v2/orgs/"+home+"/secrets", `{"a1":"v","a2":"v","a3":"v","a4":"v","a5":"v","bad\u0000":"v"}`, nil)
	var f form
	admin.call(200, "GET", "/api/v2/orgs/"+home+"/secrets", "", &f)
	if n := len(f.list("secrets")); n != 1 {
		t.Errorf("there are %d secrets", n)
	}
}

// Names that a terminal would obey or that cannot be told apart are refused.
func TestNamesWithControls(t *testing.T) {
	_, admin := apiTrial(t)
	for _, name := range []string{`a\u0000`, `a\u001b[2J`, `a\u009b2J`, `a\u0085b`, `a\u007f`, `a\u2028b`, `a\u202eb`} {
		for _, at := range []string{"buckets", "orgs", "users", "labels", "variables", "telegrafs"} {
			if w := admin.do("POST", "/api/v2/"+at, `{"name":"`+name+`"}`); w.Code != 422 {
				t.Errorf("%s %s: %d %s", at, name, w.Code, w.Body)
			}
		}
	}
	for _, at := range []string{"labels", "variables", "telegrafs", "buckets", "orgs", "users"} {
		if w := admin.do("POST", "/api/v2/"+at, `{"name":"`+strings.Repeat("n", 100_000)+`"}`); w.Code != 422 {
			t.Errorf("%s with a long name: %d %s", at, w.Code, w.Body)
		}
	}
}
