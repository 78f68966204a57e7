// Package metricsclient has tests of clients of Prometheus remote write and of
// OpenTelemetry. They run against the server that the tests one folder up start.
package metricsclient

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/exp/api/remote"
	writev2 "github.com/prometheus/client_golang/exp/api/remote/genproto/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
)

// environ is a value that the tests one folder up hand in.
func environ(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv("CLIENTTEST_" + name)
	if v == "" {
		t.Fatalf("CLIENTTEST_%s is not set: these tests are run by make test-clients", name)
	}
	return v
}

// ask makes a request without a client under test.
func ask(t *testing.T, url, body string, into any) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+environ(t, "TOKEN"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("%s: %s", url, resp.Status)
	}
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}

type value struct {
	Field string
	Value *float64
	Tags  map[string]string
}

// stored returns the values of a measurement.
func stored(t *testing.T, measurement string) []value {
	t.Helper()
	var answer struct{ Data []value }
	ask(t, environ(t, "SERVICE")+"/query", fmt.Sprintf(`{"measurement": %q, "start": 0}`, measurement), &answer)
	return answer.Data
}

// field returns the only value of a field of a measurement.
func field(t *testing.T, measurement, name string) float64 {
	t.Helper()
	var found []float64
	for _, v := range stored(t, measurement) {
		if v.Field == name && v.Value != nil {
			found = append(found, *v.Value)
		}
	}
	if len(found) != 1 {
		t.Errorf("%s %s has the values %v, want one", measurement, name, found)
		return math.NaN()
	}
	return found[0]
}

type authorised struct{ token string }

func (a authorised) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+a.token)
	return http.DefaultTransport.RoundTrip(r)
}

// TestRemoteWrite uses Prometheus' own client of remote write 2.0, through a
// proxy that refuses the first two writes.
func TestRemoteWrite(t *testing.T) {
	ask(t, environ(t, "PROXY")+"/proxy/faults", `[{"Status": 503, "RetryAfter": 1}, {"Status": 500}]`, nil)
	api, err := remote.NewAPI(environ(t, "PROXY"), remote.WithAPIPath("api/v1/write"),
		remote.WithAPIHTTPClient(&http.Client{Transport: authorised{environ(t, "TOKEN")}}),
		remote.WithAPIBackoff(remote.BackoffConfig{Min: 10 * time.Millisecond, Max: time.Second, MaxRetries: 5}))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().UnixMilli()
	request := &writev2.Request{
		Symbols: []string{"", "__name__", "prom_gauge", "job", "clienttest", "prom_histogram", "help"},
		Timeseries: []*writev2.TimeSeries{
			{LabelsRefs: []uint32{1, 2, 3, 4}, Samples: []*writev2.Sample{{Value: 1.5, Timestamp: at}, {Value: 2.5, Timestamp: at + 1}},
				Metadata: &writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_GAUGE, HelpRef: 6}},
			{LabelsRefs: []uint32{1, 5, 3, 4}, Histograms: []*writev2.Histogram{{
				Count: &writev2.Histogram_CountInt{CountInt: 3}, Sum: 4, Timestamp: at, ZeroThreshold: 0.001, ZeroCount: &writev2.Histogram_ZeroCountInt{},
				PositiveSpans: []*writev2.BucketSpan{{Offset: 0, Length: 2}}, PositiveDeltas: []int64{1, 1}}}},
		},
	}
	stats, err := api.Write(t.Context(), remote.WriteV2MessageType, request)
	if err != nil {
		t.Fatal(err)
	}
	if stats.Samples != 2 || stats.Histograms != 1 || stats.Exemplars != 0 {
		t.Errorf("%+v, want 2 samples and a histogram", stats)
	}
	if got := stored(t, "prom_gauge"); len(got) != 2 || got[0].Field != "value" || got[0].Tags["job"] != "clienttest" {
		t.Errorf("stored %+v", got)
	}
	if got := field(t, "prom_histogram_count", "value"); got != 3 {
		t.Errorf("count %v", got)
	}
	buckets := map[string]float64{}
	for _, v := range stored(t, "prom_histogram_bucket") {
		buckets[v.Tags["le"]] = *v.Value
	}
	if want := map[string]float64{"0.5": 0, "1": 1, "2": 3, "+Inf": 3}; fmt.Sprint(buckets) != fmt.Sprint(want) {
		t.Errorf("buckets %v, want %v", buckets, want)
	}

	// What can never be stored is not sent again.
	request.Timeseries[0].LabelsRefs = []uint32{3, 4}
	stats, err = api.Write(t.Context(), remote.WriteV2MessageType, request)
	if err == nil || !strings.Contains(err.Error(), "400") || stats.Samples != 0 || stats.Histograms != 1 {
		t.Errorf("without a name: %+v, %v: want status 400", stats, err)
	}
}

// TestOpenTelemetry uses the exporters of OpenTelemetry's SDK for Go.
func TestOpenTelemetry(t *testing.T) {
	headers := map[string]string{"authorization": "Bearer " + environ(t, "TOKEN"), "varve-bucket": environ(t, "BUCKET")}
	ctx := t.Context()
	overHTTP, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(environ(t, "URL")+"/v1/metrics"),
		otlpmetrichttp.WithHeaders(headers), otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression))
	if err != nil {
		t.Fatal(err)
	}
	overGRPC, err := otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpoint(environ(t, "OTLP")), otlpmetricgrpc.WithInsecure(),
		otlpmetricgrpc.WithHeaders(headers), otlpmetricgrpc.WithCompressor("gzip"))
	if err != nil {
		t.Fatal(err)
	}
	for name, exporter := range map[string]sdk.Exporter{"http": overHTTP, "grpc": overGRPC} {
		t.Run(name, func(t *testing.T) { export(t, name, exporter) })
	}
}

func export(t *testing.T, name string, exporter sdk.Exporter) {
	ctx := context.Background()
	provider := sdk.NewMeterProvider(
		sdk.WithReader(sdk.NewPeriodicReader(exporter, sdk.WithInterval(time.Hour))),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "clienttest"), attribute.Int("pid", 7))),
		sdk.WithView(sdk.NewView(sdk.Instrument{Name: name + "_exponential"}, sdk.Stream{Aggregation: sdk.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 0}})),
	)
	meter := provider.Meter("lib", metric.WithInstrumentationVersion("1.0"))
	counter, err1 := meter.Int64Counter(name + "_counter")
	gauge, err2 := meter.Float64Gauge(name + "_gauge")
	histogram, err3 := meter.Float64Histogram(name+"_histogram", metric.WithExplicitBucketBoundaries(1, 5))
	exponential, err4 := meter.Float64Histogram(name + "_exponential")
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	route := metric.WithAttributes(attribute.String("http.route", "/a b"))
	counter.Add(ctx, 3, route)
	gauge.Record(ctx, 1.25, route)
	for _, v := range []float64{0.5, 3, 9} {
		histogram.Record(ctx, v, route)
		exponential.Record(ctx, v, route)
	}
	if err := provider.Shutdown(ctx); err != nil { // which exports
		t.Fatal(err)
	}
	for _, c := range []struct {
		measurement, field string
		want               float64
	}{
		{"_counter", "counter", 3}, {"_gauge", "gauge", 1.25},
		{"_histogram", "count", 3}, {"_histogram", "sum", 12.5}, {"_histogram", "min", 0.5}, {"_histogram", "max", 9},
		{"_histogram", "1", 1}, {"_histogram", "5", 2}, {"_histogram", "+Inf", 3},
		{"_exponential", "count", 3}, {"_exponential", "scale", 0},
	} {
		if got := field(t, name+c.measurement, c.field); got != c.want {
			t.Errorf("%s%s %s is %v, want %v", name, c.measurement, c.field, got, c.want)
		}
	}
	got := stored(t, name+"_counter")
	for k, want := range map[string]string{"service.name": "clienttest", "pid": "7", "http.route": "/a b", "otel.scope.name": "lib", "otel.scope.version": "1.0"} {
		if len(got) == 1 && got[0].Tags[k] != want {
			t.Errorf("tag %s is %q, want %q", k, got[0].Tags[k], want)
		}
	}
	most := 0.0
	for _, v := range stored(t, name+"_exponential_bucket") {
		most = max(most, *v.Value)
	}
	if most != 3 {
		t.Errorf("buckets hold %v values, want 3", most)
	}
}
