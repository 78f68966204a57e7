package predicate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/column"
)

// listIndex answers from a list of series keys, by looking at each.
type listIndex [][]byte

func (x listIndex) NumSeries() int { return len(x) }

func (x listIndex) Postings(key, value string) (*roaring.Bitmap, error) {
	if value == "" {
		return nil, fmt.Errorf("postings of the empty value")
	}
	b := roaring.New()
	for i, k := range x {
		if string(column.TagValue(k, key)) == value {
			b.Add(uint32(i))
		}
	}
	if b.IsEmpty() {
		return nil, nil
	}
	return b, nil
}

func (x listIndex) Values(key string, fn func(value []byte, postings *roaring.Bitmap) bool) error {
	var values []string
	for _, k := range x {
		if v := column.TagValue(k, key); v != nil {
			values = append(values, string(v))
		}
	}
	slices.Sort(values)
	for _, v := range slices.Compact(values) {
		b, err := x.Postings(key, v)
		if err != nil {
			return err
		}
		if !fn([]byte(v), b) {
			return nil
		}
	}
	return nil
}

func seriesKey(t testing.TB, tags ...string) []byte {
	t.Helper()
	var all []column.Tag
	for i := 0; i < len(tags); i += 2 {
		all = append(all, column.Tag{Key: []byte(tags[i]), Value: []byte(tags[i+1])})
	}
	key, err := column.AppendSeriesKey(nil, all)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// exampleSeries holds series with absent, empty and escaped tags.
func exampleSeries(t testing.TB) listIndex {
	return listIndex{
		seriesKey(t),
		seriesKey(t, "host", "a"),
		seriesKey(t, "host", "b", "zone", "1"),
		seriesKey(t, "host", "a", "zone", "2"),
		seriesKey(t, "zone", "1"),
		seriesKey(t, "host", "", "zone", "1"),
		seriesKey(t, "host", "a, b=c\\", "zone", " "),
		seriesKey(t, "host", "ab"),
		seriesKey(t, "a b", "x", "host", "\xff\xfe"),
	}
}

func TestStringOfManyValues(t *testing.T) {
	var values []string
	for i := range 25 {
		values = append(values, fmt.Sprint("h", i))
	}
	if got := OneOf("host", values...).String(); !strings.HasPrefix(got, `host in ["h0" "h1" `) || !strings.HasSuffix(got, `"h19"] and 5 more`) {
		t.Error(got)
	}
}

func TestMatch(t *testing.T) {
	series := exampleSeries(t)
	for _, c := range []struct {
		e    *Expr
		text string
		want string // which series match
	}{
		{nil, `true`, "012345678"},
		{Eq("host", "a"), `host = "a"`, "13"},
		{Eq("host", ""), `host = ""`, "045"},
		{Eq("nosuch", ""), `nosuch = ""`, "012345678"},
		{Eq("nosuch", "x"), `nosuch = "x"`, ""},
		{Eq("host", "a, b=c\\"), `host = "a, b=c\\"`, "6"},
		{Eq("host", "\xff\xfe"), `host = "\xff\xfe"`, "8"},
		{Eq("a b", "x"), `a b = "x"`, "8"},
		{OneOf("host", "a", "b", "a"), `host in ["a" "b" "a"]`, "123"},
		{OneOf("host", "b", ""), `host in ["b" ""]`, "0245"},
		{OneOf("host"), `host in []`, ""},
		{Negate(OneOf("host")), `not host in []`, "012345678"},
		{Match("host", "^a"), `host =~ /^a/`, "1367"},
		{Match("host", "^a?$"), `host =~ /^a?$/`, "01345"},
		{Match("host", ""), `host =~ //`, "012345678"},
		{Match("host", "."), `host =~ /./`, "123678"},
		{Negate(Match("host", ".")), `not host =~ /./`, "045"},
		{Negate(Eq("zone", "1")), `not zone = "1"`, "013678"},
		{All(Eq("host", "a"), nil, Eq("zone", "2")), `(host = "a" and zone = "2")`, "3"},
		{All(), `true`, "012345678"},
		{All(nil, Eq("host", "b")), `host = "b"`, "2"},
		{Any(Eq("host", "b"), Eq("zone", "2")), `(host = "b" or zone = "2")`, "23"},
		{Any(), `false`, ""},
		{&Expr{Op: And}, `true`, "012345678"},
		{Negate(nil), `false`, ""},
		{All(Any(), Match("host", "x")), `(false and host =~ /x/)`, ""},
	} {
		if got := c.e.String(); got != c.text {
			t.Errorf("%s is rendered as %s", c.text, got)
		}
		m, err := Compile(c.e)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		var matched []string
		for i, k := range series {
			if m.Match(k) {
				matched = append(matched, fmt.Sprint(i))
			}
		}
		if got := strings.Join(matched, ""); got != c.want {
			t.Errorf("%s matches series %q, want %q", c.text, got, c.want)
		}
		set, err := m.Eval(series)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		var found []string
		for _, i := range set.ToArray() {
			found = append(found, fmt.Sprint(i))
		}
		if got := strings.Join(found, ""); got != c.want {
			t.Errorf("%s finds series %q in the index, want %q", c.text, got, c.want)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	deep := Eq("a", "b")
	for range maxDepth + 1 {
		deep = Negate(deep)
	}
	for what, e := range map[string]*Expr{
		"unknown operation":    {Op: "like", Key: "a"},
		`operation ""`:         {},
		"takes one argument":   {Op: Not},
		"not 2":                {Op: Not, Args: []*Expr{Any(), Any()}},
		"empty argument":       {Op: And, Args: []*Expr{nil}},
		"needs a tag key":      {Op: In, Values: []string{"x"}},
		"missing closing":      Match("a", "("),
		"nested deeper":        deep,
		`"regexp" needs a tag`: {Op: Regexp, Pattern: "x"},
	} {
		if _, err := Compile(e); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// randomExpr makes an expression that compiles.
func randomExpr(rng *rand.Rand, depth int) *Expr {
	keys, values := []string{"host", "zone", "none", "a b"}, []string{"", "a", "b", "1", "2", " ", "ab", "\xff\xfe"}
	key := keys[rng.IntN(len(keys))]
	n := rng.IntN(5)
	if depth == 0 {
		n = rng.IntN(2)
	}
	switch n {
	case 0:
		e := &Expr{Op: In, Key: key}
		for range rng.IntN(4) {
			e.Values = append(e.Values, values[rng.IntN(len(values))])
		}
		return e
	case 1:
		patterns := []string{"", "a", "^a$", "^$", "[12]", "^(a|)$", "."}
		return Match(key, patterns[rng.IntN(len(patterns))])
	case 2:
		return Negate(randomExpr(rng, depth-1))
	}
	e := &Expr{Op: And}
	if n == 4 {
		e.Op = Or
	}
	for range rng.IntN(4) {
		e.Args = append(e.Args, randomExpr(rng, depth-1))
	}
	return e
}

// holds evaluates e on the tags of a series as its documentation says.
func holds(t *testing.T, e *Expr, key []byte) bool {
	switch e.Op {
	case And:
		return !slices.ContainsFunc(e.Args, func(a *Expr) bool { return !holds(t, a, key) })
	case Or:
		return slices.ContainsFunc(e.Args, func(a *Expr) bool { return holds(t, a, key) })
	case Not:
		return !holds(t, e.Args[0], key)
	case In:
		return slices.Contains(e.Values, string(column.TagValue(key, e.Key)))
	}
	m, err := Compile(Match("v", e.Pattern))
	if err != nil {
		t.Fatal(err)
	}
	return m.matchValue(column.TagValue(key, e.Key))
}

// TestAgainstBruteForce compares the evaluation over keys and over an index
// with the obvious one.
func TestAgainstBruteForce(t *testing.T) {
	series := exampleSeries(t)
	for seed := range uint64(3000) {
		e := randomExpr(rand.New(rand.NewPCG(seed, 1)), 4)
		m, err := Compile(e)
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, e, err)
		}
		set, err := m.Eval(series)
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, e, err)
		}
		for i, k := range series {
			want := holds(t, e, k)
			if got := m.Match(k); got != want {
				t.Fatalf("seed %d: %s matches %q: %t, want %t", seed, e, k, got, want)
			}
			if got := set.Contains(uint32(i)); got != want {
				t.Fatalf("seed %d: %s finds %q: %t, want %t", seed, e, k, got, want)
			}
		}
		if n := set.GetCardinality(); n > uint64(len(series)) {
			t.Fatalf("seed %d: %s finds %d series of %d", seed, e, n, len(series))
		}
	}
}

// FuzzExpr reads expressions as they come from manifests, plans and the log.
// What compiles must evaluate alike both ways, and travel unchanged.
func FuzzExpr(f *testing.F) {
	f.Add([]byte(`{"op":"in","key":"host","values":["a",""]}`))
	f.Add([]byte(`{"op":"and","args":[{"op":"not","args":[{"op":"regexp","key":"host","pattern":"^a"}]},{"op":"or"}]}`))
	f.Add([]byte(`{"op":"not","args":[null]}`))
	series := exampleSeries(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var e Expr
		if json.Unmarshal(raw, &e) != nil {
			return
		}
		m, err := Compile(&e)
		if err != nil {
			return
		}
		_ = e.String()
		set, err := m.Eval(series)
		if err != nil {
			t.Fatal(err)
		}
		for i, k := range series {
			if m.Match(k) != set.Contains(uint32(i)) {
				t.Fatalf("%s: series %q matches %t, in the index %t", &e, k, m.Match(k), set.Contains(uint32(i)))
			}
		}
		again, err := json.Marshal(&e)
		if err != nil {
			t.Fatal(err)
		}
		var back Expr
		if err := json.Unmarshal(again, &back); err != nil {
			t.Fatal(err)
		}
		if back.String() != e.String() {
			t.Fatalf("%s came back as %s: %s", &e, &back, cmp.Diff(e, back))
		}
	})
}
