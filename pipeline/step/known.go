package step

import (
	"slices"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/rule"
	"github.com/varvedb/varve/spelling"
)

// nameTime is what a declaration calls the time of a reading.
const nameTime = "time"

// want is what a step can do something with.
type want int

const (
	anyName want = iota // a tag, a field or the time
	aColumn             // a tag or a field
	aField
	aNumber // a field that may hold a number
	aTag
)

func (w want) String() string {
	return [...]string{"a tag, a field or the time", "a tag or a field", "a field", "a field that is a number", "a tag"}[w]
}

// known notes in s, at the name, if no record has it here as what the step wants,
// so that the step would do nothing or refuse all; it reports whether one may.
func known(s *declare.Map, key, name string, names *rule.Names, w want) bool {
	t, isField := names.Fields[name]
	isTag := slices.Contains(names.Tags, name)
	isTime := !isField && !isTag && (name == nameTime || name == names.Time)
	fail := func(format string, args ...any) bool {
		s.FailIn(key, name, format, args...)
		return false
	}
	switch {
	case isTime && w != anyName:
		return fail("%q is the time of the reading, and %s is wanted: name one, or look at the time with rule or late", name, w)
	case isTime:
		return true
	case isTag && !isField && (w == aField || w == aNumber):
		return fail("%q is a tag, and %s is wanted: decode it as a field, or look at the tag with rule", name, w)
	case isField && !isTag && w == aTag:
		return fail("%q is a field, and a tag is wanted: make one of it before, with decode or set_tag", name)
	case isField && !isTag && w == aNumber && t != 0 && !numeric(t):
		return fail("%q is %s, and a number is wanted: decode it as float, or look at it with rule", name, typeWords(t))
	case isField, isTag, names.Open:
		return true
	}
	var all []string
	if w == anyName {
		all = append(all, nameTime)
	}
	if w != aField && w != aNumber {
		all = append(all, names.Tags...)
	}
	if w != aTag {
		for f := range names.Fields {
			all = append(all, f)
		}
	}
	hint := ""
	if near := spelling.Nearest(name, all); near != "" {
		hint = "; did you mean " + near + "?"
	}
	return fail("records have no %q here%s", name, hint)
}

// mayName notes in s, at the name, if no tag or field can be called so because
// the time or one of the other kind is.
func mayName(s *declare.Map, key, name string, names *rule.Names, tag bool) {
	_, isField := names.Fields[name]
	isTag := slices.Contains(names.Tags, name)
	switch {
	case name == nameTime:
		s.FailIn(key, name, "time is the time of the reading, and no tag or field can be called so: choose another name")
	case tag && isField && !isTag:
		s.FailIn(key, name, "%q is a field, and cannot be a tag too: choose another name; set changes fields", name)
	case !tag && isTag && !isField:
		s.FailIn(key, name, "%q is a tag, and cannot be a field too: choose another name; set_tag changes tags", name)
	}
}

func numeric(t column.Type) bool {
	return t == column.Float64 || t == column.Int64 || t == column.Uint64
}

func typeWords(t column.Type) string {
	switch t {
	case column.String:
		return "a text"
	case column.Bool:
		return "true or false"
	}
	return "a number"
}
