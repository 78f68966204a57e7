package rule

import (
	"strings"
	"testing"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/record"
)

func reading() (*record.Record, Names) {
	r := &record.Record{Measurement: "sensor_data", Time: 1e9, Timed: true,
		Tags:   []record.Tag{{Key: "location", Value: "seoul"}},
		Fields: []record.Field{{Name: "value", Value: record.Float(36.5)}, {Name: "n", Value: record.Int(3)}}}
	return r, Names{Fields: map[string]column.Type{"value": column.Float64, "n": column.Int64, "absent": column.Float64},
		Tags: []string{"location"}, Time: "timestamp"}
}

func TestValue(t *testing.T) {
	r, names := reading()
	for _, c := range []struct {
		text string
		want record.Value
	}{
		{"value > 35 || value < 15", record.Bool(true)},
		{`value >= 95 ? "excellent" : value >= 35 ? "good" : "poor"`, record.String("good")},
		{"value * 2", record.Float(73)},
		{"n + 1", record.Int(4)},
		{"absent ?? 7.5", record.Float(7.5)},
		{"absent == nil", record.Bool(true)},
		{`location + "/" + topic`, record.String("seoul/t")},
		{`tags["location"] == "seoul" && fields["n"] == 3`, record.Bool(true)},
		{"time.Unix()", record.Int(1)},
		{"timestamp.Year()", record.Int(1970)},
		{"nil", record.Value{}},
		{"measurement", record.String("sensor_data")},
	} {
		rule, err := Compile(c.text, Expression, names)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		s := NewScratch()
		s.Topic, s.TimeName = "t", "timestamp"
		got, err := rule.Value(s, r)
		if err != nil || got != c.want {
			t.Errorf("%s: got %v, %v, want %v", c.text, got, err, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	_, names := reading()
	for _, c := range []struct {
		text         string
		kind         Kind
		line, column int
		says         string
	}{
		{"valu > 3", Condition, 1, 1, "unknown name valu; there are absent, client, location, measurement, n, now, time, topic, value"},
		{"value +", Expression, 1, 7, "unexpected token"},
		{"value", Condition, 1, 1, "expected bool"},
		{"1 +\n location", Expression, 1, 3, "mismatched types"},
		{" ", Condition, 1, 1, "empty"},
		{`$env["value"] > 1`, Condition, 1, 1, "$env is not for rules"},
	} {
		_, err := Compile(c.text, c.kind, names)
		e, ok := err.(*Error)
		if !ok || e.Line != c.line || !strings.Contains(e.Problem, c.says) {
			t.Errorf("%q: got %#v, want line %d, %q", c.text, err, c.line, c.says)
		}
	}
}

// TestMissing: an expression over a field that this record lacks is an error
// that names the expression, not a value.
func TestMissing(t *testing.T) {
	r, names := reading()
	rule, err := Compile("absent > 3", Condition, names)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rule.Holds(NewScratch(), r); err == nil || !strings.HasPrefix(err.Error(), "absent > 3: ") {
		t.Errorf("got %v", err)
	}
}

// TestOpen: where a decoder takes whatever comes, any name is allowed.
func TestOpen(t *testing.T) {
	r, names := reading()
	names.Open = true
	rule, err := Compile("other == nil", Condition, names)
	if err != nil {
		t.Fatal(err)
	}
	if yes, err := rule.Holds(NewScratch(), r); !yes || err != nil {
		t.Errorf("got %v, %v", yes, err)
	}
}

func BenchmarkRule(b *testing.B) {
	r, names := reading()
	for _, text := range []string{"value > 35 || value < 15", `value >= 95 ? "excellent" : value >= 85 ? "good" : "poor"`} {
		rule, err := Compile(text, Expression, names)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(text, func(b *testing.B) {
			s := NewScratch()
			b.ReportAllocs()
			for range b.N {
				if _, err := rule.Value(s, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
