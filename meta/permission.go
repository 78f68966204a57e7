package meta

import (
	"fmt"
	"slices"
)

// Action is what a permission allows.
type Action string

// The actions.
const (
	Read  Action = "read"
	Write Action = "write"
)

// Resource is a kind of resource that permissions speak of, in the words of the
// InfluxDB 2 API.
type Resource string

// The kinds that something here looks at.
const (
	ResourceBuckets        Resource = "buckets"
	ResourceAuthorizations Resource = "authorizations"
	ResourceOrgs           Resource = "orgs"
	ResourceUsers          Resource = "users"
	ResourceLabels         Resource = "labels"
	ResourceVariables      Resource = "variables"
	ResourceSecrets        Resource = "secrets"
	ResourceTelegrafs      Resource = "telegrafs"
	ResourceDBRP           Resource = "dbrp"
	ResourceTasks          Resource = "tasks"
)

// Resources returns all kinds that a permission may name. Clients ask for those of
// InfluxDB by name when they make a token that may do everything; there is
// nothing of the kinds without a constant.
func Resources() []Resource {
	return []Resource{ResourceAuthorizations, ResourceBuckets, "dashboards", ResourceOrgs, "sources", ResourceTasks, ResourceTelegrafs,
		ResourceUsers, ResourceVariables, "scrapers", ResourceSecrets, ResourceLabels, "views", "documents",
		"notificationRules", "notificationEndpoints", "checks", ResourceDBRP, "notebooks", "annotations", "remotes", "replications"}
}

// Permission allows an action on one resource, on all of a kind that an
// organisation has, or on all of a kind.
type Permission struct {
	Action   Action   `json:"action"`
	Resource Resource `json:"resource"`
	ID       ID       `json:"id,omitempty"`  // zero: all of them
	Org      ID       `json:"org,omitempty"` // zero: the token's
	// Everywhere is for all organisations, and for what belongs to none.
	Everywhere bool `json:"everywhere,omitempty"`
}

// covers reports whether p, of a token of an organisation, allows an action
// on a resource: id zero means all of the kind that org has, org zero what
// belongs to no organisation.
func (p *Permission) covers(own ID, a Action, k Resource, org, id ID) bool {
	if p.Action != a || p.Resource != k {
		return false
	}
	if p.Everywhere {
		return true
	}
	if p.ID != 0 {
		return p.ID == id
	}
	if p.Org != 0 {
		own = p.Org
	}
	if k == ResourceOrgs && id != 0 {
		org = id // an organisation is its own
	}
	return own == org
}

func checkPermissions(all []Permission) error {
	for _, p := range all {
		if p.Action != Read && p.Action != Write {
			return &InvalidError{fmt.Sprintf("permission to %q %q: want the action read or write", p.Action, p.Resource)}
		}
		if !slices.Contains(Resources(), p.Resource) {
			return &InvalidError{fmt.Sprintf("permission to %s %q: there is no such kind of resource", p.Action, p.Resource)}
		}
	}
	return nil
}

// everything returns the permissions to do everything in an organisation.
func everything(org ID, actions ...Action) []Permission {
	var all []Permission
	for _, k := range Resources() {
		for _, a := range actions {
			all = append(all, Permission{Action: a, Resource: k, Org: org})
		}
	}
	return all
}

// coversAll reports whether permissions amount to everything everywhere, as
// an operator's do.
func coversAll(all []Permission) bool {
	for _, k := range Resources() {
		for _, a := range []Action{Read, Write} {
			if !slices.ContainsFunc(all, func(p Permission) bool { return p.Everywhere && p.Action == a && p.Resource == k }) {
				return false
			}
		}
	}
	return true
}
