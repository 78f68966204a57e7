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
		{"value", Condition, 1, 1, "want true or false, got a number"},
		{"1 +\n location", Expression, 1, 3, "+ does not go with a whole number and a text"},
		{" ", Condition, 1, 1, "empty"},
		{"value ? 1 : 2", Expression, 1, 7, "a condition is true or false (got a number)"},
		{"location[value] == 'x'", Condition, 1, 9, "an element of a text cannot be named by a number"},
		{"int(value > 1)", Expression, 1, 1, "invalid argument for int (type true or false)"},
		{"upper(value)", Expression, 1, 7, "cannot use a number as argument (type a text) to call upper"},
		{"location[1.5:2]", Expression, 1, 9, "a part of a text or list begins and ends at whole numbers, got a number"},
		{"-location", Expression, 1, 1, "- does not go with a text"},
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
	for _, text := range []string{"value > 35 || value < 15", `value >= 95 ? "excellent" : value >= 85 ? "good" : "poor"`, `location == "seoul"`} {
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

// lacking is a record that has only n, and names of which it lacks the others.
func lacking() (*record.Record, Names) {
	r := &record.Record{Measurement: "m", Fields: []record.Field{{Name: "n", Value: record.Int(3)}, {Name: "o", Value: record.Float(4)}}}
	return r, Names{Tags: []string{"tag"}, Fields: map[string]column.Type{"s": column.String, "t": column.String, "i": column.Int64,
		"v": column.Float64, "b": column.Bool, "n": column.Int64, "w": 0, "o": 0}}
}

// TestAbsentEquals: what a record lacks equals nil and nothing else, of whichever
// type it would be.
func TestAbsentEquals(t *testing.T) {
	r, names := lacking()
	for text, want := range map[string]bool{
		`s == "C"`: false, `"C" == s`: false, `s != "C"`: true, `s == ""`: false, `s == t`: true, `s == tag`: true,
		`tag == "C"`: false, `tag != "C"`: true, `s == nil`: true, `s != nil`: false,
		"i == 0": false, "v == 1": false, "b == true": false, "b != true": true, "w == 'x'": false,
		`s in ["a", "b"]`: false, `s in ["", "b"]`: false, `tag not in ["", "b"]`: true, `i in [0, 1]`: false, `w in ["", "a"]`: false,
		`o in ["4", "a"]`: false, `n in [3, 4]`: true, `client == "c"`: true, `topic in ["", "t"]`: true, `topic in ["t", "u"]`: true,
		`s == "C" ? false : n == 3`: true, "b": false, "s matches tag": false, `s contains "x"`: false, `tag startsWith "x"`: false,
	} {
		rule, err := Compile(text, Condition, names)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		s := NewScratch()
		s.Topic, s.Client = "t", "c"
		if got, err := rule.Holds(s, r); got != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
}

// TestFailures: what cannot be computed is said in words for people.
func TestFailures(t *testing.T) {
	r, names := lacking()
	r.Tags = []record.Tag{{Key: "site", Value: "x"}}
	names.Tags = append(names.Tags, "site")
	for _, c := range []struct {
		text string
		kind Kind
		want string
	}{
		{"v > 3", Condition, "v > 3: v is missing"},
		{"n > 2 and v > s", Condition, ""}, // a mistake when it is read
		{"n > 2 and v + i > 3", Condition, "n > 2 and v + i > 3: v and i are missing"},
		{"not b", Condition, "not b: b is missing"},
		{"b and n > 2", Condition, "b and n > 2: b is missing"},
		{`s < "x"`, Condition, `s < "x": s is missing`},
		{"len(s) > 2", Condition, "len(s) > 2: s is missing"},
		{"upper(tag)", Expression, "upper(tag): tag is missing"},
		{"abs(v) + n", Expression, "abs(v) + n: v is missing"},
		{`tags["a b"] + "x"`, Expression, `tags["a b"] + "x": tags["a b"] is missing`},
		{"time.Unix()", Expression, "time.Unix(): time is missing"},
		{"-v", Expression, "-v: v is missing"},
		{"b ? 1 : 2", Expression, "b ? 1 : 2: b is missing"},
		{"int(site)", Expression, `int(site): cannot be computed, where site is the text "x"`},
		{"n % (n - 3)", Expression, "n % (n - 3): would divide by zero, where n is 3"},
		{"o / (n - 3)", Expression, "o / (n - 3): the result is no finite number, as after a division by zero, where n is 3, o is 4"},
		{"(n - 3) / (n - 3)", Expression, "(n - 3) / (n - 3): the result is no finite number, as after a division by zero, where n is 3"},
		{"o and true", Condition, "o and true: cannot be computed, because true or false is wanted, where o is 4"},
		{"o", Condition, "o: cannot be computed, because true or false is wanted, where o is 4"},
		{"[1]", Expression, "[1]: a value may be a number, a text, true or false, not a list"},
		{"now", Expression, "now: a value may be a number, a text, true or false, not a time"},
		{"tags", Expression, "tags: a value may be a number, a text, true or false, not keys and values"},
	} {
		rule, err := Compile(c.text, c.kind, names)
		if err != nil {
			if c.want != "" {
				t.Errorf("%s: %v", c.text, err)
			}
			continue
		}
		if c.kind == Condition {
			_, err = rule.Holds(NewScratch(), r)
		} else {
			_, err = rule.Value(NewScratch(), r)
		}
		if err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}
