package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/varvedb/varve/protocol/otlp"
	"github.com/varvedb/varve/protocol/remotewrite"
)

// metrics counts what goes through the API.
type metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	panics    prometheus.Counter
	points    prometheus.Counter
	refused   prometheus.Counter
	bodyBytes prometheus.Counter
	rows      prometheus.Counter
	leftOut   *prometheus.CounterVec // of remote write
	unstored  *prometheus.CounterVec // of OTLP
	writes    *influxMetrics
	questions *influxMetrics
}

// durations are from a tenth of a millisecond, where a memory-bound query
// ends, to ten seconds, where clients give up.
func durations() []float64 {
	return []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "varve_http_requests_total",
			Help: "HTTP requests by method, path and status.",
		}, []string{"method", "path", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "varve_http_request_duration_seconds",
			Help:    "Time from the header of a request to the end of its answer.",
			Buckets: durations(),
		}, []string{"method", "path"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_http_panics_total",
			Help: "Requests that were ended by a bug in the program; the log has the stack.",
		}),
		points: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_write_points_total",
			Help: "Points that were stored and acknowledged.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_write_refused_points_total",
			Help: "Points of otherwise stored writes that were refused for their type or time.",
		}),
		bodyBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_write_body_bytes_total",
			Help: "Bytes of write bodies after decompression.",
		}),
		rows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "varve_query_rows_total",
			Help: "Values that the service port returned to queries.",
		}),
	}
	m.leftOut = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "varve_remote_write_left_out_total",
		Help: "What Prometheus wrote and is not stored: values that are refused for what they are, exemplars, and descriptions of metrics.",
	}, []string{"reason"})
	for _, reason := range []string{"refused", "exemplars", "metadata"} {
		m.leftOut.WithLabelValues(reason)
	}
	m.unstored = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "varve_otlp_left_out_total",
		Help: "What exporters of OpenTelemetry sent and is not stored: data points that are refused for what they are, those without a value, and exemplars.",
	}, []string{"reason"})
	for _, reason := range []string{"refused", "no_value", "exemplars"} {
		m.unstored.WithLabelValues(reason)
	}
	r.MustRegister(m.requests, m.durations, m.panics, m.points, m.refused, m.bodyBytes, m.rows, m.leftOut, m.unstored)
	m.writes = newInfluxMetrics(r, "write", "Requests that write points")
	m.questions = newInfluxMetrics(r, "query", "Requests that ask for points")
	return m
}

func (m *metrics) countRemoteWrite(q *remotewrite.Request) {
	m.leftOut.WithLabelValues("refused").Add(float64(q.Refused))
	m.leftOut.WithLabelValues("exemplars").Add(float64(q.Exemplars))
	m.leftOut.WithLabelValues("metadata").Add(float64(q.Metadata))
}

func (m *metrics) countOTLP(q *otlp.Request) {
	m.unstored.WithLabelValues("refused").Add(float64(q.Refused))
	m.unstored.WithLabelValues("no_value").Add(float64(q.Empty))
	m.unstored.WithLabelValues("exemplars").Add(float64(q.Exemplars))
}

// routeMetrics is metrics for one method and path.
type routeMetrics struct {
	statuses *prometheus.CounterVec
	duration prometheus.Observer
	influx   *influxMetrics // nil for what neither writes nor queries
}

func (m *metrics) route(method, path string) *routeMetrics {
	return &routeMetrics{
		statuses: m.requests.MustCurryWith(prometheus.Labels{"method": method, "path": path}),
		duration: m.durations.WithLabelValues(method, path),
		influx:   m.influx(path),
	}
}

func (m *routeMetrics) observe(status int, d time.Duration) {
	m.statuses.WithLabelValues(strconv.Itoa(status)).Inc()
	m.duration.Observe(d.Seconds())
	if m.influx != nil {
		m.influx.observe(status, d)
	}
}

// serveMetrics is GET /metrics.
func (a *API) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	a.scrape.ServeHTTP(w, r)
	return nil
}

func scrapeHandler(r *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}
