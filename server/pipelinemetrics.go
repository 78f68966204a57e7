package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/pipeline"
)

// pipelineCollector implements prometheus.Collector over what pipelines count.
type pipelineCollector struct {
	set      *pipeline.Set
	readings []reading[pipeline.Status]
	steps    *prometheus.Desc
	reasons  *prometheus.Desc
	events   *prometheus.Desc
	series   *prometheus.Desc
	evicted  *prometheus.Desc
}

func newPipelineCollector(set *pipeline.Set) *pipelineCollector {
	const label = "pipeline"
	type s = pipeline.Status
	return &pipelineCollector{
		set: set,
		readings: []reading[s]{
			gauge("varve_pipeline_connected", "Whether the source of a pipeline is connected: 1 or 0.", label, func(x *s) float64 {
				if x.Connected {
					return 1
				}
				return 0
			}),
			gauge("varve_pipeline_lag", "Messages that wait at the broker of a pipeline; -1 if that is not known.", label, func(x *s) float64 { return float64(x.Lag) }),
			counter("varve_pipeline_messages_total", "Messages that a pipeline took.", label, func(x *s) float64 { return float64(x.Messages) }),
			counter("varve_pipeline_records_total", "Records that were made of them.", label, func(x *s) float64 { return float64(x.Records) }),
			counter("varve_pipeline_stored_total", "Records that went through all sinks.", label, func(x *s) float64 { return float64(x.Stored) }),
			counter("varve_pipeline_dropped_total", "Records that steps left out on purpose.", label, func(x *s) float64 { return float64(x.Dropped) }),
			counter("varve_pipeline_refused_total", "Messages and records that were refused and kept with their reason.", label, func(x *s) float64 { return float64(x.Refused) }),
			counter("varve_pipeline_failures_total", "How often messages could not be taken and were handed over again.", label, func(x *s) float64 { return float64(x.Failures) }),
		},
		steps: prometheus.NewDesc("varve_pipeline_step_records_total",
			"Records that a step passed, changed, dropped or refused.", []string{label, "step", "outcome"}, nil),
		reasons: prometheus.NewDesc("varve_pipeline_step_reasons_total",
			"Records that a step, the decoder or a sink dropped or refused, by reason.", []string{label, "step", "reason"}, nil),
		events: prometheus.NewDesc("varve_pipeline_source_events_total",
			"What the source of a pipeline counts itself, such as packets that it had no room for.", []string{label, "event"}, nil),
		series: prometheus.NewDesc("varve_pipeline_step_series",
			"Series, or records, of which a step that remembers has a state.", []string{label, "step"}, nil),
		evicted: prometheus.NewDesc("varve_pipeline_step_evicted_total",
			"Series, or records, that a step forgot because there were more than it may remember.", []string{label, "step"}, nil),
	}
}

func (c *pipelineCollector) Describe(to chan<- *prometheus.Desc) {
	describe(to, c.readings)
	to <- c.steps
	to <- c.reasons
	to <- c.events
	to <- c.series
	to <- c.evicted
}

func (c *pipelineCollector) Collect(to chan<- prometheus.Metric) {
	for _, st := range c.set.Status() {
		collect(to, c.readings, &st, st.Name)
		for _, e := range st.Events {
			to <- prometheus.MustNewConstMetric(c.events, prometheus.CounterValue, float64(e.N), st.Name, e.Event)
		}
		for _, step := range st.Steps {
			if m := step.Memory; m != nil {
				to <- prometheus.MustNewConstMetric(c.series, prometheus.GaugeValue, float64(m.Series), st.Name, step.Name)
				to <- prometheus.MustNewConstMetric(c.evicted, prometheus.CounterValue, float64(m.Evicted), st.Name, step.Name)
			}
			for _, o := range []struct {
				outcome string
				n       uint64
			}{{"passed", step.Passed}, {"changed", step.Changed}, {"dropped", step.Dropped}, {"refused", step.Refused}} {
				to <- prometheus.MustNewConstMetric(c.steps, prometheus.CounterValue, float64(o.n), st.Name, step.Name, o.outcome)
			}
			for _, r := range step.Reasons {
				to <- prometheus.MustNewConstMetric(c.reasons, prometheus.CounterValue, float64(r.Count), st.Name, step.Name, r.Reason)
			}
		}
	}
}
