package apptest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metricspb "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/varvedb/varve/bench/remotewrite"
	folder "github.com/varvedb/varve/server"
)

// TestRemoteWrite: what was acknowledged to a Prometheus outlives a kill, and a
// pipeline that wants it gets it.
func TestRemoteWrite(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	for _, version := range []int{1, 2} {
		cfg := remotewrite.Default()
		cfg.Version, cfg.Series, cfg.Metrics, cfg.Batch = version, 200, 10, 100
		cfg.Start = cfg.Start.Add(time.Duration(version) * time.Hour)
		g := remotewrite.New(cfg)
		kind := "Content-Type: application/x-protobuf"
		if version == 2 {
			kind += ";proto=io.prometheus.write.v2.Request"
		}
		var b remotewrite.Buffer
		for n := range int64(4) {
			body, _, _ := g.Request(n, &b)
			a := s.must(204, http.MethodPost, s.http+"/api/v1/write", string(body), kind, "Content-Encoding: snappy")
			if told := a.header.Get("X-Prometheus-Remote-Write-Samples-Written"); version == 2 && told != "100" {
				t.Errorf("%q samples were written, want 100", told)
			}
		}
	}
	s.kill()
	s = start(t, dir)
	got := s.query(`{"measurement": "node_cpu_000_seconds_total", "start": 0, "aggregation": "count"}`)
	total := 0
	for _, v := range got {
		n := 0
		if _, err := fmt.Sscan(fmt.Sprint(v.Value), &n); err != nil {
			t.Fatal(err)
		}
		total += n
		if v.Field != "value" {
			t.Errorf("field %q", v.Field)
		}
	}
	if total != 80 {
		t.Errorf("%d samples of a metric, want 20 machines, 2 rounds, 2 versions: %v", total, got)
	}
	s.stop()

	file := pipelineFile(t, "", `
pipelines:
  prometheus:
    source: {prometheus: {layout: field, measurement: all}}
    validate: [{range: {field: node_cpu_000_seconds_total, max: 1e300}}]
    sinks: [{store: {}}]
`)
	s = start(t, dir, "--pipelines-file", file)
	cfg := remotewrite.Default()
	cfg.Series, cfg.Metrics, cfg.Batch = 20, 10, 20
	body, _, _ := remotewrite.New(cfg).Request(0, new(remotewrite.Buffer))
	s.must(204, http.MethodPost, s.http+"/api/v1/write", string(body))
	if got := s.query(`{"measurement": "all", "start": 0, "fields": ["node_cpu_000_seconds_total"]}`); len(got) != 2 {
		t.Errorf("through a pipeline: %v", got)
	}
}

func gaugeOf(name string, value float64) *metricspb.ExportMetricsServiceRequest {
	return &metricspb.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{ScopeMetrics: []*metrics.ScopeMetrics{{
		Metrics: []*metrics.Metric{{Name: name, Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: []*metrics.NumberDataPoint{
			{TimeUnixNano: 1767366245e9, Value: &metrics.NumberDataPoint_AsDouble{AsDouble: value}}}}}}},
	}}}}}
}

const exportMethod = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

// TestOTLP sends metrics over gRPC and HTTP, plain and with TLS.
func TestOTLP(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")
	writeCertificate(t, cert, key, "first")
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	for name, c := range map[string]struct {
		args []string
		with credentials.TransportCredentials
	}{
		"plain": {nil, insecure.NewCredentials()},
		"TLS":   {[]string{"--tls-cert", cert, "--tls-key", key}, credentials.NewTLS(&tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})},
	} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			s := start(t, data, append(c.args, "--otlp-grpc-addr", "127.0.0.1:0")...)
			a, err := folder.ReadAddresses(data)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := grpc.NewClient("passthrough:///"+a.OTLP, grpc.WithTransportCredentials(c.with))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			send := func(token string, m proto.Message, options ...grpc.CallOption) (*metricspb.ExportMetricsServiceResponse, error) {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				out := new(metricspb.ExportMetricsServiceResponse)
				return out, conn.Invoke(metadata.AppendToOutgoingContext(ctx, "authorization", token, "varve-bucket", "default"), exportMethod, m, out, options...)
			}
			if out, err := send("Bearer "+adminToken, gaugeOf("grpc", 1)); err != nil || out.GetPartialSuccess() != nil {
				t.Errorf("%v, %v", out, err)
			}
			if _, err := send("Token "+adminToken, gaugeOf("zipped", 2), grpc.UseCompressor(gzip.Name)); err != nil {
				t.Error(err)
			}
			bad := gaugeOf("bad", 1)
			bad.ResourceMetrics[0].ScopeMetrics[0].Metrics[0].Name = ""
			if out, err := send("Token "+adminToken, bad); err != nil || out.GetPartialSuccess().GetRejectedDataPoints() != 1 {
				t.Errorf("a bad point: %v, %v", out, err)
			}
			if _, err := send("Token wrong", gaugeOf("grpc", 1)); status.Code(err) != codes.Unauthenticated {
				t.Errorf("without a token: %v", err)
			}
			big := gaugeOf(strings.Repeat("x", 17<<20), 1)
			if _, err := send("Token "+adminToken, big); status.Code(err) != codes.ResourceExhausted {
				t.Errorf("a message of 17 MiB: %v", err)
			}
			if name == "TLS" {
				return
			}
			body, err := proto.Marshal(gaugeOf("http", 3))
			if err != nil {
				t.Fatal(err)
			}
			s.must(200, http.MethodPost, s.http+"/v1/metrics", string(body), "Content-Type: application/x-protobuf")
			for i, m := range []string{"grpc", "zipped", "http"} {
				got := s.query(fmt.Sprintf(`{"measurement": %q, "start": 0}`, m))
				if len(got) != 1 || got[0].Field != "gauge" || fmt.Sprint(got[0].Value) != fmt.Sprint(i+1) {
					t.Errorf("%s: %v", m, got)
				}
			}
			// Garbage harms nobody.
			raw, err := net.Dial("tcp", a.OTLP)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(raw, bytes.NewReader(bytes.Repeat([]byte("garbage\x00\xff"), 1<<16))) // it is cut off
			raw.Close()
			if _, err := send("Token "+adminToken, gaugeOf("grpc", 1)); err != nil {
				t.Errorf("after garbage: %v", err)
			}
			s.stop()
		})
	}
}

// TestOTLPPipeline: a pipeline that wants metrics of OpenTelemetry gets them.
func TestOTLPPipeline(t *testing.T) {
	file := pipelineFile(t, "", `
pipelines:
  otel:
    source: {otlp: {scope: false}}
    validate: [{range: {field: gauge, max: 5}}]
    sinks: [{store: {}}]
`)
	s := start(t, t.TempDir(), "--pipelines-file", file)
	for _, v := range []float64{4, 9, -1} {
		request := gaugeOf("m", v)
		if v < 0 {
			request.ResourceMetrics[0].ScopeMetrics[0].Metrics[0].GetGauge().DataPoints[0].TimeUnixNano = math.MaxUint64
		}
		body, err := proto.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		s.must(200, http.MethodPost, s.http+"/v1/metrics", string(body), "Content-Type: application/x-protobuf")
	}
	if got := s.query(`{"measurement": "m", "start": 0}`); len(got) != 1 || fmt.Sprint(got[0].Value) != "4" {
		t.Errorf("stored %v", got)
	}
	var kept []string
	for _, v := range s.query(`{"measurement": "refused", "bucket": "dead-letter", "start": 0}`) {
		if v.Field == "payload" {
			kept = append(kept, fmt.Sprintf("%s %s", v.Tags["place"], v.Value))
		}
	}
	slices.Sort(kept)
	if len(kept) != 2 || !strings.HasPrefix(kept[0], `decode "m"{`) || !strings.Contains(kept[0], "value=-1 time=18446744073709551615") || !strings.Contains(kept[1], "gauge=9") {
		t.Errorf("of what was refused, kept %q", kept)
	}
}
