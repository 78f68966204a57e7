// Package system holds the packages of the standard library that ask the host:
// runtime, influxdata/influxdb/secrets, and those for other systems, which are
// not reached from here.
package system

import (
	"fmt"

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
	return []*lib.Package{
		lib.New("runtime").Func("version", "", func(*value.Call) (value.Value, error) {
			// The release of influxdata/flux whose documentation this follows.
			return value.OfString("v0.195.2"), nil
		}),
		lib.New("influxdata/influxdb/secrets").Func("get", "key: string", secret),
		lib.New("profiler").Option("enabledProfilers", value.OfArray([]value.Value{value.OfString("")})),
	}
}

func secret(c *value.Call) (value.Value, error) {
	key := c.Str("key", "")
	host, ok := flow.RunOf(c).Host.(Secrets)
	if !ok {
		return value.Value{}, c.Errorf("there are no secrets to read from here")
	}
	s, ok := host.Secret(key)
	if !ok {
		return value.Value{}, fmt.Errorf("failed to retrieve secret %q", key)
	}
	return value.OfString(s), nil
}
