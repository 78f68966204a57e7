// Package strings is strings of the standard library.
package strings

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

// Packages returns the package. What is asked of a null is null.
func Packages() []*lib.Package {
	p := lib.New("strings")
	for name, f := range map[string]func(string) string{
		"title": titled, "toUpper": strings.ToUpper, "toLower": strings.ToLower, "trimSpace": strings.TrimSpace, "toTitle": strings.ToTitle,
	} {
		p.Scalar(name, "v: string", value.String, func(c *value.Call) (value.Value, error) { return value.OfString(f(c.Args[0].Str())), nil })
	}
	for name, f := range map[string]func(s, cut string) string{
		"trim": strings.Trim, "trimLeft": strings.TrimLeft, "trimRight": strings.TrimRight,
	} {
		p.Scalar(name, "v: string, cutset: string", value.String, func(c *value.Call) (value.Value, error) {
			return value.OfString(f(c.Args[0].Str(), c.Args[1].Str())), nil
		})
	}
	p.Scalar("trimPrefix", "v: string, prefix: string", value.String, func(c *value.Call) (value.Value, error) {
		return value.OfString(strings.TrimPrefix(c.Args[0].Str(), c.Args[1].Str())), nil
	})
	p.Scalar("trimSuffix", "v: string, suffix: string", value.String, func(c *value.Call) (value.Value, error) {
		return value.OfString(strings.TrimSuffix(c.Args[0].Str(), c.Args[1].Str())), nil
	})
	for _, f := range []struct {
		name, second string
		holds        func(s, x string) bool
	}{
		{"hasPrefix", "prefix", strings.HasPrefix}, {"hasSuffix", "suffix", strings.HasSuffix}, {"containsStr", "substr", strings.Contains},
		{"containsAny", "chars", strings.ContainsAny}, {"equalFold", "t", strings.EqualFold},
	} {
		p.Scalar(f.name, "v: string, "+f.second+": string", value.Bool, func(c *value.Call) (value.Value, error) {
			return value.OfBool(f.holds(c.Args[0].Str(), c.Args[1].Str())), nil
		})
	}
	for _, f := range []struct {
		name, second string
		count        func(s, x string) int
	}{
		{"compare", "t", strings.Compare}, {"countStr", "substr", strings.Count}, {"index", "substr", strings.Index},
		{"indexAny", "chars", strings.IndexAny}, {"lastIndex", "substr", strings.LastIndex}, {"lastIndexAny", "chars", strings.LastIndexAny},
	} {
		p.Scalar(f.name, "v: string, "+f.second+": string", value.Int, func(c *value.Call) (value.Value, error) {
			return value.OfInt(int64(f.count(c.Args[0].Str(), c.Args[1].Str()))), nil
		})
	}
	for name, f := range map[string]func(rune) bool{
		"isDigit": unicode.IsDigit, "isLetter": unicode.IsLetter, "isLower": unicode.IsLower, "isUpper": unicode.IsUpper,
	} {
		p.Scalar(name, "v: string", value.Bool, func(c *value.Call) (value.Value, error) {
			r, n := utf8.DecodeRuneInString(c.Args[0].Str())
			return value.OfBool(n > 0 && n == len(c.Args[0].Str()) && f(r)), nil
		})
	}
	for name, f := range map[string]func(s, sep string, n int) []string{"splitN": strings.SplitN, "splitAfterN": strings.SplitAfterN} {
		p.Scalar(name, "v: string, t: string, i: int", value.Array, func(c *value.Call) (value.Value, error) {
			n := c.Int("i", -1)
			if err := fitsParts(c, n); err != nil {
				return value.Value{}, err
			}
			return list(f(c.Args[0].Str(), c.Args[1].Str(), int(n))), nil
		})
	}
	for name, f := range map[string]func(s, sep string) []string{"split": strings.Split, "splitAfter": strings.SplitAfter} {
		p.Scalar(name, "v: string, t: string", value.Array, func(c *value.Call) (value.Value, error) {
			if err := fitsParts(c, -1); err != nil {
				return value.Value{}, err
			}
			return list(f(c.Args[0].Str(), c.Args[1].Str())), nil
		})
	}
	p.Scalar("strlen", "v: string", value.Int, func(c *value.Call) (value.Value, error) {
		return value.OfInt(int64(utf8.RuneCountInString(c.Args[0].Str()))), nil
	})
	p.Scalar("substring", "v: string, start: int, end: int", value.String, substring)
	p.Scalar("repeat", "v: string, i: int", value.String, repeat)
	p.Scalar("replace", "v: string, t: string, u: string, i: int", value.String, func(c *value.Call) (value.Value, error) {
		return replace(c, int(c.Int("i", -1)))
	})
	p.Scalar("replaceAll", "v: string, t: string, u: string", value.String, func(c *value.Call) (value.Value, error) { return replace(c, -1) })
	p.Scalar("joinStr", "arr: [string], v: string", value.String, func(c *value.Call) (value.Value, error) {
		return value.OfString(strings.Join(c.Strings("arr"), c.Str("v", ""))), nil
	})
	return []*lib.Package{p}
}

func list(parts []string) value.Value {
	all := make([]value.Value, len(parts))
	for i, s := range parts {
		all[i] = value.OfString(s)
	}
	return value.OfArray(all)
}

// titled makes the first letter of each word a capital.
func titled(s string) string {
	before := ' '
	return strings.Map(func(r rune) rune {
		begins := !unicode.IsLetter(before) && !unicode.IsDigit(before) && before != '_' && before != '\''
		before = r
		if begins {
			return unicode.ToTitle(r)
		}
		return r
	}, s)
}

// substring cuts at characters; bounds outside the string mean its ends, and an
// end before the start nothing.
func substring(c *value.Call) (value.Value, error) {
	runes := []rune(c.Args[0].Str())
	n := int64(len(runes))
	start, end := min(max(c.Int("start", 0), 0), n), min(max(c.Int("end", 0), 0), n)
	return value.OfString(string(runes[start:max(start, end)])), nil
}

func repeat(c *value.Call) (value.Value, error) {
	s, n := c.Args[0].Str(), c.Int("i", 0)
	if n < 0 {
		return value.Value{}, fmt.Errorf("a string cannot be repeated %d times", n)
	}
	if err := fits(c, int64(len(s)), n); err != nil {
		return value.Value{}, err
	}
	return value.OfString(strings.Repeat(s, int(n))), nil
}

// fits reserves and gives back the memory of a string before it is made, so
// that one that does not fit is never made.
func fits(c *value.Call, bytes, times int64) error {
	const most = 1 << 40
	if bytes > 0 && times > most/bytes {
		return fmt.Errorf("a string of %d times %d bytes is too long", times, bytes)
	}
	run := flow.RunOf(c)
	if err := run.Reserve(bytes * times); err != nil {
		return err
	}
	run.Release(bytes * times)
	return nil
}

// fitsParts is fits for the array of the at most n parts of a string (n below 0:
// all of them).
func fitsParts(c *value.Call, n int64) error {
	parts := int64(strings.Count(c.Args[0].Str(), c.Args[1].Str())) + 1
	if n >= 0 {
		parts = min(parts, n)
	}
	const partBytes = 80 // a string and a value.Value
	return fits(c, partBytes, parts)
}

func replace(c *value.Call, n int) (value.Value, error) {
	s, old, with := c.Args[0].Str(), c.Args[1].Str(), c.Args[2].Str()
	if err := fits(c, int64(len(with)), int64(strings.Count(s, old))); err != nil {
		return value.Value{}, err
	}
	return value.OfString(strings.Replace(s, old, with, n)), nil
}
