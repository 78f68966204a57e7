package meta

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// autogen is the retention policy that a database of InfluxDB 1 has by itself.
const autogen = "autogen"

// Database says which bucket a database and retention policy of InfluxDB 1
// mean. Buckets that nobody mapped stand for databases by their names: db/rp
// for that policy, db for autogen.
type Database struct {
	ID       ID     `json:"id"`
	OrgID    ID     `json:"org"`
	Database string `json:"database"`
	Policy   string `json:"policy"`
	// Default is set if a request without a policy means this one. At most
	// one of a database is.
	Default bool      `json:"default,omitempty"`
	Bucket  ID        `json:"bucket"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated,omitzero"`

	// Virtual tells that there is no record: the name of a bucket stands for
	// the database.
	Virtual bool `json:"-"`
}

func (d *Database) head() head    { return head{&d.ID, &d.OrgID, &d.Created, &d.Updated} }
func (d *Database) key() name     { return name{d.OrgID, d.Database + "\x00" + d.Policy} }
func (d *Database) title() string { return d.Database + "/" + d.Policy }
func (d *Database) refs() []ID    { return []ID{d.OrgID, d.Bucket} }

func (d *Database) validate() error {
	if err := checkName("database", d.Database); err != nil {
		return err
	}
	if d.Bucket == 0 {
		return &InvalidError{fmt.Sprintf("database %q is mapped to no bucket", d.Database)}
	}
	return checkName("retention policy", d.Policy)
}

// AllDatabases returns the mappings of an organisation, those that records say
// and those that names of buckets stand for, by database and policy.
func (s *Store) AllDatabases(org ID) []Database {
	taken, defaults := map[name]bool{}, map[string]bool{}
	var all []Database
	for _, d := range s.Databases.All() {
		if d.OrgID == org {
			all = append(all, d)
			taken[d.key()] = true
			defaults[d.Database] = defaults[d.Database] || d.Default
		}
	}
	for _, b := range s.Buckets(org) {
		d := virtual(b)
		if d.Default = d.Default && !defaults[d.Database]; !taken[d.key()] && d.Database != "" && d.Policy != "" {
			all = append(all, d)
			taken[d.key()] = true
		}
	}
	slices.SortFunc(all, func(a, b Database) int {
		return cmp.Or(cmp.Compare(a.Database, b.Database), cmp.Compare(a.Policy, b.Policy))
	})
	return all
}

// virtual returns the mapping that the name of a bucket stands for.
func virtual(b Bucket) Database {
	db, rp, cut := strings.Cut(b.Name, "/")
	if !cut {
		rp = autogen
	}
	return Database{ID: b.ID, OrgID: b.OrgID, Database: db, Policy: rp, Default: rp == autogen, Bucket: b.ID, Created: b.Created, Virtual: true}
}

// FindDatabase returns the buckets that a database and policy of an
// organisation can mean, the likeliest first; an empty policy is the default
// one. A record goes before names.
func (s *Store) FindDatabase(org ID, db, rp string) []ID {
	var records, names []ID
	if rp != "" {
		if d, ok := s.Databases.find(name{org, db + "\x00" + rp}); ok {
			records = append(records, d.Bucket)
		}
	} else {
		for d := range s.Databases.each() {
			if d.OrgID == org && d.Database == db && d.Default {
				records = append(records, d.Bucket)
			}
		}
	}
	candidates := []string{db + "/" + rp}
	switch rp {
	case "":
		candidates = []string{db, db + "/" + autogen}
	case autogen:
		candidates = append(candidates, db)
	}
	for _, text := range candidates {
		if b, ok := s.BucketSet.find(name{org, text}); ok {
			names = append(names, b.ID)
		}
	}
	return append(records, names...)
}

// MapDatabase makes a mapping. The first of a database is the default, and one
// that is made the default takes that from another.
func (s *Store) MapDatabase(ctx context.Context, d Database) (Database, error) {
	d.Default = d.Default || !slices.ContainsFunc(s.Databases.All(), func(o Database) bool { return o.OrgID == d.OrgID && o.Database == d.Database })
	made, err := s.Databases.Create(ctx, d)
	if err == nil && made.Default {
		err = s.onlyDefault(ctx, made)
	}
	return made, err
}

// ChangeDatabase changes policy and default of a mapping.
func (s *Store) ChangeDatabase(ctx context.Context, id ID, change func(*Database) error) (Database, error) {
	after, err := s.Databases.Update(ctx, id, change)
	if err == nil && after.Default {
		err = s.onlyDefault(ctx, after)
	}
	return after, err
}

// onlyDefault takes the default from the other mappings of a database.
func (s *Store) onlyDefault(ctx context.Context, d Database) error {
	for _, o := range s.Databases.All() {
		if o.ID != d.ID && o.OrgID == d.OrgID && o.Database == d.Database && o.Default {
			if _, err := s.Databases.Update(ctx, o.ID, func(o *Database) error {
				o.Default = false
				return nil
			}); err != nil {
				return err
			}
		}
	}
	return nil
}
