package meta_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/meta"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file of TestFormat anew")

// TestFormat pins the records of FORMAT.md.
func TestFormat(t *testing.T) {
	ctx, c, s := newStore(t)
	o := initOptions(t)
	o.AdminToken, o.Retention = "secret", 48*time.Hour
	r := ensureInit(t, s, o)
	if _, _, err := s.CreateToken(ctx, meta.Token{OrgID: r.Org, UserID: r.User, Description: "sensors", DefaultBucket: r.Bucket, Status: meta.Inactive,
		Permissions: []meta.Permission{{Action: meta.Write, Resource: meta.ResourceBuckets, ID: r.Bucket}, {Action: meta.Read, Resource: meta.ResourceOrgs, Everywhere: true}}}); err != nil {
		t.Fatal(err)
	}
	label, err := s.Labels.Create(ctx, meta.Label{OrgID: r.Org, Name: "hall 7", Properties: map[string]string{"color": "red"}})
	must(t, err)
	must(t, s.Tie(ctx, meta.Link{From: label.ID, Role: meta.Labeled, Resource: r.Bucket, ResourceKind: meta.ResourceBuckets}))
	_, err = s.Variables.Create(ctx, meta.Variable{OrgID: r.Org, Name: "city", Selected: []string{"Kyiv"}, Arguments: []byte(`{"type":"constant","values":["Kyiv"]}`)})
	must(t, err)
	_, err = s.MapDatabase(ctx, meta.Database{OrgID: r.Org, Database: "db", Policy: "rp", Bucket: r.Bucket})
	must(t, err)
	_, err = s.Collectors.Create(ctx, meta.Collector{OrgID: r.Org, Name: "hosts", Config: "[agent]", Metadata: []byte(`{"buckets":[]}`)})
	must(t, err)
	must(t, s.SetSecret(ctx, r.Org, "mail", "value"))
	must(t, s.SetPassword(ctx, r.User, "correct horse"))
	founder, _ := s.Users.Get(r.User)
	_, _, err = s.SignIn(ctx, founder)
	must(t, err)
	schema := openSchema(t, c)
	register(t, schema, uint64(r.Bucket), meta.Column{"cpu load", "host", meta.Tag}, meta.Column{"cpu load", strings.Repeat("x", 513), float})
	records, _, err := c.List(ctx, "")
	must(t, err)
	var dump strings.Builder
	for _, r := range records {
		fmt.Fprintf(&dump, "%s %q\n", r.Key, r.Value)
	}
	if *rewrite {
		must(t, os.WriteFile("testdata/format2.txt", []byte(dump.String()), 0o644))
	}
	golden, err := os.ReadFile("testdata/format2.txt")
	must(t, err)
	if dump.String() != string(golden) {
		t.Errorf("the catalog holds\n%s\nwant\n%s", &dump, golden)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestFormer opens records of the version before there were users: everything
// is there, and the admin's token belongs to somebody from then on.
func TestFormer(t *testing.T) {
	ctx := t.Context()
	c := openCatalog(t, filepath.Join(t.TempDir(), "catalog"))
	golden, err := os.ReadFile("testdata/format1.txt")
	must(t, err)
	for line := range strings.Lines(string(golden)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		text, err := strconv.Unquote(value)
		must(t, err)
		_, err = catalog.Put(ctx, c, key, []byte(text), 0)
		must(t, err)
	}
	s := openStore(t, c)
	o := initOptions(t)
	r := ensureInit(t, s, o)
	if r.First || r.User == 0 {
		t.Errorf("the store began with %+v", r)
	}
	who, ok := s.ByToken("secret")
	if !ok || who.User.ID != r.User || !who.Token.All || who.User.Name != "admin" {
		t.Errorf("the admin is %+v", who)
	}
	if again := ensureInit(t, s, o); again != r {
		t.Errorf("the next start gives %+v, want %+v", again, r)
	}
	sensors := s.Tokens(r.Org)
	b, _ := s.Bucket(r.Bucket)
	if len(sensors) != 2 || !sensors[1].Allows(meta.Write, &b) || sensors[1].Allows(meta.Read, &b) {
		t.Errorf("tokens are %+v", sensors)
	}
}
