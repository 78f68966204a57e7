package step

import (
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/detect"
	"github.com/varvedb/varve/pipeline/rule"
)

// declareDetector reads a step that remembers, and adds to names what it marks
// records with.
func declareDetector(s *declare.Map, kind string, names *rule.Names) detect.Detector {
	m := s.Section(kind)
	d := detect.Declare(kind, m)
	field := scalar(m, "field")
	if field != "" {
		known(m, "field", field, names, aNumber)
	}
	for _, tag := range listed(m, "by") {
		known(m, "by", tag, names, aTag)
	}
	for _, name := range listed(m, "key") {
		if name == nameTime || name == names.Time {
			m.FailIn("key", name, "a key is of tags and fields: without key the time counts too, with measurement, tags and fields")
			continue
		}
		known(m, "key", name, names, aColumn)
	}
	marks := map[string]bool{}
	mark := func(key, name string, t column.Type) {
		switch {
		case name == field:
			m.FailIn(key, name, "%q is the field that is judged, and its value would be lost: choose another name", name)
		case marks[name]:
			m.FailIn(key, name, "%q is written already by this step: choose another name", name)
		default:
			mayName(m, key, name, names, false)
		}
		marks[name] = true
		names.Fields[name] = t
	}
	if name := scalar(m, "into"); name != "" {
		mark("into", name, column.Float64)
	}
	if name := scalar(m, "flag"); name != "" {
		mark("flag", name, column.Bool)
	}
	for _, name := range keys(m, "label") {
		mark("label", name, column.String)
	}
	for _, name := range keys(m, "tags") {
		mayName(m, "tags", name, names, true)
		if !slices.Contains(names.Tags, name) {
			names.Tags = append(names.Tags, name)
		}
	}
	s.Add(m.Err())
	return d
}

// The settings of a detector are its own; what follows looks at names in them
// without a say in which there may be.

// scalar returns the text of a key, "" if there is none.
func scalar(m *declare.Map, key string) string {
	if n := m.Peek(key); n != nil && n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return ""
}

// listed returns the texts of a list, or the one text that stands for it.
func listed(m *declare.Map, key string) []string {
	n := m.Peek(key)
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		return []string{n.Value}
	case n.Kind != yaml.SequenceNode:
		return nil
	}
	var all []string
	for _, e := range n.Content {
		if e = declare.Follow(e); e.Kind == yaml.ScalarNode {
			all = append(all, e.Value)
		}
	}
	return all
}

// keys returns the keys of a mapping.
func keys(m *declare.Map, key string) []string {
	n := m.Peek(key)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var all []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		all = append(all, n.Content[i].Value)
	}
	return all
}
