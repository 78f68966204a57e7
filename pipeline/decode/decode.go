// Package decode has what turns the messages of a pipeline into records: the
// decoders of package protocol, as a declaration names and sets them.
//
// A Format is safe for concurrent use, a Decoder belongs to one goroutine at a
// time.
package decode

import (
	"slices"
	"sort"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/pipeline/rule"
	"github.com/varvedb/varve/protocol/topic"
	"github.com/varvedb/varve/source"
)

// The reasons for which messages are refused here.
const (
	BadTopic = "bad_topic"
	TooLarge = "too_large"
	BadLine  = "bad_line"
	BadValue = "bad_value"
)

// Decoder turns messages into records.
type Decoder interface {
	// Decode appends the records of m, which is message number n of those under
	// way. If it returns an error, a *record.Refusal or, if the message is not what
	// is wrong, a source.ErrBusy, out is as it was. now is the time of arrival, in
	// nanoseconds since 1970.
	Decode(m *source.Message, n int, now int64, out *record.List) error
}

// Format is a declared decoder.
type Format interface {
	// Decoder returns one for a goroutine.
	Decoder() Decoder
	// Names are the tags and fields of its records.
	Names() rule.Names
}

// Kind reads the settings of a format from the value of key in s.
type Kind func(s *declare.Map, key string) Format

// kinds are the formats that there are.
func kinds() map[string]Kind {
	return map[string]Kind{
		"json":  declareJSON,
		"line":  declareLine,
		"value": declareValue,

		"avro":      declareAvro,
		"protobuf":  declareProtobuf,
		"sparkplug": declareSparkplug,
		"debezium":  declareDebezium,
	}
}

// Kinds returns the names of the formats, sorted.
func Kinds() []string {
	var all []string
	for k := range kinds() {
		all = append(all, k)
	}
	sort.Strings(all)
	return all
}

// defaultMaxMessage is far more than a device sends and far less than memory.
const defaultMaxMessage = 4 << 20

// Declare reads the section decode of a pipeline: a format, and beside it
//
//	topic: plant/{plant}/line/{line}/{measurement}  # levels of the topic that are tags
//	key_tag: device         # the key of the message is a tag
//	client_tag: client      # who sent it is a tag
//	tags: {site: seoul-1}   # tags that all records have
//	max_message: 4MiB       # larger messages are refused
func Declare(n *yaml.Node, path string) (Format, error) {
	s := declare.Section(n, path)
	f := &framed{maxMessage: s.Size("max_message", defaultMaxMessage), keyTag: s.Text("key_tag", ""), clientTag: s.Text("client_tag", "")}
	if text := s.Text("topic", ""); text != "" {
		t, err := topic.Parse(text)
		if err != nil {
			s.Fail("topic", "%s", err)
		}
		f.topic = t
	}
	for _, p := range s.Pairs("tags") {
		f.tags = append(f.tags, record.Tag{Key: p.Key, Value: p.Value})
	}
	kind := ""
	for name, read := range kinds() {
		if !s.Has(name) {
			continue
		}
		if kind != "" {
			s.Fail(name, "messages have one format, and this one is %s already", kind)
			break
		}
		kind = name
		f.Format = read(s, name)
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	if kind == "" {
		return nil, declare.At(n, path, "want a format: one of %s", strings.Join(Kinds(), ", "))
	}
	f.checkNames(s)
	if err := s.Err(); err != nil {
		return nil, err
	}
	return f, nil
}

// checkNames notes names of tags that are those of the time or of a field.
func (f *framed) checkNames(s *declare.Map) {
	fields := f.Format.Names().Fields
	check := func(key, tag string) {
		if _, taken := fields[tag]; taken {
			s.FailIn(key, tag, "%q is a field, and cannot be a tag too: give one of them another name", tag)
		} else if tag == "time" {
			s.FailIn(key, tag, "time is the time of the reading, and no tag can be called so: choose another name")
		}
	}
	if f.topic != nil {
		for _, tag := range f.topic.Tags() {
			check("topic", tag)
		}
	}
	check("key_tag", f.keyTag)
	check("client_tag", f.clientTag)
	for i := range f.tags {
		check("tags", f.tags[i].Key)
	}
}

// framed is a format, and what is made of a message beside its payload.
type framed struct {
	Format
	maxMessage int
	topic      *topic.Template // nil: none
	keyTag     string
	clientTag  string
	tags       []record.Tag
}

// Names implements Format.
func (f *framed) Names() rule.Names {
	n := f.Format.Names().Clone()
	add := func(tag string) {
		if tag != "" && !slices.Contains(n.Tags, tag) {
			n.Tags = append(n.Tags, tag)
		}
	}
	if f.topic != nil {
		for _, tag := range f.topic.Tags() {
			add(tag)
		}
		n.Open = n.Open || f.topic.NamesField()
	}
	add(f.keyTag)
	add(f.clientTag)
	for i := range f.tags {
		add(f.tags[i].Key)
	}
	return n
}

// Decoder implements Format.
func (f *framed) Decoder() Decoder { return &framedDecoder{f, f.Format.Decoder()} }

type framedDecoder struct {
	*framed
	inner Decoder
}

// Decode implements Decoder.
func (d *framedDecoder) Decode(m *source.Message, n int, now int64, out *record.List) error {
	if len(m.Payload) > d.maxMessage {
		return record.Refuse(TooLarge, "the message has %d bytes, more than max_message, which is %d", len(m.Payload), d.maxMessage)
	}
	before := out.Len()
	if err := d.inner.Decode(m, n, now, out); err != nil {
		return err
	}
	for i := before; i < out.Len(); i++ {
		r := out.At(i)
		for k := range d.tags {
			r.SetTag(d.tags[k].Key, d.tags[k].Value)
		}
		for k := range m.Tags {
			r.SetTag(text(m.Tags[k].Key), text(m.Tags[k].Value))
		}
		if d.topic != nil && !d.topic.Match(m.Topic, r) {
			out.Truncate(before)
			return record.Refuse(BadTopic, "topic %.200q does not have the form %s", m.Topic, d.topic)
		}
		if d.keyTag != "" && len(m.Key) > 0 {
			r.SetTag(d.keyTag, text(m.Key))
		}
		if d.clientTag != "" {
			r.SetTag(d.clientTag, m.Client)
		}
		if !r.Timed && m.Time != 0 {
			r.Time, r.Timed, r.Lent = m.Time, true, true
		}
	}
	return nil
}

// types of fields that are not known.
func unknown(fields ...string) map[string]column.Type {
	all := map[string]column.Type{}
	for _, f := range fields {
		all[f] = 0
	}
	return all
}
