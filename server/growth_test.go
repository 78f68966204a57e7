package server

import (
	"strings"
	"testing"
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
