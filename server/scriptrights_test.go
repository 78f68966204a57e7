package server

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
)

// script asks a script and returns status and body.
func (c caller) script(text string) (int, string) {
	body, _ := json.Marshal(map[string]string{"query": text})
	r := httptest.NewRequest("POST", "/api/v2/query", strings.NewReader(string(body)))
	r.Header.Set("Authorization", "Token "+c.token)
	w := httptest.NewRecorder()
	c.h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// A script that names an organisation of which its token may see nothing is told
// what it is told of one that is not there, and nothing in it can be had by its id.
func TestScriptsSeeNoOtherOrganisation(t *testing.T) {
	b, admin := apiTrial(t)
	home := b.init.Org.String()
	other := admin.make("/api/v2/orgs", `{"name":"other"}`).text("id")
	hidden := admin.make("/api/v2/buckets", `{"orgID":"`+other+`","name":"hidden"}`).text("id")
	admin.call(204, "PATCH", "/api/v2/orgs/"+other+"/secrets", `{"key":"value"}`, nil)
	admin.call(204, "PATCH", "/api/v2/orgs/"+home+"/secrets", `{"key":"value"}`, nil)
	reader := caller{t, admin.h, admin.make("/api/v2/authorizations", grants(home, grant("read", "buckets", "", home))).text("token")}

	for _, form := range []string{
		`buckets(org: "ORG")`,
		`import "influxdata/influxdb/v1" v1.databases(org: "ORG")`,
		`from(bucket: "hidden", org: "ORG") |> range(start: 0)`,
		`from(bucketID: "` + hidden + `", org: "ORG") |> range(start: 0)`,
		`import "array" array.from(rows: [{_time: now(), _measurement: "m", _field: "f", _value: 1.0}]) |> to(bucket: "hidden", org: "ORG")`,
	} {
		status, body := reader.script(strings.ReplaceAll(form, "ORG", "other"))
		wantStatus, want := reader.script(strings.ReplaceAll(form, "ORG", "nobod"))
		if status != wantStatus || strings.ReplaceAll(body, "other", "nobod") != want {
			t.Errorf("%s\nof another organisation: %d %s\nof none: %d %s", form, status, body, wantStatus, want)
		}
	}
	for _, script := range []string{
		`from(bucketID: "` + hidden + `") |> range(start: 0)`,
		`from(bucket: "` + hidden + `") |> range(start: 0)`,
		`import "influxdata/influxdb/schema" schema.measurements(bucket: "hidden")`,
		`import "influxdata/influxdb/secrets" import "array" array.from(rows: [{x: secrets.get(key: "key")}])`,
	} {
		if status, body := reader.script(script); status != 404 && !(status == 400 && strings.Contains(script, "secrets")) || strings.Contains(body, "value") {
			t.Errorf("%s\n%d %s", script, status, body)
		}
	}
}
