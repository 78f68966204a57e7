package decode

import (
	"github.com/varvedb/varve/pipeline/batch"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/pipeline/rule"
	"github.com/varvedb/varve/protocol/lineproto"
	"github.com/varvedb/varve/source"
)

// lineFormat is line protocol:
//
//	line: {precision: ns}   # of times without a unit: ns, us, ms or s
type lineFormat struct{ precision lineproto.Precision }

func declareLine(s *declare.Map, key string) Format {
	m := s.Section(key)
	f := &lineFormat{lineproto.Nanosecond}
	switch m.Choice("precision", "ns", "ns", "us", "ms", "s") {
	case "us":
		f.precision = lineproto.Microsecond
	case "ms":
		f.precision = lineproto.Millisecond
	case "s":
		f.precision = lineproto.Second
	}
	s.Add(m.Err())
	return f
}

// Names implements Format.
func (f *lineFormat) Names() rule.Names { return rule.Names{Fields: unknown(), Open: true} }

// Decoder implements Format.
func (f *lineFormat) Decoder() Decoder {
	c := lineproto.Default()
	c.CacheBytes = 4 << 20 // of each of several workers
	return &lineDecoder{lineproto.NewParser(c), f.precision}
}

type lineDecoder struct {
	parser    *lineproto.Parser
	precision lineproto.Precision
}

// Decode implements Decoder. A message with a bad line is refused as a whole, as
// the body of a write is.
func (d *lineDecoder) Decode(m *source.Message, n int, now int64, out *record.List) error {
	if m.Time != 0 {
		now = m.Time
	}
	b, err := d.parser.Parse(m.Payload, d.precision, now)
	if err != nil {
		return record.Refuse(BadLine, "%s", err)
	}
	if left := d.parser.Conflicts(); len(left) > 0 {
		return record.Refuse(BadLine, "%s", left[0].String())
	}
	// The parser uses its memory again for the next message.
	batch.Copy(b, n, out)
	return nil
}
