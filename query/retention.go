package query

import (
	"time"

	"github.com/varvedb/varve/plan"
)

// clip returns p without the times that its bucket does not keep, nil if it
// keeps none of them, and a line about that for the explained plan, empty if
// nothing was cut off. What is physically gone by now is a matter of flush
// and compaction, and must not show.
func (d *Driver) clip(p *plan.Plan) (kept *plan.Plan, explain string, err error) {
	horizon, ok := d.buckets.Horizon(p.Bucket)
	if !ok {
		return nil, "", &UnknownBucketError{p.Bucket}
	}
	if p.Start >= horizon {
		return p, "", nil
	}
	explain = "clipped to retention from " + time.Unix(0, horizon).UTC().Format(time.RFC3339Nano) + "\n"
	if horizon >= p.Stop {
		return nil, explain, nil
	}
	c := *p
	c.Start = horizon
	return &c, explain, nil
}
