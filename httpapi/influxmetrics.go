package httpapi

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// influxMetrics is what dashboards of the platform show of writes, or of
// queries, by names that are older than this server. They tell no paths apart,
// so that a sum over all has nothing in it twice.
type influxMetrics struct {
	succeeded, failed prometheus.Counter
	duration          prometheus.Histogram
}

// newInfluxMetrics registers the metrics of what, write or query; whose begins
// their help.
func newInfluxMetrics(r prometheus.Registerer, what, whose string) *influxMetrics {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "influxdb_" + what + "_requests_total",
		Help: whose + ", by status: success, or error for answers of 400 and more.",
	}, []string{"status"})
	m := &influxMetrics{
		succeeded: requests.WithLabelValues("success"),
		failed:    requests.WithLabelValues("error"),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "influxdb_" + what + "_request_duration_seconds",
			Help:    whose + ": time from the header to the end of the answer.",
			Buckets: durations(),
		}),
	}
	r.MustRegister(requests, m.duration)
	return m
}

func (m *influxMetrics) observe(status int, d time.Duration) {
	if status < http.StatusBadRequest {
		m.succeeded.Inc()
	} else {
		m.failed.Inc()
	}
	m.duration.Observe(d.Seconds())
}

// influx returns the metrics that requests for a path count in besides its own,
// nil for none.
func (m *metrics) influx(path string) *influxMetrics {
	switch path {
	case "/api/v2/write", "/write", "/data", "/api/v1/write", "/api/v1/prom/write", "/v1/metrics":
		return m.writes
	case "/query":
		return m.questions
	}
	return nil
}
