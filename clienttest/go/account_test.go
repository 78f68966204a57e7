package goclient

import (
	"context"
	"testing"

	"github.com/influxdata/influxdb-client-go/v2/domain"
)

// A server that nobody has set up is set up, once; the user then signs in.
func TestSetup(t *testing.T) {
	ctx := context.Background()
	c := client(t, environ(t, "FRESH"), "")
	done, err := c.Setup(ctx, "ada", "a long password", "go org", "go bucket", 24)
	if err != nil {
		t.Fatal(err)
	}
	if done.User.Name != "ada" || done.Org.Name != "go org" || done.Bucket.Name != "go bucket" || done.Auth.Token == nil {
		t.Fatalf("made %+v", done)
	}
	if rules := done.Bucket.RetentionRules; len(rules) != 1 || rules[0].EverySeconds != 24*3600 {
		t.Errorf("retention %+v", rules)
	}
	if _, err := c.Setup(ctx, "eve", "a long password", "org", "bucket", 0); err == nil {
		t.Error("a second setup is taken")
	}
	admin := client(t, environ(t, "FRESH"), *done.Auth.Token)
	if err := admin.WriteAPIBlocking("go org", "go bucket").WritePoint(ctx, point("m", 0)); err != nil {
		t.Errorf("write with the token of the setup: %v", err)
	}

	user := client(t, environ(t, "FRESH"), "")
	if err := user.UsersAPI().SignIn(ctx, "ada", "wrong password"); err == nil {
		t.Error("a wrong password is taken")
	}
	if err := user.UsersAPI().SignIn(ctx, "ada", "a long password"); err != nil {
		t.Fatal(err)
	}
	if me, err := user.UsersAPI().Me(ctx); err != nil || me.Name != "ada" {
		t.Errorf("me: %+v, %v", me, err)
	}
	if b, err := user.BucketsAPI().FindBucketByName(ctx, "go bucket"); err != nil || *b.Id != *done.Bucket.Id {
		t.Errorf("bucket of a session: %+v, %v", b, err)
	}
	if err := user.WriteAPIBlocking("go org", "go bucket").WritePoint(ctx, point("m", 1)); err != nil {
		t.Errorf("write in a session: %v", err)
	}
	if err := user.UsersAPI().SignOut(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := user.UsersAPI().Me(ctx); err == nil {
		t.Error("the session goes on after signing out")
	}
	if err := admin.UsersAPI().MeUpdatePassword(ctx, "a long password", "another password"); err != nil {
		t.Fatal(err)
	}
	if err := user.UsersAPI().SignIn(ctx, "ada", "a long password"); err == nil {
		t.Error("the old password is taken")
	}
	if err := user.UsersAPI().SignIn(ctx, "ada", "another password"); err != nil {
		t.Errorf("sign in with the new password: %v", err)
	}
}

func TestUsers(t *testing.T) {
	c := connect(t)
	ctx := context.Background()
	users := c.UsersAPI()
	u, err := users.CreateUserWithName(ctx, "go user")
	if err != nil {
		t.Fatal(err)
	}
	if u.Name != "go user" || *u.Status != domain.UserStatusActive {
		t.Errorf("made %+v", u)
	}
	if _, err := users.CreateUserWithName(ctx, "go user"); err == nil {
		t.Error("a second user of one name is made")
	}
	if err := users.UpdateUserPassword(ctx, u, "a long password"); err != nil {
		t.Fatal(err)
	}
	session := client(t, environ(t, "URL"), "")
	if err := session.UsersAPI().SignIn(ctx, "go user", "a long password"); err != nil {
		t.Fatal(err)
	}
	if me, err := session.UsersAPI().Me(ctx); err != nil || *me.Id != *u.Id {
		t.Errorf("me: %+v, %v", me, err)
	}
	if seen, err := session.BucketsAPI().GetBuckets(ctx); err != nil || len(*seen) != 0 {
		t.Errorf("buckets that a stranger sees: %v, %v", seen, err)
	}
	o, err := c.OrganizationsAPI().FindOrganizationByName(ctx, org(t))
	if err != nil {
		t.Fatal(err)
	}
	if m, err := c.OrganizationsAPI().AddMember(ctx, o, u); err != nil || m.Name != "go user" || *m.Role != domain.ResourceMemberRoleMember {
		t.Errorf("member: %+v, %v", m, err)
	}
	if b, err := session.BucketsAPI().FindBucketByName(ctx, bucket(t)); err != nil || b.Name != bucket(t) {
		t.Errorf("bucket that a member sees: %+v, %v", b, err)
	}
	members, err := c.OrganizationsAPI().GetMembers(ctx, o)
	if err != nil || len(*members) != 1 || *(*members)[0].Id != *u.Id {
		t.Errorf("members: %v, %v", members, err)
	}
	if err := c.OrganizationsAPI().RemoveMember(ctx, o, u); err != nil {
		t.Error(err)
	}
	if owner, err := c.OrganizationsAPI().AddOwner(ctx, o, u); err != nil || *owner.Role != domain.ResourceOwnerRoleOwner {
		t.Errorf("owner: %+v, %v", owner, err)
	}
	if err := c.OrganizationsAPI().RemoveOwner(ctx, o, u); err != nil {
		t.Error(err)
	}
	u.Name = "go renamed"
	if changed, err := users.UpdateUser(ctx, u); err != nil || changed.Name != "go renamed" {
		t.Errorf("changed to %+v, %v", changed, err)
	}
	if found, err := users.FindUserByName(ctx, "go renamed"); err != nil || *found.Id != *u.Id {
		t.Errorf("by name: %+v, %v", found, err)
	}
	if found, err := users.FindUserByID(ctx, *u.Id); err != nil || found.Name != "go renamed" {
		t.Errorf("by id: %+v, %v", found, err)
	}
	if err := users.DeleteUser(ctx, u); err != nil {
		t.Fatal(err)
	}
	if _, err := session.UsersAPI().Me(ctx); err == nil {
		t.Error("the session of a deleted user goes on")
	}
	if _, err := users.FindUserByID(ctx, *u.Id); err == nil {
		t.Error("a deleted user is found")
	}
}

func TestOrganizations(t *testing.T) {
	c := connect(t)
	ctx := context.Background()
	orgs := c.OrganizationsAPI()
	o, err := orgs.CreateOrganizationWithName(ctx, "go org")
	if err != nil {
		t.Fatal(err)
	}
	if o.Name != "go org" || o.Id == nil || o.CreatedAt == nil {
		t.Errorf("made %+v", o)
	}
	if _, err := orgs.CreateOrganizationWithName(ctx, "go org"); err == nil {
		t.Error("a second organisation of one name is made")
	}
	text := "made by a test"
	o.Description = &text
	if changed, err := orgs.UpdateOrganization(ctx, o); err != nil || *changed.Description != text || changed.Name != "go org" {
		t.Errorf("changed to %+v, %v", changed, err)
	}
	if found, err := orgs.FindOrganizationByID(ctx, *o.Id); err != nil || found.Name != "go org" {
		t.Errorf("by id: %+v, %v", found, err)
	}
	all, err := orgs.GetOrganizations(ctx)
	if err != nil || len(*all) < 2 {
		t.Errorf("all: %v, %v", all, err)
	}
	b, err := c.BucketsAPI().CreateBucketWithName(ctx, o, "go bucket")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WriteAPIBlocking("go org", "go bucket").WritePoint(ctx, point("m", 0)); err != nil {
		t.Errorf("write into another organisation: %v", err)
	}
	if err := c.WriteAPIBlocking(org(t), "go bucket").WritePoint(ctx, point("m", 0)); status(t, err) != 404 {
		t.Errorf("write into a bucket of another organisation: %v", err)
	}
	if err := orgs.DeleteOrganization(ctx, o); err != nil {
		t.Fatal(err)
	}
	if _, err := c.BucketsAPI().FindBucketByID(ctx, *b.Id); err == nil {
		t.Error("the bucket of a deleted organisation is found")
	}
	if _, err := orgs.FindOrganizationByName(ctx, "go org"); err == nil {
		t.Error("a deleted organisation is found")
	}
}

func TestLabels(t *testing.T) {
	c := connect(t)
	ctx := context.Background()
	o, err := c.OrganizationsAPI().FindOrganizationByName(ctx, org(t))
	if err != nil {
		t.Fatal(err)
	}
	labels := c.LabelsAPI()
	l, err := labels.CreateLabelWithName(ctx, o, "go label", map[string]string{"colour": "green", "note": "x"})
	if err != nil {
		t.Fatal(err)
	}
	if *l.Name != "go label" || l.Properties.AdditionalProperties["colour"] != "green" {
		t.Errorf("made %+v", l)
	}
	l.Properties.AdditionalProperties["colour"] = "blue"
	l.Properties.AdditionalProperties["note"] = "" // removes it
	changed, err := labels.UpdateLabel(ctx, l)
	if err != nil {
		t.Fatal(err)
	}
	if p := changed.Properties.AdditionalProperties; p["colour"] != "blue" || len(p) != 1 {
		t.Errorf("changed to %v", p)
	}
	if found, err := labels.FindLabelByName(ctx, *o.Id, "go label"); err != nil || *found.Id != *l.Id {
		t.Errorf("by name: %+v, %v", found, err)
	}
	if found, err := labels.FindLabelByID(ctx, *l.Id); err != nil || *found.Name != "go label" {
		t.Errorf("by id: %+v, %v", found, err)
	}
	if err := labels.DeleteLabel(ctx, l); err != nil {
		t.Fatal(err)
	}
	if _, err := labels.FindLabelByID(ctx, *l.Id); err == nil {
		t.Error("a deleted label is found")
	}
}
