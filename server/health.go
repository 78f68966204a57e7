package server

import (
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/health"
	"github.com/varvedb/varve/memory"
	"github.com/varvedb/varve/vfs"
)

// health judges the server as it is now.
func (s *server) health() health.Report {
	v := s.store.vitals(vfs.OS{}, s.config.DataDir)
	v.MemoryLimit = s.budget.Limit
	// Where the system does not tell, nothing is known to be wrong.
	v.Resident, _ = memory.Resident(os.DirFS("/"))
	if s.pipelines != nil {
		v.Pipelines, v.PipelinesFile = s.pipelines.vitals()
	}
	return health.Judge(v)
}

// vitals returns what the shards report, and how full the volume of dir is.
func (s *store) vitals(disk vfs.FS, dir string) *health.Vitals {
	v := &health.Vitals{KeepFree: s.keepFree, Memtables: s.memtables}
	v.Disk, v.DiskError = disk.DiskUsage(dir)
	for _, sh := range s.shards {
		v.Shards = append(v.Shards, sh.Stats())
	}
	return v
}

// healthCollector implements prometheus.Collector over the judgement.
type healthCollector struct {
	judge            func() health.Report
	score, deduction *prometheus.Desc
}

func newHealthCollector(judge func() health.Report) *healthCollector {
	return &healthCollector{
		judge: judge,
		score: prometheus.NewDesc("system_health_score", "How well the server is, 0 to 100: 100 less all varve_health_deduction.", nil, nil),
		deduction: prometheus.NewDesc("varve_health_deduction",
			"What a check takes from system_health_score; /health says why.", []string{"check"}, nil),
	}
}

func (h *healthCollector) Describe(to chan<- *prometheus.Desc) {
	to <- h.score
	to <- h.deduction
}

func (h *healthCollector) Collect(to chan<- prometheus.Metric) {
	r := h.judge()
	to <- prometheus.MustNewConstMetric(h.score, prometheus.GaugeValue, r.Score)
	for i := range r.Results {
		to <- prometheus.MustNewConstMetric(h.deduction, prometheus.GaugeValue, r.Results[i].Deduction, r.Results[i].Name)
	}
}
