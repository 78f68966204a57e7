package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/predicate"
)

// queryRequest is the body of POST /query.
type queryRequest struct {
	Bucket      string               `json:"bucket,omitempty" doc:"by name or id; absent: the token's default"`
	Start       instant              `json:"start" doc:"RFC 3339 (UTC where no zone is given), relative (-1h, -7d, now), or a number since 1970"`
	Stop        instant              `json:"stop,omitempty" doc:"as start; itself left out of the range; absent: now"`
	Measurement string               `json:"measurement" minLength:"1"`
	Filters     map[string]tagValues `json:"filters,omitempty" doc:"tag to value, or to a list of values of which one must hold"`
	Where       []fieldCondition     `json:"where,omitempty" doc:"conditions on fields, all of which must hold"`
	Fields      []string             `json:"fields,omitempty" doc:"absent: all"`
	// Aggregation is the name of a function of package plan; Quantile goes
	// with "quantile".
	Aggregation string  `json:"aggregation,omitempty" enum:"count,sum,mean,median,min,max,first,last,spread,stddev,increase,quantile" doc:"absent: the rows as they are"`
	Quantile    float64 `json:"quantile,omitempty" minimum:"0" maximum:"1" doc:"goes with the aggregation quantile"`
	// Every is the length of windows, in UTC unless Zone names another; empty:
	// one window from start to stop.
	Every string `json:"every,omitempty" doc:"length of windows, such as 30s, 1m, 1h, 1d, 1w, 1mo, 1y; absent: one from start to stop"`
	Zone  string `json:"zone,omitempty" doc:"time zone of the windows, such as Europe/Kyiv; absent: UTC"`
	// GroupBy is the tags by which series are put together: absent means each
	// series on its own, an empty list all as one.
	GroupBy []string `json:"group_by,omitempty" doc:"tags to aggregate by; absent: each series on its own; []: all together"`
	// Order is asc or desc, by time over all series; absent means series by
	// series, which is faster.
	Order   string `json:"order,omitempty" enum:"asc,desc" doc:"by time over all series; absent: series by series"`
	Limit   int64  `json:"limit,omitempty" minimum:"0" doc:"number of values; 0: all"`
	Explain bool   `json:"explain,omitempty" doc:"adds what was pruned and how much was read"`
}

// fieldCondition is a comparison of a field with a constant.
type fieldCondition struct {
	Field string          `json:"field"`
	Op    string          `json:"op" enum:"=,!=,<,<=,>,>=,=~,exists"`
	Value json.RawMessage `json:"value,omitempty" doc:"a number, string or boolean; a regular expression in a string for =~; none for exists"`
}

// UnmarshalJSON refuses keys that are not known: one that is misspelt would
// otherwise change the answer without a word.
func (q *queryRequest) UnmarshalJSON(b []byte) error {
	type plain queryRequest
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.DisallowUnknownFields()
	return dec.Decode((*plain)(q))
}

// plan compiles the request.
func (q *queryRequest) plan(bucket uint64, now time.Time) (*plan.Plan, error) {
	if q.Measurement == "" {
		return nil, fmt.Errorf("measurement is missing; GET /measurements lists them")
	}
	if q.Start == "" {
		return nil, fmt.Errorf("start is missing: give a time such as 2026-01-02T15:04:05Z or -1h")
	}
	start, err := q.Start.nanos(now)
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	stop := now.UnixNano()
	if q.Stop != "" {
		if stop, err = q.Stop.nanos(now); err != nil {
			return nil, fmt.Errorf("stop: %w", err)
		}
	}
	p := plan.New(bucket, start, stop)
	p.Measurements = []string{q.Measurement}
	for _, tag := range slices.Sorted(maps.Keys(q.Filters)) {
		p.Tags = predicate.All(p.Tags, predicate.OneOf(tag, q.Filters[tag]...))
	}
	for _, c := range q.Where {
		one, err := c.compile()
		if err != nil {
			return nil, err
		}
		p.Where = plan.All(p.Where, one)
	}
	switch q.Order {
	case "", "asc":
	case "desc":
		p.Desc = true
	default:
		return nil, fmt.Errorf("order %q: want asc or desc", q.Order)
	}
	if q.Limit < 0 {
		return nil, fmt.Errorf("limit %d is negative; 0 means all", q.Limit)
	}
	// Each row has a value at least, so that no more rows are needed.
	p.Total.Limit = q.Limit
	if q.Aggregation == "" {
		if q.Every != "" || q.GroupBy != nil || q.Zone != "" || q.Quantile != 0 {
			return nil, fmt.Errorf("every, zone, group_by and quantile need an aggregation, such as mean")
		}
		p.Rows = &plan.Rows{Fields: q.Fields, Merged: q.Order != ""}
		return p, p.Validate()
	}
	if p.Aggregate, err = q.aggregate(); err != nil {
		return nil, err
	}
	return p, p.Validate()
}

func (q *queryRequest) aggregate() (*plan.Aggregate, error) {
	call := plan.Call{Func: plan.Func(q.Aggregation), Quantile: q.Quantile}
	if q.Aggregation == "median" {
		call.Func, call.Quantile = plan.Quantile, 0.5
	}
	if !call.Func.Known() {
		return nil, fmt.Errorf("aggregation %q is not known; there are count, sum, mean, median, min, max, first, last, spread, stddev, increase and quantile", q.Aggregation)
	}
	a := &plan.Aggregate{}
	for _, f := range q.Fields {
		one := call
		one.Field = f
		a.Calls = append(a.Calls, one)
	}
	if len(q.Fields) == 0 {
		a.Calls = []plan.Call{call}
	}
	a.Group = plan.BySeries()
	if q.GroupBy != nil {
		a.Group = plan.ByTags(q.GroupBy...)
	}
	if q.Every == "" {
		if q.Zone != "" {
			return nil, fmt.Errorf("zone needs every")
		}
		return a, nil
	}
	months, d, err := span(q.Every)
	if err != nil {
		return nil, fmt.Errorf("every: %w", err)
	}
	a.Window = &plan.Window{Every: plan.Duration{Months: int64(months), Nanos: int64(d)}, Zone: q.Zone}
	return a, nil
}

func (c *fieldCondition) compile() (*plan.Condition, error) {
	switch op := plan.Op(c.Op); op {
	case plan.Exists:
		return plan.Has(c.Field), nil
	case plan.Match:
		var pattern string
		if err := json.Unmarshal(c.Value, &pattern); err != nil {
			return nil, fmt.Errorf("where: the value of =~ on %q is a regular expression in a string", c.Field)
		}
		return plan.Like(c.Field, pattern), nil
	case plan.Eq, plan.Ne, plan.Lt, plan.Le, plan.Gt, plan.Ge:
		v, err := constant(c.Value)
		if err != nil {
			return nil, fmt.Errorf("where: %q: %w", c.Field, err)
		}
		return plan.Compare(c.Field, op, v), nil
	}
	return nil, fmt.Errorf("where: operation %q is not known; there are =, !=, <, <=, >, >=, =~ and exists", c.Op)
}

// constant reads a JSON number, string or boolean. Whole numbers stay whole,
// because a float64 cannot hold every int64.
func constant(b json.RawMessage) (plan.Value, error) {
	var v any
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return plan.Value{}, fmt.Errorf("a value is missing")
	}
	switch v := v.(type) {
	case string:
		return plan.Text(v), nil
	case bool:
		return plan.Bool(v), nil
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return plan.Int(n), nil
		}
		if n, err := strconv.ParseUint(string(v), 10, 64); err == nil {
			return plan.Uint(n), nil
		}
		f, err := v.Float64()
		if err != nil {
			return plan.Value{}, fmt.Errorf("%s is not a number that fits", v)
		}
		return plan.Float(f), nil
	}
	return plan.Value{}, fmt.Errorf("a value is a number, a string or a boolean, not %s", b)
}
