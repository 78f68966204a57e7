// Package topic reads the names of MQTT topics: templates, which turn levels of
// a topic into a measurement and tags, and filters with wildcards. It is pure;
// a Template is safe for concurrent use.
//
//	t, err := topic.Parse("plant/{plant}/line/{line}/{measurement}")
//	t.Match("plant/seoul/line/4/vibration", r)
//
// sets the measurement of r to vibration and its tags plant=seoul and line=4.
package topic

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/varvedb/varve/pipeline/record"
)

// MaxBytes is how long a topic or filter may be, by the protocol.
const MaxBytes = 65535

// The names in braces that are not tags.
const (
	measurement = "measurement"
	field       = "field"
)

// level is one level of a template.
type level struct {
	kind kind
	text string // of a literal, or the name in the braces
}

type kind uint8

const (
	literal kind = iota
	any1         // +
	rest         // #
	tag
	theMeasurement
	theField
)

// Template says what the levels of a topic are.
type Template struct {
	text   string
	filter string
	levels []level
}

// Parse reads a template. Its levels are parted by slashes; each is a text that
// has to be the same, + for any, {name} for any that becomes the tag of this
// name, {measurement}, or {field}, which names the field of a message with a
// single value. A last level # stands for any number of levels.
func Parse(template string) (*Template, error) {
	if template == "" {
		return nil, fmt.Errorf("the template of topics is empty: write one such as plant/{plant}/{measurement}")
	}
	if len(template) > MaxBytes || !utf8.ValidString(template) || strings.IndexByte(template, 0) >= 0 {
		return nil, fmt.Errorf("a template of topics is UTF-8 without a zero byte, of at most %d bytes", MaxBytes)
	}
	t := &Template{text: template}
	filter := make([]string, 0, 8)
	seen := map[string]bool{}
	parts := strings.Split(template, "/")
	for i, part := range parts {
		l, as, err := parseLevel(part, i == len(parts)-1)
		if err != nil {
			return nil, fmt.Errorf("template of topics %q, level %d: %w", template, i+1, err)
		}
		if l.kind >= tag {
			if seen[l.text] {
				return nil, fmt.Errorf("template of topics %q, level %d: {%s} is there already", template, i+1, l.text)
			}
			seen[l.text] = true
		}
		t.levels = append(t.levels, l)
		filter = append(filter, as)
	}
	t.filter = strings.Join(filter, "/")
	return t, nil
}

func parseLevel(part string, last bool) (l level, filter string, err error) {
	switch {
	case part == "+":
		return level{kind: any1}, "+", nil
	case part == "#" && last:
		return level{kind: rest}, "#", nil
	case part == "#":
		return level{}, "", fmt.Errorf("# may only be the last level")
	case strings.HasPrefix(part, "{") && strings.HasSuffix(part, "}"):
		name := part[1 : len(part)-1]
		if name == "" || strings.ContainsAny(name, "{}+#") {
			return level{}, "", fmt.Errorf("%q is not a name in braces such as {plant}", part)
		}
		switch name {
		case measurement:
			return level{theMeasurement, name}, "+", nil
		case field:
			return level{theField, name}, "+", nil
		case "time":
			return level{}, "", fmt.Errorf("{time}: a tag must not be named time")
		}
		return level{tag, name}, "+", nil
	case strings.ContainsAny(part, "{}"):
		return level{}, "", fmt.Errorf("%q: braces have to enclose the whole level", part)
	case strings.ContainsAny(part, "+#"):
		return level{}, "", fmt.Errorf("%q: + and # have to be the whole level", part)
	}
	return level{literal, part}, part, nil
}

// String returns the template as it was written.
func (t *Template) String() string { return t.text }

// Tags returns the tags that t gives.
func (t *Template) Tags() []string {
	var all []string
	for _, l := range t.levels {
		if l.kind == tag {
			all = append(all, l.text)
		}
	}
	return all
}

// NamesField reports whether a level of t names the field.
func (t *Template) NamesField() bool {
	for _, l := range t.levels {
		if l.kind == theField {
			return true
		}
	}
	return false
}

// Filter returns the filter of MQTT whose topics the template reads: each name
// in braces is a +.
func (t *Template) Filter() string { return t.filter }

// Match gives r what the levels of a topic say, over what the message said. It
// reports false, and leaves r as it is, if the template is not of this topic, or
// if a level that has a name is empty. Texts share memory with the topic.
func (t *Template) Match(topic string, r *record.Record) bool {
	if !t.each(topic, func(level, string) {}) {
		return false
	}
	t.each(topic, func(l level, text string) {
		switch l.kind {
		case theMeasurement:
			r.Measurement = text
		case tag:
			r.SetTag(l.text, text)
		case theField:
			if len(r.Fields) == 1 {
				r.Fields[0].Name = text
			}
		}
	})
	return true
}

// each visits the levels that have names.
func (t *Template) each(topic string, visit func(level, string)) bool {
	if topic == "" {
		return false
	}
	if first := t.levels[0].kind; topic[0] == '$' && first != literal {
		return false // as for filters
	}
	at, more := topic, true
	for _, l := range t.levels {
		if l.kind == rest {
			return true
		}
		if !more {
			return false
		}
		var text string
		text, at, more = strings.Cut(at, "/")
		switch {
		case l.kind == literal && text != l.text:
			return false
		case l.kind >= tag && text == "":
			return false
		}
		if l.kind >= tag {
			visit(l, text)
		}
	}
	return !more
}
