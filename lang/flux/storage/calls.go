package storage

import (
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/value"
)

// Parameters of the functions below, in the notation of lib.Package.Func. They
// stand in several packages.
const (
	FromParams    = "?bucket: string, ?bucketID: string, ?org: string, ?orgID: string, ?host: string, ?token: string"
	BucketsParams = "?org: string, ?orgID: string, ?host: string, ?token: string"
	ToParams      = "<-tables: stream, " + FromParams + ", ?timeColumn: string, ?measurementColumn: string, ?tagColumns: [string], ?fieldFn: function"
	WideToParams  = "<-tables: stream, " + FromParams
)

// CallFrom is from().
func CallFrom(c *value.Call) (value.Value, error) {
	ref, err := RefOf(c)
	if err != nil {
		return value.Value{}, err
	}
	host, err := HostOf(flow.RunOf(c))
	if err != nil {
		return value.Value{}, err
	}
	b, err := host.Bucket(ref)
	if err != nil {
		return value.Value{}, err
	}
	return flow.New(c, &From{b}), nil
}

// CallBuckets is buckets().
func CallBuckets(c *value.Call) (value.Value, error) {
	org, err := OrgOf(c)
	if err != nil {
		return value.Value{}, err
	}
	return flow.New(c, &Buckets{org}), nil
}

// CallTo is to().
func CallTo(c *value.Call) (value.Value, error) {
	b, err := writable(c)
	if err != nil {
		return value.Value{}, err
	}
	to := &To{Bucket: b, TimeColumn: c.Str("timeColumn", Time), Measurement: c.Str("measurementColumn", Measurement), Tags: c.Strings("tagColumns")}
	slices.Sort(to.Tags)
	if c.Has("fieldFn") {
		to.Fields = c.Arg("fieldFn").Func()
	}
	return flow.New(c, to, flow.Input(c, "tables")), nil
}

// CallWideTo is wideTo(), and to() of package experimental.
func CallWideTo(c *value.Call) (value.Value, error) {
	b, err := writable(c)
	if err != nil {
		return value.Value{}, err
	}
	return flow.New(c, &To{Bucket: b, TimeColumn: Time, Measurement: Measurement, Wide: true}, flow.Input(c, "tables")), nil
}

func writable(c *value.Call) (Bucket, error) {
	ref, err := RefOf(c)
	if err != nil {
		return Bucket{}, err
	}
	host, err := WriterOf(flow.RunOf(c))
	if err != nil {
		return Bucket{}, err
	}
	return host.Writable(ref)
}

// CallDatabases is databases() of package v1.
func CallDatabases(c *value.Call) (value.Value, error) {
	org, err := OrgOf(c)
	if err != nil {
		return value.Value{}, err
	}
	return flow.New(c, &Databases{org}), nil
}
