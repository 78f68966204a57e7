package batch

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/record"
)

var seed = flag.Uint64("seed", 0, "of the random test; 0 takes another each time")

func untyped(_, _ string) column.Type { return 0 }

// text writes a record so that two of them can be compared.
func text(r *record.Record) string {
	tags := slices.Clone(r.Tags)
	slices.SortFunc(tags, func(a, b record.Tag) int { return strings.Compare(a.Key, b.Key) })
	fields := slices.Clone(r.Fields)
	slices.SortFunc(fields, func(a, b record.Field) int { return strings.Compare(a.Name, b.Name) })
	return fmt.Sprint(r.Measurement, tags, fields, r.Time)
}

// TestRoundTrip: records of all shapes come back from the columns, each at the
// place that Origin says, whatever the types and gaps.
func TestRoundTrip(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 1))
	b := NewBuilder()
	for round := range 200 {
		var in record.List
		b.Begin(untyped)
		n := 1 + rng.IntN(60)
		for i := range n {
			r := in.Add(i)
			r.Measurement, r.Time, r.Timed = fmt.Sprint("m", rng.IntN(3)), rng.Int64N(1000), true
			for k := range rng.IntN(4) {
				r.SetTag(fmt.Sprint("t", k), fmt.Sprint(rng.IntN(4), ",= \\x"))
			}
			for k := range 1 + rng.IntN(5) {
				name := fmt.Sprint("f", (k+rng.IntN(2))%5)
				switch rng.IntN(8) {
				case 0:
					r.Set(name, record.Int(rng.Int64()))
				case 1:
					r.Set(name, record.String(strings.Repeat("x", rng.IntN(9))))
				case 2:
					r.Set(name, record.Bool(rng.IntN(2) == 0))
				case 3:
					r.Set(name, record.Uint(rng.Uint64()))
				default:
					r.Set(name, record.Float(rng.NormFloat64()))
				}
			}
			if err := b.Add(r, r.Time, i); err != nil {
				t.Fatal(err)
			}
		}
		out := b.End()
		if out.Rows() != n {
			t.Fatalf("round %d: %d rows of %d records", round, out.Rows(), n)
		}
		var back record.List
		for rows, most := NewRows(out), 1+rng.IntN(20); rows.Left(); {
			rows.Next(0, most, &back)
		}
		at := 0
		for table := range out.Tables {
			if err := column.CheckSeriesKey(out.Tables[table].Series.Key(0)); err != nil {
				t.Fatal(err)
			}
			for row := range out.Tables[table].Time {
				if got, want := text(back.At(at)), text(in.At(b.Origin(table, row))); got != want {
					t.Fatalf("round %d: row %d of table %d is\n%s, want\n%s", round, row, table, got, want)
				}
				at++
			}
		}
		// Later overwrites earlier, so rows of one series may not change places.
		last := map[string]int{}
		for table, tb := range out.Tables {
			for row := range tb.Time {
				series := tb.Measurement + string(tb.Series.Key(int(tb.Row[row])))
				if n := b.Origin(table, row); n < last[series] {
					t.Fatalf("round %d: record %d stands behind record %d", round, n, last[series])
				} else {
					last[series] = n
				}
			}
		}
	}
}

// TestTypes: a number becomes what its field is registered as where it can.
func TestTypes(t *testing.T) {
	b := NewBuilder()
	b.Begin(func(_, field string) column.Type {
		return map[string]column.Type{"i": column.Int64, "f": column.Float64, "s": column.String}[field]
	})
	r := &record.Record{Measurement: "m", Fields: []record.Field{
		{Name: "i", Value: record.Float(3)}, {Name: "f", Value: record.Int(4)}, {Name: "s", Value: record.Float(5)}}}
	if err := b.Add(r, 1, 0); err != nil {
		t.Fatal(err)
	}
	var got []column.Type
	for _, f := range b.End().Tables[0].Fields {
		got = append(got, f.Type)
	}
	if diff := cmp.Diff([]column.Type{column.Int64, column.Float64, column.Float64}, got); diff != "" {
		t.Error(diff)
	}
}

func TestRefusals(t *testing.T) {
	field := []record.Field{{Name: "v", Value: record.Float(1)}}
	for _, c := range []struct {
		name   string
		r      record.Record
		at     int64
		reason string
	}{
		{"no measurement", record.Record{Fields: field}, 1, NoMeasurement},
		{"no field", record.Record{Measurement: "m"}, 1, NoFields},
		{"comment", record.Record{Measurement: "#m", Fields: field}, 1, BadName},
		{"newline in a tag", record.Record{Measurement: "m", Fields: field, Tags: []record.Tag{{Key: "a", Value: "b\n"}}}, 1, BadName},
		{"backslash", record.Record{Measurement: "m", Fields: field, Tags: []record.Tag{{Key: "a\\", Value: "b"}}}, 1, BadName},
		{"bad UTF-8", record.Record{Measurement: "m", Fields: []record.Field{{Name: "\xff", Value: record.Float(1)}}}, 1, BadName},
		{"year 9999", record.Record{Measurement: "m", Fields: field}, column.MaxTime + 1, BadTime},
		{"large", record.Record{Measurement: "m", Fields: []record.Field{{Name: "s", Value: record.String(strings.Repeat("x", 1<<18))}}}, 1, TooLarge},
		{"long tag", record.Record{Measurement: "m", Fields: field, Tags: []record.Tag{{Key: "a", Value: strings.Repeat("x", 1<<16)}}}, 1, TooLarge},
	} {
		b := NewBuilder()
		b.Begin(untyped)
		err := b.Add(&c.r, c.at, 0)
		if refusal, ok := err.(*record.Refusal); !ok || refusal.Reason != c.reason {
			t.Errorf("%s: got %v, want %s", c.name, err, c.reason)
		}
		if n := b.End().Rows(); n != 0 {
			t.Errorf("%s: %d rows are left", c.name, n)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	var l record.List
	for i := range 1000 {
		r := l.Add(i)
		r.Measurement = "sensor_data"
		r.Tags = append(r.Tags, record.Tag{Key: "sensor_type", Value: "temperature"}, record.Tag{Key: "location", Value: fmt.Sprint("place", i%50)})
		r.Fields = append(r.Fields, record.Field{Name: "value", Value: record.Float(20)}, record.Field{Name: "quality", Value: record.Float(97)})
	}
	builder := NewBuilder()
	b.ReportAllocs()
	for range b.N {
		builder.Begin(untyped)
		for i := range l.Len() {
			if err := builder.Add(l.At(i), int64(i), i); err != nil {
				b.Fatal(err)
			}
		}
		builder.End()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*l.Len()), "ns/record")
}
