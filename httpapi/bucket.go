package httpapi

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"time"
)

// Bucket is a bucket with its settings.
type Bucket struct {
	ID, Org     uint64
	Name        string
	Description string
	Retention   time.Duration // 0 keeps for ever
	// PartitionLength and Level are as they were set: 0 and empty if nobody
	// did.
	PartitionLength  time.Duration
	Level            string
	Created, Updated time.Time

	// What is in force; only read.

	Partition   time.Duration // length of new partitions
	Compression string        // level of new segments
	Floor       int64         // oldest time that an earlier, shorter retention left; 0: none
}

// Org is an organisation.
type Org struct {
	ID      uint64
	Name    string
	Created time.Time
}

// Buckets keeps buckets and organisations: package meta. An error that a
// client can do something about is an *Error.
type Buckets interface {
	// List returns all buckets.
	List() []Bucket
	// Bucket returns the bucket of an id.
	Bucket(id uint64) (Bucket, bool)
	// Create makes a bucket with organisation, name and settings of b.
	Create(ctx context.Context, b Bucket) (Bucket, error)
	// Update lets change set name and settings. It may be called more than
	// once.
	Update(ctx context.Context, id uint64, change func(*Bucket)) (Bucket, error)
	// Delete returns when the bucket is gone for everybody. Its data is
	// removed from the disk after that.
	Delete(ctx context.Context, id uint64) error
	// Orgs returns all organisations.
	Orgs() []Org
}

// formatID writes an id as clients know it: 16 hexadecimal digits.
func formatID(id uint64) string { return fmt.Sprintf("%016x", id) }

// parseID reads what formatID writes.
func parseID(text string) (uint64, bool) {
	id, err := strconv.ParseUint(text, 16, 64)
	return id, err == nil && id != 0 && formatID(id) == text
}

// retentionRule is how the InfluxDB 2 API says for how long a bucket keeps
// points, and how long its partitions (there: shard groups) are.
type retentionRule struct {
	Type               string `json:"type,omitempty" enum:"expire" doc:"expire is the only kind"`
	EverySeconds       int64  `json:"everySeconds" minimum:"0" maximum:"9223372036" doc:"age in seconds at which points go; 0 keeps them for ever"`
	ShardGroupDuration int64  `json:"shardGroupDurationSeconds,omitempty" minimum:"0" maximum:"9223372036" doc:"length of a partition in seconds; 0 or absent: derived from the retention"`
}

// BucketSettings is what a request says about a bucket; absent parts stay as
// they are. Other keys, such as links in an object that is sent back, are of
// no importance, as in InfluxDB.
type BucketSettings struct {
	_                struct{}        `additionalProperties:"true"`
	Name             *string         `json:"name,omitempty" doc:"unique in the organisation; without quotation marks, and not beginning with an underscore"`
	Description      *string         `json:"description,omitempty" doc:"for people"`
	RetentionRules   []retentionRule `json:"retentionRules,omitempty" maxItems:"1" doc:"one rule, or none to keep points for ever"`
	PartitionSeconds *int64          `json:"partitionSeconds,omitempty" minimum:"0" maximum:"9223372036" doc:"length of a partition in seconds, at least 60; 0: derived from the retention. The same as shardGroupDurationSeconds of the rule"`
	Compression      *string         `json:"compression,omitempty" enum:"none,fast,balanced,best" doc:"how hard new segments are compressed; an empty string goes back to the default"`
}

// check finds fault with what can be judged without the bucket.
func (s *BucketSettings) check() error {
	if len(s.RetentionRules) > 1 {
		return &Error{Code: Unprocessable, Message: fmt.Sprintf("%d retention rules are given: a bucket has one at most", len(s.RetentionRules))}
	}
	for _, r := range s.RetentionRules {
		if r.Type != "" && r.Type != "expire" {
			return &Error{Code: Unprocessable, Message: fmt.Sprintf("retention rule of type %q is not known: expire is the only type", r.Type)}
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
		return &Error{Code: Unprocessable, Message: fmt.Sprintf("%s is %d: want 0 to %d", name, n, math.MaxInt64/int64(time.Second))}
	}
	return nil
}

// apply sets in b what s says.
func (s *BucketSettings) apply(b *Bucket) {
	if s.Name != nil {
		b.Name = *s.Name
	}
	if s.Description != nil {
		b.Description = *s.Description
	}
	if s.RetentionRules != nil {
		b.Retention = 0
	}
	for _, r := range s.RetentionRules {
		b.Retention = time.Duration(r.EverySeconds) * time.Second
		// A derived length that comes back as it was shown stays derived.
		if d := time.Duration(r.ShardGroupDuration) * time.Second; d != b.Partition && d != 0 {
			b.PartitionLength = d
		}
	}
	if s.PartitionSeconds != nil {
		b.PartitionLength = time.Duration(*s.PartitionSeconds) * time.Second
	}
	if s.Compression != nil {
		b.Level = *s.Compression
	}
}

// bucketAnswer is a bucket in an answer.
type bucketAnswer struct {
	ID               string            `json:"id"`
	OrgID            string            `json:"orgID"`
	Type             string            `json:"type" enum:"user"`
	Name             string            `json:"name"`
	Description      string            `json:"description,omitempty"`
	RetentionRules   []retentionRule   `json:"retentionRules" nullable:"false" doc:"one rule, with what is in force"`
	PartitionSeconds int64             `json:"partitionSeconds,omitempty" doc:"length of a partition as it was set; absent if it is derived"`
	Compression      string            `json:"compression" enum:"none,fast,balanced,best" doc:"the level in force"`
	CreatedAt        time.Time         `json:"createdAt"`
	UpdatedAt        time.Time         `json:"updatedAt"`
	Labels           []string          `json:"labels" nullable:"false" doc:"always empty; clients expect it"`
	Links            map[string]string `json:"links"`
}

func answerBucket(b *Bucket) *bucketAnswer {
	id, org := formatID(b.ID), formatID(b.Org)
	a := &bucketAnswer{
		ID: id, OrgID: org, Type: "user", Name: b.Name, Description: b.Description,
		RetentionRules: []retentionRule{{
			Type: "expire", EverySeconds: int64(b.Retention / time.Second), ShardGroupDuration: int64(b.Partition / time.Second),
		}},
		PartitionSeconds: int64(b.PartitionLength / time.Second),
		Compression:      b.Compression,
		CreatedAt:        b.Created, UpdatedAt: b.Updated,
		Labels: []string{},
		Links: map[string]string{
			"self":   "/api/v2/buckets/" + id,
			"config": "/api/v2/buckets/" + id + "/config",
			"org":    "/api/v2/orgs?orgID=" + org,
			"write":  "/api/v2/write?" + url.Values{"org": {org}, "bucket": {id}}.Encode(),
		},
	}
	if a.UpdatedAt.IsZero() {
		a.UpdatedAt = b.Created // made by a version that did not note it
	}
	return a
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
func effective(b *Bucket, now time.Time) *bucketConfig {
	c := &bucketConfig{
		ID: formatID(b.ID), Name: b.Name,
		Retention:   setting{int64(b.Retention / time.Second), "for ever", "default"},
		Partition:   setting{int64(b.Partition / time.Second), b.Partition.String(), "default"},
		Compression: levelSetting{b.Compression, "default"},
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
	var from time.Time
	if b.Floor != 0 {
		from = time.Unix(0, b.Floor).UTC()
	}
	if b.Retention > 0 {
		if at := now.Add(-b.Retention).UTC(); at.After(from) {
			from = at
		}
	}
	if !from.IsZero() {
		c.KeepsFrom = &from
	}
	return c
}
