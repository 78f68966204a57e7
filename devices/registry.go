// Package devices is the registry of the devices of a bucket: which there are,
// since when, when each was last heard of, how often it speaks, and whether it
// is online. httpapi asks it.
//
// Nothing is registered. A device is a value of a tag, and everything that the
// registry says is derived from the points by questions of the query driver, so
// that it is right after a restart, a restore or a delete, and a million
// devices take no memory between two questions. Rejected: a map that writers
// keep up to date. It would cost each write a lookup, and hundreds of bytes a
// device for ever.
//
// Which tag names the devices of a measurement is configured: the first of a
// list that the measurement has. What several measurements call by one name is
// one device, whichever tag it stands in.
//
// A page goes:
//
//  1. The least names from the cursor on come from the indexes: of each tag a
//     page (plan.List.From), whatever the number of devices.
//  2. When each of these was last heard of, and what the broker says of it, is
//     looked up by name. If the request is for those that are online, or are
//     not, the others go. Where too few are left, all series are walked for
//     names that may be what is wanted, and those are looked up.
//  3. First points and rates are looked up for those that are left.
//
// A Registry is safe for concurrent use. It starts no goroutine.
package devices

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/scan"
)

// What brokers write of the connections of devices: that of MQTT by client, and
// hosts of Sparkplug by group, node and device.
const (
	statusMeasurement = "device_status"
	statusTag         = "client"
	statusField       = "online" // a boolean
)

// Config says what a device is.
type Config struct {
	// Tags are those that name devices; the first that a measurement has does.
	Tags []string
	// OfflineAfter is how long a device may be silent before it counts as
	// offline, unless a broker knows better.
	OfflineAfter time.Duration
}

// Default returns what a server starts with.
func Default() Config {
	return Config{
		Tags: []string{"device", "device_id", "sensor_id", "host", "client"},
		// Five times what a device that reports once a minute leaves out.
		OfflineAfter: 5 * time.Minute,
	}
}

// Validate reports the first setting that makes no sense.
func (c Config) Validate() error {
	for i, tag := range c.Tags {
		if tag == "" || slices.Contains(c.Tags[:i], tag) {
			return fmt.Errorf("devices.tags %q: want the names of tags, each once", c.Tags)
		}
	}
	if c.OfflineAfter <= 0 {
		return fmt.Errorf("devices are offline after %s, want more than 0", c.OfflineAfter)
	}
	return nil
}

// Driver runs plans: package query.
type Driver interface {
	Run(ctx context.Context, p *plan.Plan, use func(*scan.Batch) error) (explain string, err error)
}

// Schema knows which tags measurements have: package meta.
type Schema interface {
	Measurements(bucket uint64) []string
	Measurement(bucket uint64, name string) *meta.Measurement
}

// Registry answers questions about devices.
type Registry struct {
	cfg    Config
	driver Driver
	schema Schema
	now    func() time.Time
}

// New returns a registry.
func New(cfg Config, driver Driver, schema Schema, now func() time.Time) (*Registry, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Registry{cfg: cfg, driver: driver, schema: schema, now: now}, nil
}

// ErrUnknown says that no point is of a device of this name.
var ErrUnknown = errors.New("no such device")

// group is measurements whose devices one tag names.
type group struct {
	tag          string
	measurements []string
	only         *predicate.Expr // series that are looked at; nil: all
}

// groups returns the measurements of a bucket by the tag that names devices,
// those of wanted only if there are any. What brokers write is in statuses.
func (r *Registry) groups(bucket uint64, wanted []string) (all, statuses []group) {
	for _, tag := range r.cfg.Tags {
		all = append(all, group{tag: tag})
	}
	for _, name := range r.schema.Measurements(bucket) {
		m := r.schema.Measurement(bucket, name)
		if name == statusMeasurement && m.Kind(statusField) == meta.FieldKind(column.Bool) {
			statuses = r.statuses(m)
			continue
		}
		if len(wanted) > 0 && !slices.Contains(wanted, name) {
			continue
		}
		for i := range all {
			if m.Kind(all[i].tag) == meta.Tag {
				all[i].measurements = append(all[i].measurements, name)
				break
			}
		}
	}
	return slices.DeleteFunc(all, func(g group) bool { return len(g.measurements) == 0 }), statuses
}

// statuses returns groups of what brokers write. Several write into one
// measurement, so that it is each series whose first tag counts.
func (r *Registry) statuses(m *meta.Measurement) (all []group) {
	tags := r.cfg.Tags
	if !slices.Contains(tags, statusTag) {
		tags = append(slices.Clone(tags), statusTag)
	}
	var only *predicate.Expr
	for _, tag := range tags {
		if m.Kind(tag) == meta.Tag {
			all = append(all, group{tag, []string{statusMeasurement}, only})
			only = predicate.All(only, predicate.Eq(tag, ""))
		}
	}
	return all
}

// plan begins a plan about some devices of a group.
func (g *group) plan(bucket uint64, start, stop int64, tags *predicate.Expr, names []string) *plan.Plan {
	p := plan.New(bucket, start, stop)
	p.Measurements = g.measurements
	p.Tags = predicate.All(predicate.OneOf(g.tag, names...), g.only, tags)
	return p
}
