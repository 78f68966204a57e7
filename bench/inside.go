package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Inside is what a Varve server told of itself at /metrics about the time of
// the load: totals are differences between before and after.
type Inside struct {
	Processors     float64 `json:"processors"`
	CPUSeconds     float64 `json:"cpu_seconds"`
	Syncs          float64 `json:"syncs"`
	SyncMeanMillis float64 `json:"sync_mean_ms"`
	// Stalls counts writes that waited for room in memtables, RefusedWrites
	// those that were refused for want of it.
	Stalls        float64 `json:"stalls"`
	RefusedWrites float64 `json:"refused_writes"`
	Flushes       float64 `json:"flushes"`
	// Amplification is the bytes that flushes and merges wrote by those of
	// flushes.
	Amplification float64 `json:"write_amplification"`
	// NewPartitions is how many more partitions there are; MaxSegments the
	// segments of the one that has most, after the load.
	NewPartitions float64 `json:"new_partitions"`
	MaxSegments   float64 `json:"max_segments"`
	// SegmentBytesPerValue is that of all segments, after the load.
	SegmentBytesPerValue float64 `json:"segment_bytes_per_value"`
}

// scrape is the sums of a server's metrics over their labels, by name.
type scrape map[string]float64

// errNotVarve says that a server's metrics, if it has any, are not Varve's.
var errNotVarve = errors.New("not a Varve server")

// scrapeTimeout is short: a peer without /metrics must not delay the load.
const scrapeTimeout = 3 * time.Second

// readMetrics asks the server at url for its metrics.
func readMetrics(ctx context.Context, url string) (scrape, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errNotVarve
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	s := make(scrape, len(families))
	for name, f := range families {
		for _, m := range f.GetMetric() {
			s.add(name, f.GetType(), m)
		}
	}
	if _, ok := s["varve_log_syncs_total"]; !ok {
		return nil, errNotVarve
	}
	return s, nil
}

func (s scrape) add(name string, kind dto.MetricType, m *dto.Metric) {
	switch kind {
	case dto.MetricType_COUNTER:
		s[name] += m.GetCounter().GetValue()
	case dto.MetricType_GAUGE:
		v := m.GetGauge().GetValue()
		if name == "varve_partition_max_segments" { // the most of all shards
			s[name] = max(s[name], v)
			return
		}
		s[name] += v
	case dto.MetricType_HISTOGRAM:
		s[name+"_sum"] += m.GetHistogram().GetSampleSum()
		s[name+"_count"] += float64(m.GetHistogram().GetSampleCount())
	}
}

// between returns what happened from one scrape to the next.
func between(a, b scrape) *Inside {
	d := func(name string) float64 { return b[name] - a[name] }
	flushed := d("varve_flush_bytes_total")
	return &Inside{
		Processors:           b["go_sched_gomaxprocs_threads"],
		CPUSeconds:           d("process_cpu_seconds_total"),
		Syncs:                d("varve_log_sync_duration_seconds_count"),
		SyncMeanMillis:       1e3 * ratio(d("varve_log_sync_duration_seconds_sum"), d("varve_log_sync_duration_seconds_count")),
		Stalls:               d("varve_shard_stalls_total"),
		RefusedWrites:        d("varve_shard_refused_writes_total"),
		Flushes:              d("varve_flushes_total"),
		Amplification:        ratio(flushed+d("varve_compaction_bytes_total"), flushed),
		NewPartitions:        d("varve_partitions"),
		MaxSegments:          b["varve_partition_max_segments"],
		SegmentBytesPerValue: ratio(b["varve_segment_bytes"], b["varve_segment_values"]),
	}
}
