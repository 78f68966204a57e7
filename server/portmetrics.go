package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/transport"
)

// portCollector implements prometheus.Collector over what ports count.
type portCollector struct {
	ports    *ports
	readings []reading[transport.Stats]
	hits     *prometheus.Desc
	expires  *prometheus.Desc
	reloads  *prometheus.Desc
}

func newPortCollector(p *ports) *portCollector {
	const label = "port"
	type s = transport.Stats
	return &portCollector{
		ports: p,
		readings: []reading[s]{
			gauge("varve_port_connections", "Open connections.", label, func(x *s) float64 { return float64(x.Connections) }),
			gauge("varve_port_connections_waiting", "Open connections without a request under way.", label, func(x *s) float64 { return float64(x.Waiting) }),
			gauge("varve_port_connections_limit", "Most connections, and requests under way, of a port.", label, func(x *s) float64 { return float64(x.Limit) }),
			gauge("varve_port_requests", "Requests under way.", label, func(x *s) float64 { return float64(x.Requests) }),
			counter("varve_port_malformed_requests_total", "Headers and frames that are no HTTP, or broke off.", label, func(x *s) float64 { return float64(x.Malformed) }),
			counter("varve_port_handshake_failures_total", "Handshakes of TLS that failed; the log has the reasons at level debug.", label, func(x *s) float64 { return float64(x.HandshakeFailures) }),
		},
		hits: prometheus.NewDesc("varve_port_limit_hits_total",
			"How often a limit ended or refused something, by the setting below http that it is.", []string{label, "limit"}, nil),
		expires: prometheus.NewDesc("varve_tls_certificate_expires_seconds",
			"When the certificate that is in use expires, in seconds since 1970; 0 without TLS.", nil, nil),
		reloads: prometheus.NewDesc("varve_tls_reloads_total",
			"Renewed certificates that were taken (ok) or found faulty (failed).", []string{"result"}, nil),
	}
}

func (c *portCollector) Describe(to chan<- *prometheus.Desc) {
	describe(to, c.readings)
	for _, d := range []*prometheus.Desc{c.hits, c.expires, c.reloads} {
		to <- d
	}
}

func (c *portCollector) Collect(to chan<- prometheus.Metric) {
	for _, p := range c.ports.all() {
		st := p.Stats()
		collect(to, c.readings, &st, st.Name)
		for _, h := range st.Hits {
			to <- prometheus.MustNewConstMetric(c.hits, prometheus.CounterValue, float64(h.Count), st.Name, h.Limit)
		}
	}
	var st transport.CertificateStats
	expires := 0.0
	if c.ports.certificates != nil {
		st = c.ports.certificates.Stats()
		expires = float64(st.Expires.Unix())
	}
	to <- prometheus.MustNewConstMetric(c.expires, prometheus.GaugeValue, expires)
	to <- prometheus.MustNewConstMetric(c.reloads, prometheus.CounterValue, float64(st.Reloads), "ok")
	to <- prometheus.MustNewConstMetric(c.reloads, prometheus.CounterValue, float64(st.Failures), "failed")
}
