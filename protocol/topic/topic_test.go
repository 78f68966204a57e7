package topic

import (
	"fmt"
	"strings"
	"testing"

	"github.com/varvedb/varve/pipeline/record"
)

func TestTemplates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ template, topic, want string }{
		{"plant/{plant}/line/{line}/{measurement}", "plant/seoul/line/4/vibration", "vibration [plant=seoul line=4] [value]"},
		{"plant/+/line/+/{measurement}", "plant/seoul/line/4/vibration", "vibration [] [value]"},
		{"plant/+/line/+/{measurement}", "plant/seoul/line/4", ""},
		{"plant/+/line/+/{measurement}", "plant/seoul/line/4/vibration/x", ""},
		{"plant/{plant}/#", "plant/seoul", "m [plant=seoul] [value]"},
		{"plant/{plant}/#", "plant/seoul/a/b/c", "m [plant=seoul] [value]"},
		{"plant/{plant}/#", "plant//a", ""},
		{"{a}/{field}", "x/y", "m [a=x] [y]"},
		{"#", "a/b", "m [] [value]"},
		{"#", "$SYS/b", ""},
		{"{a}/b", "$SYS/b", ""},
		{"$SYS/{a}", "$SYS/b", "m [a=b] [value]"},
		{"a", "", ""},
		{"/{a}", "/b", "m [a=b] [value]"},
		{"온도/{장소}", "온도/서울", "m [장소=서울] [value]"},
	} {
		p, err := Parse(c.template)
		if err != nil {
			t.Errorf("%s: %v", c.template, err)
			continue
		}
		r := &record.Record{Measurement: "m", Fields: []record.Field{{Name: "value", Value: record.Float(1)}}}
		got := ""
		if p.Match(c.topic, r) {
			got = show(r)
		}
		if got != c.want {
			t.Errorf("%s of %s: %q, want %q", c.template, c.topic, got, c.want)
		}
		if ok := Matches(p.Filter(), c.topic); ok != (got != "") && !strings.Contains(c.topic, "//") {
			t.Errorf("the filter %s of %s matches %s: %v", p.Filter(), c.template, c.topic, ok)
		}
	}
}

func show(r *record.Record) string {
	var tags, fields []string
	for _, t := range r.Tags {
		tags = append(tags, t.Key+"="+t.Value)
	}
	for _, f := range r.Fields {
		fields = append(fields, f.Name)
	}
	return fmt.Sprint(r.Measurement, " ", tags, " ", fields)
}

// What the topic says wins over what the message says, because the topic is
// what a device is allowed or not.
func TestTopicWins(t *testing.T) {
	t.Parallel()
	p, err := Parse("{site}/{measurement}")
	if err != nil {
		t.Fatal(err)
	}
	r := &record.Record{Measurement: "other", Tags: []record.Tag{{Key: "site", Value: "mine"}, {Key: "x", Value: "y"}}}
	if !p.Match("seoul/heat", r) || show(r) != "heat [site=seoul x=y] []" {
		t.Errorf("%s", show(r))
	}
}

func TestBadTemplates(t *testing.T) {
	t.Parallel()
	for template, want := range map[string]string{
		"":                              "empty",
		"a/#/b":                         "level 2: # may only be the last",
		"a/x{b}":                        "whole level",
		"a/{}":                          "not a name",
		"a/{b}/{b}":                     "level 3: {b} is there already",
		"a/b+":                          "whole level",
		"{time}/a":                      "named time",
		"a\x00":                         "zero byte",
		"\xff":                          "UTF-8",
		"{measurement}/{measurement}":   "already",
		strings.Repeat("a", MaxBytes+1): "at most",
	} {
		if _, err := Parse(template); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", template, err, want)
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a/b", "a/b", true}, {"a/b", "a", false}, {"a", "a/b", false}, {"a/+", "a/b", true}, {"a/+", "a", false},
		{"a/+", "a/", true}, {"a/#", "a", true}, {"a/#", "a/b/c", true}, {"#", "a", true}, {"+", "a", true},
		{"+", "/a", false}, {"+/+", "/a", true}, {"/+", "/a", true}, {"#", "$SYS/a", false}, {"+/a", "$SYS/a", false},
		{"$SYS/#", "$SYS/a", true}, {"a/+/c", "a/b/c", true}, {"a/+/c", "a/b/d", false}, {"+/+/#", "a", false},
	} {
		if got := Matches(c.filter, c.topic); got != c.want {
			t.Errorf("%s of %s: %v", c.topic, c.filter, got)
		}
	}
	for _, c := range []struct {
		allowed, asked string
		want           bool
	}{
		{"#", "a/#", true}, {"a/#", "a/#", true}, {"a/#", "a", true}, {"a/#", "#", false}, {"a/+", "a/#", false}, {"a/+", "a/+", true},
		{"a/+", "a/b", true}, {"a/b", "a/+", false}, {"#", "$SYS/#", false}, {"$SYS/#", "$SYS/x/+", true}, {"a/#", "a/+/b/#", true},
		{"a/+/c", "a/b/c", true}, {"a/+", "+/b", false}, {"+/+", "+/b", true}, {"a/#", "+", false},
	} {
		if got := Covers(c.allowed, c.asked); got != c.want {
			t.Errorf("%s covers %s: %v", c.allowed, c.asked, got)
		}
	}
	for filter, ok := range map[string]bool{
		"": false, "a/#": true, "a/#/b": false, "a#": false, "a/b+": false, "+": true, "$share/g/a/+": true, "$share/g": false,
		"$share": false, "$share//a": false, "$share/+/a": false, "a\x00": false, "\xff": false,
	} {
		if err := CheckFilter(filter); (err == nil) != ok {
			t.Errorf("%q: %v", filter, err)
		}
	}
	for name, ok := range map[string]bool{"": false, "a/+": false, "a#": false, "a": true, "/": true, "a\x00": false, "\xc0": false} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	if group, bare, err := Shared("$share/g/a/b"); group != "g" || bare != "a/b" || err != nil {
		t.Error(group, bare, err)
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("plant/{plant}/line/+/{measurement}", "plant/a/line/b/c", "plant/#")
	f.Add("{a}/#", "/", "+/+")
	f.Add("$SYS/{x}", "$SYS/a", "$SYS/#")
	f.Fuzz(func(t *testing.T, template, name, filter string) {
		r := &record.Record{}
		if p, err := Parse(template); err == nil {
			if err := CheckFilter(p.Filter()); err != nil && !strings.HasPrefix(p.Filter(), "$share") {
				t.Errorf("the filter %q of %q: %v", p.Filter(), template, err)
			}
			if p.Match(name, r) && !Matches(p.Filter(), name) {
				t.Errorf("template %q is of %q, its filter is not", template, name)
			}
			for _, tag := range r.Tags {
				if tag.Value == "" {
					t.Errorf("an empty tag of %q from %q", name, template)
				}
			}
		}
		// Whatever matches a filter that is covered matches the filter that covers.
		if CheckFilter(filter) == nil && CheckFilter(template) == nil && Covers(template, filter) && Matches(filter, name) && !Matches(template, name) {
			t.Errorf("%q covers %q, but %q is only of the second", template, filter, name)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	p, err := Parse("plant/{plant}/line/{line}/{measurement}")
	if err != nil {
		b.Fatal(err)
	}
	r := &record.Record{}
	b.ReportAllocs()
	for b.Loop() {
		r.Tags = r.Tags[:0]
		if !p.Match("plant/seoul/line/4/vibration", r) {
			b.Fatal("no match")
		}
	}
}
