package devices

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/scan"
)

// Request is a question for a page of devices.
type Request struct {
	Bucket       uint64
	Measurements []string        // that they write; none: any
	Tags         *predicate.Expr // of their series; nil: any
	Prefix       string          // of their names
	After        string          // the name before the page; "": the first page
	Online       *bool           // nil: either
	Limit        int             // 1 or more
	Window       time.Duration   // for the rate, more than 0
}

// everything reports whether the request is about all points, so that devices
// count that only a broker knows.
func (q *Request) everything() bool { return q.Tags == nil && len(q.Measurements) == 0 }

// Device is what is known of a device from the points that a Request is about.
type Device struct {
	Name         string
	Measurements []string // ascending; without that of the broker
	// FirstSeen and LastSeen are the times of its first and last point, in
	// nanoseconds since 1970; Seen is false if there are none, but the broker
	// knows it.
	Seen                bool
	FirstSeen, LastSeen int64
	// Points is how many came within the window of the request: of each
	// measurement, as many as the field has that has most.
	Points int64
	Online bool
	// Status is what the broker said last; nil: nothing.
	Status *Status
}

// Status is the connection of a device to a broker.
type Status struct {
	Online bool
	Since  int64 // nanoseconds since 1970
}

// Of devices that are online, or are not, so many are looked at at a time for
// each of a page: where one in forty is not what is wanted, or is, that makes a
// page. But no more than sieve, which is some 25 ms of work and about a MiB.
const (
	sieveRatio = 40
	sieve      = 4_000
)

// Page returns devices by name, and whether there are more behind them.
func (r *Registry) Page(ctx context.Context, q *Request) (page []*Device, more bool, err error) {
	groups, statuses := r.groups(q.Bucket, q.Measurements)
	return r.page(ctx, q, groups, statuses)
}

func (r *Registry) page(ctx context.Context, q *Request, groups, statuses []group) (page []*Device, more bool, err error) {
	step := q.Limit + 1
	if q.Online != nil {
		step = max(step, min(sieveRatio*q.Limit, sieve))
	}
	from := q.Prefix
	if q.After != "" {
		from = max(from, q.After+"\x00")
	}
	for next := r.names; ; {
		names, end, err := next(ctx, q, groups, statuses, from, step)
		if err != nil {
			return nil, false, err
		}
		if len(names) == 0 {
			break
		}
		some, err := r.lookUp(ctx, q, groups, statuses, names)
		if err != nil {
			return nil, false, err
		}
		if q.Online != nil {
			some = slices.DeleteFunc(some, func(d *Device) bool { return d.Online != *q.Online })
			next = r.candidates
		}
		page = append(page, some...)
		if len(page) > q.Limit || end {
			break
		}
		from = names[len(names)-1] + "\x00"
	}
	more = len(page) > q.Limit
	page = page[:min(q.Limit, len(page))]
	return page, more, r.complete(ctx, q, groups, page)
}

// names returns the least names from one on, most of them at most, and whether
// there are no others.
func (r *Registry) names(ctx context.Context, q *Request, groups, statuses []group, from string, most int) (names []string, end bool, err error) {
	if q.everything() {
		groups = slices.Concat(groups, statuses)
	}
	l := newLeast(from, q.Prefix, most)
	full := false // a list may have been cut
	for _, g := range groups {
		p := plan.New(q.Bucket, column.MinTime, column.MaxTime)
		p.Measurements, p.Tags = g.measurements, predicate.All(g.only, q.Tags)
		p.List = &plan.List{What: plan.TagValues, Tag: g.tag, From: from}
		p.Each.Limit = int64(most)
		_, err := r.driver.Run(ctx, p, func(b *scan.Batch) error {
			full = full || b.Rows() >= most
			for i := range b.Rows() {
				l.add(b.Columns[0].Str(i))
			}
			return nil
		})
		if err != nil {
			return nil, false, err
		}
	}
	names, all := l.names()
	return names, all && !full, nil
}

// candidates does what names does, and leaves out most devices that are not
// what the request wants, online or offline. It walks all series once, however
// many devices that are: to look up each by its name takes twenty times as
// long.
func (r *Registry) candidates(ctx context.Context, q *Request, groups, statuses []group, from string, most int) (names []string, end bool, err error) {
	l := newLeast(from, q.Prefix, most)
	since, until := r.present()
	series := func(g group, start, stop int64, calls plan.Call, tags *predicate.Expr, use func(name []byte, b *scan.Batch, row int)) error {
		p := plan.New(q.Bucket, start, stop)
		p.Measurements, p.Tags = g.measurements, predicate.All(g.only, tags)
		p.Aggregate = &plan.Aggregate{Calls: []plan.Call{calls}, Group: plan.BySeries()}
		_, err := r.driver.Run(ctx, p, func(b *scan.Batch) error {
			for _, group := range b.Groups {
				if name := column.TagValue(group.Key, g.tag); name != nil {
					for row := group.From; row < group.To; row++ {
						use(name, b, row)
					}
				}
			}
			return nil
		})
		return err
	}
	for _, g := range groups {
		start := int64(column.MinTime)
		if *q.Online {
			start = since
		}
		if err := series(g, start, until+1, plan.Call{Func: plan.Last}, q.Tags, func(name []byte, b *scan.Batch, row int) {
			if at, ok := latest(b, row); ok && (at >= since) == *q.Online {
				l.add(name)
			}
		}); err != nil {
			return nil, false, err
		}
		if *q.Online {
			continue
		}
		// Silent are also those that have points in the future only. Seldom is any.
		some, err := r.ahead(ctx, q, g, until)
		if err != nil {
			return nil, false, err
		}
		if !some {
			continue
		}
		if err := series(g, column.MinTime, column.MaxTime, plan.Call{Func: plan.First}, q.Tags, func(name []byte, b *scan.Batch, row int) {
			if at, ok := earliest(b, row); ok && at > until {
				l.add(name)
			}
		}); err != nil {
			return nil, false, err
		}
	}
	for _, g := range statuses {
		// Whoever a broker has is online, and whoever it lost may be offline.
		if err := series(g, column.MinTime, column.MaxTime, plan.Call{Func: plan.Last, Field: statusField}, nil, func(name []byte, b *scan.Batch, row int) {
			if c := &b.Columns[0]; c.Type == column.Bool && c.Valid.Get(row) && (c.Words[row] != 0) == *q.Online {
				l.add(name)
			}
		}); err != nil {
			return nil, false, err
		}
	}
	names, end = l.names()
	return names, end, nil
}

// ahead reports whether any point of a group lies behind until.
func (r *Registry) ahead(ctx context.Context, q *Request, g group, until int64) (some bool, err error) {
	p := plan.New(q.Bucket, until+1, column.MaxTime)
	p.Measurements, p.Tags = g.measurements, predicate.All(g.only, q.Tags)
	p.Aggregate = &plan.Aggregate{Calls: []plan.Call{{Func: plan.Count}}}
	_, err = r.driver.Run(ctx, p, func(b *scan.Batch) error {
		some = some || b.Rows() > 0
		return nil
	})
	return some, err
}

// lookUp finds when devices were last heard of. Of those that nothing is of,
// such as after a delete, there is none.
func (r *Registry) lookUp(ctx context.Context, q *Request, groups, statuses []group, names []string) ([]*Device, error) {
	found := map[string]*Device{}
	device := func(name string) *Device {
		d := found[name]
		if d == nil {
			d = &Device{Name: name}
			found[name] = d
		}
		return d
	}
	for _, g := range groups {
		p := g.plan(q.Bucket, column.MinTime, column.MaxTime, q.Tags, names)
		p.Aggregate = &plan.Aggregate{Calls: []plan.Call{{Func: plan.Last}}, Group: plan.ByTags(g.tag)}
		err := r.each(ctx, p, g.tag, func(name, measurement string, b *scan.Batch, row int) {
			at, ok := latest(b, row)
			if !ok {
				return
			}
			d := device(name)
			if !d.Seen || at > d.LastSeen {
				d.Seen, d.LastSeen = true, at
			}
			if i, ok := slices.BinarySearch(d.Measurements, measurement); !ok {
				d.Measurements = slices.Insert(d.Measurements, i, measurement)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	for _, g := range statuses {
		p := g.plan(q.Bucket, column.MinTime, column.MaxTime, nil, names)
		p.Aggregate = &plan.Aggregate{Calls: []plan.Call{{Func: plan.Last, Field: statusField}}, Group: plan.ByTags(g.tag)}
		err := r.each(ctx, p, g.tag, func(name, _ string, b *scan.Batch, row int) {
			c := &b.Columns[0]
			if c.Type != column.Bool || !c.Valid.Get(row) || found[name] == nil && !q.everything() {
				return
			}
			if d := device(name); d.Status == nil || d.Status.Since < c.At[row] {
				d.Status = &Status{c.Words[row] != 0, c.At[row]}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	heard, err := r.heard(ctx, q, groups, found)
	if err != nil {
		return nil, err
	}
	all := make([]*Device, 0, len(found))
	for _, name := range names {
		if d := found[name]; d != nil {
			at, ok := heard[name]
			d.Online = r.online(d, at, ok)
			all = append(all, d)
		}
	}
	return all, nil
}

// present returns the first and the last time of points by which a device counts
// as heard from now. Its clock, or ours, may be off by as much as it may be silent;
// what is further ahead is the mistake of a device, or a forecast.
func (r *Registry) present() (since, until int64) {
	now := r.now().UnixNano()
	return now - int64(r.cfg.OfflineAfter), now + int64(r.cfg.OfflineAfter)
}

// heard returns the times of the last points that are in the present. Only devices
// that have points ahead of it are looked up for that.
func (r *Registry) heard(ctx context.Context, q *Request, groups []group, found map[string]*Device) (map[string]int64, error) {
	since, until := r.present()
	heard := map[string]int64{}
	var ahead []string
	for name, d := range found {
		switch {
		case !d.Seen || d.LastSeen < since:
		case d.LastSeen <= until:
			heard[name] = d.LastSeen
		default:
			ahead = append(ahead, name)
		}
	}
	if len(ahead) == 0 {
		return heard, nil
	}
	for _, g := range groups {
		p := g.plan(q.Bucket, since, until+1, q.Tags, ahead)
		p.Aggregate = &plan.Aggregate{Calls: []plan.Call{{Func: plan.Last}}, Group: plan.ByTags(g.tag)}
		if err := r.each(ctx, p, g.tag, func(name, _ string, b *scan.Batch, row int) {
			if at, ok := latest(b, row); ok {
				if was, ok := heard[name]; !ok || at > was {
					heard[name] = at
				}
			}
		}); err != nil {
			return nil, err
		}
	}
	return heard, nil
}

// online judges a device, which was heard from at a time in the present, or not. A
// broker that has its connection knows best. One that has lost it knows of no other
// way that the device may have: points that came since then count.
func (r *Registry) online(d *Device, heard int64, ok bool) bool {
	if d.Status != nil && d.Status.Online {
		return true
	}
	return ok && (d.Status == nil || heard > d.Status.Since)
}

// complete looks up what the devices of a page lack.
func (r *Registry) complete(ctx context.Context, q *Request, groups []group, page []*Device) error {
	if len(page) == 0 {
		return nil
	}
	found := map[string]*Device{}
	names := make([]string, len(page))
	for i, d := range page {
		d.FirstSeen = math.MaxInt64
		found[d.Name], names[i] = d, d.Name
	}
	now := r.now().UnixNano()
	for _, g := range groups {
		p := g.plan(q.Bucket, column.MinTime, column.MaxTime, q.Tags, names)
		p.Aggregate = &plan.Aggregate{Calls: []plan.Call{{Func: plan.First}}, Group: plan.ByTags(g.tag)}
		if err := r.each(ctx, p, g.tag, func(name, _ string, b *scan.Batch, row int) {
			if at, ok := earliest(b, row); ok && found[name] != nil {
				found[name].FirstSeen = min(found[name].FirstSeen, at)
			}
		}); err != nil {
			return err
		}
		p = g.plan(q.Bucket, now-int64(q.Window), now, q.Tags, names)
		p.Aggregate = &plan.Aggregate{Calls: []plan.Call{{Func: plan.Count}}, Group: plan.ByTags(g.tag)}
		if err := r.each(ctx, p, g.tag, func(name, _ string, b *scan.Batch, row int) {
			if found[name] != nil {
				found[name].Points += most(b, row)
			}
		}); err != nil {
			return err
		}
	}
	for _, d := range page {
		if d.FirstSeen == math.MaxInt64 {
			d.FirstSeen = d.LastSeen // written and deleted since then
		}
	}
	return nil
}

// each runs an aggregate without windows by one tag and calls use with each
// row.
func (r *Registry) each(ctx context.Context, p *plan.Plan, tag string, use func(name, measurement string, b *scan.Batch, row int)) error {
	_, err := r.driver.Run(ctx, p, func(b *scan.Batch) error {
		for _, g := range b.Groups {
			name := string(column.TagValue(g.Key, tag))
			for row := g.From; row < g.To; row++ {
				use(name, b.Measurement, b, row)
			}
		}
		return nil
	})
	return err
}

// latest returns the greatest time of the points chosen in a row, earliest the
// least, and most the greatest count.
func latest(b *scan.Batch, row int) (at int64, ok bool) {
	at = math.MinInt64
	for i := range b.Columns {
		if c := &b.Columns[i]; c.Valid.Get(row) {
			at, ok = max(at, c.At[row]), true
		}
	}
	return at, ok
}

func earliest(b *scan.Batch, row int) (at int64, ok bool) {
	at = math.MaxInt64
	for i := range b.Columns {
		if c := &b.Columns[i]; c.Valid.Get(row) {
			at, ok = min(at, c.At[row]), true
		}
	}
	return at, ok
}

func most(b *scan.Batch, row int) (n int64) {
	for i := range b.Columns {
		if c := &b.Columns[i]; c.Valid.Get(row) {
			n = max(n, int64(c.Words[row]))
		}
	}
	return n
}
