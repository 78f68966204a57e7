package decode

import (
	"unsafe"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/pipeline/rule"
	"github.com/varvedb/varve/protocol/jsonrecord"
	"github.com/varvedb/varve/source"
)

// jsonFormat is JSON by a mapping; jsonrecord.Declare has its settings.
type jsonFormat struct{ config jsonrecord.Config }

func declareJSON(s *declare.Map, key string) Format {
	m := s.Section(key)
	f := &jsonFormat{jsonrecord.Declare(m)}
	s.Add(m.Err())
	return f
}

// Names implements Format.
func (f *jsonFormat) Names() rule.Names {
	n := rule.Names{Fields: unknown(), Open: f.config.Rest}
	for _, m := range f.config.Fields {
		n.Fields[m.Name] = m.Type
	}
	for _, m := range f.config.Tags {
		n.Tags = append(n.Tags, m.Name)
	}
	if f.config.Time != nil {
		n.Time = f.config.Time.Name
	}
	return n
}

// Decoder implements Format.
func (f *jsonFormat) Decoder() Decoder { return jsonDecoder{jsonrecord.New(&f.config)} }

type jsonDecoder struct{ *jsonrecord.Decoder }

// Decode implements Decoder.
func (d jsonDecoder) Decode(m *source.Message, n int, _ int64, out *record.List) error {
	return d.Decoder.Decode(m.Payload, n, out)
}

// text returns b as a string that shares its memory, as records may.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
