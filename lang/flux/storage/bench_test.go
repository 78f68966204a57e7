package storage_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/storage"
	"github.com/varvedb/varve/lang/flux/storage/storagetest"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/run/runtest"
)

// fleet returns rows of so many hosts with 10 fields each.
func fleet(hosts, rows int) storagetest.Points {
	var out []runtest.Point
	for h := range hosts {
		for i := range rows {
			fields := map[string]any{}
			for f := range 10 {
				fields[fmt.Sprintf("usage_%d", f)] = float64(i)
			}
			out = append(out, runtest.Point{Series: fmt.Sprintf("hostname=host_%d,region=eu-%d", h, h%3), Time: int64(i), Fields: fields})
		}
	}
	return storagetest.Points{"cpu": out}
}

// BenchmarkPlan reads tables of ten fields of 100 hosts; a table is one series and
// field. What the store takes for the same plan is plan/op.
func BenchmarkPlan(b *testing.B) {
	h := storagetest.New(b, fleet(100, 120), 1)
	run := h.NewRun(b.Context(), time.Unix(0, 0))
	mean := func(shape storage.Shape) *storage.Aggregate {
		return &storage.Aggregate{Call: plan.Call{Func: plan.Mean}, Window: &plan.Window{Every: plan.Duration{Nanos: 10}}, Shape: shape}
	}
	fields := make([]string, 10)
	for i := range fields {
		fields[i] = fmt.Sprintf("usage_%d", i)
	}
	for _, c := range []struct {
		name string
		plan storage.Plan
	}{
		{"rows", storage.Plan{}},
		{"wide", storage.Plan{Rows: storage.Rows{Wide: true}}},
		{"means", storage.Plan{Aggregate: mean(storage.ByStop)}},
		{"last", storage.Plan{Aggregate: &storage.Aggregate{Call: plan.Call{Func: plan.Last}}}},
	} {
		c.plan.Bucket.ID, c.plan.Stop, c.plan.Until = 1, 120, 120
		c.plan.Filter = storage.All(storage.OneOf("_measurement", "cpu"), storage.OneOf("_field", fields...))
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			tables := 0
			h.Plans = nil
			for range b.N {
				tables = 0
				err := run.Each(&flow.Node{Op: &c.plan}, func(*table.Table) error { tables++; return nil })
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(tables), "ns/table")
			p := h.Plans[0]
			b.StopTimer()
			began := time.Now()
			for range b.N {
				a, err := h.Question.Run(p)
				if err != nil {
					b.Fatal(err)
				}
				for {
					batch, err := a.Next()
					if err != nil {
						b.Fatal(err)
					}
					if batch == nil {
						break
					}
				}
				a.Close()
			}
			b.ReportMetric(float64(time.Since(began).Nanoseconds())/float64(b.N), "plan-ns/op")
		})
	}
}
