package query

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/scan"
)

// metrics counts questions and what their scans did.
type metrics struct {
	questions  prometheus.Counter
	running    prometheus.Gauge
	waiting    prometheus.Gauge
	rejected   *prometheus.CounterVec // by reason
	wait       prometheus.Histogram
	overMemory prometheus.Counter
	slow       prometheus.Counter
	scans      []scanCounter
}

// Reasons of rejected.
const (
	rejectedFull = "queue_full"
	rejectedWait = "wait"
)

// scanCounter is a count of scan.Stats over all scans.
type scanCounter struct {
	prometheus.Counter
	of func(*scan.Stats) int64
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &metrics{
		questions:  counter("varve_query_questions_total", "Questions that ended, well or not."),
		running:    gauge("varve_query_running", "Questions that run."),
		waiting:    gauge("varve_query_waiting", "Questions that wait for a place."),
		rejected:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "varve_query_rejected_total", Help: "Questions turned away, by reason: queue_full, or wait for those that waited too long."}, []string{"reason"}),
		overMemory: counter("varve_query_memory_exceeded_total", "Questions that needed more memory than one may have."),
		slow:       counter("varve_query_slow_total", "Questions that were slow enough for the log."),
		wait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "varve_query_wait_seconds",
			Help: "Time that questions waited for a place; 0 where there was one.",
			// From no wait to the longest that is usual.
			Buckets: []float64{0, .001, .01, .1, .5, 1, 2, 4, 8, 16},
		}),
	}
	// Known from the first scrape on, so that a rate has something to start at.
	m.rejected.WithLabelValues(rejectedFull)
	m.rejected.WithLabelValues(rejectedWait)
	all := []prometheus.Collector{m.questions, m.running, m.waiting, m.rejected, m.wait, m.overMemory, m.slow}
	for _, c := range []struct {
		name, help string
		of         func(*scan.Stats) int64
	}{
		{"measurements", "Measurements that scans looked at.", func(s *scan.Stats) int64 { return s.Measurements }},
		{"partitions", "Partitions with runs in the range of a scan.", func(s *scan.Stats) int64 { return s.Partitions }},
		{"runs", "Segments and memtables in the range of a scan.", func(s *scan.Stats) int64 { return s.Runs }},
		{"runs_pruned", "Of varve_scan_runs_total, those without a field or series in question.", func(s *scan.Stats) int64 { return s.RunsPruned }},
		{"series", "Series that scans chose, counted in each run.", func(s *scan.Stats) int64 { return s.Series }},
		{"blocks_read", "Blocks of which scans decoded a column.", func(s *scan.Stats) int64 { return s.BlocksRead }},
		{"blocks_pruned", "Blocks that scans left out by the bounds of their values.", func(s *scan.Stats) int64 { return s.BlocksPruned }},
		{"summaries", "Spans that scans answered from summaries without reading their rows.", func(s *scan.Stats) int64 { return s.Spans }},
		{"read_bytes", "Bytes that scans read from segments, before decoding.", func(s *scan.Stats) int64 { return s.BytesRead }},
		{"read_rows", "Rows that scans decoded, in segments and memtables.", func(s *scan.Stats) int64 { return s.RowsRead }},
		{"returned_rows", "Rows that scans returned.", func(s *scan.Stats) int64 { return s.RowsReturned }},
	} {
		s := scanCounter{counter("varve_scan_"+c.name+"_total", c.help), c.of}
		m.scans = append(m.scans, s)
		all = append(all, s.Counter)
	}
	r.MustRegister(all...)
	return m
}

// scanned adds what a scan did.
func (m *metrics) scanned(st *scan.Stats) {
	for _, c := range m.scans {
		c.Add(float64(c.of(st)))
	}
}
