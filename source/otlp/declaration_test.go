package otlp_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/pipeline/declare"
	protocol "github.com/varvedb/varve/protocol/otlp"
	"github.com/varvedb/varve/source/otlp"
)

func TestDeclare(t *testing.T) {
	for text, c := range map[string]struct {
		want protocol.Mapping
		err  string
	}{
		"{}":                        {},
		"scope: false":              {want: protocol.Mapping{NoScope: true}},
		"resource: [a, b]":          {want: protocol.Mapping{Resource: []string{"a", "b"}}},
		"resource: []":              {want: protocol.Mapping{Resource: []string{}}},
		"{resource: {}}":            {err: "resource"},
		"{scope: maybe, scopes: 1}": {err: "scopes"},
	} {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		s := declare.Section(doc.Content[0], "source.otlp")
		got := otlp.Declare(s)
		err := s.Err()
		switch {
		case c.err == "" && (err != nil || !cmp.Equal(c.want, got)):
			t.Errorf("%s: %+v, %v", text, got, err)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: error %v, want %q", text, err, c.err)
		}
	}
}
