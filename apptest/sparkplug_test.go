package apptest

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/varvedb/varve/protocol/mqttwire"
)

// sparkplugMetric writes a metric of Sparkplug B with a double; name or alias may
// be missing (negative).
func sparkplugMetric(name string, alias int, v float64) []byte {
	var m []byte
	if name != "" {
		m = protowire.AppendString(protowire.AppendTag(m, 1, protowire.BytesType), name)
	}
	if alias >= 0 {
		m = protowire.AppendVarint(protowire.AppendTag(m, 2, protowire.VarintType), uint64(alias))
	}
	m = protowire.AppendVarint(protowire.AppendTag(m, 4, protowire.VarintType), 10) // Double
	return protowire.AppendFixed64(protowire.AppendTag(m, 13, protowire.Fixed64Type), math.Float64bits(v))
}

func sparkplugPayload(seq uint64, ms uint64, metrics ...[]byte) string {
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), ms)
	for _, m := range metrics {
		b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), m)
	}
	return string(protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), seq))
}

// TestSparkplug: an edge node is asked for its birth certificate over the broker,
// its readings get the names that it announced, and its devices are online until
// it dies.
func TestSparkplug(t *testing.T) {
	file := pipelineFile(t, "", `
pipelines:
  plant:
    source: {mqtt: {topics: ["spBv1.0/#"]}}
    decode: {sparkplug: {}}
    sinks: [{store: {}}]
`)
	s := start(t, t.TempDir(), "--pipelines-file", file, "--mqtt-addr", "127.0.0.1:0", "--mqtt-auth", "none")
	edge, reason := connectDevice(t, dialDevice(t, s.mqttPorts().MQTT), "edge", "", "")
	if reason != mqttwire.Success {
		t.Fatalf("not let in: %d", reason)
	}
	if r := edge.subscribe("spBv1.0/plant/NCMD/edge"); r > 2 {
		t.Fatalf("subscription is answered with %d", r)
	}

	const ms = 1_767_366_245_000
	// A reading before the birth: acknowledged, kept as refused, and the birth is
	// asked for. The request may come before the acknowledgement.
	edge.send(mqttwire.AppendPublish(nil, mqttwire.V5, &mqttwire.Publish{QoS: 1, PacketID: 1, Topic: []byte("spBv1.0/plant/DDATA/edge/press"), Payload: []byte(sparkplugPayload(4, ms, sparkplugMetric("", 7, 1)))}))
	request, acknowledged := "", false
	for request == "" || !acknowledged {
		switch p := edge.next(); p.Type {
		case mqttwire.PUBACK:
			acknowledged = true
		case mqttwire.PUBLISH:
			var m mqttwire.Publish
			if err := m.Decode(p.Flags, p.Body, mqttwire.V5); err != nil {
				t.Fatal(err)
			}
			request = string(m.Topic) + " " + string(m.Payload)
		}
	}
	if !strings.HasPrefix(request, "spBv1.0/plant/NCMD/edge ") || !strings.Contains(request, "Node Control/Rebirth") {
		t.Errorf("asked with %q", request)
	}

	for _, m := range []struct{ topic, payload string }{
		{"NBIRTH/edge", sparkplugPayload(0, ms, sparkplugMetric("Uptime", 1, 5))},
		{"DBIRTH/edge/press", sparkplugPayload(1, ms, sparkplugMetric("Oil/Temperature", 7, 40))},
		{"DDATA/edge/press", sparkplugPayload(2, ms+1000, sparkplugMetric("", 7, 41.5))},
	} {
		if r := edge.publish("spBv1.0/plant/"+m.topic, m.payload); r != mqttwire.Success {
			t.Errorf("%s is answered with %d", m.topic, r)
		}
	}
	got := map[string]string{}
	for _, v := range s.query(`{"measurement": "sparkplug", "start": 0}`) {
		got[fmt.Sprint(v.Tags["node"], " ", v.Tags["device"], " ", v.Field, " ", v.Time.UnixMilli()-ms)] = fmt.Sprint(v.Value)
	}
	for key, want := range map[string]string{"edge  Uptime 0": "5", "edge press Oil/Temperature 0": "40", "edge press Oil/Temperature 1000": "41.5"} {
		if got[key] != want {
			t.Errorf("%s is %q, want %s; there is %v", key, got[key], want, got)
		}
	}
	dead := s.must(200, http.MethodPost, s.service+"/query", `{"measurement": "refused", "bucket": "dead-letter", "start": 0}`).body
	if !strings.Contains(dead, "unknown_alias") || !strings.Contains(dead, "alias 7") {
		t.Errorf("kept %s", dead)
	}

	online := func() string {
		var all []string
		for _, v := range s.query(`{"measurement": "device_status", "start": 0}`) {
			if v.Field == "online" && v.Tags["node"] != "" {
				all = append(all, fmt.Sprint(v.Tags["device"], "=", v.Value))
			}
		}
		return strings.Join(all, " ")
	}
	if got := online(); strings.Contains(got, "false") || !strings.Contains(got, "press=true") {
		t.Errorf("device_status is %s", got)
	}
	if r := edge.publish("spBv1.0/plant/NDEATH/edge", sparkplugPayload(0, ms)); r != mqttwire.Success {
		t.Errorf("NDEATH is answered with %d", r)
	}
	if got := online(); strings.Count(got, "false") != 2 {
		t.Errorf("device_status is %s after the death of the node", got)
	}
}
