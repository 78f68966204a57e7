// Package regexp is regexp of the standard library, with expressions as RE2 has
// them.
package regexp

import (
	"fmt"
	"regexp"

	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

// Packages returns the package. What is asked of a null is null.
func Packages() []*lib.Package {
	p := lib.New("regexp")
	p.Scalar("compile", "v: string", value.Regexp, func(c *value.Call) (value.Value, error) {
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
		return value.OfString(c.Args[0].Regexp().FindString(c.Args[1].Str())), nil
	})
	p.Scalar("findStringIndex", "r: regexp, v: string", value.Array, func(c *value.Call) (value.Value, error) {
		at := c.Args[0].Regexp().FindStringIndex(c.Args[1].Str())
		all := make([]value.Value, len(at))
		for i, n := range at {
			all[i] = value.OfInt(int64(n))
		}
		return value.OfArray(all), nil
	})
	p.Scalar("matchRegexpString", "r: regexp, v: string", value.Bool, func(c *value.Call) (value.Value, error) {
		return value.OfBool(c.Args[0].Regexp().MatchString(c.Args[1].Str())), nil
	})
	p.Scalar("replaceAllString", "r: regexp, v: string, t: string", value.String, func(c *value.Call) (value.Value, error) {
		return value.OfString(c.Args[0].Regexp().ReplaceAllString(c.Args[1].Str(), c.Args[2].Str())), nil
	})
	p.Scalar("splitRegexp", "r: regexp, v: string, i: int", value.Array, func(c *value.Call) (value.Value, error) {
		parts := c.Args[0].Regexp().Split(c.Args[1].Str(), int(c.Args[2].Int()))
		all := make([]value.Value, len(parts))
		for i, s := range parts {
			all[i] = value.OfString(s)
		}
		return value.OfArray(all), nil
	})
	return []*lib.Package{p}
}
