package goclient

import (
	"context"
	"testing"
	"time"

	"github.com/influxdata/influxdb-client-go/v2/domain"
)

func TestHealth(t *testing.T) {
	c := connect(t)
	ctx := context.Background()
	if ok, err := c.Ping(ctx); !ok || err != nil {
		t.Errorf("ping: %v, %v", ok, err)
	}
	h, err := c.Health(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if h.Status != domain.HealthCheckStatusPass || h.Name != "influxdb" || h.Version == nil || *h.Version == "" {
		t.Errorf("health: %+v", h)
	}
	r, err := c.Ready(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r.Status == nil || *r.Status != domain.ReadyStatusReady || r.Started == nil || time.Since(*r.Started) < 0 || r.Up == nil {
		t.Errorf("ready: %+v", r)
	}
}

func TestDelete(t *testing.T) {
	c := connect(t)
	ctx := context.Background()
	w := c.WriteAPIBlocking(org(t), bucket(t))
	for i := range 10 {
		if err := w.WritePoint(ctx, point("go_delete", i), point("go_delete_not", i)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := c.BucketsAPI().FindBucketByName(ctx, bucket(t))
	if err != nil {
		t.Fatal(err)
	}
	d := c.DeleteAPI()
	if err := d.DeleteWithName(ctx, org(t), bucket(t), at(0), at(3), `_measurement="go_delete" AND host="a"`); err != nil {
		t.Fatal(err)
	}
	if err := d.DeleteWithID(ctx, *b.OrgID, *b.Id, at(4), at(4), `_measurement="go_delete" AND host="b"`); err != nil {
		t.Fatal(err)
	}
	if n := count(t, "go_delete", "value"); n != 6 {
		t.Errorf("%d points are left, want 6", n)
	}
	o, err := c.OrganizationsAPI().FindOrganizationByName(ctx, org(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(ctx, o, b, at(0), at(100), `_measurement="go_delete"`); err != nil {
		t.Fatal(err)
	}
	if n := count(t, "go_delete", "value"); n != 0 {
		t.Errorf("%d points are left, want none", n)
	}
	if n := count(t, "go_delete_not", "value"); n != 10 {
		t.Errorf("%d points of another measurement are left, want 10", n)
	}
	if err := d.DeleteWithName(ctx, org(t), bucket(t), at(0), at(1), `host=`); err == nil {
		t.Error("a predicate that cannot be is taken")
	}
}
