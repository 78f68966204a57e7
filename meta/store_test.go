package meta_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/meta"
)

func TestID(t *testing.T) {
	id := meta.ID(0x00a1b2)
	if id.String() != "000000000000a1b2" {
		t.Errorf("string is %s", id)
	}
	for text, ok := range map[string]bool{
		"000000000000a1b2": true, "ffffffffffffffff": true,
		"000000000000A1B2": false, "0000000000000000": false, "a1b2": false,
		"000000000000a1b2 ": false, "+00000000000a1b2": false, "0x0000000000a1b2": false, "": false,
	} {
		got, err := meta.ParseID(text)
		if (err == nil) != ok || ok && got.String() != text {
			t.Errorf("parse %q: %v, %v", text, got, err)
		}
	}
}

func TestBuckets(t *testing.T) {
	ctx, c, s := newStore(t)
	o, other := makeOrg(t, ctx, s, "main"), makeOrg(t, ctx, s, "other")
	b := makeBucket(t, ctx, s, meta.Bucket{OrgID: o.ID, Name: "sensor data/ä", Retention: time.Hour})
	if b.ID == 0 || b.Compression() != meta.LevelBalanced || !b.Created.Equal(start) {
		t.Errorf("bucket is %+v", b)
	}
	twin := makeBucket(t, ctx, s, meta.Bucket{OrgID: other.ID, Name: b.Name})
	for _, ref := range []string{b.Name, b.ID.String()} {
		got, ok := s.FindBucket(o.ID, ref)
		if d := cmp.Diff(b, got); !ok || d != "" {
			t.Errorf("find %q: %v\n%s", ref, ok, d)
		}
	}
	if _, ok := s.FindBucket(other.ID, b.ID.String()); ok {
		t.Error("a bucket of another organization was found by its id")
	}
	if got, _ := s.FindBucket(other.ID, b.Name); got.ID != twin.ID {
		t.Errorf("the name in the other organization gives %s, want %s", got.ID, twin.ID)
	}
	if _, err := s.CreateBucket(ctx, meta.Bucket{OrgID: o.ID, Name: b.Name}); !errors.Is(err, meta.ErrExists) {
		t.Errorf("create the name again: %v", err)
	}
	if _, err := s.CreateBucket(ctx, meta.Bucket{OrgID: 99, Name: "x"}); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("create in an unknown organization: %v", err)
	}

	// An id goes before a name that looks like one.
	nasty := makeBucket(t, ctx, s, meta.Bucket{OrgID: o.ID, Name: b.ID.String()})
	if got, _ := s.FindBucket(o.ID, b.ID.String()); got.ID != b.ID {
		t.Errorf("an id found %s by name, want %s by id", got.ID, b.ID)
	}

	// A name that is made anew has another id.
	if _, err := s.DeleteBucket(ctx, b.ID); err != nil {
		t.Fatal(err)
	}
	if got, ok := s.FindBucket(o.ID, b.ID.String()); !ok || got.ID != nasty.ID {
		t.Errorf("after the deletion the name of digits gives %v, want %s", got, nasty.ID)
	}
	if _, ok := s.FindBucket(o.ID, b.Name); ok {
		t.Error("a deleted bucket was found")
	}
	if _, err := s.DeleteBucket(ctx, b.ID); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("delete twice: %v", err)
	}
	again := makeBucket(t, ctx, s, meta.Bucket{OrgID: o.ID, Name: b.Name})
	if again.ID == b.ID {
		t.Error("the name made anew has its old id")
	}

	// Another server, or the next start, sees the same.
	if d := cmp.Diff(s.Buckets(0), openStore(t, c).Buckets(0)); d != "" {
		t.Errorf("a second store differs:\n%s", d)
	}
	if got := s.Buckets(o.ID); len(got) != 2 || got[0].ID != nasty.ID || got[1].ID != again.ID {
		t.Errorf("buckets are %v", got)
	}
}

func TestUpdateBucket(t *testing.T) {
	ctx, _, s := newStore(t)
	o := makeOrg(t, ctx, s, "main")
	b := makeBucket(t, ctx, s, meta.Bucket{OrgID: o.ID, Name: "a"})
	makeBucket(t, ctx, s, meta.Bucket{OrgID: o.ID, Name: "taken"})
	got, err := s.UpdateBucket(ctx, b.ID, func(b *meta.Bucket) {
		b.Name, b.Retention, b.ID, b.Created = "b", time.Hour, 7, time.Time{}
	})
	want := b
	want.Name, want.Retention = "b", time.Hour
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("update: %v\n%s", err, d)
	}
	if _, ok := s.FindBucket(o.ID, "a"); ok {
		t.Error("the old name is still there")
	}
	if found, _ := s.FindBucket(o.ID, "b"); found != want {
		t.Errorf("the new name gives %+v", found)
	}
	if _, err := s.UpdateBucket(ctx, b.ID, func(b *meta.Bucket) { b.Name = "taken" }); !errors.Is(err, meta.ErrExists) {
		t.Errorf("rename to a name that is taken: %v", err)
	}
	var invalid *meta.InvalidError
	if _, err := s.UpdateBucket(ctx, b.ID, func(b *meta.Bucket) { b.Retention = -1 }); !errors.As(err, &invalid) {
		t.Errorf("negative retention: %v", err)
	}
	makeBucket(t, ctx, s, meta.Bucket{OrgID: o.ID, Name: "a"}) // the old name is free

	// Two who change different things both win.
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.UpdateBucket(ctx, b.ID, func(b *meta.Bucket) { b.Level = meta.LevelBest }); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if _, err := s.UpdateBucket(ctx, b.ID, func(b *meta.Bucket) { b.PartitionLength = time.Hour }); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	if got, _ := s.Bucket(b.ID); got.Level != meta.LevelBest || got.PartitionLength != time.Hour {
		t.Errorf("after two changes the bucket is %+v", got)
	}
}

// The floor rises with what a retention has cut off, and with nothing else.
func TestFloor(t *testing.T) {
	ctx, _, s := newStore(t)
	o := makeOrg(t, ctx, s, "main")
	b := makeBucket(t, ctx, s, meta.Bucket{OrgID: o.ID, Name: "a"})
	if got := b.Horizon(start); got != math.MinInt64 {
		t.Errorf("without retention the horizon is %d", got)
	}
	const hour = int64(time.Hour)
	for _, c := range []struct {
		retention time.Duration
		floor     int64 // behind start
	}{
		{10 * time.Hour, 0}, {time.Hour, 0}, {2 * time.Hour, hour}, {time.Hour, hour},
		{0, hour}, {3 * time.Hour, hour}, {4 * time.Hour, hour},
	} {
		var err error
		b, err = s.UpdateBucket(ctx, b.ID, func(b *meta.Bucket) { b.Retention, b.Floor = c.retention, 1 })
		want := int64(0)
		if c.floor != 0 {
			want = start.UnixNano() - c.floor
		}
		if err != nil || b.Floor != want {
			t.Errorf("retention %v: %v, floor %v before the start, want %v", c.retention, err, time.Duration(start.UnixNano()-b.Floor), time.Duration(c.floor))
		}
	}
	if got := b.Horizon(start.Add(100 * time.Hour)); got != start.Add(96*time.Hour).UnixNano() {
		t.Errorf("the horizon is %d", got)
	}
}

func TestRefusedNames(t *testing.T) {
	ctx, _, s := newStore(t)
	o := makeOrg(t, ctx, s, "main")
	for _, name := range []string{"", " ", "a\nb", `a"b`, "\xff", strings.Repeat("x", 2000)} {
		var invalid *meta.InvalidError
		if _, err := s.CreateBucket(ctx, meta.Bucket{OrgID: o.ID, Name: name}); !errors.As(err, &invalid) {
			t.Errorf("bucket %q: %v", name, err)
		}
		if _, err := s.CreateOrg(ctx, name); !errors.As(err, &invalid) {
			t.Errorf("organization %q: %v", name, err)
		}
	}
	for _, b := range []meta.Bucket{{PartitionLength: time.Second}, {Level: "zip"}, {Retention: -time.Hour}} {
		b.OrgID, b.Name = o.ID, "x"
		var invalid *meta.InvalidError
		if _, err := s.CreateBucket(ctx, b); !errors.As(err, &invalid) {
			t.Errorf("bucket %+v: %v", b, err)
		}
	}
	// Two names that differ only past the length of a key are two.
	long := strings.Repeat("ä", 400)
	a := makeBucket(t, ctx, s, meta.Bucket{OrgID: o.ID, Name: long + "a"})
	b := makeBucket(t, ctx, s, meta.Bucket{OrgID: o.ID, Name: long + "b"})
	if got, _ := s.FindBucket(o.ID, long+"b"); got.ID != b.ID || a.ID == b.ID {
		t.Errorf("long names give %s, want %s", got.ID, b.ID)
	}
}

func TestPartition(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct{ retention, asked, want time.Duration }{
		{0, 0, 7 * day}, {time.Hour, 0, time.Hour}, {2*day - 1, 0, time.Hour}, {2 * day, 0, day},
		{180 * day, 0, day}, {365 * day, 0, 7 * day}, {time.Hour, 3 * day, 3 * day},
	} {
		b := meta.Bucket{Retention: c.retention, PartitionLength: c.asked}
		if got := b.Partition(); got != c.want {
			t.Errorf("retention %v, asked %v: partition is %v, want %v", c.retention, c.asked, got, c.want)
		}
	}
}

func TestTokens(t *testing.T) {
	ctx, c, s := newStore(t)
	o, other := makeOrg(t, ctx, s, "main"), makeOrg(t, ctx, s, "other")
	a := makeBucket(t, ctx, s, meta.Bucket{OrgID: o.ID, Name: "a"})
	b := makeBucket(t, ctx, s, meta.Bucket{OrgID: o.ID, Name: "b"})
	foreign := makeBucket(t, ctx, s, meta.Bucket{OrgID: other.ID, Name: "a"})
	tok, secret, err := s.CreateToken(ctx, meta.Token{OrgID: o.ID, Description: "sensors", DefaultBucket: a.ID,
		Permissions: []meta.Permission{{Action: meta.Write, Resource: meta.ResourceBuckets, ID: a.ID},
			{Action: meta.Read, Resource: meta.ResourceBuckets}, {Action: meta.Write, Resource: "tasks"}}})
	if err != nil {
		t.Fatal(err)
	}
	got, ok := s.Authenticate(secret)
	if d := cmp.Diff(tok, got); !ok || d != "" {
		t.Errorf("authenticate: %v\n%s", ok, d)
	}
	for _, wrong := range []string{"", secret + "x", secret[1:], strings.ToUpper(secret)} {
		if _, ok := s.Authenticate(wrong); ok {
			t.Errorf("%q is let in", wrong)
		}
	}
	for _, c := range []struct {
		action meta.Action
		bucket meta.Bucket
		want   bool
	}{
		{meta.Write, a, true}, {meta.Write, b, false}, {meta.Read, a, true}, {meta.Read, b, true},
		{meta.Read, foreign, false}, {meta.Write, foreign, false},
	} {
		if tok.Allows(c.action, &c.bucket) != c.want {
			t.Errorf("%s of %s in %s: want %v", c.action, c.bucket.Name, c.bucket.OrgID, c.want)
		}
	}
	all := meta.Token{OrgID: o.ID, All: true}
	if !all.Allows(meta.Write, &foreign) {
		t.Error("the admin may not write")
	}

	records, _, err := c.List(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if strings.Contains(string(r.Value), secret) {
			t.Errorf("record %s holds the secret", r.Key)
		}
	}
	if err := s.DeleteToken(ctx, tok.ID); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Authenticate(secret); ok {
		t.Error("a deleted token is let in")
	}
	if err := s.DeleteToken(ctx, tok.ID); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("delete twice: %v", err)
	}
	if _, _, err := s.CreateToken(ctx, meta.Token{OrgID: o.ID, Permissions: []meta.Permission{{Action: "own"}}}); err == nil {
		t.Error("an unknown action was taken")
	}
	if n := len(s.Tokens(o.ID)); n != 0 {
		t.Errorf("%d tokens are left", n)
	}
}

func TestOneStoreSeesTheOther(t *testing.T) {
	ctx, c, s := newStore(t)
	second, err := meta.Open(ctx, meta.Config{Catalog: c, Now: time.Now, Random: random()})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	o := makeOrg(t, ctx, s, "main")
	for ctx.Err() == nil {
		if got, ok := second.FindOrg("main"); ok {
			if got, byID := second.FindOrg(o.ID.String()); got != o || !byID {
				t.Errorf("by id: %v", got)
			}
			if got != o || len(second.Orgs()) != 1 {
				t.Errorf("the other store has %v", second.Orgs())
			}
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("the other store never heard of it")
}

func TestUnreadableRecordIsNamed(t *testing.T) {
	c := openCatalog(t, filepath.Join(t.TempDir(), "catalog"))
	if _, err := c.Commit(context.Background(), opPut("meta/bucket/00000000000000aa", "{nonsense")); err != nil {
		t.Fatal(err)
	}
	_, err := meta.Open(context.Background(), meta.Config{Catalog: c, Now: time.Now, Random: random()})
	if err == nil || !strings.Contains(err.Error(), "meta/bucket/00000000000000aa") {
		t.Errorf("open: %v", err)
	}
}
