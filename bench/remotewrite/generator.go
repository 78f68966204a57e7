// Package remotewrite makes the requests that a Prometheus would send which
// scrapes many machines: messages of remote write 1.0 or 2.0, one sample of each
// series a round, compressed by Snappy. Package bench sends them.
//
// Messages are rendered once. A request is a copy of one with the times and
// values of its round written over those before, so that a loader on the
// machine that it measures takes little of it. Safe for concurrent use.
package remotewrite

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/klauspost/compress/s2"
	"google.golang.org/protobuf/encoding/protowire"
)

// Config says what is sent.
type Config struct {
	// Version is 1 or 2, of the protocol.
	Version int
	// Series is how many there are, and Metrics how many different names they
	// have: a machine has a series of each.
	Series  int
	Metrics int
	// Batch is how many series a request has, with a sample each.
	Batch int
	// Start is the time of the first round, Interval that between two.
	Start    time.Time
	Interval time.Duration
}

// Default returns what a Prometheus sends that scrapes 400 machines with 250
// metrics each every 15 s. A request has 10,000 samples, as where remote write
// was set up for much; unasked it has 2,000.
func Default() Config {
	return Config{
		Version: 1, Series: 100_000, Metrics: 250, Batch: 10_000,
		Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Interval: 15 * time.Second,
	}
}

// Times whose milliseconds take six bytes as a varint.
const (
	minMillis = 1 << 35
	maxMillis = 1<<42 - 1
)

// Validate says what makes no sense.
func (c Config) Validate() error {
	switch {
	case c.Version != 1 && c.Version != 2:
		return fmt.Errorf("remote write has the versions 1 and 2, not %d", c.Version)
	case c.Series < 1 || c.Metrics < 1 || c.Metrics > c.Series:
		return fmt.Errorf("%d series of %d metrics: want at least as many series as metrics, and one", c.Series, c.Metrics)
	case c.Batch < 1:
		return fmt.Errorf("%d series in a request: want at least 1", c.Batch)
	case c.Interval < time.Millisecond:
		return fmt.Errorf("interval %s: want at least 1ms", c.Interval)
	case c.Start.UnixMilli() < minMillis || c.Start.UnixMilli() > maxMillis/2:
		return fmt.Errorf("start %s: want a time from 1972 to 2038", c.Start)
	}
	return nil
}

// Generator makes requests.
type Generator struct {
	cfg       Config
	templates []template
}

// template is a message with places for what changes.
type template struct {
	message []byte
	first   int   // number of its first series
	values  []int // where the value of each sample is; its time is timeOffset further
}

const (
	sampleBytes = 16 // of a sample with both fields
	timeOffset  = 9  // a value and the tag of the time
)

// New renders the messages of a configuration that is valid.
func New(cfg Config) *Generator {
	g := &Generator{cfg: cfg}
	for first := 0; first < cfg.Series; first += cfg.Batch {
		n := min(cfg.Batch, cfg.Series-first)
		t := template{first: first}
		if cfg.Version == 1 {
			t.render1(cfg.Metrics, n)
		} else {
			t.render2(cfg.Metrics, n)
		}
		g.templates = append(g.templates, t)
	}
	return g
}

// Round returns how many requests have one sample of each series.
func (g *Generator) Round() int { return len(g.templates) }

// labels returns the labels of a series in the order of their names.
func labels(series, metrics int) []string {
	machine, metric := series/metrics, series%metrics
	kinds := []string{"seconds_total", "bytes", "packets_total", "ratio", "errors_total"}
	return []string{
		"__name__", fmt.Sprintf("node_%s_%03d_%s", []string{"cpu", "disk", "network", "memory", "vmstat"}[metric%5], metric, kinds[metric/5%5]),
		"cluster", fmt.Sprintf("eu-west-%d", machine%3+1),
		"device", []string{"eth0", "nvme0n1", "dm-0", "lo"}[metric%4],
		"env", "production",
		"instance", fmt.Sprintf("10.%d.%d.%d:9100", machine>>16&255, machine>>8&255, machine&255),
		"job", "node-exporter",
		"mode", []string{"idle", "user", "system"}[metric%3],
	}
}

func blob(b []byte, number protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), message)
}

// sample is a sample with both of its fields, whatever they are.
func sample() []byte {
	b := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), 0)
	return protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), minMillis)
}

// add appends a series that ends with its sample.
func (t *template) add(number protowire.Number, series []byte) {
	t.message = blob(t.message, number, blob(series, 2, sample()))
	t.values = append(t.values, len(t.message)-sampleBytes+1)
}

func (t *template) render1(metrics, n int) {
	for i := range n {
		var series []byte
		all := labels(t.first+i, metrics)
		for l := 0; l < len(all); l += 2 {
			series = blob(series, 1, blob(blob(nil, 1, []byte(all[l])), 2, []byte(all[l+1])))
		}
		t.add(1, series)
	}
}

func (t *template) render2(metrics, n int) {
	number := map[string]uint64{"": 0}
	t.message = blob(nil, 4, nil)
	all := make([][]byte, n)
	for i := range all {
		var refs []byte
		for _, l := range labels(t.first+i, metrics) {
			at, ok := number[l]
			if !ok {
				at = uint64(len(number))
				number[l] = at
				t.message = blob(t.message, 4, []byte(l))
			}
			refs = protowire.AppendVarint(refs, at)
		}
		all[i] = blob(nil, 1, refs)
	}
	for _, series := range all {
		t.add(5, series)
	}
}

// Buffer holds a request while it is sent.
type Buffer struct{ plain, packed []byte }

// Request returns the body of request n, from 0, its samples, and its bytes
// before compression. The body is valid until the next use of b.
func (g *Generator) Request(n int64, b *Buffer) (body []byte, samples, size int) {
	t := &g.templates[n%int64(len(g.templates))]
	round := n / int64(len(g.templates))
	at := g.cfg.Start.UnixMilli() + round*g.cfg.Interval.Milliseconds()
	var stamp [6]byte
	binary.PutUvarint(stamp[:], uint64(min(at, maxMillis)))
	b.plain = append(b.plain[:0], t.message...)
	for i, place := range t.values {
		binary.LittleEndian.PutUint64(b.plain[place:], math.Float64bits(value(t.first+i, round)))
		copy(b.plain[place+timeOffset:], stamp[:])
	}
	if most := s2.MaxEncodedLen(len(b.plain)); cap(b.packed) < most {
		b.packed = make([]byte, most)
	}
	return s2.EncodeSnappy(b.packed[:cap(b.packed)], b.plain), len(t.values), len(b.plain)
}

// value is what a series has in a round: two of three are counters, whose pace
// differs, the others walk about.
func value(series int, round int64) float64 {
	if series%3 > 0 {
		return float64(round * int64(series%977+1))
	}
	h := uint64(series)*0x9E3779B97F4A7C15 + uint64(round)*0xD1B54A32D192ED03
	h ^= h >> 29
	return float64(h%10000) / 100
}
