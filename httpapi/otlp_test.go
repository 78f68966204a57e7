package httpapi

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/varvedb/varve/protocol/otlp"
	"github.com/varvedb/varve/source"
)

// exported is a request with a gauge.
func exported(name string, times ...uint64) string {
	var gauge []byte
	for _, at := range times {
		p := protowire.AppendFixed64(protowire.AppendTag(nil, 3, protowire.Fixed64Type), at)
		p = protowire.AppendFixed64(protowire.AppendTag(p, 4, protowire.Fixed64Type), math.Float64bits(1.5))
		gauge = blob(gauge, 1, p)
	}
	metric := blob(blob(nil, 1, []byte(name)), 5, gauge)
	return string(blob(nil, 1, blob(nil, 2, blob(nil, 2, metric))))
}

func zipped(t *testing.T, s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const (
	asProtobuf    = "Content-Type: application/x-protobuf"
	asJSONMetrics = "Content-Type: application/json"
)

// statusOf is a google.rpc.Status.
func statusOf(code uint64, message string) string {
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), code)
	return string(protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), message))
}

func TestOTLP(t *testing.T) {
	one := []fakeWrite{{10, "m", 1, 7}}
	const json = `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{"timeUnixNano":"7","asDouble":1.5}]}}]}]}]}`
	for name, c := range map[string]struct {
		target  string
		body    string
		headers []string
		refused Refused
		err     error
		status  int
		answer  string // contains
		stored  []fakeWrite
	}{
		"protobuf":         {body: exported("m", 7), headers: []string{asProtobuf}, status: 200, stored: one},
		"gzip":             {body: zipped(t, exported("m", 7)), headers: []string{asProtobuf, "Content-Encoding: gzip"}, status: 200, stored: one},
		"JSON":             {body: json, headers: []string{asJSONMetrics}, status: 200, answer: "{}", stored: one},
		"bucket":           {target: "/v1/metrics?bucket=readable", body: exported("m", 7), headers: []string{asProtobuf}, status: 200, stored: []fakeWrite{{11, "m", 1, 7}}},
		"bucket by header": {body: exported("m", 7), headers: []string{asProtobuf, "Varve-Bucket: readable", "Varve-Org: acme"}, status: 200, stored: []fakeWrite{{11, "m", 1, 7}}},
		"no such bucket":   {body: exported("m", 7), headers: []string{asProtobuf, "Varve-Bucket: none"}, status: 404, answer: statusOf(5, `bucket "none" not found`)},
		"nothing":          {body: "", headers: []string{asProtobuf}, status: 200},
		"not protobuf":     {body: "m 1", headers: []string{asProtobuf}, status: 400, answer: statusOf(3, "otlp: malformed protobuf")},
		"not JSON":         {body: "m 1", headers: []string{asJSONMetrics}, status: 400, answer: `{"code":3,"message":"otlp: `},
		"another type":     {body: "m 1", headers: []string{"Content-Type: text/plain"}, status: 415, answer: "application/x-protobuf or application/json"},
		"a bad point":      {body: exported("m", 7, math.MaxUint64), headers: []string{asProtobuf}, status: 200, answer: "which is after the year 2262", stored: one},
		"refused by store": {body: exported("m", 7), headers: []string{asProtobuf}, refused: Refused{1, "too old"}, status: 200, answer: "\x08\x01\x12\x07too old", stored: one},
		"refused as JSON": {body: json, headers: []string{asJSONMetrics}, refused: Refused{1, "too old"}, status: 200,
			answer: `{"partialSuccess":{"rejectedDataPoints":"1","errorMessage":"too old"}}`, stored: one},
		"no room":       {body: exported("m", 7), headers: []string{asProtobuf}, err: &Error{Code: Unavailable, Message: "full"}, status: 503, answer: statusOf(14, "full")},
		"no token":      {body: exported("m", 7), headers: []string{asProtobuf, "Authorization: x"}, status: 401, answer: statusOf(16, "unauthorized access")},
		"may only read": {target: "/v1/metrics?bucket=readable", body: exported("m", 7), headers: []string{asProtobuf, "Authorization: Bearer device"}, status: 403, answer: "permissions"},
		"too large":     {body: strings.Repeat("x", 2<<20), headers: []string{asProtobuf}, status: 413, answer: "too large"},
		"large JSON":    {body: `{"x":"` + strings.Repeat("x", 40<<10) + `"}`, headers: []string{asJSONMetrics}, status: 413, answer: "may have 32768 bytes"},
		"gzip bomb":     {body: zipped(t, strings.Repeat("x", 2<<20)), headers: []string{asProtobuf, "Content-Encoding: gzip"}, status: 413, answer: "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newRig(t, nil)
			b.store.refused, b.store.err = c.refused, c.err
			if c.target == "" {
				c.target = "/v1/metrics"
			}
			w := call(b.api.Points(), http.MethodPost, c.target, c.body, append([]string{asAdmin}, c.headers...)...)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.answer) || c.answer == "" && w.Body.Len() > 0 {
				t.Errorf("status %d, %q: want %d and %q", w.Code, w.Body, c.status, c.answer)
			}
			if diff := cmp.Diff(c.stored, b.store.writes); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
			isJSON := strings.HasPrefix(w.Header().Get("Content-Type"), "application/json")
			if isJSON != (c.headers[0] == asJSONMetrics) {
				t.Errorf("the answer is %s", w.Header().Get("Content-Type"))
			}
			if w.Code == 503 && w.Header().Get("Retry-After") == "" {
				t.Error("who is to come again is not told when")
			}
		})
	}
}

func TestOTLPThroughPipeline(t *testing.T) {
	b := newRig(t, nil)
	in := &fakeIntake{result: source.Result{Stored: 1, Refused: 1, Reason: "out of range"}}
	defer b.api.metricGate.Source(otlp.Mapping{}).Hold()()
	closing, err := b.api.metricGate.Open(otlp.Mapping{}, in)
	if err != nil {
		t.Fatal(err)
	}
	send := func() (int, string) {
		w := call(b.api.Points(), http.MethodPost, "/v1/metrics", exported("m", 7, 8), asAdmin, asProtobuf)
		return w.Code, w.Body.String()
	}
	if status, answer := send(); status != http.StatusOK || answer != "" || in.rows != 2 {
		t.Errorf("status %d, %q, %d rows: want that refused ones, which are kept, are no fault", status, answer, in.rows)
	}
	// What is no point is kept as well, and told.
	w := call(b.api.Points(), http.MethodPost, "/v1/metrics", exported("m", math.MaxUint64), asAdmin, asProtobuf)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "after the year 2262") {
		t.Errorf("a bad point: status %d, %q", w.Code, w.Body)
	}
	if diff := cmp.Diff([]string{`1 bad_point "m"{} value=1.5 time=18446744073709551615`}, in.left); diff != "" {
		t.Error(diff)
	}
	// So is what cannot be read.
	for kind, body := range map[string]string{asProtobuf: "up 1", asJSONMetrics: "{x"} {
		in.left = nil
		w := call(b.api.Points(), http.MethodPost, "/v1/metrics", body, asAdmin, kind)
		if w.Code != http.StatusBadRequest || len(in.left) != 1 || in.left[0] != fmt.Sprintf("bad_message %q", body) {
			t.Errorf("a bad message: status %d, kept %q", w.Code, in.left)
		}
	}
	// As it came, though it was another message when it was found to be too much.
	limits := otlp.Default()
	limits.Rows.MaxTables = 1
	b.api.metricDecoders = newDecoders(func(int) MetricDecoder { return otlp.NewDecoder(limits) }, 1<<20, time.Second, make(chan struct{}, 1), make(chan struct{}, 1))
	const metric = `{"name":"%s","gauge":{"dataPoints":[{"timeUnixNano":"7","asDouble":1.5}]}}`
	body := fmt.Sprintf(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[`+metric+","+metric+`]}]}]}`, "a", "b")
	in.left = nil
	w = call(b.api.Points(), http.MethodPost, "/v1/metrics", body, asAdmin, asJSONMetrics)
	if diff := cmp.Diff([]string{fmt.Sprintf("bad_message %q", body)}, in.left); w.Code != http.StatusBadRequest || diff != "" {
		t.Errorf("too much as JSON: status %d, kept %s", w.Code, diff)
	}
	in.err = source.ErrBusy
	if status, _ := send(); status != http.StatusServiceUnavailable {
		t.Errorf("a busy intake: status %d", status)
	}
	closing()
	if status, _ := send(); status != http.StatusServiceUnavailable || len(b.store.writes) != 0 {
		t.Errorf("status %d while the pipeline is loaded anew; stored %v", status, b.store.writes)
	}
}
