package storage

import (
	"errors"
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Buckets is a table of the buckets of an organisation that the script may see,
// as buckets() returns it.
type Buckets struct{ Org Org }

// Name implements flow.Op.
func (b *Buckets) Name() string { return "buckets" }

// Details implements flow.Op.
func (b *Buckets) Details() string { return "" }

// Open implements flow.Op.
func (b *Buckets) Open(run *flow.Run, _ []table.Reader) (table.Reader, error) {
	host, err := HostOf(run)
	if err != nil {
		return nil, err
	}
	all, err := host.Buckets(b.Org)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return table.NewList(), nil
	}
	names, ids, policies := table.NewColumn("name", value.String), table.NewColumn("id", value.String), table.NewColumn("retentionPolicy", value.String)
	periods := table.NewColumn("retentionPeriod", value.Int)
	for _, bucket := range all {
		names.Append(value.OfString(bucket.Name))
		ids.Append(value.OfString(fmt.Sprintf("%016x", bucket.ID)))
		policies.Append(value.OfString(""))
		periods.Append(value.OfInt(int64(bucket.Retention)))
	}
	org := value.OfString(all[0].OrgID)
	return table.NewList(&table.Table{
		Key:  table.NewKey([]string{"organizationID"}, []value.Value{org}),
		Cols: []table.Column{names, ids, table.Constant("organizationID", org), policies, periods},
		Rows: len(all),
	}), nil
}

// Database is a name of the 1.x API for a bucket.
type Database struct {
	Name, Policy string
	Default      bool
	Bucket       Bucket
}

// Mapper is what a flow.Run's host has to be for scripts to list databases.
type Mapper interface {
	// Databases returns those whose bucket the script may read.
	Databases(org Org) ([]Database, error)
}

// Databases is a table of the names that the 1.x API has for buckets, as
// v1.databases() returns it.
type Databases struct{ Org Org }

// Name implements flow.Op.
func (d *Databases) Name() string { return "databases" }

// Details implements flow.Op.
func (d *Databases) Details() string { return "" }

// Open implements flow.Op.
func (d *Databases) Open(run *flow.Run, _ []table.Reader) (table.Reader, error) {
	host, ok := run.Host.(Mapper)
	if !ok {
		return nil, errNoHost
	}
	all, err := host.Databases(d.Org)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("no 1.x databases found")
	}
	names, policies, ids := table.NewColumn("databaseName", value.String), table.NewColumn("retentionPolicy", value.String), table.NewColumn("bucketId", value.String)
	periods, defaults := table.NewColumn("retentionPeriod", value.Int), table.NewColumn("default", value.Bool)
	for _, of := range all {
		names.Append(value.OfString(of.Name))
		policies.Append(value.OfString(of.Policy))
		periods.Append(value.OfInt(int64(of.Bucket.Retention)))
		defaults.Append(value.OfBool(of.Default))
		ids.Append(value.OfString(fmt.Sprintf("%016x", of.Bucket.ID)))
	}
	org := value.OfString(all[0].Bucket.OrgID)
	return table.NewList(&table.Table{
		Key:  table.NewKey([]string{"organizationID"}, []value.Value{org}),
		Cols: []table.Column{table.Constant("organizationID", org), names, policies, periods, defaults, ids},
		Rows: len(all),
	}), nil
}
