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
	if n := m.Peek("field"); n != nil && n.Kind == yaml.ScalarNode && n.Value != "" {
		known(m, "field", n.Value, names)
	}
	mark := func(key string, t column.Type) {
		if n := m.Peek(key); n != nil && n.Kind == yaml.ScalarNode && n.Value != "" {
			names.Fields[n.Value] = t
		}
	}
	mark("into", column.Float64)
	mark("flag", column.Bool)
	each := func(key string, use func(name string)) {
		if n := m.Peek(key); n != nil && n.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(n.Content); i += 2 {
				use(n.Content[i].Value)
			}
		}
	}
	each("label", func(name string) { names.Fields[name] = column.String })
	each("tags", func(name string) {
		if !slices.Contains(names.Tags, name) {
			names.Tags = append(names.Tags, name)
		}
	})
	s.Add(m.Err())
	return d
}
