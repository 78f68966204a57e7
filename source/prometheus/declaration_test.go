package prometheus_test

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/source/prometheus"
)

func TestDeclare(t *testing.T) {
	for text, c := range map[string]struct {
		want remotewrite.Mapping
		err  string
	}{
		"{}":                               {},
		"layout: metric":                   {},
		"layout: field":                    {want: remotewrite.Mapping{Layout: remotewrite.ByField, Measurement: "prometheus_remote_write"}},
		"layout: column":                   {err: "layout"},
		"measurement: m":                   {err: "measurement: is for layout: field"},
		"measurment: m":                    {err: "measurment"},
		"{layout: field, measurement: m}":  {want: remotewrite.Mapping{Layout: remotewrite.ByField, Measurement: "m"}},
		"{layout: field, measurement: ''}": {err: "no measurement"},
	} {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		s := declare.Section(doc.Content[0], "source.prometheus")
		got := prometheus.Declare(s)
		err := s.Err()
		switch {
		case c.err == "" && (err != nil || got != c.want):
			t.Errorf("%s: %+v, %v", text, got, err)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: error %v, want %q", text, err, c.err)
		}
	}
}
