package decode

import (
	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/pipeline/rule"
	"github.com/varvedb/varve/protocol/debezium"
	"github.com/varvedb/varve/protocol/rowmap"
	"github.com/varvedb/varve/source"
)

// debeziumFormat is change events of databases; rowmap.Declare has its settings.
type debeziumFormat struct{ mapping rowmap.Mapping }

func declareDebezium(s *declare.Map, key string) Format {
	m := s.Section(key)
	f := ChangeEvents(rowmap.Declare(m))
	s.Add(m.Err())
	return f
}

// ChangeEvents returns the format of change events, mapped to points by m.
func ChangeEvents(m rowmap.Mapping) Format { return &debeziumFormat{m} }

// Names implements Format.
func (f *debeziumFormat) Names() rule.Names {
	n := rule.Names{Fields: map[string]column.Type{}}
	seen := map[string]bool{}
	for i := range f.mapping.Tables {
		t := &f.mapping.Tables[i]
		for _, tag := range t.Tags {
			if !seen[tag.Key] {
				seen[tag.Key] = true
				n.Tags = append(n.Tags, tag.Key)
			}
		}
		for _, field := range t.Fields {
			if have, ok := n.Fields[field.Name]; ok && have != field.Type {
				n.Fields[field.Name] = 0 // not the same in all tables
			} else {
				n.Fields[field.Name] = field.Type
			}
		}
	}
	return n
}

// Decoder implements Format.
func (f *debeziumFormat) Decoder() Decoder { return changeDecoder{debezium.New(f.mapping)} }

type changeDecoder struct{ *debezium.Decoder }

// Decode implements Decoder.
func (d changeDecoder) Decode(m *source.Message, n int, _ int64, out *record.List) error {
	return d.Decoder.Decode(m.Key, m.Payload, n, out)
}
