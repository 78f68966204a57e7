package meta

import (
	"cmp"
	"context"
	"errors"
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
	// Default is set if a request without a policy means this one. Of several
	// records of a database that say so, which a crash can leave, and of none
	// that does, prefer tells which is it.
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
	taken, defaults := map[name]bool{}, map[string]Database{}
	var all []Database
	for _, d := range s.Databases.All() {
		if d.OrgID == org {
			all = append(all, d)
			taken[d.key()] = true
			if other, ok := defaults[d.Database]; !ok || prefer(&d, &other) {
				defaults[d.Database] = d
			}
		}
	}
	for i := range all {
		all[i].Default = all[i].ID == defaults[all[i].Database].ID
	}
	for _, b := range s.Buckets(org) {
		d := virtual(b)
		if _, ok := defaults[d.Database]; ok {
			d.Default = false
		}
		if !taken[d.key()] && d.Database != "" && d.Policy != "" {
			all = append(all, d)
			taken[d.key()] = true
		}
	}
	slices.SortFunc(all, func(a, b Database) int {
		return cmp.Or(cmp.Compare(a.Database, b.Database), cmp.Compare(a.Policy, b.Policy))
	})
	return all
}

// prefer reports whether d goes before other as the default of their database:
// what was made the default last, or else the first.
func prefer(d, other *Database) bool {
	switch {
	case d.Default != other.Default:
		return d.Default
	case d.Default && !d.Updated.Equal(other.Updated):
		return d.Updated.After(other.Updated)
	case !d.Default && !d.Created.Equal(other.Created):
		return d.Created.Before(other.Created)
	}
	return d.ID < other.ID
}

// defaultOf returns the mapping that a request without a policy means; false
// if nobody made one.
func (s *Store) defaultOf(org ID, database string) (best Database, found bool) {
	for d := range s.Databases.each() {
		if d.OrgID == org && d.Database == database && (!found || prefer(&d, &best)) {
			best, found = d, true
		}
	}
	return best, found
}

// isDefault returns d with Default as requests find it.
func (s *Store) isDefault(d Database) Database {
	best, _ := s.defaultOf(d.OrgID, d.Database)
	d.Default = best.ID == d.ID
	return d
}

// Mapping returns the mapping of an id that somebody made.
func (s *Store) Mapping(id ID) (Database, bool) {
	d, ok := s.Databases.Get(id)
	if ok {
		d = s.isDefault(d)
	}
	return d, ok
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
	} else if d, ok := s.defaultOf(org, db); ok {
		records = append(records, d.Bucket)
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
	if err != nil || !made.Default {
		return made, err
	}
	err = s.onlyDefault(ctx, made)
	return s.isDefault(made), err
}

// ChangeDatabase changes policy and default of a mapping. One that shall not be
// the default any more hands that on, if there is another.
func (s *Store) ChangeDatabase(ctx context.Context, id ID, change func(*Database) error) (Database, error) {
	after, err := s.Databases.Update(ctx, id, func(d *Database) error {
		*d = s.isDefault(*d) // another time of change shall not make it the default
		return change(d)
	})
	switch {
	case err != nil:
	case after.Default:
		err = s.onlyDefault(ctx, after)
	default:
		err = s.handOn(ctx, after)
	}
	return s.isDefault(after), err
}

// handOn makes another mapping the default where d would be it for want of one
// that says so.
func (s *Store) handOn(ctx context.Context, d Database) error {
	if best, ok := s.defaultOf(d.OrgID, d.Database); !ok || best.ID != d.ID {
		return nil
	}
	var next Database
	for o := range s.Databases.each() {
		if o.ID != d.ID && o.OrgID == d.OrgID && o.Database == d.Database && (next.ID == 0 || prefer(&o, &next)) {
			next = o
		}
	}
	if next.ID == 0 {
		return nil
	}
	_, err := s.Databases.Update(ctx, next.ID, func(o *Database) error {
		o.Default = true
		return nil
	})
	return err
}

// onlyDefault takes the default from the other mappings of a database.
func (s *Store) onlyDefault(ctx context.Context, d Database) error {
	for _, o := range s.Databases.All() {
		if o.ID != d.ID && o.OrgID == d.OrgID && o.Database == d.Database && o.Default {
			if _, err := s.Databases.Update(ctx, o.ID, func(o *Database) error {
				o.Default = false
				return nil
			}); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
	}
	return nil
}
