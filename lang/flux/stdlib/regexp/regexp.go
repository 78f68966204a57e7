// Package regexp is regexp of the standard library, with expressions as RE2 has
// them.
package regexp

import (
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/value"
)

// Packages returns the package. What is asked of a null is null.
func Packages() []*lib.Package {
	p := lib.New("regexp")
	p.Scalar("compile", "v: string", value.Regexp, func(c *value.Call) (value.Value, error) {
		if n := len(c.Args[0].Str()); n > syntax.MaxPattern {
			return value.Value{}, fmt.Errorf("invalid regular expression: %d bytes are too many, the limit is %d", n, syntax.MaxPattern)
		}
		r, err := regexp.Compile(c.Args[0].Str())
		if err != nil {
			return value.Value{}, fmt.Errorf("invalid regular expression: %w", err)
		}
		return value.OfRegexp(r), nil
	})
	p.Scalar("quoteMeta", "v: string", value.String, func(c *value.Call) (value.Value, error) {
		return value.OfString(regexp.QuoteMeta(c.Args[0].Str())), nil
	})
	p.Scalar("getString", "r: regexp", value.String, func(c *value.Call) (value.Value, error) {
		return value.OfString(c.Args[0].Regexp().String()), nil
	})
	p.Scalar("findString", "r: regexp, v: string", value.String, func(c *value.Call) (value.Value, error) {
		if err := value.Matchable(c.Args[0].Regexp(), len(c.Args[1].Str())); err != nil {
			return value.Value{}, err
		}
		return value.OfString(c.Args[0].Regexp().FindString(c.Args[1].Str())), nil
	})
	p.Scalar("findStringIndex", "r: regexp, v: string", value.Array, func(c *value.Call) (value.Value, error) {
		if err := value.Matchable(c.Args[0].Regexp(), len(c.Args[1].Str())); err != nil {
			return value.Value{}, err
		}
		at := c.Args[0].Regexp().FindStringIndex(c.Args[1].Str())
		all := make([]value.Value, len(at))
		for i, n := range at {
			all[i] = value.OfInt(int64(n))
		}
		return value.OfArray(all), nil
	})
	p.Scalar("matchRegexpString", "r: regexp, v: string", value.Bool, func(c *value.Call) (value.Value, error) {
		if err := value.Matchable(c.Args[0].Regexp(), len(c.Args[1].Str())); err != nil {
			return value.Value{}, err
		}
		return value.OfBool(c.Args[0].Regexp().MatchString(c.Args[1].Str())), nil
	})
	p.Scalar("replaceAllString", "r: regexp, v: string, t: string", value.String, func(c *value.Call) (value.Value, error) {
		if err := value.Matchable(c.Args[0].Regexp(), len(c.Args[1].Str())); err != nil {
			return value.Value{}, err
		}
		// What stands for a match is no longer than the text and, for each $ in
		// it, the match.
		t := c.Args[2].Str()
		refs := int64(strings.Count(t, "$"))
		if err := fits(c, func(match int64) int64 { return int64(len(t)) + refs*match }); err != nil {
			return value.Value{}, err
		}
		return value.OfString(c.Args[0].Regexp().ReplaceAllString(c.Args[1].Str(), t)), nil
	})
	p.Scalar("splitRegexp", "r: regexp, v: string, i: int", value.Array, func(c *value.Call) (value.Value, error) {
		if err := value.Matchable(c.Args[0].Regexp(), len(c.Args[1].Str())); err != nil {
			return value.Value{}, err
		}
		const partBytes = 160 // places, a string, a value.Value
		if err := fits(c, func(int64) int64 { return partBytes }); err != nil {
			return value.Value{}, err
		}
		parts := c.Args[0].Regexp().Split(c.Args[1].Str(), int(c.Args[2].Int()))
		all := make([]value.Value, len(parts))
		for i, s := range parts {
			all[i] = value.OfString(s)
		}
		return value.OfArray(all), nil
	})
	return []*lib.Package{p}
}

// fits reserves and gives back what a result takes that grows by so many bytes
// with each match of the expression in the string, before it is made.
func fits(c *value.Call, bytes func(match int64) int64) error {
	s := c.Args[1].Str()
	const few = 1 << 20 // bytes that are not worth counting
	if n := int64(len(s)) + 1; bytes(n) < few/n {
		return nil
	}
	need := int64(0)
	c.Args[0].Regexp().ReplaceAllStringFunc(s, func(match string) string {
		need = min(need+bytes(int64(len(match))), math.MaxInt64>>1)
		return ""
	})
	run := flow.RunOf(c)
	if err := run.Reserve(need); err != nil {
		return err
	}
	run.Release(need)
	return nil
}
