package export_test

import (
	"context"
	"io"
	"runtime"
	"testing"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/export"
	"github.com/varvedb/varve/export/stream"
)

// long gives out one table again and again, at later and later times.
type long int

func (n long) Export(_ context.Context, _ *stream.Request, out stream.Receiver) error {
	t := &column.Table{Measurement: "m"}
	key, err := column.AppendSeriesKey(nil, []column.Tag{{Key: []byte("host"), Value: []byte("a")}})
	if err != nil {
		return err
	}
	t.Series.Add(key, 0)
	s := &stream.Schema{Measurement: "m", Tags: []string{"host"}}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		f := column.Field{Name: name, Vector: column.Vector{Type: column.Float64}}
		for i := range 8192 {
			f.AppendWord(uint64(i) * 0x9e3779b97f4a7c15 &^ (1 << 62)) // not NaN
		}
		t.Fields = append(t.Fields, f)
		s.Fields = append(s.Fields, column.FieldInfo{Name: name, Type: column.Float64})
	}
	t.Row, t.Time = make([]uint32, 8192), make([]int64, 8192)
	if err := out.Measurement(s); err != nil {
		return err
	}
	for i := range n {
		for j := range t.Time {
			t.Time[j] = int64(i)*8192 + int64(j)
		}
		if err := out.Rows(t); err != nil {
			return err
		}
	}
	return nil
}

// TestMemoryIsBounded writes a file far larger than what may be in memory.
func TestMemoryIsBounded(t *testing.T) {
	const limit = 64 << 20
	for _, format := range []export.Format{export.Parquet, export.Lines} {
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		cfg := export.Default(format)
		peak, n := uint64(0), 0
		cfg.Progress = func(export.Report) {
			if n++; n%20 == 0 {
				runtime.GC() // what is alive, not what waits for collection
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapAlloc)
			}
		}
		r := stream.Whole()
		report, err := export.Run(context.Background(), long(200), &r, discard{}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d rows, %d MB of values, %d MB of file, at most %d MB of heap", format, report.Rows, report.Values*8/1e6, report.Bytes/1e6, (peak-before.HeapAlloc)/1e6)
		if peak > before.HeapAlloc+limit {
			t.Errorf("%s: %d bytes of heap for %d bytes of values", format, peak-before.HeapAlloc, report.Values*8)
		}
	}
}

func BenchmarkParquet(b *testing.B) {
	r := stream.Whole()
	b.ReportAllocs()
	rows := int64(0)
	for b.Loop() {
		report, err := export.Run(context.Background(), long(20), &r, discard{}, export.Default(export.Parquet))
		if err != nil {
			b.Fatal(err)
		}
		rows += report.Rows
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// discard is a destination that keeps nothing.
type discard struct{}

func (discard) Check(context.Context) error { return nil }

func (discard) Create(context.Context, string) (export.File, error) {
	return discarded{io.Discard}, nil
}

type discarded struct{ io.Writer }

func (discarded) Commit() error { return nil }

func (discarded) Abort() {}
