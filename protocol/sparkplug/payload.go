package sparkplug

import (
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of fields, as the specification's protobuf schema has them.
const (
	payloadTimestamp = 1
	payloadMetrics   = 2
	payloadSeq       = 3

	metricName       = 1
	metricAlias      = 2
	metricTimestamp  = 3
	metricDatatype   = 4
	metricHistorical = 5
	metricTransient  = 6
	metricNull       = 7
	metricInt        = 10
	metricLong       = 11
	metricFloat      = 12
	metricDouble     = 13
	metricBoolean    = 14
	metricString     = 15
	metricBytes      = 16
	metricDataSet    = 17
	metricTemplate   = 18
	metricExtension  = 19

	templateMetrics    = 2
	templateDefinition = 5
)

// Datatype is what a metric says that its value is.
type Datatype uint32

// The types, by their numbers in the specification. Beyond Template are sets of
// properties and arrays.
const (
	Int8     Datatype = 1
	Int16    Datatype = 2
	Int32    Datatype = 3
	Int64    Datatype = 4
	UInt8    Datatype = 5
	UInt16   Datatype = 6
	UInt32   Datatype = 7
	UInt64   Datatype = 8
	Float    Datatype = 9
	Double   Datatype = 10
	Boolean  Datatype = 11
	String   Datatype = 12
	DateTime Datatype = 13
	Text     Datatype = 14
	UUID     Datatype = 15
	DataSet  Datatype = 16
	Bytes    Datatype = 17
	File     Datatype = 18
	Template Datatype = 19
)

// payload is a message, decoded.
type payload struct {
	timestamp  uint64 // milliseconds since 1970; 0: none
	seq        uint64
	sequential bool // seq is there
	metrics    []metric
}

// metric is a metric of a payload. Its texts share no memory with it.
type metric struct {
	name       string
	alias      uint64
	aliased    bool
	timestamp  uint64
	datatype   Datatype // 0: not said
	transient  bool
	null       bool
	definition bool // of a template, which is no value
	// which is the number of the field that has the value, 0 if none is there.
	which   protowire.Number
	word    uint64 // integers, bits of floats, booleans
	text    string
	members []metric // of a template
}

// mostDepth is how deep templates may be in one another: more than plants have,
// and little enough for the stack.
const mostDepth = 8

// field is one field of a message of protobuf.
type field struct {
	number protowire.Number
	kind   protowire.Type
	word   uint64 // of numbers
	bytes  []byte
}

// next takes the first field off b.
func next(b []byte) (f field, rest []byte, err error) {
	number, kind, n := protowire.ConsumeTag(b)
	if n < 0 {
		return f, nil, protowire.ParseError(n)
	}
	f.number, f.kind = number, kind
	b = b[n:]
	switch kind {
	case protowire.VarintType:
		f.word, n = protowire.ConsumeVarint(b)
	case protowire.Fixed32Type:
		var v uint32
		v, n = protowire.ConsumeFixed32(b)
		f.word = uint64(v)
	case protowire.Fixed64Type:
		f.word, n = protowire.ConsumeFixed64(b)
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(b)
	default:
		n = protowire.ConsumeFieldValue(number, kind, b)
	}
	if n < 0 {
		return f, nil, protowire.ParseError(n)
	}
	return f, b[n:], nil
}

// want returns an error unless f has the type.
func (f *field) want(kind protowire.Type, what string) error {
	if f.kind != kind {
		return fmt.Errorf("%s (field %d) has wire type %d, want %d", what, f.number, f.kind, kind)
	}
	return nil
}

func (f *field) text(what string) (string, error) {
	if err := f.want(protowire.BytesType, what); err != nil {
		return "", err
	}
	if !utf8.Valid(f.bytes) {
		return "", fmt.Errorf("%s is not UTF-8: %.40q", what, f.bytes)
	}
	return string(f.bytes), nil
}

func (p *payload) decode(b []byte) error {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		switch f.number {
		case payloadTimestamp:
			p.timestamp = f.word
			err = f.want(protowire.VarintType, "the timestamp")
		case payloadSeq:
			p.seq, p.sequential = f.word, true
			err = f.want(protowire.VarintType, "the sequence number")
		case payloadMetrics:
			if err = f.want(protowire.BytesType, "a metric"); err == nil {
				p.metrics = append(p.metrics, metric{})
				err = p.metrics[len(p.metrics)-1].decode(f.bytes, 0)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *metric) decode(b []byte, depth int) error {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		switch f.number {
		case metricName:
			m.name, err = f.text("the name of a metric")
		case metricAlias:
			m.alias, m.aliased = f.word, true
			err = f.want(protowire.VarintType, "an alias")
		case metricTimestamp:
			m.timestamp = f.word
			err = f.want(protowire.VarintType, "the timestamp of a metric")
		case metricDatatype:
			m.datatype = Datatype(min(f.word, math.MaxUint32))
			err = f.want(protowire.VarintType, "a datatype")
		case metricHistorical:
			err = f.want(protowire.VarintType, "is_historical")
		case metricTransient:
			m.transient = f.word != 0
			err = f.want(protowire.VarintType, "is_transient")
		case metricNull:
			m.null = f.word != 0
			err = f.want(protowire.VarintType, "is_null")
		case metricInt, metricLong, metricBoolean:
			m.which, m.word = f.number, f.word
			err = f.want(protowire.VarintType, "a value")
		case metricFloat:
			m.which, m.word = f.number, f.word
			err = f.want(protowire.Fixed32Type, "a value")
		case metricDouble:
			m.which, m.word = f.number, f.word
			err = f.want(protowire.Fixed64Type, "a value")
		case metricString:
			m.which = f.number
			m.text, err = f.text("a value")
		case metricBytes, metricDataSet, metricExtension:
			m.which = f.number
			err = f.want(protowire.BytesType, "a value")
		case metricTemplate:
			m.which = f.number
			if err = f.want(protowire.BytesType, "a template"); err == nil {
				err = m.template(f.bytes, depth+1)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *metric) template(b []byte, depth int) error {
	if depth > mostDepth {
		return fmt.Errorf("templates are in one another more than %d deep", mostDepth)
	}
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		switch f.number {
		case templateDefinition:
			m.definition = f.word != 0
			err = f.want(protowire.VarintType, "is_definition")
		case templateMetrics:
			if err = f.want(protowire.BytesType, "a metric of a template"); err == nil {
				m.members = append(m.members, metric{})
				err = m.members[len(m.members)-1].decode(f.bytes, depth)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rebirth returns the payload of a command that asks an edge node for its birth
// certificates; now is in nanoseconds since 1970.
func rebirth(now int64) []byte {
	var m []byte
	m = protowire.AppendTag(m, metricName, protowire.BytesType)
	m = protowire.AppendString(m, rebirthMetric)
	m = protowire.AppendTag(m, metricDatatype, protowire.VarintType)
	m = protowire.AppendVarint(m, uint64(Boolean))
	m = protowire.AppendTag(m, metricBoolean, protowire.VarintType)
	m = protowire.AppendVarint(m, 1)
	var b []byte
	b = protowire.AppendTag(b, payloadTimestamp, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(max(now, 0)/1e6))
	b = protowire.AppendTag(b, payloadMetrics, protowire.BytesType)
	return protowire.AppendBytes(b, m)
}
