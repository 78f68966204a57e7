// Package influxdb is the packages influxdata/influxdb, its schema and its v1:
// what reads buckets and tells what is in them.
package influxdb

import (
	_ "embed"

	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/storage"
)

//go:embed schema.flux
var schemaSource string

//go:embed v1.flux
var v1Source string

//go:embed influxdb.flux
var influxdbSource string

// Packages returns the packages of this folder.
func Packages() []*lib.Package {
	p := lib.New("influxdata/influxdb")
	p.Func("from", storage.FromParams, storage.CallFrom)
	p.Func("buckets", storage.BucketsParams, storage.CallBuckets)
	p.Func("to", storage.ToParams, storage.CallTo)
	p.Func("wideTo", storage.WideToParams, storage.CallWideTo)
	p.Flux(influxdbSource)
	v1 := lib.New("influxdata/influxdb/v1")
	v1.Func("databases", "?org: string, ?orgID: string, ?host: string, ?token: string", storage.CallDatabases)
	v1.Flux(v1Source)
	return []*lib.Package{p, lib.New("influxdata/influxdb/schema").Flux(schemaSource), v1}
}
