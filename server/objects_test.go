package server

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

func (c caller) get(target string) form {
	c.t.Helper()
	var f form
	c.call(200, "GET", target, "", &f)
	return f
}

func TestOrgs(t *testing.T) {
	_, admin := apiTrial(t)
	o := admin.make("/api/v2/orgs", `{"name":"acme","description":"who makes everything"}`)
	self := o.text("links", "self")
	if o.text("name") != "acme" || self != "/api/v2/orgs/"+o.text("id") || o.text("createdAt") == "" {
		t.Errorf("made %v", o)
	}
	admin.call(422, "POST", "/api/v2/orgs", `{"name":"acme"}`, nil)
	admin.call(422, "POST", "/api/v2/orgs", `{"name":""}`, nil)
	var f form
	admin.call(200, "PATCH", self, `{"name":"acme ltd","description":"more"}`, &f)
	if f.text("name") != "acme ltd" || f.text("description") != "more" {
		t.Errorf("changed to %v", f)
	}
	admin.call(404, "GET", "/api/v2/orgs?org=acme", "", nil)
	if l := admin.get("/api/v2/orgs?org=acme%20ltd").list("orgs"); len(l) != 1 {
		t.Errorf("by name: %v", l)
	}
	// Who makes one owns it.
	if owners := admin.get(self + "/owners").list("users"); len(owners) != 1 || owners[0].(map[string]any)["role"] != "owner" {
		t.Errorf("owners are %v", owners)
	}
	u := admin.make("/api/v2/users", `{"name":"ada"}`)
	m := admin.make(self+"/members", `{"id":"`+u.text("id")+`","name":"ada"}`)
	if m.text("role") != "member" || m.text("id") != u.text("id") || m.text("name") != "ada" {
		t.Errorf("the member is %v", m)
	}
	admin.make(self+"/members", `{"id":"`+u.text("id")+`"}`) // once more changes nothing
	if members := admin.get(self + "/members").list("users"); len(members) != 1 {
		t.Errorf("members are %v", members)
	}
	if l := admin.get("/api/v2/orgs?userID=" + u.text("id")).list("orgs"); len(l) != 1 {
		t.Errorf("organisations of the user: %v", l)
	}
	if l := admin.get("/api/v2/orgs?userID=aaaaaaaaaaaaaaaa").list("orgs"); len(l) != 0 {
		t.Errorf("organisations of nobody: %v", l)
	}
	admin.call(404, "POST", self+"/members", `{"id":"aaaaaaaaaaaaaaaa"}`, nil)
	admin.call(400, "POST", self+"/members", `{"id":"x"}`, nil)
	admin.call(204, "DELETE", self+"/members/"+u.text("id"), "", nil)
	admin.call(404, "DELETE", self+"/members/"+u.text("id"), "", nil)

	admin.call(204, "PATCH", self+"/secrets", `{"mail":"s3cret","sms":"other"}`, nil)
	if text := admin.call(200, "GET", self+"/secrets", "", nil); !strings.Contains(text, `["mail","sms"]`) || strings.Contains(text, "s3cret") {
		t.Errorf("secrets are %s", text)
	}
	admin.call(204, "POST", self+"/secrets/delete", `{"secrets":["mail"]}`, nil)
	admin.call(404, "POST", self+"/secrets/mail", `{"secrets":["mail"]}`, nil)
	admin.call(204, "DELETE", self+"/secrets/sms", "", nil)
	if l := admin.get(self + "/secrets").list("secrets"); len(l) != 0 {
		t.Errorf("secrets are %v", l)
	}

	// What an organisation has goes with it.
	org := `"orgID":"` + o.text("id") + `"`
	bucket := admin.make("/api/v2/buckets", `{`+org+`,"name":"b"}`)
	label := admin.make("/api/v2/labels", `{`+org+`,"name":"l"}`)["label"].(map[string]any)
	auth := admin.make("/api/v2/authorizations", `{`+org+`,"permissions":[{"action":"write","resource":{"type":"buckets","orgID":"`+o.text("id")+`"}}]}`)
	device := caller{t, admin.h, auth.text("token")}
	device.call(204, "POST", "/api/v2/write?bucket=b", "m v=1", nil)
	admin.call(204, "DELETE", self, "", nil)
	admin.call(404, "GET", self, "", nil)
	admin.call(404, "GET", "/api/v2/buckets/"+bucket.text("id"), "", nil)
	admin.call(404, "GET", "/api/v2/labels/"+label["id"].(string), "", nil)
	device.call(401, "POST", "/api/v2/write?bucket=b", "m v=1", nil)
	admin.call(404, "GET", "/api/v2/buckets?org=acme%20ltd", "", nil)
	again := admin.make("/api/v2/orgs", `{"name":"acme ltd"}`)
	if l := admin.get(again.text("links", "self") + "/secrets").list("secrets"); len(l) != 0 || again.text("id") == o.text("id") {
		t.Errorf("the name made anew has %v", l)
	}
}

func TestPagesOfOrgs(t *testing.T) {
	_, admin := apiTrial(t)
	for i := range 24 {
		admin.make("/api/v2/orgs", `{"name":"org-`+string(rune('a'+i))+`"}`)
	}
	var counts []int
	for next := "/api/v2/orgs"; next != ""; {
		f := admin.get(next)
		counts = append(counts, len(f.list("orgs")))
		next = f.text("links", "next")
	}
	if !slices.Equal(counts, []int{20, 5}) {
		t.Errorf("pages have %v", counts)
	}
	if n := len(admin.get("/api/v2/orgs?limit=100").list("orgs")); n != 25 {
		t.Errorf("a page of 100 has %d", n)
	}
}

func TestLabels(t *testing.T) {
	b, admin := apiTrial(t)
	org := b.init.Org.String()
	one := admin.make("/api/v2/labels", `{"orgID":"`+org+`","name":"Active State","properties":{"color":"#33ffdd","description":"x"}}`)
	id := one.text("label", "id")
	if one.text("label", "properties", "color") != "#33ffdd" || one.text("links", "self") != "/api/v2/labels/"+id {
		t.Errorf("made %v", one)
	}
	admin.call(422, "POST", "/api/v2/labels", `{"orgID":"`+org+`","name":"Active State"}`, nil)
	var f form
	admin.call(200, "PATCH", "/api/v2/labels/"+id, `{"properties":{"color":"","description":""}}`, &f)
	if _, ok := f["label"].(map[string]any)["properties"]; ok || f.text("label", "name") != "Active State" {
		t.Errorf("changed to %v", f)
	}
	at := "/api/v2/buckets/" + b.init.Bucket.String()
	put := admin.make(at+"/labels", `{"labelID":"`+id+`"}`)
	if put.text("label", "name") != "Active State" {
		t.Errorf("put on the bucket: %v", put)
	}
	if l := admin.get(at + "/labels").list("labels"); len(l) != 1 {
		t.Errorf("labels of the bucket: %v", l)
	}
	if l := admin.get(at).list("labels"); len(l) != 1 {
		t.Errorf("the bucket shows %v", l)
	}
	// One of another organisation cannot be put on.
	other := admin.make("/api/v2/orgs", `{"name":"other"}`)
	foreign := admin.make("/api/v2/labels", `{"orgID":"`+other.text("id")+`","name":"x"}`)
	admin.call(404, "POST", at+"/labels", `{"labelID":"`+foreign.text("label", "id")+`"}`, nil)
	if l := admin.get("/api/v2/labels?orgID=" + org).list("labels"); len(l) != 1 {
		t.Errorf("labels are %v", l)
	}
	admin.call(204, "DELETE", at+"/labels/"+id, "", nil)
	admin.call(404, "DELETE", at+"/labels/"+id, "", nil)
	admin.make(at+"/labels", `{"labelID":"`+id+`"}`)
	admin.call(204, "DELETE", "/api/v2/labels/"+id, "", nil)
	admin.call(404, "DELETE", "/api/v2/labels/"+id, "", nil)
	if l := admin.get(at + "/labels").list("labels"); len(l) != 0 {
		t.Errorf("a deleted label is still on the bucket: %v", l)
	}
}

func TestVariables(t *testing.T) {
	_, admin := apiTrial(t)
	v := admin.make("/api/v2/variables", `{"name":"city","selected":["Kyiv"],"arguments":{"type":"map","values":{"a":"1","b":"2"}}}`)
	self := v.text("links", "self")
	if v.text("arguments", "type") != "map" || v.text("arguments", "values", "b") != "2" || len(v.list("selected")) != 1 {
		t.Errorf("made %v", v)
	}
	admin.call(422, "POST", "/api/v2/variables", `{"name":"city"}`, nil)
	for _, bad := range []string{`{"type":"bash","values":[]}`, `{"type":"map"}`, `7`} {
		admin.call(400, "POST", "/api/v2/variables", `{"name":"x","arguments":`+bad+`}`, nil)
	}
	whole := admin.call(200, "GET", self, "", nil)
	var f form
	admin.call(200, "PUT", self, whole, &f)
	admin.call(200, "PATCH", self, `{"arguments":{"type":"query","values":{"query":"buckets()","language":"flux"}}}`, &f)
	if f.text("arguments", "values", "language") != "flux" || f.text("name") != "city" {
		t.Errorf("changed to %v", f)
	}
	if l := admin.get("/api/v2/variables?org=main").list("variables"); len(l) != 1 {
		t.Errorf("variables are %v", l)
	}
	admin.call(204, "DELETE", self, "", nil)
	admin.call(404, "GET", self, "", nil)
}

func TestCollectors(t *testing.T) {
	_, admin := apiTrial(t)
	c := admin.make("/api/v2/telegrafs", `{"name":"hosts","description":"d","config":"[[inputs.cpu]]\n","metadata":{"buckets":["b"]}}`)
	self := c.text("links", "self")
	if w := admin.do("GET", self, "", "Accept: application/toml"); w.Body.String() != "[[inputs.cpu]]\n" || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/toml") {
		t.Errorf("as TOML: %v %s", w.Header(), w.Body)
	}
	if f := admin.get(self); f.text("config") != "[[inputs.cpu]]\n" || f["metadata"].(map[string]any)["buckets"] == nil {
		t.Errorf("got %v", f)
	}
	admin.call(200, "PUT", self, `{"name":"hosts","config":"[agent]"}`, nil)
	if l := admin.get("/api/v2/telegrafs").list("configurations"); len(l) != 1 || l[0].(map[string]any)["config"] != "[agent]" {
		t.Errorf("configurations are %v", l)
	}
	admin.call(204, "DELETE", self, "", nil)
}

func TestDatabases(t *testing.T) {
	b, admin := apiTrial(t)
	org, mapped := b.init.Org.String(), admin.make("/api/v2/buckets", `{"name":"mapped"}`)
	admin.make("/api/v2/buckets", `{"name":"db/rp"}`)
	names := func(query string) string {
		t.Helper()
		var all []string
		for _, d := range admin.get("/api/v2/dbrps?orgID=" + org + query).list("content") {
			d := d.(map[string]any)
			name := d["database"].(string) + "/" + d["retention_policy"].(string)
			if d["default"] == true {
				name += "*"
			}
			if d["virtual"] == true {
				name = "(" + name + ")"
			}
			all = append(all, name)
		}
		return strings.Join(all, " ")
	}
	if got := names(""); got != "(db/rp) (default/autogen*) (mapped/autogen*)" {
		t.Errorf("names of buckets stand for %q", got)
	}
	made := admin.make("/api/v2/dbrps", `{"orgID":"`+org+`","database":"telegraf","retention_policy":"week","bucketID":"`+mapped.text("id")+`"}`)
	if made["default"] != true || made.text("bucketID") != mapped.text("id") || made["virtual"] != false {
		t.Errorf("made %v", made)
	}
	second := admin.make("/api/v2/dbrps", `{"org":"main","database":"telegraf","retention_policy":"year","bucketID":"`+b.init.Bucket.String()+`"}`)
	if got := names("&db=telegraf"); got != "telegraf/week* telegraf/year" {
		t.Errorf("mapped %q", got)
	}
	admin.call(422, "POST", "/api/v2/dbrps", `{"database":"telegraf","retention_policy":"year","bucketID":"`+mapped.text("id")+`"}`, nil)
	admin.call(404, "POST", "/api/v2/dbrps", `{"database":"x","retention_policy":"year","bucketID":"aaaaaaaaaaaaaaaa"}`, nil)
	var f form
	admin.call(200, "PATCH", "/api/v2/dbrps/"+second.text("id"), `{"default":true}`, &f)
	if f["content"].(map[string]any)["default"] != true || names("&db=telegraf") != "telegraf/week telegraf/year*" || names("&default=true&db=telegraf") != "telegraf/year*" {
		t.Errorf("the default is %v of %q", f, names("&db=telegraf"))
	}

	// A record goes before names, for writes of clients of InfluxDB 1 too.
	write := func(status int, query string) {
		t.Helper()
		admin.call(status, "POST", "/write?"+query, "m v=1", nil)
	}
	write(404, "db=telegraf&rp=none")
	write(204, "db=telegraf&rp=week")
	write(204, "db=telegraf")
	write(204, "db=db&rp=rp")
	write(404, "db=db")
	write(204, "db=default")
	write(204, "db=default&rp=autogen")
	admin.make("/api/v2/dbrps", `{"database":"default","retention_policy":"autogen","bucketID":"`+mapped.text("id")+`"}`)
	if got := names("&db=default"); got != "default/autogen*" {
		t.Errorf("a record beside a name: %q", got)
	}
	if ids := b.meta.FindDatabase(b.init.Org, "default", ""); len(ids) != 2 || ids[0].String() != mapped.text("id") {
		t.Errorf("the database means %v", ids)
	}

	// It goes with its bucket; what only a name stands for cannot be deleted.
	virtual := admin.get("/api/v2/dbrps?db=db").list("content")[0].(map[string]any)
	admin.call(200, "GET", "/api/v2/dbrps/"+virtual["id"].(string), "", nil)
	admin.call(404, "DELETE", "/api/v2/dbrps/"+virtual["id"].(string), "", nil)
	admin.call(204, "DELETE", mapped.text("links", "self"), "", nil)
	if got := names("&db=telegraf"); got != "telegraf/year*" {
		t.Errorf("without the bucket: %q", got)
	}
	admin.call(204, "DELETE", "/api/v2/dbrps/"+second.text("id"), "", nil)
	write(404, "db=telegraf")
}

// The audit log has every change with who made it, and no secret.
func TestAudit(t *testing.T) {
	b, admin := apiTrial(t)
	u := admin.make("/api/v2/users", `{"name":"ada"}`)
	admin.call(204, "POST", "/api/v2/users/"+u.text("id")+"/password", `{"password":"s3cret password"}`, nil)
	admin.make("/api/v2/orgs/"+b.init.Org.String()+"/owners", `{"id":"`+u.text("id")+`"}`)
	ada := signedIn(t, admin, "ada", "s3cret password")
	ada.must(201, "POST", "/api/v2/buckets", `{"name":"hall","retentionRules":[{"everySeconds":3600}]}`)
	ada.must(204, "PATCH", "/api/v2/orgs/"+b.init.Org.String()+"/secrets", `{"mail":"s3cret value"}`)
	ada.must(201, "POST", "/api/v2/telegrafs", `{"name":"t","config":"token = \"s3cret config\""}`)
	auth := admin.make("/api/v2/authorizations", `{"description":"device","permissions":[{"action":"write","resource":{"type":"buckets","name":"hall"}}]}`)
	admin.call(200, "PATCH", auth.text("links", "self"), `{"status":"inactive"}`, nil)
	admin.call(204, "DELETE", auth.text("links", "self"), "", nil)
	text := admin.call(200, "GET", "/api/v1/audit", "", nil)
	for _, secret := range []string{"s3cret", auth.text("token"), "argon2"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %q: %s", secret, text)
		}
	}
	var got []string
	for line := range strings.Lines(text) {
		var e struct {
			Time               time.Time
			By                 map[string]string
			Action, Kind, Name string
			Set                map[string]json.RawMessage
		}
		decode(t, line, &e)
		got = append(got, strings.TrimSpace(e.By["name"]+" "+e.Action+" "+e.Kind+" "+e.Name))
		if e.By["name"] != "server" && (e.By["user"] == "" || e.By["address"] != "192.0.2.1" || e.By["request"] == "" || e.By["token"] == "" && e.By["session"] == "" && e.Kind != "session") {
			t.Errorf("by is %v in %s", e.By, line)
		}
		if e.Kind == "token" && e.Action == "create" && !strings.Contains(string(e.Set["permissions"]), "write") {
			t.Errorf("the permissions of the token are not told: %s", line)
		}
	}
	slices.Sort(got) // the clock of the test stands still
	want := []string{"ada create bucket hall", "ada create collector t", "ada create secret mail", "ada create session", "admin change token device", "admin change user ada",
		"admin create link owner of " + b.init.Org.String(), "admin create token device", "admin create user ada", "admin delete token device", "server create store main"}
	if !slices.Equal(got, want) {
		t.Errorf("the log has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if text := admin.call(200, "GET", "/api/v1/audit?start=2020-01-01&stop=2020-02-01", "", nil); text != "" {
		t.Errorf("of another month: %s", text)
	}
	admin.call(400, "GET", "/api/v1/audit?start=x", "", nil)
	admin.call(400, "GET", "/api/v1/audit?start=1000-01-01", "", nil)

	b.at = b.at.AddDate(0, 0, 399)
	if err := b.meta.ForgetAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
	last := admin.call(200, "GET", "/api/v1/audit?start=2027-01-01", "", nil)
	b.at = b.at.AddDate(0, 0, 2)
	if err := b.meta.ForgetAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rest := admin.call(200, "GET", "/api/v1/audit?start=2027-01-01", "", nil); last == "" || rest != "" {
		t.Errorf("after 399 days %q, after 401 %q", last, rest)
	}
}
