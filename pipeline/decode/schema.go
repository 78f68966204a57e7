package decode

import (
	"os"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/protocol/avro"
	"github.com/varvedb/varve/protocol/jsonrecord"
	"github.com/varvedb/varve/protocol/protobuf"
	"github.com/varvedb/varve/source"
)

// schema turns a message into a document of JSON.
type schema interface {
	AppendJSON(dst, message []byte) ([]byte, error)
}

// schemaFormat is messages with a schema: Avro or Protocol Buffers. A message
// becomes a document, and the document records as JSON does.
type schemaFormat struct {
	jsonFormat
	// of returns the schema of a message and what is left of it.
	of func(message []byte) (schema, []byte, error)
}

// declareAvro reads, beside the mapping of jsonrecord.Declare,
//
//	avro:
//	  schema: reading.avsc               # the schema of all messages, or
//	  registry: {url: http://host:8081}  # where messages have the number of theirs
func declareAvro(s *declare.Map, key string) Format {
	m := s.Section(key)
	f := &schemaFormat{jsonFormat: jsonFormat{jsonrecord.Declare(m)}}
	file := m.Text("schema", "")
	if registered := declareRegistry(m, file); registered != nil {
		f.of = registered.avro
	} else if file != "" {
		text, err := os.ReadFile(file)
		var parsed *avro.Schema
		if err == nil {
			parsed, err = avro.Parse(string(text))
		}
		if err != nil {
			m.Fail("schema", "%s", err)
		}
		f.of = always(parsed)
	}
	s.Add(m.Err())
	return f
}

// declareProtobuf reads, beside the mapping of jsonrecord.Declare,
//
//	protobuf:
//	  schema: plant.proto                # the schema of all messages,
//	  message: plant.Reading             # their type, if it has more than one,
//	  imports: [/usr/include]            # and where files that it imports are; or
//	  registry: {url: http://host:8081}  # where messages have the number of theirs
func declareProtobuf(s *declare.Map, key string) Format {
	m := s.Section(key)
	f := &schemaFormat{jsonFormat: jsonFormat{jsonrecord.Declare(m)}}
	file := m.Text("schema", "")
	if registered := declareRegistry(m, file); registered != nil {
		f.of = registered.protobuf
	} else if file != "" {
		loaded, err := protobuf.Load(file, m.Strings("imports"), m.Text("message", ""))
		if err != nil {
			m.Fail("schema", "%s", err)
		}
		f.of = always(loaded)
	}
	s.Add(m.Err())
	return f
}

// always returns one schema for all messages.
func always(one schema) func([]byte) (schema, []byte, error) {
	return func(message []byte) (schema, []byte, error) { return one, message, nil }
}

// Decoder implements Format.
func (f *schemaFormat) Decoder() Decoder {
	return &schemaDecoder{of: f.of, records: jsonrecord.New(&f.config)}
}

// documentChunk is how much memory documents of messages share. It is not used
// again: texts of records are parts of it.
const documentChunk = 256 << 10

type schemaDecoder struct {
	of        func([]byte) (schema, []byte, error)
	records   *jsonrecord.Decoder
	documents []byte
}

// Decode implements Decoder.
func (d *schemaDecoder) Decode(m *source.Message, n int, _ int64, out *record.List) error {
	one, message, err := d.of(m.Payload)
	if err != nil {
		return err
	}
	// A document is seldom more than four times as long as its message. One that
	// is takes memory of its own, which is in the way of nothing.
	if room := 4*len(message) + 1024; cap(d.documents)-len(d.documents) < room {
		d.documents = make([]byte, 0, max(room, documentChunk))
	}
	from := len(d.documents)
	all, err := one.AppendJSON(d.documents, message)
	if err != nil {
		return err
	}
	d.documents = all
	return d.records.Decode(all[from:], n, out)
}
