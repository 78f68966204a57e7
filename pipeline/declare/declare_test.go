package declare

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

func section(t *testing.T, text string) *Map {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	return Section(n.Content[0], "s")
}

func TestValues(t *testing.T) {
	s := section(t, `{t: x, c: b, b: true, i: 3, f: 2.5, d: 90s, days: 7d, size: 64KiB, mb: "1.5", list: [a, 1], one: a, pairs: {k: v, l: 2}}`)
	got := []any{s.Text("t", ""), s.Choice("c", "a", "a", "b"), s.Bool("b", false), s.Int("i", 0, 1), s.Duration("d", 0), s.Duration("days", 0),
		s.Size("size", 0), s.Strings("list"), s.Strings("one"), s.Text("none", "other"), s.Size("no", 5)}
	want := []any{"x", "b", true, 3, 90 * time.Second, 7 * 24 * time.Hour, 64 << 10, []string{"a", "1"}, []string{"a"}, "other", 5}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if f, given := s.Float("f"); f != 2.5 || !given {
		t.Errorf("got %v, %v", f, given)
	}
	if p := s.Pairs("pairs"); len(p) != 2 || p[0].Key != "k" || p[1].Value != "2" {
		t.Errorf("got %v", p)
	}
	s.Text("mb", "")
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}

// TestMistakes: each says where it is and what is wanted, all at once.
func TestMistakes(t *testing.T) {
	s := section(t, "a: [x]\nb: maybe\nc: -1\nd: 0s\ne: 12 parsecs\nf: NaN\ng: z\nh:\n  - {}\nunknwn: 1\na: 2\n")
	s.Text("a", "")
	s.Bool("b", false)
	s.Int("c", 0, 0)
	s.Duration("d", 0)
	s.Size("e", 0)
	s.Float("f")
	s.Choice("g", "", "x", "y")
	s.Strings("h")
	s.Required("i")
	s.Text("unknown", "")
	err := s.Err()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"1:4: s.a: want a text", "2:4: s.b: \"maybe\": want true or false", "3:4: s.c: \"-1\": want a whole number of at least 0",
		"4:4: s.d: \"0s\": want a length of time above zero", "5:4: s.e: \"12 parsecs\": want a size", "6:4: s.f: \"NaN\": want a number",
		"7:4: s.g: \"z\": want one of x, y", "9:5: s.h: want a text", "s.i: is missing", "10:1: s.unknwn: there is no such key; did you mean unknown?",
		"11:1: s.a: is given already",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
}

func TestResolve(t *testing.T) {
	resolve := func(text string) (string, []error) {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		r := Resolver{Lookup: func(name string) (string, bool) { return "<" + name + ">", name == "A" || name == "B" }}
		out, problems := r.Resolve(n.Content[0])
		return Text(out), problems
	}
	for _, c := range []struct{ text, want string }{
		{"a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\ne: *x", "a: {b: 1, c: 2}\nd: {c: 3, b: 1}\ne: {b: 1, c: 2}"},
		{"a: [&x {b: 1}, &y {c: 2}]\nd: {<<: [*x, *y]}", "a: [{b: 1}, {c: 2}]\nd: {b: 1, c: 2}"},
		{"a: ${A}/${B}", "a: <A>/<B>"},
		{"a: ${C:-none}", "a: none"},
		{"a: $${A}", "a: ${A}"},
	} {
		got, problems := resolve(c.text)
		want, _ := func() (string, []error) {
			var n yaml.Node
			if err := yaml.Unmarshal([]byte(c.want), &n); err != nil {
				t.Fatal(err)
			}
			return Text(n.Content[0]), nil
		}()
		if got != want || problems != nil {
			t.Errorf("%s: got %s, %v, want %s", c.text, got, problems, want)
		}
	}
	for _, c := range []struct{ text, says string }{
		{"a: ${C}", "there is no environment variable C"},
		{"a: ${A", "is not closed"},
		{"a: {<<: 3}", "wants a mapping"},
		{"a: &a [*a]", "nested too deep"},
	} {
		if _, problems := resolve(c.text); len(problems) == 0 || !strings.Contains(problems[0].Error(), c.says) {
			t.Errorf("%s: got %v", c.text, problems)
		}
	}
}
