package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/varvedb/varve/pipeline"
)

// TestTagsOfHeaders checks that rules know the tags that headers of Kafka become,
// and no others.
func TestTagsOfHeaders(t *testing.T) {
	const text = `
pipelines:
  a:
    source: {kafka: {brokers: ["h:1"], topics: [t], header_tags: {site: x-site}}}
    decode: {json: {measurement: m, fields: {v: float}}}
    validate: [{rule: '%s != ""'}]
    sinks: [{store: {}}, {kafka: {topic: out}}]
`
	parse := func(tag string) error {
		_, err := pipeline.Parse("p.yaml", fmt.Appendf(nil, text, tag), PipelineKinds(), func(string) (string, bool) { return "", false })
		return err
	}
	if err := parse("site"); err != nil {
		t.Error(err)
	}
	if err := parse("sight"); err == nil || !strings.Contains(err.Error(), "sight") {
		t.Errorf("got %v", err)
	}
}
