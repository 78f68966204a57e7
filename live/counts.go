package live

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counts is what a hub has done, for metrics.
type counts struct {
	points, missed atomic.Uint64
}

func (c *counts) register(r prometheus.Registerer, h *Hub) {
	r.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "varve_live_subscribers", Help: "Clients that listen to live data.",
		}, func() float64 { return float64(h.subscribersNow()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "varve_live_points_total", Help: "Points for clients that listen to live data, counted for each of them.",
		}, func() float64 { return float64(c.points.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "varve_live_missed_points_total", Help: "Of these, points that were dropped because a client was too slow.",
		}, func() float64 { return float64(c.missed.Load()) }),
	)
}
