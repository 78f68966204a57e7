package pipeline

import "testing"

// TestNamesOfStore: a case and a dry run tell what the store would refuse for its
// names.
func TestNamesOfStore(t *testing.T) {
	f := newWorld().parse(t, `
pipelines:
  p: {source: {kafka: {}}, decode: {json: {measurement: m, tags: [a], rest: fields}}, sinks: [{store: {}}]}
  q: {source: {kafka: {}}, decode: {line: {}, key_tag: v}, sinks: [{store: {fields: [w]}}]}
tests:
  - {name: time, pipeline: p, messages: ['{"v": 1, "time": 2}', '{"v": 1, "a": "x"}'], expect: [{refused: name_conflict}, {stored: "m,a=x v=1 1767225600000000000"}]}
  - {name: not stored, pipeline: q, message: "m v=1,w=2", expect: [{stored: "m w=2 1767225600000000000"}]}
`)
	for i := range f.Cases {
		if wrong := f.Cases[i].Run(); wrong != nil {
			t.Errorf("%s: %q", f.Cases[i].Name, wrong)
		}
	}
}
