package server

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/varvedb/varve/ingest"
	"github.com/varvedb/varve/memory"
	"github.com/varvedb/varve/shard"
)

// metrics makes what the parts count visible to Prometheus.
type metrics struct {
	registry *prometheus.Registry
	syncs    prometheus.Histogram
}

func newMetrics(r *prometheus.Registry) *metrics {
	m := &metrics{registry: r, syncs: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "varve_log_sync_duration_seconds",
		Help: "Time of an fsync of the log, on which every acknowledgement waits.",
		// From a fast NVMe to a disk in trouble.
		Buckets: []float64{.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 1},
	})}
	r.MustRegister(m.syncs, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) observeSync(d time.Duration) { m.syncs.Observe(d.Seconds()) }

// watch registers the collector of everything that keeps its own counts.
func (m *metrics) watch(s *store, w *ingest.Writer, b *memory.Budget) {
	e := &engineCollector{store: s, writer: w, budget: b}
	e.shards = shardMetrics()
	e.dropped = prometheus.NewDesc("varve_ingest_dropped_points_total", "Points that were refused, by reason.", []string{"reason"}, nil)
	e.batches = prometheus.NewDesc("varve_ingest_batches_total", "Batches that were taken.", nil, nil)
	e.points = prometheus.NewDesc("varve_ingest_points_total", "Points that were stored.", nil, nil)
	e.processed = prometheus.NewDesc("data_points_processed_total", "Points that were stored: varve_ingest_points_total under the name that dashboards of the platform have.", nil, nil)
	e.values = prometheus.NewDesc("varve_ingest_values_total", "Field values that were stored.", nil, nil)
	e.limit = prometheus.NewDesc("varve_memory_limit_bytes", "Target for the memory of the process.", nil, nil)
	e.pools = poolMetrics()
	e.caches = cacheMetrics()
	m.registry.MustRegister(e)
}

// reading is one metric of something that has a snapshot of type T.
type reading[T any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*T) float64
}

func counter[T any](name, help, label string, value func(*T) float64) reading[T] {
	return reading[T]{prometheus.NewDesc(name, help, []string{label}, nil), prometheus.CounterValue, value}
}

func gauge[T any](name, help, label string, value func(*T) float64) reading[T] {
	return reading[T]{prometheus.NewDesc(name, help, []string{label}, nil), prometheus.GaugeValue, value}
}

func describe[T any](to chan<- *prometheus.Desc, all []reading[T]) {
	for _, r := range all {
		to <- r.desc
	}
}

func collect[T any](to chan<- prometheus.Metric, all []reading[T], snapshot *T, label string) {
	for _, r := range all {
		to <- prometheus.MustNewConstMetric(r.desc, r.kind, r.value(snapshot), label)
	}
}

// engineCollector implements prometheus.Collector over the snapshots that the
// parts give.
type engineCollector struct {
	store  *store
	writer *ingest.Writer
	budget *memory.Budget

	shards                           []reading[shard.Stats]
	pools                            []reading[memory.PoolStats]
	caches                           []reading[memory.CacheStats]
	dropped, batches, points, values *prometheus.Desc
	processed, limit                 *prometheus.Desc
}

func (e *engineCollector) Describe(to chan<- *prometheus.Desc) {
	describe(to, e.shards)
	describe(to, e.pools)
	describe(to, e.caches)
	for _, d := range []*prometheus.Desc{e.dropped, e.batches, e.points, e.processed, e.values, e.limit} {
		to <- d
	}
}

func (e *engineCollector) Collect(to chan<- prometheus.Metric) {
	for i, sh := range e.store.shards {
		st := sh.Stats()
		collect(to, e.shards, &st, strconv.Itoa(i))
	}
	ms := e.budget.Stats()
	for i := range ms.Pools {
		collect(to, e.pools, &ms.Pools[i], ms.Pools[i].Name)
	}
	for i := range ms.Caches {
		collect(to, e.caches, &ms.Caches[i], ms.Caches[i].Name)
	}
	is := e.writer.Stats()
	for kind, n := range is.Dropped {
		to <- prometheus.MustNewConstMetric(e.dropped, prometheus.CounterValue, float64(n), string(kind))
	}
	for _, c := range []struct {
		desc *prometheus.Desc
		n    uint64
	}{{e.batches, is.Batches}, {e.points, is.Points}, {e.processed, is.Points}, {e.values, is.Values}} {
		to <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(c.n))
	}
	to <- prometheus.MustNewConstMetric(e.limit, prometheus.GaugeValue, float64(ms.Limit))
}

func shardMetrics() []reading[shard.Stats] {
	const label = "shard"
	type s = shard.Stats
	truth := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	return []reading[s]{
		counter("varve_shard_rows_total", "Rows applied to memtables, replayed ones included.", label, func(x *s) float64 { return float64(x.Rows) }),
		counter("varve_shard_replayed_rows_total", "Rows that came back from the log at the start.", label, func(x *s) float64 { return float64(x.ReplayedRows) }),
		counter("varve_shard_deletes_total", "Deletes applied.", label, func(x *s) float64 { return float64(x.Deletes) }),
		counter("varve_shard_refused_writes_total", "Writes refused for want of room.", label, func(x *s) float64 { return float64(x.RefusedWrites) }),
		counter("varve_shard_stalls_total", "Writes that waited for room in memtables.", label, func(x *s) float64 { return float64(x.Stalls) }),
		gauge("varve_shard_refusing_writes", "1 while writes are refused.", label, func(x *s) float64 { return truth(x.RefusingWrites != "") }),
		gauge("varve_shard_problems", "Damaged files found.", label, func(x *s) float64 { return float64(len(x.Problems)) }),

		counter("varve_flushes_total", "Memtables written to segments.", label, func(x *s) float64 { return float64(x.Flushes) }),
		counter("varve_flush_failures_total", "Flushes that failed and are tried again.", label, func(x *s) float64 { return float64(x.FlushFailures) }),
		counter("varve_flush_rows_total", "Rows written by flushes.", label, func(x *s) float64 { return float64(x.FlushedRows) }),
		counter("varve_flush_bytes_total", "Bytes written by flushes.", label, func(x *s) float64 { return float64(x.FlushedBytes) }),
		counter("varve_flush_seconds_total", "Time spent on flushes.", label, func(x *s) float64 { return x.FlushTime.Seconds() }),

		counter("varve_compactions_total", "Merges of segments.", label, func(x *s) float64 { return float64(x.Compactions) }),
		counter("varve_compaction_failures_total", "Merges that failed and are tried again.", label, func(x *s) float64 { return float64(x.CompactionFailures) }),
		counter("varve_compaction_rows_total", "Rows written by merges.", label, func(x *s) float64 { return float64(x.CompactedRows) }),
		counter("varve_compaction_bytes_total", "Bytes written by merges.", label, func(x *s) float64 { return float64(x.CompactedBytes) }),
		counter("varve_compaction_seconds_total", "Time spent on merges.", label, func(x *s) float64 { return x.CompactionTime.Seconds() }),
		gauge("varve_compaction_backlog_segments", "Segments of the merge that comes next.", label, func(x *s) float64 { return float64(x.Backlog) }),
		counter("varve_retention_expired_segments_total", "Segments removed because all of their rows were too old.", label, func(x *s) float64 { return float64(x.ExpiredSegments) }),
		counter("varve_orphans_removed_total", "Files removed at the start because nothing names them.", label, func(x *s) float64 { return float64(x.OrphansRemoved) }),

		gauge("varve_memtable_bytes", "Memory of memtables.", label, func(x *s) float64 { return float64(x.MemtableBytes) }),
		gauge("varve_memtable_rows", "Rows in memtables.", label, func(x *s) float64 { return float64(x.MemtableRows) }),
		gauge("varve_memtables_sealed", "Memtables that wait for a flush.", label, func(x *s) float64 { return float64(x.SealedMemtables) }),
		gauge("varve_segments", "Segments.", label, func(x *s) float64 { return float64(x.Segments) }),
		gauge("varve_partitions", "Partitions that have segments.", label, func(x *s) float64 { return float64(x.Partitions) }),
		gauge("varve_partition_max_segments", "Segments of the partition that has most.", label, func(x *s) float64 { return float64(x.MaxSegments) }),
		gauge("varve_segment_bytes", "Size of segments.", label, func(x *s) float64 { return float64(x.SegmentBytes) }),
		gauge("varve_segment_rows", "Rows in segments, overwritten ones included.", label, func(x *s) float64 { return float64(x.SegmentRows) }),
		gauge("varve_segment_values", "Field values in segments, overwritten ones included.", label, func(x *s) float64 { return float64(x.SegmentValues) }),
		gauge("varve_compression_ratio", "Size of the rows in segments as plain numbers, 8 bytes for each value and each timestamp, by the size of the segments; 0 while there are none. Tags are in the segments and not counted among the plain numbers.", label, compressionRatio),
		gauge("varve_tombstones", "Deletes that compaction has not carried out yet.", label, func(x *s) float64 { return float64(x.Tombstones) }),

		gauge("varve_log_bytes", "Size of the log on disk.", label, func(x *s) float64 { return float64(x.LogBytes) }),
		gauge("varve_log_unflushed_records", "Records of the log that are in memtables only.", label, func(x *s) float64 { return float64(x.AppliedSeq - x.FlushedSeq) }),
		counter("varve_log_appends_total", "Appends that became durable.", label, func(x *s) float64 { return float64(x.Log.Appends) }),
		counter("varve_log_records_total", "Records that became durable.", label, func(x *s) float64 { return float64(x.Log.Records) }),
		counter("varve_log_raw_bytes_total", "Payload before compression.", label, func(x *s) float64 { return float64(x.Log.RawBytes) }),
		counter("varve_log_stored_bytes_total", "Bytes written to the log.", label, func(x *s) float64 { return float64(x.Log.StoredBytes) }),
		counter("varve_log_syncs_total", "Fsyncs of the log.", label, func(x *s) float64 { return float64(x.Log.Syncs) }),
		counter("varve_log_failures_total", "Writes and fsyncs of the log that failed.", label, func(x *s) float64 { return float64(x.Log.Failures) }),
		counter("varve_log_refused_total", "Appends refused because the log could not be written.", label, func(x *s) float64 { return float64(x.Log.Refused) }),
	}
}

// plainBytes is the size of a number in memory, and in formats that do not
// compress.
const plainBytes = 8

func compressionRatio(s *shard.Stats) float64 {
	if s.SegmentBytes == 0 {
		return 0
	}
	return float64(plainBytes*(s.SegmentRows+s.SegmentValues)) / float64(s.SegmentBytes)
}

func poolMetrics() []reading[memory.PoolStats] {
	const label = "pool"
	type s = memory.PoolStats
	return []reading[s]{
		gauge("varve_memory_pool_limit_bytes", "Limit of a memory pool.", label, func(x *s) float64 { return float64(x.Limit) }),
		gauge("varve_memory_pool_used_bytes", "Reserved bytes of a memory pool.", label, func(x *s) float64 { return float64(x.Used) }),
		gauge("varve_memory_pool_high_bytes", "The most that was ever reserved of a memory pool.", label, func(x *s) float64 { return float64(x.High) }),
		gauge("varve_memory_pool_waiting", "Requests that wait for a memory pool.", label, func(x *s) float64 { return float64(x.Waiting) }),
		counter("varve_memory_pool_rejected_total", "Reservations that a memory pool refused.", label, func(x *s) float64 { return float64(x.Rejected) }),
	}
}

func cacheMetrics() []reading[memory.CacheStats] {
	const label = "cache"
	type s = memory.CacheStats
	return []reading[s]{
		gauge("varve_cache_limit_bytes", "Limit of a cache.", label, func(x *s) float64 { return float64(x.Limit) }),
		gauge("varve_cache_bytes", "Size of a cache.", label, func(x *s) float64 { return float64(x.Bytes) }),
		gauge("varve_cache_entries", "Entries of a cache.", label, func(x *s) float64 { return float64(x.Entries) }),
		counter("varve_cache_hits_total", "Lookups that a cache answered.", label, func(x *s) float64 { return float64(x.Hits) }),
		counter("varve_cache_misses_total", "Lookups that a cache could not answer.", label, func(x *s) float64 { return float64(x.Misses) }),
		counter("varve_cache_evictions_total", "Entries that a cache gave up for room.", label, func(x *s) float64 { return float64(x.Evictions) }),
		counter("varve_cache_refused_total", "Values that were too large for a cache.", label, func(x *s) float64 { return float64(x.Refused) }),
	}
}
