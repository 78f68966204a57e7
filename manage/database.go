package manage

import (
	"cmp"
	"context"
	"net/http"
	"net/url"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
)

// databaseBody is what a request says about a database of InfluxDB 1.
type databaseBody struct {
	_        struct{} `additionalProperties:"true"`
	OrgID    string   `json:"orgID,omitempty" doc:"absent: the organisation of the token"`
	Org      string   `json:"org,omitempty" doc:"instead of orgID, its name"`
	Database string   `json:"database,omitempty" doc:"stays as it was made"`
	Policy   *string  `json:"retention_policy,omitempty"`
	Default  *bool    `json:"default,omitempty" doc:"whether a request without a policy means this one; the first of a database is"`
	BucketID string   `json:"bucketID,omitempty" doc:"where points go; stays as it was made"`
}

// databaseAnswer is a database and policy in an answer.
type databaseAnswer struct {
	ID       string `json:"id"`
	OrgID    string `json:"orgID"`
	Database string `json:"database"`
	Policy   string `json:"retention_policy"`
	Default  bool   `json:"default"`
	BucketID string `json:"bucketID"`
	Virtual  bool   `json:"virtual" doc:"the name of the bucket stands for it, nobody made it"`
	Links    links  `json:"links"`
}

type databaseList struct {
	Content []databaseAnswer `json:"content" nullable:"false"`
}

type databaseOne struct {
	Content databaseAnswer `json:"content"`
}

func answerDatabase(d *meta.Database) databaseAnswer {
	id := d.ID.String()
	return databaseAnswer{id, d.OrgID.String(), d.Database, d.Policy, d.Default, d.Bucket.String(), d.Virtual, links{"self": root + "dbrps/" + id}}
}

// databases is the set of mappings with those that names of buckets stand for.
type databases struct {
	objects[meta.Database]
	meta *meta.Store
}

// All implements objects.
func (s databases) All() (all []meta.Database) {
	for _, o := range s.meta.Orgs() {
		all = append(all, s.meta.AllDatabases(o.ID)...)
	}
	return all
}

// Get implements objects.
func (s databases) Get(id meta.ID) (meta.Database, bool) {
	if d, ok := s.meta.Mapping(id); ok {
		return d, true
	}
	if b, ok := s.meta.Bucket(id); ok {
		for _, d := range s.meta.AllDatabases(b.OrgID) {
			if d.ID == id {
				return d, true
			}
		}
	}
	return meta.Database{}, false
}

// Create implements objects.
func (s databases) Create(ctx context.Context, d meta.Database) (meta.Database, error) {
	return s.meta.MapDatabase(ctx, d)
}

// Update implements objects.
func (s databases) Update(ctx context.Context, id meta.ID, change func(*meta.Database) error) (meta.Database, error) {
	return s.meta.ChangeDatabase(ctx, id, change)
}

func (a *API) databaseRoutes() []httpapi.Route {
	k := &resource[meta.Database, databaseBody, databaseAnswer]{
		api: a, path: "dbrps", noun: "dbrp mapping", name: "Database", group: groupBuckets,
		kind: meta.ResourceDBRP, objects: databases{a.meta.Databases, a.meta},
		place: func(d *meta.Database) (meta.ID, meta.ID) { return d.ID, d.OrgID },
		title: func(d *meta.Database) string { return d.Database + "/" + d.Policy },
		show:  answerDatabase,
		list:  func(_ links, all []databaseAnswer) any { return databaseList{all} },
		wrap:  func(_ links, one databaseAnswer) any { return databaseOne{one} },
		// Who may read a bucket may know what it is called.
		sees: func(who *meta.Actor, d *meta.Database) bool {
			return who.May(meta.Read, meta.ResourceDBRP, d.OrgID, d.ID) || who.May(meta.Read, meta.ResourceBuckets, d.OrgID, d.Bucket)
		},
		changes: func(who *meta.Actor, d *meta.Database) bool {
			return who.May(meta.Write, meta.ResourceDBRP, d.OrgID, d.ID) || who.May(meta.Write, meta.ResourceBuckets, d.OrgID, 0)
		},
		creates: func(who *meta.Actor, org meta.ID) bool {
			return who.May(meta.Write, meta.ResourceDBRP, org, 0) || who.May(meta.Write, meta.ResourceBuckets, org, 0)
		},
		filters: []httpapi.Parameter{{Name: "db", About: "only of this database"}, {Name: "rp", About: "only of this retention policy"},
			{Name: "bucketID", About: "only to this bucket"}, {Name: "default", About: "only those that are the default (true) or are not (false)"}},
		filter: filterDatabases,
		of:     func(b *databaseBody) string { return cmp.Or(b.OrgID, b.Org) },
		put:    func(d *meta.Database, org meta.ID) { d.OrgID = org },
		apply:  a.applyDatabase,
		about:  "Writes of InfluxDB 1 clients to the database and policy go to the bucket. The answer has no content around it, unlike the others here.",
	}
	all := k.routes()
	for i := range all {
		all[i].Example = `{"retention_policy":"weekly"}`
		if all[i].Name == "createDatabase" {
			all[i].Gives, all[i].Serve = databaseAnswer{}, func(w http.ResponseWriter, r *http.Request) error {
				bare := *k
				bare.wrap = nil // as InfluxDB answers, alone of these
				return bare.create(w, r)
			}
			all[i].Example = `{"database":"telegraf","retention_policy":"autogen","bucketID":"0000000000000001"}`
		}
	}
	return all
}

func filterDatabases(_ *meta.Actor, q url.Values) (func(*meta.Database) bool, error) {
	db, rp := cmp.Or(q.Get("db"), q.Get("database")), cmp.Or(q.Get("rp"), q.Get("retention_policy"))
	var bucket meta.ID
	if text := q.Get("bucketID"); text != "" {
		var err error
		if bucket, err = parseID("the bucket", text); err != nil {
			return nil, err
		}
	}
	which := q.Get("default")
	if which != "" && which != "true" && which != "false" {
		return nil, invalid("default is \"" + which + "\": want true or false")
	}
	return func(d *meta.Database) bool {
		return (db == "" || d.Database == db) && (rp == "" || d.Policy == rp) && (bucket == 0 || d.Bucket == bucket) &&
			(which == "" || d.Default == (which == "true"))
	}, nil
}

func (a *API) applyDatabase(_ context.Context, b *databaseBody, who *meta.Actor, d *meta.Database, fresh bool) error {
	if b.Policy != nil {
		d.Policy = *b.Policy
	}
	if b.Default != nil {
		d.Default = *b.Default
	}
	if !fresh {
		return nil
	}
	d.Database = b.Database
	id, err := parseID("the bucket", b.BucketID)
	if err != nil {
		return err
	}
	bucket, ok := a.meta.Bucket(id)
	if !ok || bucket.OrgID != d.OrgID || !who.May(meta.Read, meta.ResourceBuckets, d.OrgID, id) && !who.May(meta.Write, meta.ResourceBuckets, d.OrgID, id) {
		return notFound("bucket not found")
	}
	d.Bucket = id
	return nil
}
