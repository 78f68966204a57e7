package fleet

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/jsonpoints"
	"github.com/varvedb/varve/protocol/lineproto"
)

func fleetOf(t testing.TB, change func(*Config)) *Fleet {
	t.Helper()
	cfg := Default()
	if change != nil {
		change(&cfg)
	}
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// all returns the messages of a fleet that ends, as walkers of a step have them.
func all(t testing.TB, f *Fleet, step int) []Message {
	t.Helper()
	var list []Message
	for first := range step {
		w := f.Walk(first, step)
		last := int64(0)
		for m := (Message{}); w.Next(&m); {
			if m.Due < last {
				t.Fatalf("%s is due at %d, after one at %d", &m, m.Due, last)
			}
			last = m.Due
			list = append(list, m)
		}
	}
	return list
}

func sorted(list []Message) []Message {
	slices.SortStableFunc(list, func(a, b Message) int {
		if a.Due != b.Due {
			return int(max(-1, min(1, a.Due-b.Due)))
		}
		return a.Device - b.Device
	})
	return list
}

func TestSameHoweverItIsShared(t *testing.T) {
	f := fleetOf(t, func(c *Config) { c.Count, c.Late = 20_011, 0.1 })
	one := all(t, f, 1)
	if len(one) != 20_011 {
		t.Fatalf("%d messages, want 20011", len(one))
	}
	for _, step := range []int{2, 7, 100, 130} {
		if several := sorted(all(t, f, step)); !slices.Equal(one, several) {
			t.Errorf("%d walkers have other messages than one", step)
		}
	}
	if again := all(t, fleetOf(t, func(c *Config) { c.Count, c.Late = 20_011, 0.1 }), 1); !slices.Equal(one, again) {
		t.Error("another fleet of the same configuration has other messages")
	}
	if other := all(t, fleetOf(t, func(c *Config) { c.Count, c.Late, c.Seed = 20_011, 0.1, 2 }), 1); slices.Equal(one, other) {
		t.Error("another seed makes the same messages")
	}
}

// TestGolden holds that a seed means the same messages in every release and
// on every processor.
func TestGolden(t *testing.T) {
	f := fleetOf(t, func(c *Config) { c.Count = 100_000 })
	e := f.NewEncoder(Layout{Format: JSON, Device: true, Numbered: true})
	var got []string
	sum := fnv.New64a()
	for i, m := range all(t, f, 1) {
		text := e.Append(nil, &m)
		if i < 5 {
			got = append(got, string(text))
		}
		_, _ = sum.Write(text) // it has no errors
	}
	if s := sum.Sum64(); s != 0x3c5562c01e5f0079 {
		t.Errorf("the sum of 100,000 messages is %#x", s)
	}
	want := []string{
		`{"timestamp":"2026-01-01T00:00:00.000000Z","sensor_type":"temperature","location":"seoul","device":"device-0","value":24.48,"quality":95.7,"seq":0}`,
		`{"timestamp":"2026-01-01T00:00:00.100000Z","sensor_type":"humidity","location":"busan","device":"device-1","value":28.29,"quality":100,"seq":1}`,
		`{"timestamp":"2026-01-01T00:00:00.200000Z","sensor_type":"pressure","location":"daegu","device":"device-2","value":24.54,"quality":97.4,"seq":2}`,
		`{"timestamp":"2026-01-01T00:00:00.300000Z","sensor_type":"vibration","location":"incheon","device":"device-3","value":22.19,"quality":97.3,"seq":3}`,
		`{"timestamp":"2026-01-01T00:00:00.400000Z","sensor_type":"flow","location":"gwangju","device":"device-4","value":23.4,"quality":99.4,"seq":4}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("the messages are\n%s", strings.Join(got, "\n"))
	}
}

type identity struct {
	kind, place int
	time        int64
}

func TestNoTwoDevicesShareKindPlaceAndTime(t *testing.T) {
	for _, c := range []struct {
		devices   int
		interval  time.Duration
		precision time.Duration
	}{{1000, time.Second, time.Microsecond}, {96_000, time.Second, time.Millisecond}, {7, time.Millisecond, time.Microsecond}, {100_003, time.Second, time.Nanosecond}, {97, 3 * time.Second, time.Second}} {
		f := fleetOf(t, func(cfg *Config) {
			cfg.Devices, cfg.Interval, cfg.Precision = c.devices, c.interval, c.precision
			cfg.Late, cfg.MaxLateness, cfg.Repeated = 0.1, 5*c.interval, 0.1
			cfg.Until = cfg.Start.Add(4 * c.interval)
		})
		seen := map[identity]int64{}
		for _, m := range all(t, f, 1) {
			id := identity{m.Kind, m.Place, m.Time}
			if seq, ok := seen[id]; ok && seq != m.Seq {
				t.Fatalf("%d devices: readings %d and %d are of one kind, place and time", c.devices, seq, m.Seq)
			}
			seen[id] = m.Seq
			if m.Time%int64(c.precision) != 0 || m.Time > m.Due {
				t.Fatalf("%s is of %d, due at %d", &m, m.Time, m.Due)
			}
		}
	}
	cfg := Default()
	cfg.Devices, cfg.Precision = 1_000_001, time.Millisecond
	cfg.Interval = 10 * time.Second
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "finer precision") {
		t.Errorf("a million devices every ten seconds, in milliseconds: %v", err)
	}
	cfg.Collisions, cfg.Count = true, 10_000
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	times := map[int64]bool{}
	for _, m := range all(t, f, 1) {
		times[m.Time] = true
	}
	if len(times) != 1 {
		t.Errorf("with collisions a round has %d times", len(times))
	}
}

// TestShares looks at a long run as a whole.
func TestShares(t *testing.T) {
	f := fleetOf(t, func(c *Config) {
		c.Devices, c.Interval, c.MaxLateness = 200, time.Minute, time.Hour
		c.Late, c.Repeated, c.Gaps, c.Refused, c.Anomalies = 0.05, 0.03, 0.1, 0.04, 0.05
		c.Until = c.Start.Add(5 * 24 * time.Hour)
	})
	slots := 200 * 5 * 24 * 60
	first := map[int64]bool{}
	var late, repeated, refused, odd, beyond, usual int
	var longest int64
	kinds, places, windows := map[int]int{}, map[int]int{}, map[Window]int{}
	for _, m := range all(t, f, 1) {
		lag := m.Due - m.Time
		longest = max(longest, lag)
		if first[m.Seq] {
			repeated++
			continue
		}
		first[m.Seq] = true
		if lag >= int64(time.Minute) {
			late++
		}
		kinds[m.Kind]++
		places[m.Place]++
		windows[m.Window]++
		if m.Window != WindowNone {
			odd++
		}
		if m.Defect != DefectNone {
			refused++
			continue
		}
		if m.Value < -5000 || m.Value > 10_000 || m.Quality < 0 || m.Quality > 1000 {
			t.Fatalf("%s breaks a rule", &m)
		}
		if m.Window == WindowNone {
			usual++
			if m.Value < 1500 || m.Value > 3500 {
				beyond++
			}
		}
	}
	n := float64(len(first))
	for _, s := range []struct {
		name      string
		got, want float64
	}{
		{"late", float64(late) / n, 0.05}, {"repeated", float64(repeated) / n, 0.03}, {"refused", float64(refused) / n, 0.04},
		// Of the windows a sixth of the kinds, with 40 of 28.7 rounds, sends nothing.
		{"sent", n / float64(slots), 0.9 * (1 - 0.05*40/6/meanAnomaly)},
		{"odd", float64(odd) / n, 0.05 * (1 - 40/6/meanAnomaly)},
	} {
		if math.Abs(s.got-s.want) > 0.1*s.want {
			t.Errorf("the share %s is %.4f, want %.4f", s.name, s.got, s.want)
		}
	}
	if longest > int64(time.Hour+time.Second) || longest < int64(45*time.Minute) {
		t.Errorf("the latest is late by %s, want nearly an hour", time.Duration(longest))
	}
	if len(kinds) != 8 || len(places) != 12 || len(windows) != 6 {
		t.Errorf("kinds %v, places %v, windows %v", kinds, places, windows)
	}
	if share := float64(beyond) / float64(usual); share > 0.001 {
		t.Errorf("%.5f of the usual readings lie where the default rules see an anomaly", share)
	}
}

// TestLabels compares the labels with the messages.
func TestLabels(t *testing.T) {
	f := fleetOf(t, func(c *Config) {
		c.Devices, c.Late, c.Repeated, c.Gaps, c.Refused, c.Anomalies = 50, 0, 0, 0, 0, 0.08
		c.Until = c.Start.Add(1000*c.Interval + c.Interval/3)
	})
	byDevice := map[int][]Message{}
	for _, m := range all(t, f, 1) {
		byDevice[m.Device] = append(byDevice[m.Device], m)
	}
	kinds := map[Window]int{}
	labelled := map[int64]Window{}
	f.Labels(math.MaxInt64, func(l *Label) bool {
		kinds[l.Window]++
		var values []int64
		for _, m := range byDevice[l.Device] {
			if m.Time >= l.Start && m.Time <= l.End {
				values = append(values, m.Value)
				labelled[m.Seq] = l.Window
				if m.Kind != l.Kind || m.Place != l.Place {
					t.Errorf("label %+v and message %s differ", l, &m)
				}
			}
		}
		switch slices.Sort(values); {
		case l.Window == WindowDead && len(values) > 0:
			t.Errorf("a dead device sends %d messages", len(values))
		case l.Window == WindowStuck && values[0] != values[len(values)-1]:
			t.Errorf("a stuck value is %d to %d", values[0], values[len(values)-1])
		}
		return true
	})
	for _, list := range byDevice {
		for _, m := range list {
			if m.Window != labelled[m.Seq] {
				t.Fatalf("%s lies in %s and is labelled %s", &m, m.Window, labelled[m.Seq])
			}
		}
	}
	if len(kinds) != 6 {
		t.Errorf("labels are %v", kinds)
	}
}

func TestFormats(t *testing.T) {
	f := fleetOf(t, func(c *Config) { c.Count, c.Refused = 4000, 0 })
	full := Layout{Measurement: "sensor_data", Device: true, Numbered: true}
	messages := all(t, f, 1)
	text := func(format Format) []string {
		l := full
		l.Format = format
		if err := l.Validate(); err != nil {
			t.Fatal(err)
		}
		e := f.NewEncoder(l)
		var lines []string
		for _, m := range messages {
			lines = append(lines, string(e.Append(nil, &m)))
		}
		return lines
	}
	batch, err := lineproto.NewParser(lineproto.Default()).Parse([]byte(strings.Join(text(Lines), "\n")), lineproto.Nanosecond, 0)
	if err != nil || batch.Rows() != len(messages) {
		t.Errorf("line protocol: %v", err)
	}
	points, err := jsonpoints.NewDecoder(jsonpoints.Default()).Parse([]byte("["+strings.Join(text(Points), ",")+"]"), func(string, string) column.Type { return 0 }, 0)
	if err != nil || points.Rows() != len(messages) {
		t.Errorf("points: %v", err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(f.NewEncoder(Layout{Format: CSV, Device: true, Numbered: true}).AppendHeader(nil)) + strings.Join(text(CSV), "\n"))).ReadAll()
	if err != nil || len(rows) != len(messages)+1 {
		t.Fatalf("csv: %v", err)
	}
	for i, line := range text(JSON) {
		var got struct {
			Timestamp   time.Time `json:"timestamp"`
			SensorType  string    `json:"sensor_type"`
			Location    string    `json:"location"`
			Device      string    `json:"device"`
			Value       float64   `json:"value"`
			Quality     float64   `json:"quality"`
			Seq         int64     `json:"seq"`
			Measurement string    `json:"measurement"`
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		m := &messages[i]
		if got.Timestamp.UnixNano() != m.Time || got.SensorType != f.KindName(m.Kind) || got.Location != f.PlaceName(m.Place) || got.Device != Name(m.Device) ||
			got.Value != float64(m.Value)/100 || got.Quality != float64(m.Quality)/10 || got.Seq != m.Seq {
			t.Fatalf("%s is written as %s", m, line)
		}
		if row := rows[i+1]; row[0] != got.Timestamp.Format("2006-01-02T15:04:05.000000Z") || row[1] != got.SensorType || row[4] != fmt.Sprint(got.Value) || row[6] != fmt.Sprint(got.Seq) {
			t.Fatalf("%s is written as %q", m, row)
		}
	}
}

// TestDefects writes each defect in each format: it is still of the format.
func TestDefects(t *testing.T) {
	f := fleetOf(t, nil)
	for d := DefectHigh; d < defects; d++ {
		var m Message
		f.fill(&m, 3, 5)
		m.Defect = d
		m.spoil()
		for _, numbered := range []bool{false, true} {
			l := Layout{Format: JSON, Measurement: "s", Numbered: numbered}
			text := f.NewEncoder(l).Append(nil, &m)
			var fields map[string]any
			if err := json.Unmarshal(text, &fields); err != nil {
				t.Errorf("%s: %v in %s", d, err, text)
			}
			want := 5
			if numbered {
				want++
			}
			if d >= DefectNoValue {
				want--
			}
			if len(fields) != want {
				t.Errorf("%s: %s has %d parts, want %d", d, text, len(fields), want)
			}
			l.Format = Points
			if text = f.NewEncoder(l).Append(nil, &m); !json.Valid(text) {
				t.Errorf("%s: %s", d, text)
			}
			l.Format = Lines
			text = f.NewEncoder(l).Append(nil, &m)
			if _, err := lineproto.NewParser(lineproto.Default()).Parse(text, lineproto.Nanosecond, 0); err != nil {
				t.Errorf("%s: %v in %s", d, err, text)
			}
		}
	}
}

func TestDecimals(t *testing.T) {
	for _, c := range []struct {
		v      int64
		digits int
		want   string
	}{{0, 2, "0"}, {5, 2, "0.05"}, {-5, 2, "-0.05"}, {2350, 2, "23.5"}, {2300, 2, "23"}, {-12_345, 2, "-123.45"}, {987, 1, "98.7"}, {1000, 1, "100"}} {
		if got := string(AppendDecimal(nil, c.v, c.digits)); got != c.want {
			t.Errorf("%d with %d digits is %s, want %s", c.v, c.digits, got, c.want)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"devices":           func(c *Config) { c.Devices = 0 },
		"interval":          func(c *Config) { c.Interval = 0 },
		"multiples":         func(c *Config) { c.Interval = 1500 * time.Microsecond; c.Precision = time.Millisecond },
		"an end":            func(c *Config) { c.Until = c.Start.Add(-1) },
		"count":             func(c *Config) { c.Count = -1 },
		"needs a kind":      func(c *Config) { c.Kinds = nil },
		"want some of":      func(c *Config) { c.Kinds = []string{"mood"} },
		"twice":             func(c *Config) { c.Places = []string{"a", "a"} },
		"without blanks":    func(c *Config) { c.Places = []string{"a b"} },
		"late messages":     func(c *Config) { c.Late = 0.9 },
		"anomalies":         func(c *Config) { c.Anomalies = 0.5 },
		"that are late by":  func(c *Config) { c.MaxLateness = time.Second },
		"refused messages":  func(c *Config) { c.Refused = math.NaN() },
		"a precision of 3s": func(c *Config) { c.Precision = 3 * time.Second },
	} {
		cfg := Default()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

// BenchmarkNext is a message of a million devices, as a struct.
func BenchmarkNext(b *testing.B) {
	f := fleetOf(b, func(c *Config) { c.Devices, c.Interval = 1_000_000, time.Minute })
	w := f.Walk(0, 1)
	var m Message
	b.ReportAllocs()
	for b.Loop() {
		if !w.Next(&m) {
			b.Fatal("the fleet has ended")
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkAppend is a message from its making to its bytes.
func BenchmarkAppend(b *testing.B) {
	for _, format := range []Format{JSON, Lines} {
		b.Run(string(format), func(b *testing.B) {
			f := fleetOf(b, func(c *Config) { c.Devices, c.Interval = 1_000_000, time.Minute })
			w := f.Walk(0, 1)
			e := f.NewEncoder(Layout{Format: format, Measurement: "sensor_data"})
			var m Message
			text := make([]byte, 0, 1<<10)
			b.ReportAllocs()
			for b.Loop() {
				w.Next(&m)
				text = e.Append(text[:0], &m)
			}
			b.SetBytes(int64(len(text)))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
