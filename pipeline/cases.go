package pipeline

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/source"
)

// Case is a test of a pipeline, as a file declares it:
//
//	tests:
//	  - name: a hot reading is an outlier
//	    pipeline: sensor-data
//	    message: {timestamp: "2026-01-02T15:04:05Z", sensor_type: temperature, …}
//	    expect:
//	      - stored: sensor_data,location=seoul,sensor_type=temperature value=36,quality=98 1767366245000000000
//	        passed: {anomaly: true, anomaly_type: outlier}
//	  - name: …
//	    messages: ["{}", "not JSON"]
//	    expect: [{refused: missing_timestamp}, {refused: bad_json}]
//
// expect has one element for each record, and for each message that is refused as
// a whole. Of what is passed on the named keys are compared.
type Case struct {
	Name     string
	Line     int
	pipeline *Declaration
	messages []source.Message
	now      time.Time
	expect   []expectation
}

type expectation struct {
	line                     int
	stored, refused, dropped string
	passed                   map[string]any
	hasStored                bool
}

// caseNow is when the messages of cases arrive, unless they say at.
const caseNow = "2026-01-01T00:00:00Z"

// cases reads the section tests.
func (p *parser) cases(s *declare.Map, f *File) []Case {
	var all []Case
	for i, n := range s.List("tests") {
		m := declare.Section(n, fmt.Sprintf("tests[%d]", i+1))
		c := Case{Name: m.Required("name"), Line: n.Line}
		name := m.Required("pipeline")
		for _, d := range f.Pipelines {
			if d.Name == name {
				c.pipeline = d
			}
		}
		if c.pipeline == nil && name != "" && len(p.problems) == 0 {
			m.Fail("pipeline", "there is no pipeline %q in this file", name)
		}
		var err error
		if c.now, err = time.Parse(time.RFC3339Nano, m.Text("at", caseNow)); err != nil {
			m.Fail("at", "want a time such as %s", caseNow)
		} else if c.now.Before(time.Unix(0, column.MinTime)) || c.now.After(time.Unix(0, column.MaxTime)) {
			m.Fail("at", "the time is outside of the years 1677 to 2262")
		}
		topic, client := m.Text("topic", ""), m.Text("client", "")
		list := m.List("messages")
		if one := m.Node("message"); one != nil {
			list = append([]*yaml.Node{one}, list...)
		}
		if len(list) == 0 {
			m.Fail("", "want message or messages")
		}
		for _, n := range list {
			c.messages = append(c.messages, source.Message{Topic: topic, Client: client, Offset: -1, Payload: payload(m, n)})
		}
		for k, n := range m.List("expect") {
			e := declare.Section(n, fmt.Sprintf("%s[%d]", m.Path("expect"), k+1))
			x := expectation{line: n.Line, stored: e.Text("stored", ""), refused: e.Text("refused", ""), dropped: e.Text("dropped", ""), hasStored: e.Has("stored")}
			if n := e.Node("passed"); n != nil {
				if err := n.Decode(&x.passed); err != nil {
					e.Fail("passed", "want keys and values")
				}
			}
			p.add(e.Err())
			c.expect = append(c.expect, x)
		}
		if !m.Has("expect") {
			m.Fail("", "want expect: what becomes of each record")
		}
		p.add(m.Err())
		all = append(all, c)
	}
	return all
}

// payload returns a message that is written as a text, or as YAML that is meant
// as JSON.
func payload(m *declare.Map, n *yaml.Node) []byte {
	if n.Kind == yaml.ScalarNode {
		return []byte(n.Value)
	}
	var v any
	err := n.Decode(&v)
	var text []byte
	if err == nil {
		text, err = json.Marshal(v)
	}
	if err != nil {
		m.Fail("", "a message is a text, or YAML that can be written as JSON: %s", err)
	}
	return text
}

// Run runs a case and returns what is not as expected, nil if all is. Steps that
// remember begin with nothing.
func (c *Case) Run() []string {
	x := c.pipeline.Explain(func() time.Time { return c.now })
	var got []Story
	for i := range c.messages {
		e := x.Message(&c.messages[i], i)
		if e.Refused != nil {
			got = append(got, Story{Refused: &Ending{placeDecode, *e.Refused}})
		}
		got = append(got, e.Records...)
	}
	var wrong []string
	for i := range max(len(got), len(c.expect)) {
		switch {
		case i >= len(c.expect):
			wrong = append(wrong, fmt.Sprintf("record %d is not expected: %s", i+1, told(&got[i])))
		case i >= len(got):
			wrong = append(wrong, fmt.Sprintf("line %d: there is no record %d", c.expect[i].line, i+1))
		default:
			wrong = append(wrong, c.expect[i].compare(i, &got[i])...)
		}
	}
	return wrong
}

// told says what became of a record.
func told(s *Story) string {
	switch {
	case s.Refused != nil:
		return fmt.Sprintf("refused by %s: %s", s.Refused.Place, s.Refused.Error())
	case s.Dropped != nil:
		return fmt.Sprintf("dropped by %s: %s", s.Dropped.Place, s.Dropped.Reason)
	}
	return strings.TrimSpace(fmt.Sprintf("stored %s, passed on %s", strings.Join(s.Stored, " and "), strings.Join(s.Passed, " and ")))
}

// compare returns how a record differs from what is expected.
func (x *expectation) compare(i int, s *Story) []string {
	fail := func(format string, args ...any) []string {
		return []string{fmt.Sprintf("line %d: record %d: ", x.line, i+1) + fmt.Sprintf(format, args...)}
	}
	switch {
	case x.refused != "":
		if s.Refused == nil || s.Refused.Reason != x.refused {
			return fail("want it refused for %s, but it is %s", x.refused, told(s))
		}
		return nil
	case x.dropped != "":
		if s.Dropped == nil || s.Dropped.Reason != x.dropped {
			return fail("want it dropped for %s, but it is %s", x.dropped, told(s))
		}
		return nil
	case s.Refused != nil || s.Dropped != nil:
		return fail("want it stored, but it is %s", told(s))
	}
	var wrong []string
	if x.hasStored && (len(s.Stored) == 0 || s.Stored[0] != x.stored) {
		wrong = append(wrong, fail("want stored\n    %s, got\n    %s", x.stored, strings.Join(s.Stored, "\n    "))...)
	}
	if x.passed == nil {
		return wrong
	}
	var got map[string]any
	if len(s.Passed) == 0 || json.Unmarshal([]byte(s.Passed[0]), &got) != nil {
		return append(wrong, fail("want it passed on, but it is not")...)
	}
	for key, want := range x.passed {
		// By way of JSON, so that 3 and 3.0 are one number.
		text, _ := json.Marshal(want)
		var plain any
		_ = json.Unmarshal(text, &plain)
		if have, ok := got[key]; plain == nil && ok || plain != nil && !reflect.DeepEqual(have, plain) {
			wrong = append(wrong, fail("want %s: %s in what is passed on, got %s", key, text, s.Passed[0])...)
		}
	}
	return wrong
}
