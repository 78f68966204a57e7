package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/predicate"
)

// streamRequest is what the parameters of GET /api/v1/stream say.
type streamRequest struct {
	live     *plan.Plan
	start    *plan.Plan // what comes first; nil: nothing
	last     bool       // start is about the last value of each series
	limit    int64      // points; 0: no limit
	duration time.Duration
}

// streamParameters describes them.
func streamParameters() []parameter {
	return append(bucketParameters(),
		parameter{"measurement", "only this measurement; may be repeated", text(), false},
		parameter{"field", "only this field; may be repeated", text(), false},
		parameter{"filters", "tag to value, or to a list of values of which one must hold, as in POST /query: " + `{"city":["Kyiv","Lviv"]}`, text(), false},
		parameter{"tags", "condition on tags as in the predicate of a delete, by =, !=, =~ and !~: " + `city != "Kyiv" AND host =~ /^a/`, text(), false},
		parameter{"where", "conditions on fields, all of which must hold, as in POST /query: " + `[{"field":"temperature","op":">","value":30}]`, text(), false},
		parameter{"last", "begin with the last value of each field of each series", oneOf("true", "false"), false},
		parameter{"since", "begin with the points from here on: RFC 3339, relative (-1h) or a number since 1970; with last=true: how far back to look for last values", text(), false},
		parameter{"limit", "end after so many points; 0: go on", count(0, 1e9), false},
		parameter{"duration", "end after so long, such as 30s or 10m", text(), false})
}

// readStream reads the parameters. The bucket is put in by the caller.
func readStream(q url.Values, now time.Time) (*streamRequest, error) {
	what, err := readConditions(q)
	if err != nil {
		return nil, err
	}
	live := *what
	live.Start, live.Stop = column.MinTime, column.MaxTime
	live.Rows = &plan.Rows{Fields: q["field"]}
	r := &streamRequest{live: &live}
	switch text := q.Get("last"); text {
	case "", "false":
	case "true":
		r.last = true
	default:
		return nil, fmt.Errorf("last is %q, want true or false", text)
	}
	since := int64(column.MinTime)
	if text := q.Get("since"); text != "" {
		if since, err = instant(text).nanos(now); err != nil {
			return nil, fmt.Errorf("since: %w", err)
		}
	}
	if r.last || q.Get("since") != "" {
		start := *what
		start.Start, start.Stop = since, column.MaxTime
		if r.last {
			start.Aggregate = &plan.Aggregate{Calls: lastCalls(q["field"]), Group: plan.BySeries()}
		} else {
			start.Rows = &plan.Rows{Fields: q["field"], Merged: true}
		}
		r.start = &start
		if err := start.Validate(); err != nil {
			return nil, err
		}
	}
	if text := q.Get("limit"); text != "" {
		if r.limit, err = strconv.ParseInt(text, 10, 64); err != nil || r.limit < 0 {
			return nil, fmt.Errorf("limit is %q, want a number of points; 0: no limit", text)
		}
	}
	if text := q.Get("duration"); text != "" {
		months, d, err := span(text)
		if err != nil {
			return nil, fmt.Errorf("duration: %w", err)
		}
		if months > 0 || d == 0 {
			return nil, fmt.Errorf("duration is %q, want seconds, minutes, hours or days, more than none", text)
		}
		r.duration = d
	}
	return r, live.Validate()
}

// readConditions reads measurements and conditions on tags and values.
func readConditions(q url.Values) (*plan.Plan, error) {
	p := plan.New(0, 0, 0)
	p.Measurements = q["measurement"]
	if text := q.Get("filters"); text != "" {
		var filters map[string]tagValues
		if err := json.Unmarshal([]byte(text), &filters); err != nil {
			return nil, fmt.Errorf(`filters: want an object such as {"city":"Kyiv"}: %w`, err)
		}
		for _, tag := range slices.Sorted(maps.Keys(filters)) {
			p.Tags = predicate.All(p.Tags, predicate.OneOf(tag, filters[tag]...))
		}
	}
	if text := q.Get("tags"); text != "" {
		c, err := parseCondition(text)
		if err != nil {
			return nil, fmt.Errorf("tags: %w", err)
		}
		if c.Measurement != "" || c.Field != "" {
			return nil, fmt.Errorf("tags: _measurement and _field have parameters of their own, measurement and field")
		}
		p.Tags = predicate.All(p.Tags, c.Where)
	}
	if text := q.Get("where"); text != "" {
		var where []fieldCondition
		if err := json.Unmarshal([]byte(text), &where); err != nil {
			return nil, fmt.Errorf(`where: want a list such as [{"field":"temperature","op":">","value":30}]: %w`, err)
		}
		for i := range where {
			one, err := where[i].compile()
			if err != nil {
				return nil, err
			}
			p.Where = plan.All(p.Where, one)
		}
	}
	return p, nil
}

// lastCalls asks for the last values of some fields, or of all.
func lastCalls(fields []string) []plan.Call {
	if len(fields) == 0 {
		return []plan.Call{{Func: plan.Last}}
	}
	var calls []plan.Call
	for _, f := range fields {
		calls = append(calls, plan.Call{Func: plan.Last, Field: f})
	}
	return calls
}
