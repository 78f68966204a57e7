package detect

import (
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
)

// BenchmarkApply is a record's way through each detector: 10,000 series of four
// tags, one after the other, in passes of the same 1,000 records.
func BenchmarkApply(b *testing.B) {
	for _, text := range []string{
		"deduplicate: {}", "sample: {interval: 10s}", "late: {after: 10s, then: drop}", "stuck: {field: v, readings: 1000, then: drop}",
		"rate: {field: v, most: 1e9, then: drop}", "zscore: {field: v, threshold: 100, then: drop}", "mad: {field: v, threshold: 100, then: drop}",
	} {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			b.Fatal(err)
		}
		top := declare.Section(doc.Content[0], "")
		kind := top.Keys()[0]
		b.Run(kind, func(b *testing.B) {
			d := Declare(kind, top.Section(kind))
			devices := make([]string, 10_000)
			for i := range devices {
				devices[i] = "device-" + strconv.Itoa(i)
			}
			records := make([]record.Record, 1000)
			for i := range records {
				records[i] = record.Record{
					Measurement: "sensor_data", Timed: true, Fields: []record.Field{{Name: "v"}},
					Tags: []record.Tag{{Key: "device"}, {Key: "location", Value: "seoul"}, {Key: "sensor_type", Value: "temperature"}, {Key: "line", Value: "7"}},
				}
			}
			r := rand.New(rand.NewPCG(1, 2))
			b.ReportAllocs()
			b.ResetTimer()
			pass := d.Begin()
			now := int64(0)
			for i := range b.N {
				rec := &records[i%len(records)]
				if i%len(devices) == 0 {
					now += 1e9
				}
				rec.Tags[0].Value = devices[i%len(devices)]
				rec.Time = now
				rec.Fields[0].Value = record.Float(r.Float64())
				pass.Apply(rec, now)
				if i%1000 == 999 {
					pass.End(true)
					pass = d.Begin()
				}
			}
			pass.End(true)
		})
	}
}

// BenchmarkObserve is a detector without its record, and what a series takes
// when its window is full. The states of 1,000 series mostly stay in the
// processor's caches, those of 10,000 do not.
func BenchmarkObserve(b *testing.B) {
	for _, series := range []int{1000, 10_000} {
		b.Run(strconv.Itoa(series), func(b *testing.B) { benchmarkObserve(b, series) })
	}
}

func benchmarkObserve(b *testing.B, series int) {
	track := Track{Series: 2 * series}
	window := Window{Readings: 100, Least: 20}
	for _, c := range []struct {
		name string
		make func() func(series uint64, t int64, v float64)
	}{
		{"zscore", func() func(uint64, int64, float64) {
			z := NewZScore(ZScoreConfig{Deviation: Deviation{Track: track, Window: window, Threshold: 3}})
			return func(s uint64, t int64, v float64) { z.Observe(s, t, v) }
		}},
		{"mad", func() func(uint64, int64, float64) {
			m := NewMAD(Deviation{Track: track, Window: window, Threshold: 3})
			return func(s uint64, t int64, v float64) { m.Observe(s, t, v) }
		}},
		{"stuck", func() func(uint64, int64, float64) {
			d := NewStuck(StuckConfig{Track: track, Readings: 10})
			return func(s uint64, t int64, v float64) { d.Observe(s, t, v) }
		}},
		{"rate", func() func(uint64, int64, float64) {
			d := NewRate(RateConfig{Track: track, Most: 1, Per: time.Second})
			return func(s uint64, t int64, v float64) { d.Observe(s, t, v) }
		}},
		{"sample", func() func(uint64, int64, float64) {
			d := NewSample(SampleConfig{Track: track, Interval: time.Second})
			return func(s uint64, t int64, v float64) { d.Observe(s, t) }
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			before := heap()
			observe := c.make()
			r := rand.New(rand.NewPCG(1, 2))
			for t := range int64(110) {
				for s := range uint64(series) {
					observe(s, t, r.Float64())
				}
			}
			bytes := float64(heap()-before) / float64(series)
			b.ResetTimer()
			for i := range b.N {
				observe(uint64(i%series), int64(110+i/series), r.Float64())
			}
			b.ReportMetric(bytes, "B/series")
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
