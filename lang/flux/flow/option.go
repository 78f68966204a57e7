package flow

import (
	"fmt"
	"time"

	"github.com/varvedb/varve/lang/flux/value"
)

// Now returns what now() of the script returns, in nanoseconds since 1970.
func Now(c *value.Call) (int64, error) {
	r := RunOf(c)
	now, ok := r.Option("", "now")
	if !ok {
		return r.Now, nil
	}
	if now.Kind() != value.Function {
		return 0, fmt.Errorf("option now must be a function, not %s", now.Describe())
	}
	v, err := c.InvokeNamed(now.Func(), nil)
	if err != nil {
		return 0, err
	}
	if v.Kind() != value.Time || v.IsNull() {
		return 0, fmt.Errorf("option now must return a time, not %s", v.Describe())
	}
	return v.Time(), nil
}

// Zone returns the time zone that the option location names. Its offset is added
// to that of the zone.
func (r *Run) Zone() (*time.Location, error) {
	v, ok := r.Option("", "location")
	if !ok {
		return time.UTC, nil
	}
	return ZoneOf(v)
}

// ZoneOf returns the time zone of a record like {zone: "Europe/Kyiv", offset: 0h}.
func ZoneOf(v value.Value) (*time.Location, error) {
	if v.Kind() != value.Record || v.IsNull() {
		return nil, fmt.Errorf("a location is a record of zone and offset, not %s", v.Describe())
	}
	name, offset := "UTC", int64(0)
	if z, ok := v.Record().Get("zone"); ok && !z.IsNull() {
		if z.Kind() != value.String {
			return nil, fmt.Errorf("zone of a location must be string, not %s", z.Describe())
		}
		name = z.Str()
	}
	if o, ok := v.Record().Get("offset"); ok && !o.IsNull() {
		if o.Kind() != value.Duration {
			return nil, fmt.Errorf("offset of a location must be duration, not %s", o.Describe())
		}
		if offset, ok = o.Duration().Fixed(); !ok {
			return nil, fmt.Errorf("offset of a location cannot have months: %s", o.Text())
		}
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("unknown time zone %q", name)
	}
	if offset == 0 {
		return zone, nil
	}
	if zone == time.UTC {
		return time.FixedZone("", int(offset/int64(time.Second))), nil
	}
	return nil, fmt.Errorf("a location has a zone or an offset: %q has both", name)
}

// ArgTime returns an argument that is a time, or a duration from now, on the
// clocks of the argument location, if the function has one and it was given, or
// else of the option. It must not be null.
func ArgTime(c *value.Call, name string) (time.Time, error) {
	zone, err := RunOf(c).Zone()
	if c.Func.Param("location") >= 0 && c.Has("location") {
		zone, err = ZoneOf(c.Arg("location"))
	}
	if err != nil {
		return time.Time{}, err
	}
	v := c.Arg(name)
	if v.Kind() == value.Time {
		return time.Unix(0, v.Time()).In(zone), nil
	}
	now, err := Now(c)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(0, v.Duration().AddTo(now, zone)).In(zone), nil
}

// ArgTimePlus returns an argument as ArgTime does, and a duration after it; the
// null of a null.
func ArgTimePlus(c *value.Call, name string, d value.Span) (value.Value, error) {
	if c.Arg(name).IsNull() {
		return value.NullOf(value.Time), nil
	}
	t, err := ArgTime(c, name)
	if err != nil {
		return value.Value{}, err
	}
	return value.OfTime(d.AddTo(t.UnixNano(), t.Location())), nil
}
