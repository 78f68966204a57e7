package server

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/source/mqtt"
)

// mqttCollector implements prometheus.Collector over what the broker counts.
type mqttCollector struct {
	broker                       *mqtt.Broker
	single                       []mqttReading
	received, refused, latencies *prometheus.Desc
}

type mqttReading struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*mqtt.Stats) float64
}

func newMQTTCollector(b *mqtt.Broker) *mqttCollector {
	c := &mqttCollector{
		broker:   b,
		received: prometheus.NewDesc("varve_mqtt_received_messages_total", "Messages that clients of MQTT published, by QoS.", []string{"qos"}, nil),
		refused:  prometheus.NewDesc("varve_mqtt_refused_total", "Connections, publishes and subscriptions that were refused or ended, by reason.", []string{"reason"}, nil),
		latencies: prometheus.NewDesc("varve_mqtt_acknowledge_duration_seconds",
			"Time from the arrival of a message of QoS 1 or 2 until its pipeline has it on disk and it is acknowledged.", nil, nil),
	}
	add := func(kind prometheus.ValueType, name, help string, value func(*mqtt.Stats) float64) {
		c.single = append(c.single, mqttReading{prometheus.NewDesc("varve_mqtt_"+name, help, nil, nil), kind, value})
	}
	type s = mqtt.Stats
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	add(gauge, "connections", "Open connections of MQTT.", func(x *s) float64 { return float64(x.Connections) })
	add(gauge, "sessions", "Sessions of MQTT, with those of clients that are away.", func(x *s) float64 { return float64(x.Sessions) })
	add(gauge, "subscriptions", "Subscriptions of clients of MQTT.", func(x *s) float64 { return float64(x.Subscriptions) })
	add(gauge, "retained_messages", "Messages that are retained for later subscribers.", func(x *s) float64 { return float64(x.Retained) })
	add(gauge, "waiting_bytes", "Messages that wait for pipelines.", func(x *s) float64 { return float64(x.Waiting) })
	add(gauge, "subscriber_bytes", "Messages of QoS 1 and 2 that wait for subscribers, or for their acknowledgement, in all sessions.", func(x *s) float64 { return float64(x.Outgoing) })
	add(gauge, "unwritten_bytes", "Messages that wait to be written to subscribers that read slowly.", func(x *s) float64 { return float64(x.Unwritten) })
	add(counter, "connects_total", "Clients of MQTT that were let in.", func(x *s) float64 { return float64(x.Accepted) })
	add(counter, "turned_away_total", "Connections that mqtt.max_connections had no place for.", func(x *s) float64 { return float64(x.TurnedAway) })
	add(counter, "handshake_failures_total", "Handshakes of TLS that failed.", func(x *s) float64 { return float64(x.HandshakeFailures) })
	add(counter, "takeovers_total", "Connections that ended because another had their client id.", func(x *s) float64 { return float64(x.Takeovers) })
	add(counter, "taken_messages_total", "Messages that pipelines have taken, once for each.", func(x *s) float64 { return float64(x.Taken) })
	add(counter, "commits_total", "Calls in which pipelines took messages, many at once.", func(x *s) float64 { return float64(x.Commits) })
	add(counter, "retries_total", "How often messages were handed to a pipeline again, because it was busy.", func(x *s) float64 { return float64(x.Retries) })
	add(counter, "held_total", "How often a client was read no further, because too much waited.", func(x *s) float64 { return float64(x.Held) })
	add(counter, "dropped_messages_total", "Messages of QoS 0 and wills that were dropped, because too much waited.", func(x *s) float64 { return float64(x.Dropped) })
	add(counter, "delivered_messages_total", "Messages that subscribers got.", func(x *s) float64 { return float64(x.Delivered) })
	add(counter, "undelivered_messages_total", "Messages that subscribers were too slow for, or away with a full queue, and those that the longest queues gave for want of room.", func(x *s) float64 { return float64(x.Undelivered) })
	add(counter, "wills_total", "Wills that were published.", func(x *s) float64 { return float64(x.Wills) })
	add(counter, "unretained_total", "Messages that were not retained for want of room.", func(x *s) float64 { return float64(x.Unretained) })
	add(counter, "received_bytes_total", "Bytes that clients sent.", func(x *s) float64 { return float64(x.BytesIn) })
	add(counter, "sent_bytes_total", "Bytes that were sent to clients.", func(x *s) float64 { return float64(x.BytesOut) })
	add(counter, "lost_states_total", "Changes of device_status that were not kept, because too many waited.", func(x *s) float64 { return float64(x.StatusesLost) })
	return c
}

func (c *mqttCollector) Describe(to chan<- *prometheus.Desc) {
	for _, r := range c.single {
		to <- r.desc
	}
	to <- c.received
	to <- c.refused
	to <- c.latencies
}

func (c *mqttCollector) Collect(to chan<- prometheus.Metric) {
	st := c.broker.Stats()
	for _, r := range c.single {
		to <- prometheus.MustNewConstMetric(r.desc, r.kind, r.value(&st))
	}
	for qos, n := range st.Received {
		to <- prometheus.MustNewConstMetric(c.received, prometheus.CounterValue, float64(n), strconv.Itoa(qos))
	}
	for reason, n := range st.Refused {
		to <- prometheus.MustNewConstMetric(c.refused, prometheus.CounterValue, float64(n), reason)
	}
	buckets, count := map[float64]uint64{}, uint64(0)
	for i, bound := range mqtt.Bounds() {
		count += st.Latency[i]
		buckets[bound.Seconds()] = count
	}
	count += st.Latency[len(st.Latency)-1]
	to <- prometheus.MustNewConstHistogram(c.latencies, count, st.LatencySum.Seconds(), buckets)
}
