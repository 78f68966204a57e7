package manage

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
)

// retentionRule is how the InfluxDB 2 API says for how long a bucket keeps
// points, and how long its partitions (there: shard groups) are.
type retentionRule struct {
	Type               string `json:"type,omitempty" enum:"expire" doc:"expire is the only kind"`
	EverySeconds       int64  `json:"everySeconds" minimum:"0" maximum:"9223372036" doc:"age in seconds at which points go; 0 keeps them for ever"`
	ShardGroupDuration int64  `json:"shardGroupDurationSeconds,omitempty" minimum:"0" maximum:"9223372036" doc:"length of a partition in seconds; 0 or absent: derived from the retention"`
}

// bucketBody is what a request says about a bucket; absent parts stay as they
// are. Other keys, such as links in an object that is sent back, are of no
// importance, as in InfluxDB.
type bucketBody struct {
	_                struct{}        `additionalProperties:"true"`
	OrgID            string          `json:"orgID,omitempty" doc:"id of the organisation, which stays; absent: that of the token"`
	Org              string          `json:"org,omitempty" doc:"instead of orgID, its name"`
	Name             *string         `json:"name,omitempty" doc:"unique in the organisation; without quotation marks, and not beginning with an underscore"`
	Description      *string         `json:"description,omitempty" doc:"for people"`
	RetentionRules   []retentionRule `json:"retentionRules,omitempty" doc:"one rule, or none to keep points for ever. Of several the first counts"`
	PartitionSeconds *int64          `json:"partitionSeconds,omitempty" minimum:"0" maximum:"9223372036" doc:"length of a partition in seconds, at least 60; 0: derived from the retention. The same as shardGroupDurationSeconds of the rule"`
	Compression      *string         `json:"compression,omitempty" enum:"none,fast,balanced,best" doc:"how hard new segments are compressed; an empty string goes back to the default"`
}

// check finds fault with what can be judged without the bucket.
func (s *bucketBody) check() error {
	for _, r := range s.RetentionRules {
		if r.Type != "" && r.Type != "expire" {
			return &httpapi.Error{Code: httpapi.Unprocessable, Message: fmt.Sprintf("retention rule of type %q is not known: expire is the only type", r.Type)}
		}
		if err := checkSeconds("everySeconds", r.EverySeconds); err != nil {
			return err
		}
		if err := checkSeconds("shardGroupDurationSeconds", r.ShardGroupDuration); err != nil {
			return err
		}
	}
	if s.PartitionSeconds != nil {
		return checkSeconds("partitionSeconds", *s.PartitionSeconds)
	}
	return nil
}

func checkSeconds(name string, n int64) error {
	if n < 0 || n > math.MaxInt64/int64(time.Second) {
		return &httpapi.Error{Code: httpapi.Unprocessable, Message: fmt.Sprintf("%s is %d: want 0 to %d", name, n, math.MaxInt64/int64(time.Second))}
	}
	return nil
}

// apply sets in b what s says.
func (s *bucketBody) apply(b *meta.Bucket) error {
	if err := s.check(); err != nil {
		return err
	}
	if s.Name != nil {
		b.Name = *s.Name
	}
	if s.Description != nil {
		b.Description = *s.Description
	}
	shown := b.Partition()
	if s.RetentionRules != nil {
		b.Retention = 0
	}
	if len(s.RetentionRules) > 0 {
		r := s.RetentionRules[0]
		b.Retention = time.Duration(r.EverySeconds) * time.Second
		// A derived length that comes back as it was shown stays derived.
		if d := time.Duration(r.ShardGroupDuration) * time.Second; d != shown && d != 0 {
			b.PartitionLength = d
		}
	}
	if s.PartitionSeconds != nil {
		b.PartitionLength = time.Duration(*s.PartitionSeconds) * time.Second
	}
	if s.Compression != nil {
		b.Level = meta.Level(*s.Compression)
	}
	return nil
}

// bucketAnswer is a bucket in an answer.
type bucketAnswer struct {
	ID               string          `json:"id"`
	OrgID            string          `json:"orgID"`
	Type             string          `json:"type" enum:"user"`
	Name             string          `json:"name"`
	Description      string          `json:"description,omitempty"`
	RetentionRules   []retentionRule `json:"retentionRules" nullable:"false" doc:"one rule, with what is in force"`
	PartitionSeconds int64           `json:"partitionSeconds,omitempty" doc:"length of a partition as it was set; absent if it is derived"`
	Compression      string          `json:"compression" enum:"none,fast,balanced,best" doc:"the level in force"`
	CreatedAt        time.Time       `json:"createdAt"`
	UpdatedAt        time.Time       `json:"updatedAt"`
	Labels           []labelAnswer   `json:"labels" nullable:"false"`
	Links            links           `json:"links"`
}

// bucketList is a page of buckets.
type bucketList struct {
	Links   links           `json:"links" doc:"self, and prev and next where there are such pages"`
	Buckets []*bucketAnswer `json:"buckets" nullable:"false"`
}

func (a *API) answerBucket(b *meta.Bucket) *bucketAnswer {
	id, org := b.ID.String(), b.OrgID.String()
	answer := &bucketAnswer{
		ID: id, OrgID: org, Type: "user", Name: b.Name, Description: b.Description,
		RetentionRules: []retentionRule{{
			Type: "expire", EverySeconds: int64(b.Retention / time.Second), ShardGroupDuration: int64(b.Partition() / time.Second),
		}},
		PartitionSeconds: int64(b.PartitionLength / time.Second),
		Compression:      string(b.Compression()),
		CreatedAt:        b.Created, UpdatedAt: b.Updated,
		Labels: a.labelsOf(b.ID),
		Links: links{
			"self":    "/api/v2/buckets/" + id,
			"config":  "/api/v2/buckets/" + id + "/config",
			"labels":  "/api/v2/buckets/" + id + "/labels",
			"members": "/api/v2/buckets/" + id + "/members",
			"owners":  "/api/v2/buckets/" + id + "/owners",
			"org":     "/api/v2/orgs/" + org,
			"write":   "/api/v2/write?" + url.Values{"org": {org}, "bucket": {id}}.Encode(),
		},
	}
	if answer.UpdatedAt.IsZero() {
		answer.UpdatedAt = b.Created // made by a version that did not note it
	}
	return answer
}

// setting is a value in force, and where it comes from.
type setting struct {
	Seconds int64  `json:"seconds" doc:"in seconds; 0: for ever"`
	Text    string `json:"text" doc:"the same for people"`
	From    string `json:"from" enum:"bucket,default,retention" doc:"bucket: it was set; default: nobody set it; retention: it follows from the retention"`
}

// levelSetting is the compression level in force, and where it comes from.
type levelSetting struct {
	Level string `json:"level" enum:"none,fast,balanced,best"`
	From  string `json:"from" enum:"bucket,default"`
}

// bucketConfig is what is in force for a bucket.
type bucketConfig struct {
	ID          string       `json:"id"`
	Name        string       `json:"name"`
	Retention   setting      `json:"retention" doc:"age at which points go"`
	Partition   setting      `json:"partition" doc:"length of new partitions; those that exist keep theirs"`
	Compression levelSetting `json:"compression" doc:"level of new segments"`
	KeepsFrom   *time.Time   `json:"keepsFrom,omitempty" doc:"oldest time that is kept now; absent: any"`
}

// effective tells what is in force for b now.
func effective(b *meta.Bucket, now time.Time) *bucketConfig {
	c := &bucketConfig{
		ID: b.ID.String(), Name: b.Name,
		Retention:   setting{int64(b.Retention / time.Second), "for ever", "default"},
		Partition:   setting{int64(b.Partition() / time.Second), b.Partition().String(), "default"},
		Compression: levelSetting{string(b.Compression()), "default"},
	}
	if b.Retention > 0 {
		c.Retention.Text, c.Retention.From, c.Partition.From = b.Retention.String(), "bucket", "retention"
	}
	if b.PartitionLength > 0 {
		c.Partition.From = "bucket"
	}
	if b.Level != "" {
		c.Compression.From = "bucket"
	}
	if from := b.Horizon(now); from > math.MinInt64 {
		at := time.Unix(0, from).UTC()
		c.KeepsFrom = &at
	}
	return c
}

func (a *API) buckets() *resource[meta.Bucket, bucketBody, *bucketAnswer] {
	return &resource[meta.Bucket, bucketBody, *bucketAnswer]{
		api: a, path: "buckets", noun: "bucket", name: "Bucket", group: groupBuckets,
		kind: meta.ResourceBuckets, objects: a.meta.BucketSet, usual: usualPage,
		place: func(b *meta.Bucket) (meta.ID, meta.ID) { return b.ID, b.OrgID },
		title: func(b *meta.Bucket) string { return b.Name },
		show:  a.answerBucket,
		list: func(l links, all []*bucketAnswer) any {
			return bucketList{l, all}
		},
		// Who may write points into a bucket shall not be able to delete or
		// change it: that takes what is needed to make one, or an owner.
		changes: func(who *meta.Actor, b *meta.Bucket) bool {
			return who.May(meta.Write, meta.ResourceBuckets, b.OrgID, 0) ||
				who.Session.ID != 0 && slices.Contains(a.meta.Linked(b.ID, meta.Owner), who.User.ID)
		},
		of:      func(b *bucketBody) string { return cmp.Or(b.OrgID, b.Org) },
		put:     func(b *meta.Bucket, org meta.ID) { b.OrgID = org },
		apply:   func(_ context.Context, b *bucketBody, _ *meta.Actor, v *meta.Bucket, _ bool) error { return b.apply(v) },
		deleted: a.gone,
		about:   "Takes the permission to write the buckets of the organisation, as changing and deleting do. A name that is taken is 422.",
		example: `{"name":"sensors","retentionRules":[{"everySeconds":2592000}],"compression":"balanced"}`,
		change:  `{"compression":"best","partitionSeconds":86400}`,
	}
}

func (a *API) bucketRoutes() []httpapi.Route {
	k := a.buckets()
	return slices.Concat(k.routes(), k.memberRoutes(meta.Member), k.memberRoutes(meta.Owner), k.labelRoutes(), []httpapi.Route{
		{Method: http.MethodGet, Path: root + "buckets/{id}/config", Group: groupBuckets, Name: "bucketConfig",
			Summary: "What is in force for a bucket, and where it comes from", Status: http.StatusOK, Gives: bucketConfig{},
			Serve: func(w http.ResponseWriter, r *http.Request) error {
				_, _, _, b, err := k.ofPath(r)
				if err != nil {
					return err
				}
				return httpapi.WriteJSON(w, http.StatusOK, effective(&b, a.now()))
			}},
	})
}
