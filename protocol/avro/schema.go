// Package avro turns messages of Apache Avro into documents of JSON, by the
// schema that they were written with. The mapping from documents to records is
// that of package jsonrecord, so that paths, types and times are declared alike
// for both. It is a pure decoder; package pipeline/decode reads schemas and calls
// it.
//
//	Avro                                  JSON
//	null, NaN, infinities                 null
//	boolean, int, long, double, string    as they are
//	float                                 the shortest number that stands for it
//	bytes, fixed                          base64
//	enum, uuid                            text
//	array, map, record                    array, object
//	union                                 the value of its branch
//	date, timestamp-*, local-timestamp-*  time of RFC 3339, UTC
//	time-*, duration                      seconds; milliseconds, days and months as an object
//	decimal                               number
//
// A Schema is safe for concurrent use.
package avro

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/avro"

	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/protocol/jsondoc"
	"github.com/varvedb/varve/protocol/jsontape"
)

// BadAvro is the reason for which messages are refused here.
const BadAvro = "bad_avro"

// Schema is what messages were written with.
type Schema struct{ schema *avro.Schema }

// Parse reads a schema (JSON). References are schemas whose names it uses, those
// that others use first.
func Parse(text string, references ...string) (*Schema, error) {
	var known avro.SchemaCache
	for _, r := range references {
		if _, err := known.Parse(r); err != nil {
			return nil, fmt.Errorf("schema that is referred to: %w", err)
		}
	}
	s, err := known.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return &Schema{s}, nil
}

// AppendJSON appends the document of a message. If it returns an error, a
// *record.Refusal, nothing that was appended is of use.
func (s *Schema) AppendJSON(dst, message []byte) ([]byte, error) {
	var v any
	rest, err := s.schema.Decode(message, &v)
	if err != nil {
		return dst, record.Refuse(BadAvro, "%s", err)
	}
	if len(rest) > 0 {
		return dst, record.Refuse(BadAvro, "%d of %d bytes are left behind the value: the message was written with another schema", len(rest), len(message))
	}
	return appendValue(dst, v, 0)
}

func appendValue(dst []byte, v any, depth int) ([]byte, error) {
	if depth > jsontape.MaxDepth { // the document would be refused behind this anyway
		return dst, record.Refuse(BadAvro, "the message is deeper than %d levels", jsontape.MaxDepth)
	}
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int32:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case float32:
		return jsondoc.AppendFloat(dst, float64(v), 32), nil
	case float64:
		return jsondoc.AppendFloat(dst, v, 64), nil
	case string:
		return jsondoc.AppendText(dst, v), nil
	case []byte:
		return jsondoc.AppendBytes(dst, v), nil
	case time.Time:
		return jsondoc.AppendTime(dst, v), nil
	case time.Duration:
		return jsondoc.AppendFloat(dst, v.Seconds(), 64), nil
	case *big.Rat:
		f, _ := v.Float64()
		return jsondoc.AppendFloat(dst, f, 64), nil
	case [16]byte:
		return appendUUID(dst, v), nil
	case avro.Duration:
		return fmt.Appendf(dst, `{"months":%d,"days":%d,"milliseconds":%d}`, v.Months, v.Days, v.Milliseconds), nil
	case []any:
		return appendArray(dst, v, depth)
	case map[string]any:
		return appendObject(dst, v, depth)
	}
	return dst, record.Refuse(BadAvro, "there is no JSON for a value of %T", v)
}

func appendUUID(dst []byte, u [16]byte) []byte {
	dst = append(dst, '"')
	for i, part := range [][]byte{u[:4], u[4:6], u[6:8], u[8:10], u[10:]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return append(dst, '"')
}

func appendArray(dst []byte, all []any, depth int) ([]byte, error) {
	var err error
	dst = append(dst, '[')
	for i, v := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendValue(dst, v, depth+1); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// appendObject appends members in the order of their keys, which the decoder
// does not keep: fields of records shall have one order.
func appendObject(dst []byte, all map[string]any, depth int) ([]byte, error) {
	var err error
	dst = append(dst, '{')
	for i, key := range slices.Sorted(maps.Keys(all)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(jsondoc.AppendText(dst, key), ':')
		if dst, err = appendValue(dst, all[key], depth+1); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}
