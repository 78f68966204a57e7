package apptest

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var rewrite = flag.Bool("rewrite", false, "write docs/METRICS.md anew")

// platformNames are names that are older than this server. Dashboards have
// them.
var platformNames = []string{
	"data_points_processed_total",
	"influxdb_query_request_duration_seconds", "influxdb_query_requests_total",
	"influxdb_write_request_duration_seconds", "influxdb_write_requests_total",
	"system_health_score",
}

// labels are those that metrics may have: of each, what the values can be is
// known when the program is written or started.
var labels = []string{"cache", "check", "method", "path", "pool", "reason", "shard", "status", "port", "limit", "result", "pipeline", "step", "outcome", "event", "qos"}

// foreign reports whether a metric is one of the runtime's, which are not
// described here.
func foreign(name string) bool {
	return strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_")
}

func (s *server) scrape() (map[string]*dto.MetricFamily, string) {
	s.t.Helper()
	a := s.must(200, http.MethodGet, s.http+"/metrics", "", "Authorization: ")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(a.body))
	if err != nil {
		s.t.Fatal(err)
	}
	return families, a.body
}

// Every metric is understood by Prometheus' own parser, keeps its conventions,
// has help, and stands in docs/METRICS.md.
func TestMetrics(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pipelines.yaml")
	if err := os.WriteFile(file, []byte("pipelines:\n  points: {source: data, validate: [{range: {field: v, max: 5}}], sinks: [{store: {}}]}\n"+
		"  packets: {source: {udp: {listen: 127.0.0.1:0}}, decode: {line: {}}, validate: [{deduplicate: {}}], sinks: [{store: {}}]}"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir(), "--trace-endpoint", startCollector(t).url, "--pipelines-file", file, "--mqtt-addr", "127.0.0.1:0")
	s.write("m v=1")
	s.must(422, http.MethodPost, s.service+"/data", `[{"measurement": "m", "fields": {"v": 1}}, {"measurement": "m", "fields": {"v": 9}}]`)
	s.query(`{"measurement": "m", "start": 0}`)
	families, text := s.scrape()

	own := map[string]*dto.MetricFamily{}
	for name, f := range families {
		if foreign(name) {
			continue
		}
		own[name] = f
		if f.GetHelp() == "" || !strings.HasSuffix(f.GetHelp(), ".") {
			t.Errorf("%s: help is %q, want a sentence", name, f.GetHelp())
		}
		if !strings.HasPrefix(name, "varve_") && !slices.Contains(platformNames, name) {
			t.Errorf("%s is not one of our names", name)
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !slices.Contains(labels, l.GetName()) {
					t.Errorf("%s has a label %q: is the number of its values bounded?", name, l.GetName())
				}
			}
		}
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !foreign(p.Metric) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for _, name := range append(slices.Clone(platformNames), "varve_ingest_points_total", "varve_log_syncs_total", "varve_memtable_rows", "varve_http_requests_total") {
		if total(own[name]) == 0 {
			t.Errorf("%s is 0 or missing after a write and a query", name)
		}
	}

	const name = "../docs/METRICS.md"
	page := metricsPage(own)
	if *rewrite {
		if err := os.WriteFile(name, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(have), string(page)); d != "" {
		t.Errorf("docs/METRICS.md (-) is not what the server has (+); go test ./apptest -run TestMetrics -rewrite\n%s", d)
	}
}

// total adds up the values of a metric.
func total(f *dto.MetricFamily) float64 {
	var sum float64
	for _, m := range f.GetMetric() {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return sum
}

// metricsPage renders docs/METRICS.md.
func metricsPage(families map[string]*dto.MetricFamily) []byte {
	var b bytes.Buffer
	b.WriteString(`# Metrics

What ` + "`GET /metrics`" + ` of the points port shows, in the text format of Prometheus.
Which of them to watch, and what for: [OPERATIONS.md](OPERATIONS.md#metrics). Those
of Go's runtime (` + "`go_*`" + `) and of the process (` + "`process_*`" + `) come on top. Counters
begin at 0 when the process starts.

This page is made from a running server: ` + "`go test ./apptest -run TestMetrics -rewrite`" + `.

| Metric | Type | Labels | |
|---|---|---|---|
`)
	for _, name := range slices.Sorted(maps.Keys(families)) {
		f := families[name]
		used := map[string]bool{}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				used["`"+l.GetName()+"`"] = true
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()),
			strings.Join(slices.Sorted(maps.Keys(used)), ", "), f.GetHelp())
	}
	return b.Bytes()
}

// What clients send names no series: however many names, paths, methods,
// buckets and ids they come with, there are not more metrics than before.
func TestMetricsAreBounded(t *testing.T) {
	s := start(t, t.TempDir())
	ask := func(i int) {
		s.write(fmt.Sprintf("m%d,t%d=v%d f%d=1", i, i, i, i), fmt.Sprintf("X-Request-Id: id%d", i))
		s.query(fmt.Sprintf(`{"measurement": "m%d", "start": 0, "filters": {"t%d": "v%d"}}`, i, i, i))
		s.must(404, http.MethodPost, fmt.Sprintf("%s/api/v2/write?bucket=b%d", s.http, i), "m v=1")
		s.must(400, http.MethodPost, s.http+"/api/v2/write", fmt.Sprintf("bad%d", i))
		s.must(404, http.MethodGet, fmt.Sprintf("%s/lost%d", s.http, i), "")
		s.must(405, fmt.Sprintf("BREW%d", i), s.http+"/api/v2/write", "")
		s.must(200, http.MethodGet, fmt.Sprintf("%s/measurements/m%d/tags", s.service, i), "")
		s.must(401, http.MethodPost, s.service+"/query", "{}", fmt.Sprintf("Authorization: Token t%d", i))
	}
	series := func() (all []string) {
		families, _ := s.scrape()
		for name, f := range families {
			for _, m := range f.GetMetric() {
				all = append(all, name+fmt.Sprint(m.GetLabel()))
			}
		}
		slices.Sort(all)
		return all
	}
	ask(0)
	series() // the scrape itself is counted from the second one on
	before := series()
	for i := range 20 {
		ask(i + 1)
	}
	if d := cmp.Diff(before, series()); d != "" {
		t.Errorf("series before (-) and after (+)\n%s", d)
	}
}
