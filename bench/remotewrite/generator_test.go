package remotewrite_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"

	generator "github.com/varvedb/varve/bench/remotewrite"
	"github.com/varvedb/varve/protocol/remotewrite"
)

// TestVersionsAgree decodes what both versions send, and compares.
func TestVersionsAgree(t *testing.T) {
	cfg := generator.Default()
	cfg.Series, cfg.Metrics, cfg.Batch = 1000, 50, 300
	type point struct {
		Measurement, Key string
		Time             int64
		Value            float64
	}
	read := func(version int) []point {
		cfg.Version = version
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		g := generator.New(cfg)
		if g.Round() != 4 {
			t.Errorf("a round has %d requests, want 4", g.Round())
		}
		d := remotewrite.NewDecoder(remotewrite.Default())
		var b generator.Buffer
		var all []point
		for n := range int64(8) {
			body, samples, size := g.Request(n, &b)
			message, err := s2.Decode(nil, body)
			if err != nil || len(message) != size {
				t.Fatalf("%d bytes of %d, %v", len(message), size, err)
			}
			q, err := d.Decode(message, remotewrite.Version(version), remotewrite.Mapping{}, nil)
			if err != nil || q.Samples != samples || q.Refused != 0 {
				t.Fatalf("%+v, %v", q, err)
			}
			for _, table := range q.Batch.Tables {
				for r, at := range table.Time {
					all = append(all, point{table.Measurement, string(table.Series.Key(int(table.Row[r]))), at, table.Fields[0].Floats()[r]})
				}
			}
		}
		return all
	}
	one, two := read(1), read(2)
	if diff := cmp.Diff(one, two); diff != "" {
		t.Errorf("versions differ (-1 +2):\n%s", diff)
	}
	seen := map[point]bool{}
	for _, p := range one {
		p.Value = 0
		seen[p] = true
	}
	if len(seen) != 2000 {
		t.Errorf("%d different points in two rounds, want 2000", len(seen))
	}
	if want := cfg.Start.UnixNano() + cfg.Interval.Nanoseconds(); one[len(one)-1].Time != want {
		t.Errorf("the last has the time %d, want %d", one[len(one)-1].Time, want)
	}
}

func BenchmarkRequest(b *testing.B) {
	g := generator.New(generator.Default())
	var buffer generator.Buffer
	b.ReportAllocs()
	total := 0
	for n := int64(0); b.Loop(); n++ {
		_, samples, size := g.Request(n, &buffer)
		b.SetBytes(int64(size))
		total += samples
	}
	b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "samples/s")
}
