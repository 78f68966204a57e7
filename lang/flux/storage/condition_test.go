package storage

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/lang/flux/value"
	"github.com/varvedb/varve/predicate"
)

// Equivalent conditions have one text.
func TestOneForm(t *testing.T) {
	eq := func(c string, v string) *Condition { return OneOf(c, v) }
	five := Compared(Value, value.Greater, value.OfInt(5))
	for _, pair := range [][2]*Condition{
		{All(eq("a", "1"), eq("b", "2")), All(eq("b", "2"), eq("a", "1"))},
		{All(eq("a", "1"), All(eq("b", "2"), five)), All(All(five, eq("a", "1")), eq("b", "2"))},
		{Any(eq("a", "1"), eq("a", "2")), OneOf("a", "2", "1")},
		{Not(Any(eq("a", "1"), eq("a", "2"))), All(Not(eq("a", "1")), Not(eq("a", "2")))},
		{Not(Not(eq("a", "1"))), eq("a", "1")},
		{Like("a", "^1$"), eq("a", "1")},
		{Like("a", "^(1|2)$"), OneOf("a", "1", "2")},
		{Like("a", "^h[12]$"), OneOf("a", "h1", "h2")},
		{Like("a", "^(?:usage_(user|system))$"), OneOf("a", "usage_user", "usage_system")},
		{All(OneOf("a", "1", "2"), OneOf("a", "2", "3")), eq("a", "2")},
		{Any(eq("a", "1"), True()), True()},
		{All(eq("a", "1"), False()), False()},
		{All(OneOf(Field, "x"), OneOf(Field, "y")), False()},
		{Not(True()), False()},
		{All(nil, eq("a", "1"), eq("a", "1")), eq("a", "1")},
		{Compared(Value, value.NotEqual, value.OfInt(5)), Not(Compared(Value, value.Equal, value.OfInt(5)))},
	} {
		if a, b := pair[0].String(), pair[1].String(); a != b {
			t.Errorf("%s and %s are the same", a, b)
		}
	}
	for _, pattern := range []string{"a", "^a", "a$", "^a.*$", "(?i)^a$", "^(a|b*)$", "(?m)^a$", "^a|b$"} {
		if texts, ok := words(pattern); ok {
			t.Errorf("/%s/ is not a set, but %q was found", pattern, texts)
		}
	}
}

// row is a row of a table to judge a condition by: what it does not have is null.
type row struct {
	strings map[string]string
	value   value.Value
}

// third is true, false or neither.
type third int8

// judge says what c means, straight from the rules.
func judge(c *Condition, r *row) third {
	switch c.Op {
	case And, Or:
		out := third(1)
		if c.Op == Or {
			out = -1
		}
		for _, a := range c.Args {
			if v := judge(a, r); c.Op == And {
				out = min(out, v)
			} else {
				out = max(out, v)
			}
		}
		return out
	}
	v := r.value
	if c.Column != Value {
		s, ok := r.strings[c.Column]
		if v = value.OfString(s); !ok {
			v = value.NullOf(value.String)
		}
	}
	sign := third(1)
	if c.Negated {
		sign = -1
	}
	yes := func(b bool) third {
		if b {
			return sign
		}
		return -sign
	}
	if c.Op == Exists {
		return yes(!v.IsNull())
	}
	if v.IsNull() {
		return 0
	}
	if c.Op == Is {
		out, err := c.Compare.Apply(v, c.Value)
		if err != nil {
			return 0
		}
		return yes(out.Bool())
	}
	if v.Kind() != value.String {
		return 0
	}
	if c.Op == In {
		return yes(slices.Contains(c.Texts, v.Str()))
	}
	return yes(regexp.MustCompile(c.Pattern).MatchString(v.Str()))
}

// anyCondition makes a condition both ways: by the functions that bring it to one
// form, and as it was written.
func anyCondition(rng *rand.Rand, depth int) (formed, written *Condition) {
	if depth > 0 && rng.IntN(3) > 0 {
		op := Op(rng.IntN(2))
		var a, b []*Condition
		for range 1 + rng.IntN(3) {
			x, y := anyCondition(rng, depth-1)
			a, b = append(a, x), append(b, y)
		}
		if rng.IntN(3) == 0 {
			return Not(join(op, a)), negated(&Condition{Op: op, Args: b})
		}
		return join(op, a), &Condition{Op: op, Args: b}
	}
	columns := []string{"host", "zone", Value, Field, Measurement}
	c := columns[rng.IntN(len(columns))]
	texts := []string{"a", "b", "x", "", "f", "m"}
	text := texts[rng.IntN(len(texts))]
	switch rng.IntN(4) {
	case 0:
		formed, written = Has(c), &Condition{Op: Exists, Column: c}
	case 1:
		p := []string{"^(a|b)$", "a", "", "^$", "^f"}[rng.IntN(5)]
		formed, written = Like(c, p), &Condition{Op: Match, Column: c, Pattern: p}
	case 2:
		if c == Value {
			v := value.OfInt(int64(rng.IntN(4)))
			o := []value.Operator{value.Equal, value.Less, value.NotEqual, value.GreaterEqual}[rng.IntN(4)]
			formed, written = Compared(c, o, v), &Condition{Op: Is, Column: c, Compare: o, Value: v}
			break
		}
		fallthrough
	default:
		of := []string{text, "b"}[:1+rng.IntN(2)]
		formed, written = OneOf(c, of...), &Condition{Op: In, Column: c, Texts: of}
	}
	if rng.IntN(3) == 0 {
		return Not(formed), negated(written)
	}
	return formed, written
}

func negated(c *Condition) *Condition {
	n := *c
	if c.Op == And || c.Op == Or {
		n.Op, n.Args = And+Or-c.Op, nil
		for _, a := range c.Args {
			n.Args = append(n.Args, negated(a))
		}
		return &n
	}
	n.Negated = !c.Negated
	return &n
}

// What plans are given keeps the rows that the condition keeps, and no others.
func TestReduceAgainstMeaning(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	kinds := []column.Type{column.Int64, column.Float64, column.String, column.Bool}
	for range 3000 {
		formed, written := anyCondition(rng, 3)
		for range 20 {
			r := &row{strings: map[string]string{Field: []string{"f", "x"}[rng.IntN(2)], Measurement: []string{"m", "b"}[rng.IntN(2)]}}
			var key []byte
			for _, tag := range []string{"host", "zone"} {
				if rng.IntN(3) > 0 {
					r.strings[tag] = []string{"a", "b", "ab"}[rng.IntN(3)]
					if len(key) > 0 {
						key = append(key, ',')
					}
					key = append(key, tag+"="+r.strings[tag]...)
				}
			}
			kind := kinds[rng.IntN(len(kinds))]
			switch kind {
			case column.Int64:
				r.value = value.OfInt(int64(rng.IntN(4)))
			case column.Float64:
				r.value = value.OfFloat(float64(rng.IntN(8)) / 2)
			case column.String:
				r.value = value.OfString([]string{"a", "b", ""}[rng.IntN(3)])
			case column.Bool:
				r.value = value.OfBool(rng.IntN(2) == 0)
			}
			if judge(formed, r) != judge(written, r) {
				t.Fatalf("%s became %s, which means something else for %v", written.render(), formed, r)
			}
			field := r.strings[Field]
			left := formed.names(r.strings[Measurement], &field, patterns{})
			kept := 0
			if !left.none() {
				parts, err := left.reduce(field, kind)
				if err == errMixed {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range parts {
					m, err := predicate.Compile(p.tags)
					if err != nil {
						t.Fatal(err)
					}
					if m.Match(key) && whereHolds(t, p.where, r.value) {
						kept++
					}
				}
			}
			if want := judge(written, r) == 1; kept > 1 || kept == 1 != want {
				t.Fatalf("%s keeps %v of %q %v: %d plans, want %v", written.render(), r.value.Text(), key, r.strings, kept, want)
			}
		}
	}
}
