package meta_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/meta"
)

// TestFormat pins the records of FORMAT.md.
func TestFormat(t *testing.T) {
	ctx, c, s := newStore(t)
	o := initOptions(t)
	o.AdminToken, o.Retention = "secret", 48*time.Hour
	r := ensureInit(t, s, o)
	if _, _, err := s.CreateToken(ctx, meta.Token{OrgID: r.Org, Description: "sensors", DefaultBucket: r.Bucket,
		Permissions: []meta.Permission{{Action: meta.Write, Resource: meta.ResourceBuckets, ID: r.Bucket}}}); err != nil {
		t.Fatal(err)
	}
	schema := openSchema(t, c)
	register(t, schema, uint64(r.Bucket), meta.Column{"cpu load", "host", meta.Tag}, meta.Column{"cpu load", strings.Repeat("x", 513), float})
	records, _, err := c.List(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	var dump strings.Builder
	for _, r := range records {
		fmt.Fprintf(&dump, "%s %q\n", r.Key, r.Value)
	}
	golden, err := os.ReadFile("testdata/format1.txt")
	if err != nil {
		t.Fatal(err)
	}
	if dump.String() != string(golden) {
		t.Errorf("the catalog holds\n%s\nwant\n%s", &dump, golden)
	}
}
