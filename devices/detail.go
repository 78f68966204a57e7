package devices

import (
	"bytes"
	"context"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/scan"
)

// Detail is all that is known of one device.
type Detail struct {
	Device
	Total  int64 // points that are stored, counted as Device.Points are
	Series []Series
	More   bool // it has more series than are shown
}

// Series is one series of a device, with its last values.
type Series struct {
	Measurement string
	Tags        []byte // a series key
	Fields      []Field
}

// Field is the last value of a field.
type Field struct {
	Name  string
	At    int64         // nanoseconds since 1970
	Value column.Vector // of one row
}

// maxSeries is how many series of one device are shown.
const maxSeries = 1000

// Device returns one device, or ErrUnknown. Its rate is that of a window.
func (r *Registry) Device(ctx context.Context, bucket uint64, name string, window time.Duration) (*Detail, error) {
	q := &Request{Bucket: bucket, Limit: 1, Window: window}
	groups, statuses := r.groups(bucket, nil)
	names := []string{name}
	some, err := r.lookUp(ctx, q, groups, statuses, names)
	if err != nil {
		return nil, err
	}
	if len(some) == 0 {
		return nil, ErrUnknown
	}
	if err := r.complete(ctx, q, groups, some); err != nil {
		return nil, err
	}
	d := &Detail{Device: *some[0]}
	for _, g := range groups {
		p := g.plan(bucket, column.MinTime, column.MaxTime, nil, names)
		p.Aggregate = &plan.Aggregate{Calls: []plan.Call{{Func: plan.Count}}, Group: plan.ByTags(g.tag)}
		if err := r.each(ctx, p, g.tag, func(_, _ string, b *scan.Batch, row int) { d.Total += most(b, row) }); err != nil {
			return nil, err
		}
		if d.More {
			continue
		}
		p = g.plan(bucket, column.MinTime, column.MaxTime, nil, names)
		p.Aggregate = &plan.Aggregate{Calls: []plan.Call{{Func: plan.Last}}, Group: plan.BySeries()}
		p.Total.Limit = int64(maxSeries + 1 - len(d.Series))
		if _, err := r.driver.Run(ctx, p, func(b *scan.Batch) error { d.add(b); return nil }); err != nil {
			return nil, err
		}
		if d.More = len(d.Series) > maxSeries; d.More {
			d.Series = d.Series[:maxSeries]
		}
	}
	return d, nil
}

// add takes the last values of series.
func (d *Detail) add(b *scan.Batch) {
	for _, g := range b.Groups {
		for row := g.From; row < g.To; row++ {
			s := Series{Measurement: b.Measurement, Tags: bytes.Clone(g.Key)}
			for i := range b.Columns {
				c := &b.Columns[i]
				if !c.Valid.Get(row) {
					continue
				}
				v := column.Vector{Type: c.Type}
				v.AppendRow(&c.Vector, row)
				s.Fields = append(s.Fields, Field{c.Field, c.At[row], v})
			}
			d.Series = append(d.Series, s)
		}
	}
}
