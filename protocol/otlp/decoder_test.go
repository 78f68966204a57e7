package otlp_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/otlp"
)

const now = 1_700_000_000_000_000_000

func text(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

func integer(key string, n int64) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: n}}}
}

func value(key string, v *common.AnyValue) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: v}
}

// export is a request with one resource and scope.
func export(all ...*metrics.Metric) *collector.ExportMetricsServiceRequest {
	return &collector.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{
		Resource:     &resource.Resource{Attributes: []*common.KeyValue{text("service.name", "shop"), integer("pid", 7)}},
		ScopeMetrics: []*metrics.ScopeMetrics{{Scope: &common.InstrumentationScope{Name: "lib", Version: "1.2"}, Metrics: all}},
	}}}
}

const shared = "otel.scope.name=lib,otel.scope.version=1.2,pid=7,service.name=shop"

func gauge(name string, points ...*metrics.NumberDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: name, Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: points}}}
}

func sum(name string, t metrics.AggregationTemporality, monotonic bool, points ...*metrics.NumberDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: name, Data: &metrics.Metric_Sum{Sum: &metrics.Sum{AggregationTemporality: t, IsMonotonic: monotonic, DataPoints: points}}}
}

func double(at uint64, f float64, attributes ...*common.KeyValue) *metrics.NumberDataPoint {
	return &metrics.NumberDataPoint{TimeUnixNano: at, Value: &metrics.NumberDataPoint_AsDouble{AsDouble: f}, Attributes: attributes}
}

func whole(at uint64, n int64, attributes ...*common.KeyValue) *metrics.NumberDataPoint {
	return &metrics.NumberDataPoint{TimeUnixNano: at, Value: &metrics.NumberDataPoint_AsInt{AsInt: n}, Attributes: attributes}
}

func histogram(t metrics.AggregationTemporality, points ...*metrics.HistogramDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: "h", Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{AggregationTemporality: t, DataPoints: points}}}
}

func exponential(points ...*metrics.ExponentialHistogramDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: "e", Data: &metrics.Metric_ExponentialHistogram{ExponentialHistogram: &metrics.ExponentialHistogram{
		AggregationTemporality: metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE, DataPoints: points}}}
}

func summary(points ...*metrics.SummaryDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: "s", Data: &metrics.Metric_Summary{Summary: &metrics.Summary{DataPoints: points}}}
}

func quantiles(pairs ...float64) []*metrics.SummaryDataPoint_ValueAtQuantile {
	var all []*metrics.SummaryDataPoint_ValueAtQuantile
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, &metrics.SummaryDataPoint_ValueAtQuantile{Quantile: pairs[i], Value: pairs[i+1]})
	}
	return all
}

func f(v float64) *float64 { return &v }

// rowsOf writes every row of a batch and checks what a batch promises.
func rowsOf(t testing.TB, b *column.Batch) []string {
	t.Helper()
	var out []string
	for _, table := range b.Tables {
		for i := range table.Series.Len() {
			key := table.Series.Key(i)
			if err := column.CheckSeriesKey(key); err != nil {
				t.Error(err)
			}
			if want := column.HashSeries(table.Measurement, key); table.Series.Hash[i] != want {
				t.Errorf("series %q of %q has the hash %x, want %x", key, table.Measurement, table.Series.Hash[i], want)
			}
			for k := range column.Tags(key) {
				if !slices.Contains(table.TagKeys, string(k)) {
					t.Errorf("%q has the tag %q, which its tag keys %q lack", table.Measurement, k, table.TagKeys)
				}
			}
		}
		for row, at := range table.Time {
			line := table.Measurement + "," + string(table.Series.Key(int(table.Row[row])))
			for i := range table.Fields {
				if n := table.Fields[i].Len(); n != len(table.Time) {
					t.Fatalf("field %q has %d rows of %d", table.Fields[i].Name, n, len(table.Time))
				}
				line += fmt.Sprintf(" %s=%v", table.Fields[i].Name, table.Fields[i].Floats()[row])
			}
			out = append(out, fmt.Sprintf("%s@%d", line, at))
		}
	}
	return out
}

const (
	cumulative = metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
	delta      = metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
)

func deep(n int) *common.AnyValue {
	v := &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: 1}}
	for range n {
		v = &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{v}}}}
	}
	return v
}

func TestDecode(t *testing.T) {
	for name, c := range map[string]struct {
		request *collector.ExportMetricsServiceRequest
		mapping otlp.Mapping
		want    []string
		counts  otlp.Request // but for the batch
	}{
		"nothing": {request: &collector.ExportMetricsServiceRequest{}},
		"gauges and sums": {
			request: export(
				gauge("g", double(5, 1.5, text("room", "a b")), whole(6, -3, text("room", "c"))),
				sum("s", cumulative, true, whole(7, 9)), sum("u", cumulative, false, double(8, 2)),
				sum("d", delta, true, double(0, 4)),
			),
			want: []string{
				"g,otel.scope.name=lib,otel.scope.version=1.2,pid=7,room=a\\ b,service.name=shop gauge=1.5@5",
				"g,otel.scope.name=lib,otel.scope.version=1.2,pid=7,room=c,service.name=shop gauge=-3@6",
				"s," + shared + " counter=9@7", "u," + shared + " gauge=2@8",
				fmt.Sprintf("d,%s,temporality=delta counter=4@%d", shared, int64(now)),
			},
			counts: otlp.Request{Points: 5},
		},
		"no value": {
			request: export(gauge("g", &metrics.NumberDataPoint{TimeUnixNano: 1}, &metrics.NumberDataPoint{TimeUnixNano: 1, Flags: 1, Value: double(1, 1).Value}),
				summary(&metrics.SummaryDataPoint{Flags: 1}), histogram(cumulative, &metrics.HistogramDataPoint{Flags: 1}), exponential(&metrics.ExponentialHistogramDataPoint{Flags: 1})),
			counts: otlp.Request{Empty: 5},
		},
		"exemplars": {
			request: export(gauge("g", &metrics.NumberDataPoint{TimeUnixNano: 1, Value: double(1, 1).Value, Exemplars: []*metrics.Exemplar{{}, {}}})),
			want:    []string{"g," + shared + " gauge=1@1"},
			counts:  otlp.Request{Points: 1, Exemplars: 2},
		},
		"histograms": {
			request: export(histogram(cumulative,
				&metrics.HistogramDataPoint{TimeUnixNano: 1, Count: 6, Sum: f(12), Min: f(0.5), Max: f(5), BucketCounts: []uint64{1, 2, 3}, ExplicitBounds: []float64{1, 2.5}},
				&metrics.HistogramDataPoint{TimeUnixNano: 2, Count: 3, BucketCounts: []uint64{1, 2}, ExplicitBounds: []float64{1}},
				&metrics.HistogramDataPoint{TimeUnixNano: 3, Count: 3, Sum: f(1)},
			), histogram(delta, &metrics.HistogramDataPoint{TimeUnixNano: 4, Count: 1})),
			want: []string{
				"h," + shared + " count=6 sum=12 min=0.5 max=5 1=1 2.5=3 +Inf=6@1",
				"h," + shared + " count=3 1=1 +Inf=3@2",
				"h," + shared + " count=3 sum=1@3",
				"h," + shared + ",temporality=delta count=1@4",
			},
			counts: otlp.Request{Points: 4},
		},
		"exponential": {
			request: export(exponential(&metrics.ExponentialHistogramDataPoint{TimeUnixNano: 1, Count: 9, Sum: f(3), Scale: 0, ZeroCount: 1, ZeroThreshold: 0.5,
				Positive: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: 1, BucketCounts: []uint64{2, 3}},
				Negative: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: -1, BucketCounts: []uint64{3}}})),
			want: []string{
				"e," + shared + " count=9 sum=3 zero_count=1 scale=0@1",
				"e_bucket,le=-1," + shared + " value=0@1", "e_bucket,le=-0.5," + shared + " value=3@1",
				"e_bucket,le=0.5," + shared + " value=4@1", "e_bucket,le=2," + shared + " value=4@1",
				"e_bucket,le=4," + shared + " value=6@1", "e_bucket,le=8," + shared + " value=9@1", "e_bucket,le=+Inf," + shared + " value=9@1",
			},
			counts: otlp.Request{Points: 1},
		},
		"summaries": {
			request: export(summary(&metrics.SummaryDataPoint{TimeUnixNano: 1, Count: 4, Sum: 8, QuantileValues: quantiles(0.5, 2, 0.99, 3)})),
			want:    []string{"s," + shared + " count=4 sum=8 0.5=2 0.99=3@1"},
			counts:  otlp.Request{Points: 1},
		},
		"attributes of every kind": {
			request: export(gauge("g", double(1, 1,
				value("b", &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}}),
				value("d", &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: 0.25}}),
				value("l", &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{
					text("", "x\"").Value, integer("", 2).Value, {}, {Value: &common.AnyValue_BytesValue{BytesValue: []byte{1}}}}}}}),
				value("m", &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: []*common.KeyValue{text("k", "v"), integer("n", 1)}}}}),
				value("n", nil), text("e", ""),
				value("y", &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte("hi")}}),
				text("service.name", "point"), text("line", "two\nlines\\"), text("gauge", "g"),
			))),
			want: []string{`g,b=true,d=0.25,l=["x\\""\,2\,null\,"AQ\=\="],label_gauge=g,line=two\ lines,m={"k":"v"\,"n":1},` +
				`otel.scope.name=lib,otel.scope.version=1.2,pid=7,service.name=point,y=aGk\= gauge=1@1`},
			counts: otlp.Request{Points: 1},
		},
		"a scope has what its resource has": {
			request: &collector.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{
				Resource: &resource.Resource{Attributes: []*common.KeyValue{text("a", "resource")}},
				ScopeMetrics: []*metrics.ScopeMetrics{
					{Scope: &common.InstrumentationScope{Attributes: []*common.KeyValue{text("a", "scope"), text("b", "scope")}}, Metrics: []*metrics.Metric{gauge("g", double(1, 1))}},
					{Metrics: []*metrics.Metric{gauge("g", double(2, 2))}},
				}}}},
			want:   []string{"g,a=scope,b=scope gauge=1@1", "g,a=resource gauge=2@2"},
			counts: otlp.Request{Points: 2},
		},
		"some attributes of the resource": {
			request: export(gauge("g", double(1, 1))),
			mapping: otlp.Mapping{Resource: []string{"service.name"}, NoScope: true},
			want:    []string{"g,service.name=shop gauge=1@1"},
			counts:  otlp.Request{Points: 1},
		},
		"bad points among good ones": {
			request: export(
				gauge("g", double(1, 1), double(math.MaxUint64, 1), double(1, 2, text("", "x")), double(1, 3, value("deep", deep(9)))),
				gauge("", double(1, 1)),
				histogram(cumulative, &metrics.HistogramDataPoint{BucketCounts: []uint64{1}, ExplicitBounds: []float64{1}},
					&metrics.HistogramDataPoint{BucketCounts: []uint64{1, 1, 1}, ExplicitBounds: []float64{2, 1}},
					&metrics.HistogramDataPoint{BucketCounts: make([]uint64, 3000), ExplicitBounds: make([]float64, 2999)}),
				exponential(&metrics.ExponentialHistogramDataPoint{Scale: 21},
					&metrics.ExponentialHistogramDataPoint{Positive: &metrics.ExponentialHistogramDataPoint_Buckets{BucketCounts: make([]uint64, 3000)}}),
				summary(&metrics.SummaryDataPoint{QuantileValues: quantiles(2, 1)}, &metrics.SummaryDataPoint{QuantileValues: quantiles(0.5, 1, 0.5, 1)},
					&metrics.SummaryDataPoint{QuantileValues: quantiles(make([]float64, 2*129)...)}),
			),
			want:   []string{"g," + shared + " gauge=1@1"},
			counts: otlp.Request{Points: 1, Refused: 12, Reason: `a data point of "g" has the time 18446744073709551615, which is after the year 2262`},
		},
		"bad resource": {
			request: &collector.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{
				{Resource: &resource.Resource{Attributes: []*common.KeyValue{value("x", deep(20))}},
					ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: []*metrics.Metric{gauge("g", double(1, 1), double(1, 2))}}}},
				{ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: []*metrics.Metric{gauge("g", double(1, 3))}}}},
			}},
			want:   []string{"g, gauge=3@1"},
			counts: otlp.Request{Points: 1, Refused: 2, Reason: `attribute "x" of a resource or scope: lists and maps in it lie too deep`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			message, err := proto.Marshal(c.request)
			if err != nil {
				t.Fatal(err)
			}
			asJSON, err := protojson.Marshal(c.request)
			if err != nil {
				t.Fatal(err)
			}
			again, err := otlp.FromJSON(asJSON)
			if err != nil {
				t.Fatal(err)
			}
			d := otlp.NewDecoder(otlp.Default())
			for _, m := range [][]byte{message, again, message} {
				got, err := d.Decode(m, c.mapping, now, nil)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, rowsOf(t, got.Batch)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				got.Batch = nil
				if got != c.counts {
					t.Errorf("%+v, want %+v", got, c.counts)
				}
			}
		})
	}
}

// TestLeft: data points that are left out can be looked at, each with its reason.
func TestLeft(t *testing.T) {
	request := export(
		gauge("g", double(1, 1), double(math.MaxUint64, 1.5, text("a", "x\"y")), double(2, 2, text("", "x"), integer("n", 7)), double(3, 3, value("deep", deep(20)))),
		histogram(metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE,
			&metrics.HistogramDataPoint{TimeUnixNano: 4, Count: 3, Sum: proto.Float64(2.5), BucketCounts: []uint64{1, 1, 1}, ExplicitBounds: []float64{2, 1}}),
		exponential(&metrics.ExponentialHistogramDataPoint{TimeUnixNano: 5, Count: 1, Scale: 21, Positive: &metrics.ExponentialHistogramDataPoint_Buckets{BucketCounts: []uint64{1}}}),
		gauge("\xc3(", double(6, 1)),
	)
	// The library refuses names that are not UTF-8.
	request.ResourceMetrics[0].ScopeMetrics[0].Metrics[3].Name = "????"
	message, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	message = bytes.Replace(message, []byte("????"), []byte("\xc3(??"), 1)
	d := otlp.NewDecoder(otlp.Default())
	before := d.MemoryBytes()
	got, err := d.Decode(message, otlp.Mapping{}, now, nil)
	if err != nil || got.Points != 1 || got.Refused != 6 {
		t.Fatalf("%+v, %v", got, err)
	}
	const tags = `{"service.name"="shop","pid"="7","otel.scope.name"="lib","otel.scope.version"="1.2"`
	var all []string
	for _, l := range d.Left() {
		all = append(all, fmt.Sprintf("%d: %s", l.Points, l.Text))
		if l.Reason == "" {
			t.Errorf("%s has no reason", l.Text)
		}
	}
	want := []string{
		`1: "g"` + tags + `,"a"="x\"y"} value=1.5 time=18446744073709551615`,
		`1: "g"` + tags + `,""="x","n"="7"} value=2 time=2`,
		`1: "g"` + tags + `,"deep"="(cannot be read)"} value=3 time=3`,
		`1: "h"` + tags + `} count=3 sum=2.5 bounds=[2 1] counts=[1 1 1] time=4`,
		`1: "e"` + tags + `} count=1 scale=21 zero_count=0 positive=[1] time=5`,
		`1: "\xc3(??"` + tags + `} value=1 time=6`,
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	held := d.MemoryBytes()
	if _, err := d.Decode(nil, otlp.Mapping{}, now, nil); err != nil || len(d.Left()) != 0 || held <= before || d.MemoryBytes() >= held {
		t.Errorf("%v; %d left out of nothing, %d bytes held before, %d then, %d now", err, len(d.Left()), before, held, d.MemoryBytes())
	}
}

func TestRefusals(t *testing.T) {
	message, err := proto.Marshal(export(gauge("g", double(1, 1))))
	if err != nil {
		t.Fatal(err)
	}
	d := otlp.NewDecoder(otlp.Default())
	for i := 1; i < len(message); i++ {
		if _, err := d.Decode(message[:i], otlp.Mapping{}, now, nil); err == nil || !strings.Contains(err.Error(), "malformed") {
			t.Errorf("cut off after %d bytes: error %v", i, err)
		}
	}
	for name, text := range map[string]string{
		"not JSON": "{", "another type": `{"resourceMetrics": 1}`, "deep": strings.Repeat(`{"resourceMetrics":[`, 100),
		"large": `{"x":"` + strings.Repeat("x", otlp.MaxJSONBytes) + `"}`,
	} {
		if _, err := otlp.FromJSON([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// As exporters in JavaScript write it.
	again, err := otlp.FromJSON([]byte(`{"resourceMetrics":[{"resource":{"attributes":[{"key":"a","value":{"stringValue":"x"}}],"unknown":1},
		"scopeMetrics":[{"metrics":[{"name":"m","sum":{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[{"asInt":"3","timeUnixNano":"5",
		"exemplars":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","asDouble":1}]}]}}]}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Decode(again, otlp.Mapping{}, now, nil)
	if want := []string{"m,a=x,temporality=delta counter=3@5"}; err != nil || !slices.Equal(rowsOf(t, got.Batch), want) {
		t.Errorf("%q, %v: want %q", rowsOf(t, got.Batch), err, want)
	}
}

// TestLittleForMuch has messages that would become far more than they are.
func TestLittleForMuch(t *testing.T) {
	cfg := otlp.Default()
	var long []*common.KeyValue
	for i := range 2000 {
		long = append(long, text(fmt.Sprintf("key%d", i), "x"))
	}
	wide := export(gauge("g", double(1, 1)))
	wide.ResourceMetrics[0].Resource.Attributes = long
	var points []*metrics.NumberDataPoint
	for i := range 3000 {
		points = append(points, double(uint64(i), 1))
	}
	heavy := export(gauge("g", points...))
	heavy.ResourceMetrics[0].Resource.Attributes = []*common.KeyValue{text("x", strings.Repeat("x", 60000))}
	for name, c := range map[string]struct {
		request *collector.ExportMetricsServiceRequest
		err     string
		refused int
	}{
		"attributes":                   {request: wide, refused: 1},
		"attributes of a point":        {request: export(gauge("g", double(1, 1, long...))), refused: 1},
		"a long resource, many points": {request: heavy, err: "bytes of rows and series"},
	} {
		message, err := proto.Marshal(c.request)
		if err != nil {
			t.Fatal(err)
		}
		got, err := otlp.NewDecoder(cfg).Decode(message, otlp.Mapping{}, now, nil)
		switch {
		case c.err == "" && (err != nil || got.Refused != c.refused):
			t.Errorf("%s: %+v, %v", name, got, err)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: error %v, want %q", name, err, c.err)
		}
	}
}

// service is what an SDK sends of a small service.
func service(points int) *collector.ExportMetricsServiceRequest {
	var numbers []*metrics.NumberDataPoint
	var durations []*metrics.HistogramDataPoint
	for i := range points {
		route := []*common.KeyValue{text("http.route", fmt.Sprintf("/api/%d", i)), text("http.method", "GET"), integer("http.status_code", 200)}
		numbers = append(numbers, whole(now, int64(i), route...))
		durations = append(durations, &metrics.HistogramDataPoint{TimeUnixNano: now, Attributes: route, Count: 10, Sum: f(1), Min: f(0), Max: f(1),
			BucketCounts: []uint64{1, 2, 3, 4}, ExplicitBounds: []float64{0.1, 0.5, 1}})
	}
	return export(sum("requests", cumulative, true, numbers...), histogram(cumulative, durations...))
}

func TestAllocations(t *testing.T) {
	message, err := proto.Marshal(service(500))
	if err != nil {
		t.Fatal(err)
	}
	d := otlp.NewDecoder(otlp.Default())
	got := testing.AllocsPerRun(10, func() {
		if _, err := d.Decode(message, otlp.Mapping{}, now, nil); err != nil {
			t.Fatal(err)
		}
	})
	if got > 20 {
		t.Errorf("%v allocations for a message of 1000 data points", got)
	}
}

func FuzzDecode(f *testing.F) {
	for _, r := range []*collector.ExportMetricsServiceRequest{
		service(2), export(exponential(&metrics.ExponentialHistogramDataPoint{Count: 2, Scale: 3, Positive: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: -5, BucketCounts: []uint64{1, 1}}})),
		export(summary(&metrics.SummaryDataPoint{QuantileValues: quantiles(0.5, 1)}), gauge("g", double(1, 1, value("x", deep(3))))),
	} {
		message, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(message)
	}
	d := otlp.NewDecoder(otlp.Default())
	f.Fuzz(func(t *testing.T, message []byte) {
		got, err := d.Decode(message, otlp.Mapping{}, now, nil)
		if err != nil {
			return
		}
		left := 0
		for _, l := range d.Left() {
			if left += l.Points; !utf8.ValidString(l.Text) {
				t.Errorf("left out %q", l.Text)
			}
		}
		if left != got.Refused {
			t.Errorf("%d of %d refused data points are left out", left, got.Refused)
		}
		once := rowsOf(t, got.Batch)
		if len(once) < got.Points {
			t.Errorf("%d rows of %d data points", len(once), got.Points)
		}
		fresh, err := otlp.NewDecoder(otlp.Default()).Decode(message, otlp.Mapping{}, now, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rowsOf(t, fresh.Batch), once); diff != "" {
			t.Errorf("a fresh decoder differs (-fresh +used):\n%s", diff)
		}
	})
}

func FuzzFromJSON(f *testing.F) {
	text, err := protojson.Marshal(service(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{"asDouble":"NaN"}]}}]}]}]}`))
	d := otlp.NewDecoder(otlp.Default())
	f.Fuzz(func(t *testing.T, text []byte) {
		message, err := otlp.FromJSON(text)
		if err != nil {
			return
		}
		if _, err := d.Decode(message, otlp.Mapping{}, now, nil); err != nil && strings.Contains(err.Error(), "malformed") {
			t.Errorf("what came of JSON cannot be read: %v", err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	message, err := proto.Marshal(service(500))
	if err != nil {
		b.Fatal(err)
	}
	d := otlp.NewDecoder(otlp.Default())
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(message, otlp.Mapping{}, now, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "points/s")
}
