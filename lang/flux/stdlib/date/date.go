// Package date holds the packages of the standard library that compute with
// times: date, date/boundaries, timezone, system.
package date

import (
	"fmt"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

// Packages returns the packages.
func Packages() []*lib.Package {
	return []*lib.Package{date(), timezone(), boundaries("date/boundaries"), boundaries("experimental/date/boundaries"), system()}
}

func date() *lib.Package {
	p := lib.New("date")
	for name, f := range map[string]func(t time.Time) int{
		"nanosecond": time.Time.Nanosecond, "microsecond": func(t time.Time) int { return t.Nanosecond() / 1e3 },
		"millisecond": func(t time.Time) int { return t.Nanosecond() / 1e6 },
		"second":      time.Time.Second, "minute": time.Time.Minute, "hour": time.Time.Hour,
		"weekDay": func(t time.Time) int { return int(t.Weekday()) }, "monthDay": time.Time.Day, "yearDay": time.Time.YearDay,
		"month": func(t time.Time) int { return int(t.Month()) }, "year": time.Time.Year,
		"week":    func(t time.Time) int { _, w := t.ISOWeek(); return w },
		"quarter": func(t time.Time) int { return (int(t.Month())-1)/3 + 1 },
	} {
		p.Func(name, "t: time|duration, ?location: record", func(c *value.Call) (value.Value, error) {
			if c.Arg("t").IsNull() {
				return value.NullOf(value.Int), nil
			}
			t, err := flow.ArgTime(c, "t")
			if err != nil {
				return value.Value{}, err
			}
			return value.OfInt(int64(f(t))), nil
		})
	}
	p.Func("time", "t: time|duration, ?location: record", func(c *value.Call) (value.Value, error) {
		if c.Arg("t").IsNull() {
			return value.NullOf(value.Time), nil
		}
		t, err := flow.ArgTime(c, "t")
		if err != nil {
			return value.Value{}, err
		}
		_, offset := t.Zone()
		return value.OfTime(t.UnixNano() + int64(offset)*int64(time.Second)), nil
	})
	p.Func("truncate", "t: time|duration, unit: duration, ?location: record", func(c *value.Call) (value.Value, error) {
		if c.Arg("t").IsNull() {
			return value.NullOf(value.Time), nil
		}
		t, err := flow.ArgTime(c, "t")
		if err != nil {
			return value.Value{}, err
		}
		at, err := Truncate(t, c.Span("unit", value.Span{}))
		if err != nil {
			return value.Value{}, err
		}
		return value.OfTime(at.UnixNano()), nil
	})
	p.Func("add", "d: duration, to: time|duration, ?location: record", func(c *value.Call) (value.Value, error) {
		return flow.ArgTimePlus(c, "to", c.Span("d", value.Span{}))
	})
	p.Func("sub", "d: duration, from: time|duration, ?location: record", func(c *value.Call) (value.Value, error) {
		return flow.ArgTimePlus(c, "from", c.Span("d", value.Span{}).Negate())
	})
	p.Scalar("scale", "d: duration, n: int", value.Duration, func(c *value.Call) (value.Value, error) {
		return value.OfDuration(c.Args[0].Duration().Times(c.Args[1].Int())), nil
	})
	return p
}

// Truncate returns the start of the unit of time that t lies in, on the clocks
// of t's zone. Units are counted from 1970-01-01, so that weeks begin on
// Thursdays.
func Truncate(t time.Time, unit value.Span) (time.Time, error) {
	if unit.Negative() || unit.IsZero() || unit.Months != 0 && unit.Nanos != 0 {
		return t, fmt.Errorf("unit must be a positive number of months or of shorter units, not %s", unit)
	}
	if unit.Months != 0 {
		y, m, _ := t.Date()
		n := int64(y-1970)*12 + int64(m) - 1
		n -= ((n % unit.Months) + unit.Months) % unit.Months
		return time.Date(1970, time.Month(n+1), 1, 0, 0, 0, 0, t.Location()), nil
	}
	_, offset := t.Zone()
	clock := t.UnixNano() + int64(offset)*int64(time.Second)
	floor := clock - ((clock%unit.Nanos)+unit.Nanos)%unit.Nanos
	if unit.Nanos <= int64(time.Hour) {
		// Less than what clocks are changed by: counted back from t.
		return t.Add(time.Duration(floor - clock)), nil
	}
	r := time.Unix(0, floor).UTC()
	h, mi, s := r.Clock()
	return time.Date(r.Year(), r.Month(), r.Day(), h, mi, s, r.Nanosecond(), t.Location()), nil
}

func timezone() *lib.Package {
	location := func(zone string, offset value.Span) value.Value {
		return value.OfRecord(value.NewRecord([]string{"zone", "offset"}, []value.Value{value.OfString(zone), value.OfDuration(offset)}))
	}
	return lib.New("timezone").
		Value("utc", location("UTC", value.Span{})).
		Func("fixed", "offset: duration", func(c *value.Call) (value.Value, error) {
			return location("UTC", c.Span("offset", value.Span{})), nil
		}).
		Func("location", "name: string", func(c *value.Call) (value.Value, error) {
			v := location(c.Str("name", ""), value.Span{})
			_, err := flow.ZoneOf(v)
			return v, err
		})
}

func system() *lib.Package {
	return lib.New("system").Func("time", "", func(c *value.Call) (value.Value, error) {
		return value.OfTime(flow.RunOf(c).Now), nil
	})
}
