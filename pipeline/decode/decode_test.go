package decode

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/source"
)

func declared(t testing.TB, text string) Format {
	t.Helper()
	f, err := declaredOrNot(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func declaredOrNot(text string) (Format, error) {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		return nil, err
	}
	return Declare(n.Content[0], "decode")
}

// shown writes records for comparison.
func shown(l *record.List) []string {
	var all []string
	for i := range l.Len() {
		r := l.At(i)
		s := r.Measurement
		for _, t := range r.Tags {
			s += "," + t.Key + "=" + t.Value
		}
		for _, f := range r.Fields {
			s += fmt.Sprintf(" %s=%s:%s", f.Name, f.Type, f.Text())
		}
		if r.Timed {
			s += fmt.Sprint(" @", r.Time)
			if r.Lent {
				s += " of the message"
			}
		}
		all = append(all, s)
	}
	return all
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		decode string
		m      source.Message
		want   []string
		reason string
	}{
		{"value: {measurement: m}", source.Message{Payload: []byte(" 21.5\n")}, []string{"m value=float:21.5"}, ""},
		{"value: {measurement: m, type: int, field: n}", source.Message{Payload: []byte("-3"), Time: 7}, []string{"m n=integer:-3 @7 of the message"}, ""},
		{"value: {measurement: m, type: bool}", source.Message{Payload: []byte("ON")}, []string{"m value=boolean:true"}, ""},
		{"value: {measurement: m, type: string}", source.Message{Payload: []byte("open")}, []string{"m value=string:open"}, ""},
		{"value: {measurement: m}", source.Message{Payload: []byte("NaN")}, nil, "bad_value"},
		{"value: {measurement: m}", source.Message{Payload: []byte("")}, nil, "bad_value"},
		{"value: {measurement: m, type: uint}", source.Message{Payload: []byte("-1")}, nil, "bad_value"},
		{"value: {measurement: m, type: string}", source.Message{Payload: []byte("\xff")}, nil, "bad_utf8"},
		{"{value: {}, topic: 'plant/{plant}/{measurement}'}", source.Message{Topic: "plant/seoul/heat", Payload: []byte("1")}, []string{"heat,plant=seoul value=float:1"}, ""},
		{"{value: {}, topic: 'plant/{plant}/{measurement}'}", source.Message{Topic: "other/seoul", Payload: []byte("1")}, nil, "bad_topic"},
		{"{value: {measurement: m}, key_tag: device, client_tag: client, tags: {site: s1}}",
			source.Message{Key: []byte("d1"), Client: "c1", Tags: []column.Tag{{Key: []byte("h"), Value: []byte("v")}}, Payload: []byte("1")},
			[]string{"m,site=s1,h=v,device=d1,client=c1 value=float:1"}, ""},
		{"{value: {measurement: m}, max_message: 2B}", source.Message{Payload: []byte("123")}, nil, "too_large"},
		{"line: {}", source.Message{Payload: []byte("m,a=b v=1 5\nn v=2i\n")}, []string{"m,a=b v=float:1 @5", "n v=integer:2 @99"}, ""},
		{"line: {precision: s}", source.Message{Payload: []byte("m v=1 5"), Time: 7e9}, []string{"m v=float:1 @5000000000"}, ""},
		{"line: {}", source.Message{Payload: []byte("m v=1 5\nm\n")}, nil, "bad_line"},
		{"line: {}", source.Message{Payload: []byte("m,a=b v=1 5\nm,v=x a=1 5\n")}, nil, "bad_line"},
		{"json: {measurement: m, fields: {v: float}}", source.Message{Payload: []byte(`{"v":1}`), Time: 3}, []string{"m v=float:1 @3 of the message"}, ""},
		{"json: {measurement: m, time: t, fields: {v: float}}", source.Message{Payload: []byte(`{"v":1,"t":4}`), Time: 3}, []string{"m v=float:1 @4000000000"}, ""},
	} {
		var l record.List
		c.m.Offset = -1
		err := declared(t, c.decode).Decoder().Decode(&c.m, 0, 99, &l)
		var reason string
		if r, ok := err.(*record.Refusal); ok {
			reason = r.Reason
		}
		if diff := cmp.Diff(c.want, shown(&l)); diff != "" || reason != c.reason || err != nil && reason == "" {
			t.Errorf("%s of %q: %v\n%s", c.decode, c.m.Payload, err, diff)
		}
	}
}

// TestLinesStay: a decoder of line protocol uses its memory again; records of
// earlier messages stay as they were.
func TestLinesStay(t *testing.T) {
	d := declared(t, "line: {}").Decoder()
	var l record.List
	for i := range 100 {
		m := source.Message{Payload: fmt.Appendf(nil, "m%d,t%d=v%d f%d=\"s%d\" %d", i, i, i, i, i, i)}
		if err := d.Decode(&m, i, 0, &l); err != nil {
			t.Fatal(err)
		}
		for k := range m.Payload {
			m.Payload[k] = 'x'
		}
	}
	for i, got := range shown(&l) {
		if want := fmt.Sprintf("m%d,t%d=v%d f%d=string:s%d @%d", i, i, i, i, i, i); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

// TestRebirth: a node of Sparkplug B that was not heard before is asked for its
// birth certificate.
func TestRebirth(t *testing.T) {
	d := declared(t, "sparkplug: {}").Decoder()
	var asked string
	m := source.Message{Topic: "spBv1.0/g/NDATA/n", Payload: []byte{0x18, 5}, Offset: -1,
		Reply: func(_ context.Context, topic string, _ []byte) error { asked = topic; return nil }}
	var l record.List
	_ = d.Decode(&m, 0, 1, &l)
	if asked != "spBv1.0/g/NCMD/n" {
		t.Errorf("asked %q", asked)
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ decode, says string }{
		{"{}", "want a format: one of "},
		{"{value: {}, line: {}}", "messages have one format"},
		{"{value: {type: number}}", "want one of float"},
		{"{value: {}, topic: '{a}/{a}'}", "{a} is there already"},
		{"{json: {fields: {v: number}}}", "want one of float"},
		{"{json: {fields: {v: {path: 'a[', type: int}}}}", "bracket is not closed"},
		{"{json: {time: {path: t, zone: Mars/Olympus}}}", "want a time zone"},
		{"{json: {tags: [a, b.a]}}", `tag "a" stands twice`},
		{"{value: {}, max_message: lots}", "want a size"},
		{"{json: {tags: [a, time]}}", "1:19: decode.json.tags: time is the time of the reading"},
		{"{json: {tags: {time: b}}}", "1:16: decode.json.tags.time: time is the time of the reading"},
		{"{json: {fields: {v: float, time: float}}}", "1:28: decode.json.fields.time: time is the time of the reading"},
		{"{json: {tags: [a], fields: {v: float, a: float}}}", `1:39: decode.json.fields.a: "a" is a tag, and cannot be a field too`},
		{"{value: {field: time}}", "time is the time of the reading"},
		{"{value: {}, key_tag: value}", `1:22: decode.key_tag: "value" is a field, and cannot be a tag too`},
		{"{value: {}, client_tag: time}", "no tag can be called so"},
		{"{value: {}, tags: {value: x}}", `1:20: decode.tags.value: "value" is a field`},
		{"{value: {}, topic: 'a/{time}/#'}", "a tag must not be named time"},
		{"{json: {fields: [v]}, topic: 'a/{v}/#'}", `"v" is a field, and cannot be a tag too`},
		{"{valeu: {}}", "did you mean value?"},
	} {
		if _, err := declaredOrNot(c.decode); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want …%s…", c.decode, err, c.says)
		}
	}
}
