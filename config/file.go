package config

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/spelling"
)

// fileParser takes the values out of a YAML file.
type fileParser struct {
	name     string
	table    []Setting
	values   []written
	problems []error
}

// parseFile reads a YAML file in which keys are nested, dotted, or both.
func parseFile(name string, text []byte, table []Setting) ([]written, error) {
	p := &fileParser{name: name, table: table}
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil // nothing but comments
	case err != nil:
		return nil, fmt.Errorf("read configuration %s: %w", name, err)
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read configuration %s: it has a second document (---); one is wanted", name)
	}
	for _, top := range doc.Content {
		p.value("", top, top.Line)
	}
	return p.values, errors.Join(p.problems...)
}

// value takes a value, or those below it; line is that of its key.
func (p *fileParser) value(key string, n *yaml.Node, line int) {
	section := key == "" || slices.ContainsFunc(p.table, func(s Setting) bool { return strings.HasPrefix(s.Key, key+".") })
	at := slices.IndexFunc(p.table, func(s Setting) bool { return s.Key == key })
	empty := n.Kind == yaml.ScalarNode && n.Tag == "!!null"
	switch {
	case section && empty:
		// All that was below it may be commented out.
	case section && n.Kind != yaml.MappingNode:
		if key == "" {
			p.problem(line, "want keys and values, such as: service.auth: token")
		} else {
			p.problem(line, "%s is a section: want keys below it", key)
		}
	case section:
		for i := 0; i+1 < len(n.Content); i += 2 {
			below := n.Content[i].Value
			if key != "" {
				below = key + "." + below
			}
			p.value(below, n.Content[i+1], n.Content[i].Line)
		}
	case at < 0:
		hint := "varve config --docs lists all"
		var keys []string
		for _, s := range p.table {
			keys = append(keys, s.Key)
		}
		if near := spelling.Nearest(key, keys); near != "" {
			hint = "did you mean " + near + "?"
		}
		p.problem(line, "there is no setting %s; %s", key, hint)
	case empty:
		p.problem(line, "%s has no value", key)
	default:
		p.scalar(p.table[at], n, line)
	}
}

func (p *fileParser) scalar(s Setting, n *yaml.Node, line int) {
	text := n.Value
	switch {
	case n.Kind == yaml.SequenceNode && s.Kind == List:
		var parts []string
		for _, e := range n.Content {
			if e.Kind != yaml.ScalarNode {
				p.problem(e.Line, "%s: want a list of texts", s.Key)
				return
			}
			parts = append(parts, e.Value)
		}
		text = strings.Join(parts, ",")
	case n.Kind != yaml.ScalarNode:
		p.problem(line, "%s: want a single value", s.Key)
		return
	}
	for _, w := range p.values {
		if w.key == s.Key {
			p.problem(line, "%s is given already in line %d", s.Key, w.from.line)
			return
		}
	}
	p.values = append(p.values, written{s.Key, text, origin{file: p.name, line: line}})
}

func (p *fileParser) problem(line int, format string, args ...any) {
	p.problems = append(p.problems, fmt.Errorf("%s:%d: %s", p.name, line, fmt.Sprintf(format, args...)))
}
