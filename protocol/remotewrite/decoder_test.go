package remotewrite_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/remotewrite"
)

// rowsOf writes every row of a batch as measurement,key field=bits@time, in the
// order of tables, and checks what a batch promises.
func rowsOf(t testing.TB, b *column.Batch) []string {
	t.Helper()
	var out []string
	for _, table := range b.Tables {
		used := map[string]bool{}
		for i := range table.Series.Len() {
			key := table.Series.Key(i)
			if err := column.CheckSeriesKey(key); err != nil {
				t.Error(err)
			}
			if want := column.HashSeries(table.Measurement, key); table.Series.Hash[i] != want {
				t.Errorf("series %q of %q has the hash %x, want %x", key, table.Measurement, table.Series.Hash[i], want)
			}
			for k := range column.Tags(key) {
				used[string(k)] = true
			}
		}
		for k := range used {
			if !slices.Contains(table.TagKeys, k) {
				t.Errorf("%q has the tag %q, which its tag keys %q lack", table.Measurement, k, table.TagKeys)
			}
		}
		if sorted := slices.Sorted(slices.Values(table.TagKeys)); len(slices.Compact(sorted)) != len(table.TagKeys) {
			t.Errorf("tag keys of %q stand twice: %q", table.Measurement, table.TagKeys)
		}
		for row, at := range table.Time {
			text := table.Measurement + "," + string(table.Series.Key(int(table.Row[row])))
			for i := range table.Fields {
				f := &table.Fields[i]
				if f.Len() != len(table.Time) {
					t.Fatalf("field %q of %q has %d rows of %d", f.Name, table.Measurement, f.Len(), len(table.Time))
				}
				value := fmt.Sprint(f.Floats()[row])
				if math.IsNaN(f.Floats()[row]) {
					value = fmt.Sprintf("%x", f.Words[row])
				}
				text += fmt.Sprintf(" %s=%s", f.Name, value)
			}
			out = append(out, fmt.Sprintf("%s@%d", text, at))
		}
	}
	return out
}

var stale = math.Float64frombits(0x7ff0000000000002)

func TestBothVersions(t *testing.T) {
	for name, c := range map[string]struct {
		series     []series
		want       []string
		samples    int
		histograms int
		exemplars  int
		refused    int
		reason     string
	}{
		"samples": {
			series: []series{
				{labels: []string{"__name__", "up", "instance", "a:9100", "job", "node"}, samples: []point{{1, 1000}, {0, 2000}}},
				{labels: []string{"__name__", "load", "instance", "a:9100"}, samples: []point{{0.5, 1000}}},
				{labels: []string{"__name__", "up", "instance", "b:9100", "job", "node"}, samples: []point{{stale, -5}}},
			},
			want: []string{
				"up,instance=a:9100,job=node value=1@1000000000", "up,instance=a:9100,job=node value=0@2000000000",
				"up,instance=b:9100,job=node value=7ff0000000000002@-5000000",
				"load,instance=a:9100 value=0.5@1000000000",
			},
			samples: 4,
		},
		"labels in any order, empty, escaped": {
			series: []series{
				{labels: []string{"z", "1", "__name__", "m", "a", "x,y =\\z", "e", ""}, samples: []point{{1, 0}}},
				{labels: []string{"__name__", "m", "a", "tab\there\\", "z", "ü"}, samples: []point{{2, 0}}},
				{labels: []string{"__name__", "m"}, samples: []point{{3, 0}}},
			},
			want:    []string{`m,a=x\,y\ \=\\z,z=1 value=1@0`, `m,a=tab\ here,z=ü value=2@0`, "m, value=3@0"},
			samples: 3,
		},
		"names that a point keeps for itself": {
			series:  []series{{labels: []string{"__name__", "m", "time", "t", "value", "v"}, samples: []point{{1, 0}}}},
			want:    []string{"m,label_time=t,label_value=v value=1@0"},
			samples: 1,
		},
		"bad series among good ones": {
			series: []series{
				{labels: []string{"__name__", "m", "a", "1", "a", "2"}, samples: []point{{1, 0}, {2, 0}}},
				{labels: []string{"job", "x"}, samples: []point{{1, 0}}},
				{labels: []string{"__name__", "m", "a", "\xff"}, samples: []point{{1, 0}}},
				{labels: []string{"__name__", "m", "", "1"}, samples: []point{{1, 0}}},
				{labels: []string{"__name__", "", "a", "1"}, samples: []point{{1, 0}}},
				{labels: []string{"__name__", "m", "a", "1"}, samples: []point{{7, math.MaxInt64}, {8, 1}, {9, math.MinInt64}}},
			},
			want: []string{"m,a=1 value=8@1000000"}, samples: 1, refused: 8, reason: `a series of "m": tag "a" stands twice`,
		},
		"exemplars": {
			series:    []series{{labels: []string{"__name__", "m"}, exemplars: 3}, {labels: []string{"__name__", "m"}, exemplars: 1, samples: []point{{1, 0}}}},
			want:      []string{"m, value=1@0"},
			samples:   1,
			exemplars: 4,
		},
		"native histogram": {
			series: []series{{labels: []string{"__name__", "d", "job", "x"}, histograms: []native{{
				at: 3, count: 12, sum: 30.5, zeroThreshold: 0.25, zeroCount: 2,
				negativeSpans: [][2]int64{{0, 1}}, negative: []int64{1},
				positiveSpans: [][2]int64{{0, 2}, {1, 1}}, positive: []int64{2, 1, 1},
			}}}},
			want: []string{
				"d_sum,job=x value=30.5@3000000", "d_count,job=x value=12@3000000",
				"d_bucket,job=x,le=-1 value=0@3000000", "d_bucket,job=x,le=-0.5 value=1@3000000",
				"d_bucket,job=x,le=-0.25 value=1@3000000", "d_bucket,job=x,le=0.25 value=3@3000000",
				"d_bucket,job=x,le=0.5 value=3@3000000", "d_bucket,job=x,le=1 value=5@3000000", "d_bucket,job=x,le=2 value=8@3000000",
				"d_bucket,job=x,le=4 value=8@3000000", "d_bucket,job=x,le=8 value=12@3000000", "d_bucket,job=x,le=+Inf value=12@3000000",
			},
			histograms: 1,
		},
		"histogram with given bounds": {
			series: []series{{labels: []string{"__name__", "d"}, histograms: []native{{
				at: 3, count: 6, sum: 9, schema: -53, positiveSpans: [][2]int64{{0, 3}}, floats: []float64{1, 2, 3}, bounds: []float64{0.5, 1},
			}}}},
			want: []string{"d_sum, value=9@3000000", "d_count, value=6@3000000",
				"d_bucket,le=0.5 value=1@3000000", "d_bucket,le=1 value=3@3000000", "d_bucket,le=+Inf value=6@3000000"},
			histograms: 1,
		},
		"stale histogram": {
			series:     []series{{labels: []string{"__name__", "d"}, histograms: []native{{at: 3, sum: stale}}}},
			want:       []string{"d_sum, value=7ff0000000000002@3000000", "d_count, value=7ff0000000000002@3000000"},
			histograms: 1,
		},
		"bad histograms": {
			series: []series{
				{labels: []string{"__name__", "d"}, histograms: []native{{schema: 9}}},
				{labels: []string{"__name__", "d"}, histograms: []native{{positiveSpans: [][2]int64{{0, 3}}, positive: []int64{1}}}},
				{labels: []string{"__name__", "d"}, histograms: []native{{positiveSpans: [][2]int64{{0, 1<<32 - 1}}}}},
				{labels: []string{"__name__", "d"}, histograms: []native{{schema: -53, bounds: []float64{1, 1}}}},
				{labels: []string{"__name__", "d"}, histograms: []native{{schema: -53, positiveSpans: [][2]int64{{1, 1}}, positive: []int64{1}}}},
				{labels: []string{"__name__", "d"}, histograms: []native{{at: math.MaxInt64}}},
				{labels: []string{"x", "d"}, histograms: []native{{}}},
			},
			refused: 7, reason: "a histogram has the schema 9: want -4 to 8, or -53",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := remotewrite.NewDecoder(remotewrite.Default())
			for _, version := range []remotewrite.Version{1, 2, 1} {
				message := message1(c.series, 2)
				if version == 2 {
					message = message2(c.series)
				}
				got, err := d.Decode(message, version, remotewrite.Mapping{}, nil)
				if err != nil {
					t.Fatalf("version %d: %v", version, err)
				}
				if diff := cmp.Diff(c.want, rowsOf(t, got.Batch)); diff != "" {
					t.Errorf("version %d (-want +got):\n%s", version, diff)
				}
				want := remotewrite.Request{Batch: got.Batch, Samples: c.samples, Histograms: c.histograms, Exemplars: c.exemplars, Refused: c.refused, Reason: c.reason}
				if version == 1 {
					want.Metadata = 2
				}
				if got != want {
					t.Errorf("version %d: %+v, want %+v", version, got, want)
				}
			}
		})
	}
}

func TestByField(t *testing.T) {
	all := []series{
		{labels: []string{"__name__", "up", "job", "x"}, samples: []point{{1, 1}}},
		{labels: []string{"__name__", "load", "job", "x"}, samples: []point{{2, 1}}},
		{labels: []string{"__name__", "up", "job", "y", "load", "of"}, samples: []point{{3, 1}}},
	}
	want := []string{"p,job=x up=1@1000000", "p,job=y,load=of up=3@1000000", "p,job=x load=2@1000000"}
	for _, message := range []struct {
		text    []byte
		version remotewrite.Version
	}{{message1(all, 0), 1}, {message2(all), 2}} {
		got, err := remotewrite.NewDecoder(remotewrite.Default()).Decode(message.text, message.version,
			remotewrite.Mapping{Layout: remotewrite.ByField, Measurement: "p"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, rowsOf(t, got.Batch)); diff != "" {
			t.Errorf("version %d (-want +got):\n%s", message.version, diff)
		}
	}
}

// TestLeft: samples and histograms that are left out can be looked at, each with its
// reason, in both versions.
func TestLeft(t *testing.T) {
	all := []series{
		{labels: []string{"__name__", "up", "a", "x"}, samples: []point{{1, 1000}, {2, math.MaxInt64}, {3, 2000}}},
		{labels: []string{"a", "x\xff"}, samples: []point{{1.5, 1000}, {math.Inf(1), 2000}}},
		{labels: []string{"__name__", "h", "a", "x"}, histograms: []native{{count: 3, schema: 99, at: 1000}}},
	}
	for version, message := range map[remotewrite.Version][]byte{1: message1(all, 0), 2: message2(all)} {
		d := remotewrite.NewDecoder(remotewrite.Default())
		got, err := d.Decode(message, version, remotewrite.Mapping{}, nil)
		if err != nil || got.Samples != 2 || got.Refused != 4 {
			t.Fatalf("%+v, %v", got, err)
		}
		var texts []string
		for _, l := range d.Left() {
			texts = append(texts, fmt.Sprintf("%d: %s", l.Points, l.Text))
			if l.Reason == "" {
				t.Errorf("%s has no reason", l.Text)
			}
		}
		want := []string{
			`1: "up"{"a"="x"} 2@9223372036854775807`,
			`2: ""{"a"="x\xff"} 1.5@1000 +Inf@2000`,
			`1: "h"{"a"="x"} count=3 sum=0 zero_count=0 schema=99@1000`,
		}
		if diff := cmp.Diff(want, texts); diff != "" {
			t.Errorf("version %d: left out (-want +got):\n%s", version, diff)
		}
		if _, err := d.Decode(nil, version, remotewrite.Mapping{}, nil); len(d.Left()) != 0 {
			t.Errorf("%d left out of nothing, %v", len(d.Left()), err)
		}
	}
}

func TestRefusals(t *testing.T) {
	good := series{labels: []string{"__name__", "m"}, samples: []point{{1, 0}}}
	refs := func(refs ...uint64) []byte {
		var b []byte
		for _, r := range refs {
			b = protowire.AppendVarint(b, r)
		}
		return append(blob(blob(nil, 4, nil), 4, []byte("x")), blob(nil, 5, blob(nil, 1, b))...)
	}
	for name, c := range map[string]struct {
		message []byte
		version remotewrite.Version
		want    string
	}{
		"cut off":           {message1([]series{good}, 0)[:10], 1, "malformed"},
		"cut off, 2":        {message2([]series{good})[:10], 2, "malformed"},
		"group":             {protowire.AppendTag(nil, 1, protowire.StartGroupType), 1, "malformed"},
		"field 0":           {[]byte{0, 0}, 1, "malformed"},
		"long varint":       {append([]byte{8}, []byte(strings.Repeat("\xff", 10))...), 1, "malformed"},
		"label cut off":     {blob(nil, 1, blob(nil, 1, []byte{10, 5, 'a'})), 1, "malformed"},
		"reference beyond":  {refs(1, 2), 2, "symbol 2 of 2"},
		"huge reference":    {refs(1, math.MaxUint64), 2, "symbol"},
		"odd references":    {refs(1, 1, 1), 2, "odd number"},
		"first symbol":      {blob(nil, 4, []byte("x")), 2, "first symbol"},
		"buckets cut off":   {message1([]series{{labels: good.labels}}, 0), 1, ""},
		"bad packed floats": {blob(nil, 1, blob(nil, 4, blob(nil, 13, []byte{1}))), 1, "malformed"},
	} {
		_, err := remotewrite.NewDecoder(remotewrite.Default()).Decode(c.message, c.version, remotewrite.Mapping{}, nil)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q in it", name, err, c.want)
		}
	}
}

// TestLittleForMuch has messages that stand for far more than they are.
func TestLittleForMuch(t *testing.T) {
	cfg := remotewrite.Default()
	long := strings.Repeat("x", 60000)
	var labels []series
	for i := range 3000 {
		labels = append(labels, series{labels: []string{"__name__", "m", "a", long}, samples: []point{{1, int64(i)}}})
	}
	var measurements, tags []series
	for i := range cfg.Rows.MaxTables + 1 {
		measurements = append(measurements, series{labels: []string{"__name__", fmt.Sprintf("m%d", i)}, samples: []point{{1, 0}}})
		tags = append(tags, series{labels: []string{"__name__", "m", fmt.Sprintf("t%d", i), "x"}, samples: []point{{1, 0}}})
	}
	empty := slices.Repeat([]byte{0x12, 0}, cfg.Rows.MaxBytes/32+1)
	for name, c := range map[string]struct {
		message []byte
		version remotewrite.Version
		want    string
	}{
		"one long symbol":      {message2(labels), 2, "bytes of rows and series"},
		"many measurements":    {message1(measurements, 0), 1, "measurements"},
		"many tags":            {message1(tags, 0), 1, "fields and tags"},
		"samples of two bytes": {blob(nil, 1, append(blob(nil, 1, blob(blob(nil, 1, []byte("__name__")), 2, []byte("m"))), empty...)), 1, "bytes of rows and series"},
	} {
		d := remotewrite.NewDecoder(cfg)
		if _, err := d.Decode(c.message, c.version, remotewrite.Mapping{}, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q in it", name, err, c.want)
		}
		// What was learned does not stay for ever.
		if _, err := d.Decode(nil, c.version, remotewrite.Mapping{}, nil); err != nil {
			t.Error(err)
		}
		if n := d.MemoryBytes(); n > cfg.Rows.KeepBytes+1<<20 {
			t.Errorf("%s: %d bytes are kept", name, n)
		}
	}
	many := series{labels: []string{"__name__", "m"}, samples: []point{{1, 0}}}
	for i := range cfg.Rows.MaxTags + 1 {
		many.labels = append(many.labels, fmt.Sprintf("t%d", i), "x")
	}
	got, err := remotewrite.NewDecoder(cfg).Decode(message1([]series{many}, 0), 1, remotewrite.Mapping{}, nil)
	if err != nil || got.Refused != 1 || !strings.Contains(got.Reason, "tags") {
		t.Errorf("too many labels: %+v, %v", got, err)
	}
}

// fleet returns series as a scrape of some machines has them.
func fleet(metrics, machines int, at int64) []series {
	var all []series
	for i := range machines {
		for m := range metrics {
			all = append(all, series{labels: []string{"__name__", fmt.Sprintf("node_metric_%d_total", m), "cluster", "eu-west-1",
				"device", "nvme0n1", "env", "production", "instance", fmt.Sprintf("10.0.%d.%d:9100", i/256, i%256), "job", "node", "mode", "idle"},
				samples: []point{{float64(i), at}}})
		}
	}
	return all
}

func TestAllocations(t *testing.T) {
	for _, c := range []struct {
		message []byte
		version remotewrite.Version
	}{{message1(fleet(20, 50, 1), 0), 1}, {message2(fleet(20, 50, 1)), 2}} {
		d := remotewrite.NewDecoder(remotewrite.Default())
		got := testing.AllocsPerRun(10, func() {
			if _, err := d.Decode(c.message, c.version, remotewrite.Mapping{}, nil); err != nil {
				t.Fatal(err)
			}
		})
		if got > 5 {
			t.Errorf("version %d: %v allocations for a message of 1000 series", c.version, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	all := []series{
		{labels: []string{"__name__", "up", "instance", "a:9100"}, samples: []point{{1, 1000}, {stale, 2000}}, exemplars: 1, metadata: true},
		{labels: []string{"__name__", "h"}, histograms: []native{{count: 3, schema: 1, zeroCount: 1, zeroThreshold: 0.1,
			negativeSpans: [][2]int64{{0, 1}}, negative: []int64{1}, positiveSpans: [][2]int64{{-3, 1}}, positive: []int64{1}}}},
		{labels: []string{"__name__", "h"}, histograms: []native{{count: 3, schema: -53, positiveSpans: [][2]int64{{0, 1}}, floats: []float64{3}, bounds: []float64{1}}}},
	}
	f.Add(message1(all, 1), false, false)
	f.Add(message2(all), true, false)
	f.Add(message2(all), true, true)
	d := remotewrite.NewDecoder(remotewrite.Default())
	f.Fuzz(func(t *testing.T, message []byte, two, byField bool) {
		version, m := remotewrite.Version1, remotewrite.Mapping{}
		if two {
			version = remotewrite.Version2
		}
		if byField {
			m = remotewrite.Mapping{Layout: remotewrite.ByField, Measurement: "p"}
		}
		got, err := d.Decode(message, version, m, nil)
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
			t.Errorf("%d of %d refused values are left out", left, got.Refused)
		}
		once := rowsOf(t, got.Batch)
		if got.Histograms == 0 && got.Refused == 0 && len(once) != got.Samples {
			t.Errorf("%d rows of %d samples", len(once), got.Samples)
		}
		// What was learned from one message does not change what another means.
		fresh, err := remotewrite.NewDecoder(remotewrite.Default()).Decode(message, version, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rowsOf(t, fresh.Batch), once); diff != "" {
			t.Errorf("a fresh decoder differs (-fresh +used):\n%s", diff)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name              string
		metrics, machines int
	}{{"few metrics", 20, 500}, {"many metrics", 1000, 10}} {
		all := fleet(c.metrics, c.machines, 1_700_000_000_000)
		for version, message := range map[remotewrite.Version][]byte{1: message1(all, 0), 2: message2(all)} {
			b.Run(fmt.Sprintf("%s/%d", c.name, version), func(b *testing.B) {
				d := remotewrite.NewDecoder(remotewrite.Default())
				b.SetBytes(int64(len(message)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := d.Decode(message, version, remotewrite.Mapping{}, nil); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(len(all))*float64(b.N)/b.Elapsed().Seconds(), "samples/s")
			})
		}
	}
}
