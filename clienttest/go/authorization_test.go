package goclient

import (
	"context"
	"strings"
	"testing"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/domain"
)

// Tokens do what their permissions say, and nothing once they are revoked.
func TestAuthorizations(t *testing.T) {
	c := connect(t)
	ctx := context.Background()
	o, err := c.OrganizationsAPI().FindOrganizationByName(ctx, org(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.BucketsAPI().CreateBucketWithName(ctx, o, "go shared")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.BucketsAPI().DeleteBucket(ctx, b); err != nil {
			t.Error(err)
		}
	}()
	allow := func(action domain.PermissionAction) domain.Permission {
		return domain.Permission{Action: action, Resource: domain.Resource{Type: domain.ResourceTypeBuckets, Id: b.Id, OrgID: o.Id}}
	}
	make := func(permissions ...domain.Permission) (*domain.Authorization, influxdb2.Client) {
		t.Helper()
		a, err := c.AuthorizationsAPI().CreateAuthorizationWithOrgID(ctx, *o.Id, permissions)
		if err != nil {
			t.Fatal(err)
		}
		if a.Token == nil || *a.Token == "" || *a.Status != domain.AuthorizationUpdateRequestStatusActive || len(*a.Permissions) != len(permissions) {
			t.Fatalf("made %+v", a)
		}
		return a, client(t, environ(t, "URL"), *a.Token)
	}
	reading, reader := make(allow(domain.PermissionActionRead))
	writing, writer := make(allow(domain.PermissionActionWrite))

	write := func(c influxdb2.Client, bucket string) error {
		return c.WriteAPIBlocking(org(t), bucket).WritePoint(ctx, point("m", 0))
	}
	read := func(c influxdb2.Client, bucket string) error {
		_, err := c.QueryAPI(org(t)).QueryRaw(ctx, `from(bucket: "`+bucket+`") |> range(start: -4h)`, nil)
		return err
	}
	if err := write(writer, "go shared"); err != nil {
		t.Errorf("write with a token that may: %v", err)
	}
	if err := read(reader, "go shared"); err != nil {
		t.Errorf("read with a token that may: %v", err)
	}
	if s := status(t, write(reader, "go shared")); s != 403 {
		t.Errorf("write with a token that may only read: %d", s)
	}
	if s := status(t, read(writer, "go shared")); s != 404 {
		t.Errorf("read with a token that may only write: %d", s)
	}
	if s := status(t, write(writer, bucket(t))); s != 404 {
		t.Errorf("write into a bucket that the token does not know: %d", s)
	}
	if s := status(t, read(reader, bucket(t))); s != 404 {
		t.Errorf("read from a bucket that the token does not know: %d", s)
	}
	seen, err := reader.BucketsAPI().GetBuckets(ctx)
	if err != nil || len(*seen) != 1 || (*seen)[0].Name != "go shared" {
		t.Errorf("buckets that the reader sees: %v, %v", seen, err)
	}

	all, err := c.AuthorizationsAPI().FindAuthorizationsByOrgID(ctx, *o.Id)
	if err != nil {
		t.Fatal(err)
	}
	listed := 0
	for _, a := range *all {
		if *a.Id == *reading.Id || *a.Id == *writing.Id {
			listed++
		}
	}
	if listed != 2 {
		t.Errorf("%d of 2 tokens are listed", listed)
	}
	for _, a := range []*domain.Authorization{reading, writing} {
		changed, err := c.AuthorizationsAPI().UpdateAuthorizationStatus(ctx, a, domain.AuthorizationUpdateRequestStatusInactive)
		if err != nil {
			t.Fatal(err)
		}
		if *changed.Status != domain.AuthorizationUpdateRequestStatusInactive {
			t.Errorf("changed to %+v", changed)
		}
	}
	if s := status(t, write(writer, "go shared")); s != 401 {
		t.Errorf("write with an inactive token: %d", s)
	}
	if _, err := c.AuthorizationsAPI().UpdateAuthorizationStatusWithID(ctx, *writing.Id, domain.AuthorizationUpdateRequestStatusActive); err != nil {
		t.Fatal(err)
	}
	if err := write(writer, "go shared"); err != nil {
		t.Errorf("write with a token that is active again: %v", err)
	}
	if err := c.AuthorizationsAPI().DeleteAuthorization(ctx, writing); err != nil {
		t.Fatal(err)
	}
	if err := c.AuthorizationsAPI().DeleteAuthorizationWithID(ctx, *reading.Id); err != nil {
		t.Fatal(err)
	}
	if s := status(t, write(writer, "go shared")); s != 401 {
		t.Errorf("write with a deleted token: %d", s)
	}
	if err := c.AuthorizationsAPI().DeleteAuthorizationWithID(ctx, *reading.Id); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("deleting a token twice: %v", err)
	}
}
