package goclient

import (
	"context"
	"fmt"
	"testing"

	"github.com/influxdata/influxdb-client-go/v2/api"
	"github.com/influxdata/influxdb-client-go/v2/domain"
)

func TestBuckets(t *testing.T) {
	c := connect(t)
	ctx := context.Background()
	o, err := c.OrganizationsAPI().FindOrganizationByName(ctx, org(t))
	if err != nil {
		t.Fatal(err)
	}
	buckets := c.BucketsAPI()
	b, err := buckets.CreateBucketWithName(ctx, o, "go made", domain.RetentionRule{EverySeconds: 3600 * 24})
	if err != nil {
		t.Fatal(err)
	}
	if b.Name != "go made" || *b.OrgID != *o.Id || len(b.RetentionRules) != 1 || b.RetentionRules[0].EverySeconds != 3600*24 || b.CreatedAt == nil {
		t.Errorf("made %+v", b)
	}
	if _, err := buckets.CreateBucketWithNameWithID(ctx, *o.Id, "go made"); err == nil {
		t.Error("a second bucket of one name is made")
	}
	if found, err := buckets.FindBucketByID(ctx, *b.Id); err != nil || found.Name != b.Name {
		t.Errorf("by id: %+v, %v", found, err)
	}
	if found, err := buckets.FindBucketByName(ctx, "go made"); err != nil || *found.Id != *b.Id {
		t.Errorf("by name: %+v, %v", found, err)
	}
	if _, err := buckets.FindBucketByName(ctx, "nowhere"); err == nil {
		t.Error("a bucket that is not there is found")
	}
	b.Name, b.RetentionRules = "go changed", domain.RetentionRules{{EverySeconds: 7200}}
	text := "made by a test"
	b.Description = &text
	changed, err := buckets.UpdateBucket(ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	if changed.Name != "go changed" || changed.RetentionRules[0].EverySeconds != 7200 || changed.Description == nil || *changed.Description != text {
		t.Errorf("changed to %+v", changed)
	}
	if err := c.WriteAPIBlocking(*o.Id, *b.Id).WritePoint(ctx, point("m", 7199)); err != nil {
		t.Errorf("write by ids: %v", err)
	}
	if err := buckets.DeleteBucket(ctx, b); err != nil {
		t.Fatal(err)
	}
	if _, err := buckets.FindBucketByID(ctx, *b.Id); err == nil {
		t.Error("a deleted bucket is found")
	}
}

func TestBucketPages(t *testing.T) {
	c := connect(t)
	ctx := context.Background()
	buckets := c.BucketsAPI()
	o, err := c.OrganizationsAPI().FindOrganizationByName(ctx, org(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 25 {
		b, err := buckets.CreateBucketWithName(ctx, o, fmt.Sprintf("go page %02d", i))
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := buckets.DeleteBucket(ctx, b); err != nil {
				t.Error(err)
			}
		}()
	}
	first, err := buckets.GetBuckets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(*first) != 20 {
		t.Errorf("%d buckets on a page, want 20", len(*first))
	}
	seen := map[string]bool{}
	for offset := 0; ; offset += 10 {
		page, err := buckets.FindBucketsByOrgName(ctx, org(t), api.PagingWithLimit(10), api.PagingWithOffset(offset))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range *page {
			seen[b.Name] = true
		}
		if len(*page) < 10 {
			break
		}
	}
	byID, err := buckets.FindBucketsByOrgID(ctx, *o.Id, api.PagingWithLimit(100))
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != len(*byID) || !seen["go page 24"] || !seen[bucket(t)] {
		t.Errorf("%d buckets on pages, %d in one: %v", len(seen), len(*byID), seen)
	}
}
