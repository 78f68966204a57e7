// Package storage is where scripts meet the store: it turns the batches of
// plans into tables (Plan), lists buckets (Buckets), writes tables (To), and
// declares what a script's host has to be for that (Host, Writer). Package
// pushdown makes Plans of graphs; without it there is nothing that reads,
// because from() alone is a read without bounds.
//
// # Two models
//
// The store is wide: a row has a time and a value of each of several fields. A
// table of Flux has one field of one series: its rows are those in which the
// field has a value. The group key is _start, _stop, _measurement, _field and the
// tags; tables come by measurement, then by series key, then by field.
//
// # A plan, step by step
//
//  1. Parts cuts a Plan into plans of the store (parts.go). A Filter that speaks
//     of tags, of measurements and of fields by name is one plan, and that is
//     known before anything runs. Others need the names and types of fields,
//     which are asked for first (names.go): for each measurement and field the
//     filter is reduced to what it says of tags and of values (reduce.go).
//  2. The parts run side by side, and what they return is merged by measurement,
//     series and field (merge.go).
//  3. A batch becomes tables, whose columns share its memory: of rows (rows.go),
//     of rows with a column for each field (wide.go), of windows and groups
//     (windows.go), of names (list.go).
//
// # Invariants
//
//   - A Plan answers what the graph that it stands for would have answered. Where
//     that cannot be known before the types of fields are, it runs that graph
//     instead (Plan.Otherwise).
//   - A bucket that the token may not read looks like one that is not there.
//
// Operators are immutable; readers belong to one goroutine.
package storage

import (
	"errors"
	"fmt"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/value"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/query"
)

// Host is what a flow.Run's host has to be for scripts to read from the store.
type Host interface {
	// Bucket finds a bucket that the script may read. One that is not there,
	// or that it may not read, is a NotFoundError.
	Bucket(ref Ref) (Bucket, error)
	// Buckets returns the buckets of an organisation that the script may see.
	// An organisation that is not there is a NotFoundError.
	Buckets(org Org) ([]Bucket, error)
	// Run asks a plan: query.Question.Run.
	Run(p *plan.Plan) (*query.Answer, error)
}

// Org names an organisation, by name or by id (16 hexadecimal digits). The zero
// Org is the one that the request is for.
type Org struct{ Name, ID string }

// Ref names a bucket, by name or by id (16 hexadecimal digits).
type Ref struct {
	Name, ID string
	Org      Org
}

// String renders r like a script would name it.
func (r Ref) String() string {
	if r.ID != "" {
		return r.ID
	}
	return r.Name
}

// Bucket is a bucket as scripts see it.
type Bucket struct {
	ID        uint64
	Name      string
	OrgID     string // 16 hexadecimal digits
	Retention time.Duration
}

// NotFoundError says that something is not there, or may not be seen.
type NotFoundError struct {
	What string // "bucket", "organization"
	Name string
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("could not find %s %q", e.What, e.Name)
}

// errNoHost is what scripts get that run without a store.
var errNoHost = errors.New("there is no storage to read from here")

// HostOf returns the host that a run reads from.
func HostOf(run *flow.Run) (Host, error) {
	if h, ok := run.Host.(Host); ok {
		return h, nil
	}
	return nil, errNoHost
}

// RefOf reads the arguments bucket, bucketID, org and orgID of a call.
func RefOf(c *value.Call) (Ref, error) {
	r := Ref{Name: c.Str("bucket", ""), ID: c.Str("bucketID", "")}
	switch {
	case c.Has("bucket") && c.Has("bucketID"):
		return r, c.Errorf("must specify exactly one of bucket or bucketID")
	case r.Name == "" && r.ID == "":
		return r, c.Errorf("must specify exactly one of bucket or bucketID")
	}
	var err error
	r.Org, err = OrgOf(c)
	return r, err
}

// OrgOf reads the arguments org, orgID, host and token of a call. Other servers
// are not asked.
func OrgOf(c *value.Call) (Org, error) {
	if c.Has("host") {
		return Org{}, c.Errorf("the host %q cannot be asked: scripts reach this server only; leave host and token out", c.Str("host", ""))
	}
	if c.Has("org") && c.Has("orgID") {
		return Org{}, c.Errorf("must specify at most one of org or orgID")
	}
	return Org{Name: c.Str("org", ""), ID: c.Str("orgID", "")}, nil
}
