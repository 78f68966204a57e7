package server

import (
	"fmt"
	"strings"
	"testing"
)

// TestPermissionMatrix asks for every kind of object, with every kind of token,
// by every verb. A wrong token is 401, what may not be read is 404, what may be
// read and not written 403, and a list has what may be read.
func TestPermissionMatrix(t *testing.T) {
	b, admin := apiTrial(t)
	org := b.init.Org.String()
	foreignOrg := admin.make("/api/v2/orgs", `{"name":"foreign"}`).text("id")
	user := admin.make("/api/v2/users", `{"name":"ada"}`).text("id")

	kinds := []struct {
		kind, path, key string
		body, patch     func(org, name string) string
		nested          string // where the object is in an answer
		global          bool   // objects belong to no organisation
		anyOne          bool   // a permission for one object is enough to change it
	}{
		{kind: "buckets", path: "buckets", key: "buckets", body: func(org, name string) string { return `{"orgID":"` + org + `","name":"` + name + `"}` }},
		{kind: "labels", path: "labels", key: "labels", nested: "label", anyOne: true, body: func(org, name string) string { return `{"orgID":"` + org + `","name":"` + name + `"}` }},
		{kind: "variables", path: "variables", key: "variables", anyOne: true, body: func(org, name string) string { return `{"orgID":"` + org + `","name":"` + name + `"}` }},
		{kind: "telegrafs", path: "telegrafs", key: "configurations", anyOne: true, body: func(org, name string) string { return `{"orgID":"` + org + `","name":"` + name + `"}` }},
		{kind: "authorizations", path: "authorizations", key: "authorizations", anyOne: true, body: func(org, name string) string {
			return `{"orgID":"` + org + `","description":"` + name + `","permissions":[{"action":"read","resource":{"type":"authorizations","orgID":"` + org + `"}}]}`
		}, patch: func(_, name string) string { return `{"description":"` + name + `"}` }},
		{kind: "users", path: "users", key: "users", global: true, anyOne: true, body: func(_, name string) string { return `{"name":"` + name + `"}` }},
		{kind: "orgs", path: "orgs", key: "orgs", global: true, anyOne: true, body: func(_, name string) string { return `{"name":"` + name + `"}` }},
	}
	permission := func(action, kind, id, org string) string {
		p := `{"action":"` + action + `","resource":{"type":"` + kind + `"`
		if id != "" {
			p += `,"id":"` + id + `"`
		}
		if org != "" {
			p += `,"orgID":"` + org + `"`
		}
		return p + "}}"
	}
	token := func(org string, permissions ...string) caller {
		t.Helper()
		return caller{t, admin.h, admin.make("/api/v2/authorizations", `{"orgID":"`+org+`","permissions":[`+strings.Join(permissions, ",")+`]}`).text("token")}
	}
	everythingIn := func(org string, actions ...string) (all []string) {
		var kinds []string
		admin.call(200, "GET", "/api/v2/resources", "", &kinds)
		for _, k := range kinds {
			for _, action := range actions {
				all = append(all, permission(action, k, "", org))
			}
		}
		return all
	}
	number := 0
	name := func() string {
		number++
		return fmt.Sprintf("name-%d", number)
	}
	for _, k := range kinds {
		at := "/api/v2/" + k.path
		make := func() string {
			t.Helper()
			f := admin.make(at, k.body(org, name()))
			if k.nested != "" {
				return f.text(k.nested, "id")
			}
			return f.text("id")
		}
		own := make()
		orgOf := org
		if k.global {
			orgOf = ""
		}
		if k.kind == "orgs" {
			orgOf = "" // everywhere
		}
		elsewhere := "labels"
		if k.kind == elsewhere {
			elsewhere = "variables"
		}
		for _, who := range []struct {
			name                     string
			caller                   caller
			read, write, make, wrong bool
		}{
			{name: "nobody", caller: caller{t, admin.h, ""}, wrong: true},
			{name: "wrong", caller: caller{t, admin.h, "wrong"}, wrong: true},
			{name: "operator", caller: admin, read: true, write: true, make: true},
			{name: "all of the kind", caller: token(org, permission("read", k.kind, "", orgOf), permission("write", k.kind, "", orgOf), permission("read", "authorizations", "", org)), read: true, write: true, make: true},
			{name: "reads all of the kind", caller: token(org, permission("read", k.kind, "", orgOf)), read: true},
			{name: "reads the one", caller: token(org, permission("read", k.kind, own, "")), read: true},
			{name: "writes the one", caller: token(org, permission("write", k.kind, own, ""))},
			{name: "reads and writes the one", caller: token(org, permission("read", k.kind, own, ""), permission("write", k.kind, own, "")), read: true, write: k.anyOne},
			{name: "another kind", caller: token(org, permission("read", elsewhere, "", org), permission("write", elsewhere, "", org))},
			{name: "everything in another organisation", caller: token(foreignOrg, everythingIn(foreignOrg, "read", "write")...)},
			{name: "everything in the organisation", caller: token(org, everythingIn(org, "read", "write")...), read: !k.global, write: !k.global, make: !k.global},
			{name: "reads everything in the organisation", caller: token(org, everythingIn(org, "read")...), read: !k.global},
		} {
			t.Run(k.kind+"/"+who.name, func(t *testing.T) {
				c := who.caller
				c.t = t
				status := func(good int, may bool) int {
					switch {
					case who.wrong:
						return 401
					case !who.read:
						return 404
					case !may:
						return 403
					}
					return good
				}
				one := at + "/" + own
				c.call(status(200, true), "GET", one, "", nil)
				patch := k.patch
				if patch == nil {
					patch = func(_, name string) string { return `{"name":"` + name + `"}` }
				}
				c.call(status(200, who.write), "PATCH", one, patch(org, name()), nil)
				switch {
				case who.wrong:
					c.call(401, "POST", at, k.body(org, name()), nil)
				case who.make:
					c.call(201, "POST", at, k.body(org, name()), nil)
				case strings.Contains(who.name, "another organisation") && !k.global:
					c.call(404, "POST", at, k.body(org, name()), nil) // the organisation is not there for them
				default:
					c.call(403, "POST", at, k.body(org, name()), nil)
				}
				// Of one that is there and of one that is not the same is said.
				if !who.read && !who.wrong {
					there := c.call(404, "GET", one, "", nil)
					if lost := c.call(404, "GET", at+"/aaaaaaaaaaaaaaaa", "", nil); lost != there {
						t.Errorf("one that may not be read says %s, one that is not there %s", there, lost)
					}
				}
				if who.wrong {
					c.call(401, "GET", at, "", nil)
					c.call(401, "DELETE", one, "", nil)
					return
				}
				has := false
				for next := at + "?limit=100"; next != ""; {
					f := c.get(next)
					for _, o := range f.list(k.key) {
						has = has || o.(map[string]any)["id"] == own
					}
					next = f.text("links", "next")
				}
				if has != who.read {
					t.Errorf("whether the list has it is %v, want %v", has, who.read)
				}
				if k.kind == "buckets" || k.kind == "orgs" || k.kind == "telegrafs" {
					c.call(status(200, true), "GET", one+"/members", "", nil)
					c.call(status(201, who.write), "POST", one+"/owners", `{"id":"`+user+`"}`, nil)
					c.call(status(204, who.write), "DELETE", one+"/owners/"+user, "", nil)
				}
				if who.write {
					victim := own
					if !strings.Contains(who.name, "the one") {
						victim = make()
					} else {
						defer func() { own = make() }()
					}
					c.call(204, "DELETE", at+"/"+victim, "", nil)
					c.call(404, "GET", at+"/"+victim, "", nil)
					return
				}
				c.call(status(204, false), "DELETE", one, "", nil)
			})
		}
	}
}

// Of organisations and buckets that a token has nothing to do with, it cannot
// find out by writing whether they are there.
func TestWritesTellNothingOfOthers(t *testing.T) {
	b, admin := apiTrial(t)
	foreign := admin.make("/api/v2/orgs", `{"name":"foreign"}`)
	admin.make("/api/v2/buckets", `{"orgID":"`+foreign.text("id")+`","name":"theirs"}`)
	admin.make("/api/v2/buckets", `{"name":"hidden"}`)
	device := caller{t, admin.h, admin.make("/api/v2/authorizations", `{"permissions":[{"action":"write","resource":{"type":"buckets","id":"`+b.init.Bucket.String()+`"}}]}`).text("token")}
	device.call(204, "POST", "/api/v2/write", "m v=1", nil)
	for there, not := range map[string]string{
		"?bucket=hidden":             "?bucket=absent",
		"?org=foreign&bucket=theirs": "?org=nowhere&bucket=theirs",
		"?org=foreign&bucket=absent": "?org=nowhere&bucket=absent",
		"?org=foreign":               "?org=nowhere",
	} {
		a, z := device.call(404, "POST", "/api/v2/write"+there, "m v=1", nil), device.call(404, "POST", "/api/v2/write"+not, "m v=1", nil)
		if strings.NewReplacer("hidden", "absent", "foreign", "nowhere").Replace(a) != z {
			t.Errorf("%s says %s, %s says %s", there, a, not, z)
		}
	}
}
