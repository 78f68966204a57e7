package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/tombstone"
)

func TestParseCondition(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "measurement= field= true",
		"  ":                            "measurement= field= true",
		`host = "a"`:                    `measurement= field= host = "a"`,
		`host='a' AND rack=3`:           `measurement= field= (host = "a" and rack = "3")`,
		`"host" = "a b" and x != "y"`:   `measurement= field= (host = "a b" and not x = "y")`,
		`_measurement="cpu"`:            `measurement=cpu field= true`,
		`_measurement="cpu" AND a="b"`:  `measurement=cpu field= a = "b"`,
		`_field="u" AND _measurement=c`: `measurement=c field=u true`,
		`a="1" OR b="2" AND c="3"`:      `measurement= field= (a = "1" or (b = "2" and c = "3"))`,
		`(a="1" OR b="2") AND c="3"`:    `measurement= field= ((a = "1" or b = "2") and c = "3")`,
		`(_measurement=m AND a="1")`:    `measurement=m field= a = "1"`,
		`a =~ /^x\/y[0-9]+$/`:           `measurement= field= a =~ /^x/y[0-9]+$/`,
		`a !~ /x\d/`:                    `measurement= field= not a =~ /x\d/`,
		`a="q\"uote\\ \n"`:              "measurement= field= a = \"q\\\"uote\\\\ \\n\"",
		`straße="Köln"`:                 `measurement= field= straße = "Köln"`,
		`a=""`:                          `measurement= field= a = ""`,
	} {
		c, err := parseCondition(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := "measurement=" + c.Measurement + " field=" + c.Field + " " + c.Where.String(); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestParseConditionErrors(t *testing.T) {
	for text, want := range map[string]string{
		`host`:                               "at position 5: expected =, !=, =~ or !~",
		`host =`:                             "at position 7: expected a value",
		`host = "a`:                          "at position 8: a \" is not closed",
		`= "a"`:                              "at position 1: expected a tag key",
		`host = "a" rack = "b"`:              "at position 12: expected AND, OR or the end",
		`host = "a" AND`:                     "expected a tag key",
		`(host = "a"`:                        "expected )",
		`host = "a")`:                        "expected AND, OR or the end",
		`host =~ "a"`:                        "expected a regular expression",
		`host =~ /(/`:                        "missing closing )",
		`host > 3`:                           "unexpected",
		`_measurement != "cpu"`:              "_measurement can be compared by = only",
		`_measurement="a" OR _measurement=b`: "OR",
		`a="b" OR _field="x"`:                "_field cannot be an alternative of OR",
		`a="b" AND (_field="x" OR c="d")`:    "cannot be alternatives of OR",
		`_field="x" AND _field="y"`:          `_field cannot be "x" and "y" at once`,
		`_field=""`:                          "_field is empty",
		`a="\q"`:                             "unknown escape",
		strings.Repeat("(", 200) + "a=b" + strings.Repeat(")", 200): "nested deeper",
	} {
		if c, err := parseCondition(text); err == nil {
			t.Errorf("%s: no error but %+v", text, c)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestDelete(t *testing.T) {
	b := newRig(t, nil)
	w := call(b.api.Points(), http.MethodPost, "/api/v2/delete?org=acme&bucket=sensors",
		`{"start":"2026-01-01T00:00:00Z","stop":"2026-01-02T00:00:00.5Z","predicate":"_measurement=\"cpu\" AND _field=\"idle\" AND host=\"a\""}`, asAdmin)
	if w.Code != 204 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	got := b.store.deletes[0]
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	want := &tombstone.Tombstone{Bucket: 10, Measurement: "cpu", Min: start.UnixNano(),
		Max: start.Add(24*time.Hour + 500*time.Millisecond).UnixNano(), Where: got.Where, Fields: []string{"idle"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s := got.Where.String(); s != `host = "a"` {
		t.Errorf("condition %s", s)
	}
}

func TestDeleteErrors(t *testing.T) {
	whole := `{"start":"2026-01-01T00:00:00Z","stop":"2026-01-02T00:00:00Z"}`
	for _, c := range []struct {
		target, body, token string
		status              int
		message             string
	}{
		{"/api/v2/delete", whole, "x", 401, "unauthorized access"},
		{"/api/v2/delete?bucket=nope", whole, "admin", 404, `bucket "nope" not found`},
		{"/api/v2/delete?bucket=readable", whole, "device", 403, "insufficient permissions to delete"},
		{"/api/v2/delete", `{"stop":"2026-01-02T00:00:00Z"}`, "admin", 400, "invalid RFC3339Nano for field start"},
		{"/api/v2/delete", `{"start":"2026-01-02T00:00:00Z"}`, "admin", 400, "invalid RFC3339Nano for field stop"},
		{"/api/v2/delete", `{"start":"2026-01-02T00:00:00Z","stop":"2026-01-01T00:00:00Z"}`, "admin", 400, "stop is before start"},
		{"/api/v2/delete", `{"start":"0001-01-02T00:00:00Z","stop":"2026-01-01T00:00:00Z"}`, "admin", 400, "invalid start time"},
		{"/api/v2/delete", `{"start":`, "admin", 400, "error parsing request json"},
		{"/api/v2/delete", whole[:len(whole)-1] + `,"predicate":"a >"}`, "admin", 400, "error parsing predicate: at position 3"},
		{"/api/v2/delete", strings.Repeat(" ", maxRequestBytes+1), "admin", 413, "too large"},
	} {
		b := newRig(t, nil)
		w := call(b.api.Points(), http.MethodPost, c.target, c.body, "Authorization: Token "+c.token)
		var e struct{ Message string }
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
			t.Fatalf("%s: %v", w.Body, err)
		}
		if w.Code != c.status || !strings.Contains(e.Message, c.message) {
			t.Errorf("%.80s: status %d: %s; want %d: %s", c.body, w.Code, e.Message, c.status, c.message)
		}
		if len(b.store.deletes) > 0 {
			t.Errorf("%.80s: something was deleted", c.body)
		}
	}
}

func FuzzParseCondition(f *testing.F) {
	for _, s := range []string{"", `a="b"`, `_measurement="m" AND (a=~/x/ OR b!='c')`, `a="\"`, "((((", `_field=x AND _field=x`, "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCondition(s)
		if err != nil {
			return
		}
		// What was understood can be said and applied.
		ts := &tombstone.Tombstone{Measurement: c.Measurement, Where: c.Where}
		b, err := ts.Encode()
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if _, err := tombstone.Decode(b); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
	})
}
