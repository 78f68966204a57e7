package fleet

import (
	"fmt"
	"strings"
)

// Template is a text in which {device}, {sensor_type} and {location} stand for
// those of a message.
type Template struct {
	parts []part
}

type part struct {
	text  string
	field byte // 'd', 's' or 'l'; 0: the text
}

// NewTemplate reads a template.
func NewTemplate(text string) (Template, error) {
	var t Template
	rest := text
	for rest != "" {
		before, after, found := strings.Cut(rest, "{")
		if before != "" {
			t.parts = append(t.parts, part{text: before})
		}
		if !found {
			return t, nil
		}
		name, after, closed := strings.Cut(after, "}")
		field := map[string]byte{"device": 'd', "sensor_type": 's', "location": 'l'}[name]
		if !closed || field == 0 {
			return Template{}, fmt.Errorf("template %q: want {device}, {sensor_type} and {location} in braces, nothing else", text)
		}
		t.parts = append(t.parts, part{field: field})
		rest = after
	}
	return t, nil
}

// Append appends the text for a message of f.
func (t Template) Append(dst []byte, f *Fleet, m *Message) []byte {
	for i := range t.parts {
		switch p := &t.parts[i]; p.field {
		case 'd':
			dst = AppendName(dst, m.Device)
		case 's':
			dst = append(dst, f.kinds[m.Kind].name...)
		case 'l':
			dst = append(dst, f.places[m.Place].name...)
		default:
			dst = append(dst, p.text...)
		}
	}
	return dst
}
