package decode

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/pipeline/rule"
	"github.com/varvedb/varve/protocol/jsonrecord"
	"github.com/varvedb/varve/source"
)

// valueFormat is a message that is one value, such as 21.5:
//
//	value: {measurement: temperature, field: value, type: float}
//
// The measurement may come from the topic.
type valueFormat struct {
	measurement, field string
	kind               column.Type
}

func declareValue(s *declare.Map, key string) Format {
	m := s.Section(key)
	f := &valueFormat{measurement: m.Text("measurement", ""), field: m.Text("field", "value")}
	if f.field == "time" {
		m.Fail("field", "time is the time of the reading, and no field can be called so: choose another name")
	}
	f.kind, _ = jsonrecord.ParseType(m.Choice("type", "float", "float", "int", "uint", "string", "bool"))
	s.Add(m.Err())
	return f
}

// Names implements Format.
func (f *valueFormat) Names() rule.Names {
	return rule.Names{Fields: map[string]column.Type{f.field: f.kind}}
}

// Decoder implements Format.
func (f *valueFormat) Decoder() Decoder { return f }

// Decode implements Decoder.
func (f *valueFormat) Decode(m *source.Message, n int, _ int64, out *record.List) error {
	b := bytes.TrimSpace(m.Payload)
	if !utf8.Valid(b) {
		return record.Refuse(jsonrecord.BadUTF8, "the message is not UTF-8")
	}
	v, ok := f.value(text(b))
	if !ok {
		return record.Refuse(BadValue, "%.40q is not a value of type %s", b, f.kind)
	}
	r := out.Add(n)
	r.Measurement = f.measurement
	r.Set(f.field, v)
	return nil
}

func (f *valueFormat) value(s string) (record.Value, bool) {
	switch f.kind {
	case column.Float64:
		x, err := strconv.ParseFloat(s, 64)
		return record.Float(x), err == nil && !math.IsNaN(x) && !math.IsInf(x, 0)
	case column.Int64:
		x, err := strconv.ParseInt(s, 10, 64)
		return record.Int(x), err == nil
	case column.Uint64:
		x, err := strconv.ParseUint(s, 10, 64)
		return record.Uint(x), err == nil
	case column.Bool:
		switch strings.ToLower(s) {
		case "true", "on", "1":
			return record.Bool(true), true
		case "false", "off", "0":
			return record.Bool(false), true
		}
		return record.Value{}, false
	}
	return record.String(s), true
}
