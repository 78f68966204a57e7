package server

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/meta"
)

// caller makes requests of the points port with a token.
type caller struct {
	t     testing.TB
	h     http.Handler
	token string
}

// apiTrial is a trial with an API, and a caller who may do everything.
func apiTrial(t *testing.T) (*trial, caller) {
	t.Helper()
	c := Default()
	c.AdminToken = "admin"
	b := openTrial(t, t.TempDir(), c)
	t.Cleanup(b.shut)
	if err := b.openAPI(); err != nil {
		t.Fatal(err)
	}
	return b, caller{t, b.api.Points(), "admin"}
}

// call makes a request and, if into is given, decodes the answer.
func (c caller) call(status int, method, target, body string, into any) string {
	c.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if c.token != "" {
		r.Header.Set("Authorization", "Token "+c.token)
	}
	w := httptest.NewRecorder()
	c.h.ServeHTTP(w, r)
	if w.Code != status {
		c.t.Fatalf("%s %s %s: status %d, want %d: %s", method, target, body, w.Code, status, w.Body)
	}
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			c.t.Fatalf("%s %s: %v in %s", method, target, err, w.Body)
		}
	}
	return w.Body.String()
}

type gotBucket struct {
	ID, OrgID, Name, Description, Compression string
	RetentionRules                            []struct{ EverySeconds, ShardGroupDurationSeconds int64 }
	PartitionSeconds                          int64
	Links                                     map[string]string
}

type gotBuckets struct {
	Buckets []gotBucket
	Links   map[string]string
}

func (l gotBuckets) names() string {
	var all []string
	for _, b := range l.Buckets {
		all = append(all, b.Name)
	}
	return strings.Join(all, " ")
}

func TestBucketLife(t *testing.T) {
	_, c := apiTrial(t)
	var b gotBucket
	c.call(201, "POST", "/api/v2/buckets", `{"name":"sensors","description":"of the hall",
		"retentionRules":[{"type":"expire","everySeconds":86400}],"compression":"best"}`, &b)
	if len(b.ID) != 16 || b.Name != "sensors" || b.Description != "of the hall" || b.Compression != "best" || b.PartitionSeconds != 0 ||
		b.RetentionRules[0].EverySeconds != 86400 || b.RetentionRules[0].ShardGroupDurationSeconds != 3600 {
		t.Errorf("made %+v", b)
	}
	self := b.Links["self"]
	var again gotBucket
	c.call(200, "GET", self, "", &again)
	if again.ID != b.ID || again.Name != b.Name {
		t.Errorf("got %+v", again)
	}
	// An object that comes back as it was shown changes nothing.
	whole := c.call(200, "GET", self, "", nil)
	c.call(200, "PATCH", self, whole, &again)
	if again.PartitionSeconds != 0 {
		t.Errorf("sent back as it was, the partition length is no longer derived: %+v", again)
	}
	c.call(200, "PATCH", self, `{"name":"hall","retentionRules":[{"type":"expire","everySeconds":0}],"partitionSeconds":7200,"compression":""}`, &again)
	if again.Name != "hall" || again.Description != "of the hall" || again.RetentionRules[0].EverySeconds != 0 ||
		again.RetentionRules[0].ShardGroupDurationSeconds != 7200 || again.PartitionSeconds != 7200 || again.Compression != "balanced" {
		t.Errorf("changed to %+v", again)
	}
	c.call(200, "PATCH", self, `{"retentionRules":[{"everySeconds":172800,"shardGroupDurationSeconds":60}]}`, &again)
	var in struct {
		Retention, Partition struct {
			Seconds    int64
			Text, From string
		}
		Compression struct{ Level, From string }
		KeepsFrom   time.Time
	}
	c.call(200, "GET", b.Links["config"], "", &in)
	if in.Retention.Seconds != 172800 || in.Retention.From != "bucket" || in.Partition.Seconds != 60 || in.Partition.From != "bucket" ||
		in.Compression.Level != "balanced" || in.Compression.From != "default" || in.KeepsFrom.Unix() != 1_800_000_000-86400 {
		// A shorter retention was in force first; what it left is the floor.
		t.Errorf("in force is %+v", in)
	}
	c.call(204, "DELETE", self, "", nil)
	c.call(404, "GET", self, "", nil)
	c.call(404, "DELETE", self, "", nil)
}

func TestBucketRefusals(t *testing.T) {
	_, c := apiTrial(t)
	var l gotBuckets
	c.call(200, "GET", "/api/v2/buckets?name=default", "", &l)
	self := "/api/v2/buckets/" + l.Buckets[0].ID
	for _, test := range []struct {
		method, target, body string
		status               int
		code, message        string
	}{
		{"POST", "/api/v2/buckets", `{"name":"default"}`, 422, "conflict", "bucket with name default already exists"},
		{"POST", "/api/v2/buckets", `{"name":"_x"}`, 422, "unprocessable entity", "may not start with underscore"},
		{"POST", "/api/v2/buckets", `{"name":"a\"b"}`, 422, "unprocessable entity", "may not include quotation marks"},
		{"POST", "/api/v2/buckets", `{}`, 422, "unprocessable entity", "bucket name is empty"},
		{"POST", "/api/v2/buckets", `{`, 400, "invalid", "error parsing request json"},
		{"POST", "/api/v2/buckets", `{"name":"x","orgID":"00000000000000ff"}`, 404, "not found", "organization"},
		{"POST", "/api/v2/buckets", `{"name":"x","retentionRules":[{"everySeconds":-1}]}`, 422, "unprocessable entity", "everySeconds is -1"},
		{"POST", "/api/v2/buckets", `{"name":"x","retentionRules":[{"everySeconds":9223372036854775807}]}`, 422, "unprocessable entity", "want 0 to 9223372036"},
		{"POST", "/api/v2/buckets", `{"name":"x","retentionRules":[{"type":"downsample","everySeconds":1}]}`, 422, "unprocessable entity", "expire"},
		{"POST", "/api/v2/buckets", `{"name":"x","partitionSeconds":1}`, 422, "unprocessable entity", "at least 1m0s"},
		{"POST", "/api/v2/buckets", `{"name":"x","compression":"zip"}`, 422, "unprocessable entity", "want none, fast, balanced or best"},
		{"PATCH", self, `{"name":"_x"}`, 422, "unprocessable entity", "underscore"},
		{"GET", "/api/v2/buckets/xyz", "", 400, "invalid", "16 lower-case hexadecimal digits"},
		{"GET", "/api/v2/buckets/00000000000000ff", "", 404, "not found", "bucket not found"},
		{"GET", "/api/v2/buckets?limit=0", "", 400, "invalid", "1 to 100"},
		{"GET", "/api/v2/buckets?offset=x", "", 400, "invalid", "offset"},
		{"GET", "/api/v2/buckets?org=nobody", "", 404, "not found", "nobody"},
		{"GET", "/api/v2/orgs?org=nobody", "", 404, "not found", "nobody"},
		{"PUT", self, "{}", 405, "method not allowed", "PATCH"},
	} {
		var e struct{ Code, Message string }
		c.call(test.status, test.method, test.target, test.body, &e)
		if e.Code != test.code || !strings.Contains(e.Message, test.message) {
			t.Errorf("%s %s %s: %+v, want %s with %q", test.method, test.target, test.body, e, test.code, test.message)
		}
	}
}

func TestBucketPages(t *testing.T) {
	_, c := apiTrial(t)
	want := map[string]bool{"default": true}
	for _, name := range strings.Fields("a b c d e") {
		c.call(201, "POST", "/api/v2/buckets", `{"name":"`+name+`"}`, nil)
		want[name] = true
	}
	next, pages := "/api/v2/buckets?limit=4", 0
	for ; next != ""; pages++ {
		var l gotBuckets
		c.call(200, "GET", next, "", &l)
		for _, b := range l.Buckets {
			if !want[b.Name] {
				t.Errorf("bucket %q is there twice", b.Name)
			}
			delete(want, b.Name)
		}
		if next = l.Links["next"]; next == "" {
			var back gotBuckets
			c.call(200, "GET", l.Links["prev"], "", &back)
			if len(back.Buckets) != 4 {
				t.Errorf("the page before has %q", back.names())
			}
		}
	}
	if pages != 2 || len(want) != 0 {
		t.Errorf("%d pages, without %v", pages, want)
	}
	var all, rest gotBuckets
	c.call(200, "GET", "/api/v2/buckets?org=main", "", &all)
	c.call(200, "GET", "/api/v2/buckets?after="+all.Buckets[2].ID, "", &rest)
	if len(all.Buckets) != 6 || len(rest.Buckets) != 3 || rest.Buckets[0].ID != all.Buckets[3].ID {
		t.Errorf("behind the third of %q come %q", all.names(), rest.names())
	}
	c.call(200, "GET", "/api/v2/buckets?id="+all.Buckets[1].ID, "", &rest)
	if rest.names() != all.Buckets[1].Name {
		t.Errorf("by id came %q", rest.names())
	}
	c.call(200, "GET", "/api/v2/buckets?name=nothing", "", &rest)
	if len(rest.Buckets) != 0 {
		t.Errorf("by an unknown name came %q", rest.names())
	}
}

func TestBucketPermissions(t *testing.T) {
	b, admin := apiTrial(t)
	ctx := context.Background()
	var mine, hidden gotBucket
	admin.call(201, "POST", "/api/v2/buckets", `{"name":"mine"}`, &mine)
	admin.call(201, "POST", "/api/v2/buckets", `{"name":"hidden"}`, &hidden)
	id, err := meta.ParseID(mine.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := b.meta.CreateToken(ctx, meta.Token{OrgID: b.init.Org, Permissions: []meta.Permission{
		{Action: meta.Read, Resource: meta.ResourceBuckets, ID: id}, {Action: meta.Write, Resource: meta.ResourceBuckets, ID: id}}})
	if err != nil {
		t.Fatal(err)
	}
	reader := caller{t, admin.h, secret}
	var l gotBuckets
	reader.call(200, "GET", "/api/v2/buckets", "", &l)
	if l.names() != "mine" {
		t.Errorf("the reader sees %q", l.names())
	}
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		reader.call(404, method, hidden.Links["self"], "{}", nil)
	}
	reader.call(404, "GET", hidden.Links["config"], "", nil)
	reader.call(200, "GET", mine.Links["self"], "", nil)
	reader.call(403, "PATCH", mine.Links["self"], "{}", nil)
	reader.call(403, "DELETE", mine.Links["self"], "", nil)
	reader.call(403, "POST", "/api/v2/buckets", `{"name":"x"}`, nil)
	var orgs struct{ Orgs []struct{ ID, Name string } }
	reader.call(200, "GET", "/api/v2/orgs", "", &orgs)
	if len(orgs.Orgs) != 0 {
		t.Errorf("one who may read a bucket only sees organisations %+v", orgs)
	}
	for _, wrong := range []string{"", "wrong"} {
		nobody := caller{t, admin.h, wrong}
		nobody.call(401, "GET", "/api/v2/buckets", "", nil)
		nobody.call(401, "POST", "/api/v2/buckets", "{}", nil)
		nobody.call(401, "GET", mine.Links["self"], "", nil)
		nobody.call(401, "PATCH", mine.Links["self"], "{}", nil)
		nobody.call(401, "DELETE", mine.Links["self"], "", nil)
		nobody.call(401, "GET", "/api/v2/orgs", "", nil)
	}
}

// TestDeletedBucketLeavesTheDisk looks for a text that only the deleted bucket
// had in every segment. (The log gives way to a new file once it has some size,
// the catalog uses freed pages again when it needs them.)
func TestDeletedBucketLeavesTheDisk(t *testing.T) {
	b, c := apiTrial(t)
	var bucket gotBucket
	c.call(201, "POST", "/api/v2/buckets", `{"name":"secret","compression":"none"}`, &bucket)
	write := func(text string) {
		c.call(204, "POST", "/api/v2/write?bucket="+bucket.ID, `m,`+text+`=x f=1i`, nil)
	}
	found := func(text string) (files []string) {
		err := filepath.WalkDir(b.config.DataDir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(name) != ".seg" {
				return err
			}
			content, err := os.ReadFile(name)
			if strings.Contains(string(content), text) {
				files = append(files, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	write("flushedsecret")
	if err := b.store.Settle(b.ctx); err != nil {
		t.Fatal(err)
	}
	if len(found("flushedsecret")) == 0 {
		t.Fatal("the test does not see what is stored")
	}
	write("memorysecret")
	c.call(204, "DELETE", bucket.Links["self"], "", nil)
	c.call(404, "POST", "/api/v2/write?bucket="+bucket.ID, "m f=1", nil)
	if err := b.store.Settle(b.ctx); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"flushedsecret", "memorysecret"} {
		if files := found(text); len(files) > 0 {
			t.Errorf("%s is still in %q", text, files)
		}
	}
}
