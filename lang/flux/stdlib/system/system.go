// Package system holds the packages of the standard library that ask the host,
// runtime and influxdata/influxdb/secrets, and those for other systems, which
// are not reached from here: importing one is an error that says so.
package system

import (
	"fmt"
	"strings"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

// Secrets is what a flow.Run's host has to be for scripts to read secrets.
type Secrets interface {
	// Secret returns the secret of a key of the organisation of the request;
	// false if there is none, or the script may not read it.
	Secret(key string) (string, bool)
}

// Packages returns the packages.
func Packages() []*lib.Package {
	all := []*lib.Package{
		lib.New("runtime").Func("version", "", func(*value.Call) (value.Value, error) {
			// The release of influxdata/flux whose documentation this follows.
			return value.OfString("v0.195.2"), nil
		}),
		lib.New("influxdata/influxdb/secrets").Func("get", "key: string", secret),
		lib.New("profiler").Option("enabledProfilers", value.OfArray([]value.Value{value.OfString("")})),
		lib.New("experimental/iox").Scalar("sqlInterval", "d: duration", value.String, sqlInterval),
	}
	for _, path := range elsewhere {
		p := lib.New(path)
		p.Refused = "it reaches other systems, which scripts may not do here: write their data to a bucket, and read that"
		all = append(all, p)
	}
	return all
}

// elsewhere is the packages whose only functions call other systems.
var elsewhere = [...]string{
	"sql", "kafka", "socket", "experimental/mqtt", "experimental/bigtable", "experimental/csv", "experimental/influxdb",
	"contrib/bonitoo-io/alerta", "contrib/bonitoo-io/servicenow", "contrib/bonitoo-io/victorops", "contrib/bonitoo-io/zenoss",
	"contrib/qxip/clickhouse", "contrib/qxip/logql", "contrib/rhajek/bigpanda", "contrib/sranka/opsgenie", "contrib/sranka/sensu", "contrib/sranka/webexteams",
}

// sqlInterval writes a duration as SQL does, in units of the clock and of the
// calendar.
func sqlInterval(c *value.Call) (value.Value, error) {
	d := c.Args[0].Duration()
	if d.Negative() || d.IsZero() {
		return value.Value{}, c.Errorf("duration must be more than zero: %s", d)
	}
	var words []string
	put := func(n int64, unit string) {
		if n != 0 {
			words = append(words, fmt.Sprintf("%d %s", n, unit))
		}
	}
	put(d.Months/12, "years")
	put(d.Months%12, "months")
	rest := time.Duration(d.Nanos)
	for _, u := range []struct {
		size time.Duration
		name string
	}{{7 * 24 * time.Hour, "weeks"}, {24 * time.Hour, "days"}, {time.Hour, "hours"}, {time.Minute, "minutes"}, {time.Second, "seconds"},
		{time.Millisecond, "milliseconds"}, {time.Microsecond, "microseconds"}, {time.Nanosecond, "nanoseconds"}} {
		put(int64(rest/u.size), u.name)
		rest %= u.size
	}
	return value.OfString(strings.Join(words, " ")), nil
}

func secret(c *value.Call) (value.Value, error) {
	key := c.Str("key", "")
	host, ok := flow.RunOf(c).Host.(Secrets)
	if !ok {
		return value.Value{}, c.Errorf("there are no secrets to read from here")
	}
	s, ok := host.Secret(key)
	if !ok {
		return value.Value{}, fmt.Errorf("failed to retrieve secret %q: the organisation has none of that name", key)
	}
	return value.OfString(s), nil
}
