// Package protobuf turns messages of Protocol Buffers into documents of JSON, by
// a .proto file. The mapping from documents to records is that of package
// jsonrecord, so that paths, types and times are declared alike for both. It is a
// pure decoder; package pipeline/decode reads schemas and calls it.
//
// Documents are not those of protobuf's own JSON: names are those of the .proto
// file, and numbers of 64 bits are numbers.
//
//	Protocol Buffers                JSON
//	numbers, bool, string           as they are; NaN and infinities are null
//	float                           the shortest number that stands for it
//	bytes                           base64
//	enum                            its name, its number if it has none
//	message, map, repeated          object, object, array
//	google.protobuf.Timestamp       time of RFC 3339, UTC
//	google.protobuf.Duration        seconds
//	google.protobuf.*Value          the value
//
// A field that tells whether it was set is left out if it was not; of proto3, one
// that does not tell has its zero.
//
// A Schema is safe for concurrent use.
package protobuf

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/protocol/jsondoc"
	"github.com/varvedb/varve/protocol/jsontape"
)

// BadProtobuf is the reason for which messages are refused here.
const BadProtobuf = "bad_protobuf"

// Schema is the type of messages.
type Schema struct {
	file    protoreflect.FileDescriptor
	message protoreflect.MessageDescriptor // nil: messages name theirs by its place
}

// Load compiles a .proto file and takes a message of it: its full name, or "" if
// the file has only one. Files that it imports are looked for in folders, that of
// the file first.
func Load(file string, folders []string, message string) (*Schema, error) {
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		ImportPaths: append([]string{filepath.Dir(file)}, folders...)})}
	return compile(&c, filepath.Base(file), message)
}

// Parse compiles a .proto text whose imports are given by their names. Messages
// name their type by its place, as Cut reads it.
func Parse(text string, imports map[string]string) (*Schema, error) {
	const name = "schema.proto"
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: func(path string) (io.ReadCloser, error) {
			if path == name {
				return io.NopCloser(strings.NewReader(text)), nil
			}
			if s, ok := imports[path]; ok {
				return io.NopCloser(strings.NewReader(s)), nil
			}
			return nil, fs.ErrNotExist
		}})}
	file, err := c.Compile(context.Background(), name)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return &Schema{file: file[0]}, nil
}

func compile(c *protocompile.Compiler, file, message string) (*Schema, error) {
	files, err := c.Compile(context.Background(), file)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	s := &Schema{file: files[0]}
	all := s.file.Messages()
	if message == "" {
		if all.Len() != 1 {
			return nil, fmt.Errorf("%s has %d messages: say which by message: NAME", file, all.Len())
		}
		s.message = all.Get(0)
		return s, nil
	}
	d := files[0].FindDescriptorByName(protoreflect.FullName(message))
	m, ok := d.(protoreflect.MessageDescriptor)
	if !ok && s.file.Package() != "" {
		m, ok = files[0].FindDescriptorByName(s.file.Package() + "." + protoreflect.FullName(message)).(protoreflect.MessageDescriptor)
	}
	if !ok {
		return nil, fmt.Errorf("%s has no message %s", file, message)
	}
	s.message = m
	return s, nil
}

// Cut reads the place of a message's type in its file from the head of what a
// schema registry's clients write behind the number of the schema: how many
// steps there are, and which message of the file, which of that, and so on. No
// steps stand for the first message. It returns the type and the rest.
func (s *Schema) Cut(b []byte) (*Schema, []byte, error) {
	bad := func() (*Schema, []byte, error) {
		return nil, nil, record.Refuse(BadProtobuf, "the message does not say which of its schema's messages it is")
	}
	next := func() (int, bool) {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return 0, false
		}
		b = b[n:]
		i := protowire.DecodeZigZag(v)
		return int(i), i >= 0 && i < 1<<16
	}
	steps, ok := next()
	if !ok {
		return bad()
	}
	all, at := s.file.Messages(), protoreflect.MessageDescriptor(nil)
	for range max(steps, 1) {
		i := 0
		if steps > 0 {
			if i, ok = next(); !ok {
				return bad()
			}
		}
		if i >= all.Len() {
			return bad()
		}
		at = all.Get(i)
		all = at.Messages()
	}
	return &Schema{file: s.file, message: at}, b, nil
}

// AppendJSON appends the document of a message. If it returns an error, a
// *record.Refusal, nothing that was appended is of use.
func (s *Schema) AppendJSON(dst, message []byte) ([]byte, error) {
	m := dynamicpb.NewMessage(s.message)
	if err := (proto.UnmarshalOptions{RecursionLimit: jsontape.MaxDepth, DiscardUnknown: true, AllowPartial: true}).Unmarshal(message, m); err != nil {
		return dst, record.Refuse(BadProtobuf, "%s", err)
	}
	return appendMessage(dst, m, 0)
}

func appendMessage(dst []byte, m protoreflect.Message, depth int) ([]byte, error) {
	if depth > jsontape.MaxDepth { // the document would be refused behind this anyway
		return dst, record.Refuse(BadProtobuf, "the message is deeper than %d levels", jsontape.MaxDepth)
	}
	d := m.Descriptor()
	if strings.HasPrefix(string(d.FullName()), "google.protobuf.") {
		if known, ok, err := appendKnown(dst, m, d); ok {
			return known, err
		}
	}
	var err error
	dst = append(dst, '{')
	first := true
	fields := d.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !m.Has(f) && (f.HasPresence() || f.IsList() || f.IsMap()) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(jsondoc.AppendText(dst, string(f.Name())), ':')
		if dst, err = appendField(dst, f, m.Get(f), depth); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

func appendField(dst []byte, f protoreflect.FieldDescriptor, v protoreflect.Value, depth int) ([]byte, error) {
	var err error
	switch {
	case f.IsMap():
		keys := make([]protoreflect.MapKey, 0, v.Map().Len())
		v.Map().Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
			keys = append(keys, k)
			return true
		})
		// One order, whatever that of the message was.
		slices.SortFunc(keys, func(a, b protoreflect.MapKey) int { return strings.Compare(a.String(), b.String()) })
		dst = append(dst, '{')
		for i, k := range keys {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(jsondoc.AppendText(dst, k.String()), ':')
			if dst, err = appendOne(dst, f.MapValue(), v.Map().Get(k), depth+1); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	case f.IsList():
		dst = append(dst, '[')
		for i := range v.List().Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendOne(dst, f, v.List().Get(i), depth+1); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	}
	return appendOne(dst, f, v, depth)
}

// appendOne appends a value that is no list or map.
func appendOne(dst []byte, f protoreflect.FieldDescriptor, v protoreflect.Value, depth int) ([]byte, error) {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return strconv.AppendBool(dst, v.Bool()), nil
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind, protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return strconv.AppendUint(dst, v.Uint(), 10), nil
	case protoreflect.FloatKind:
		return jsondoc.AppendFloat(dst, v.Float(), 32), nil
	case protoreflect.DoubleKind:
		return jsondoc.AppendFloat(dst, v.Float(), 64), nil
	case protoreflect.StringKind:
		return jsondoc.AppendText(dst, v.String()), nil
	case protoreflect.BytesKind:
		return jsondoc.AppendBytes(dst, v.Bytes()), nil
	case protoreflect.EnumKind:
		if e := f.Enum().Values().ByNumber(v.Enum()); e != nil {
			return jsondoc.AppendText(dst, string(e.Name())), nil
		}
		return strconv.AppendInt(dst, int64(v.Enum()), 10), nil
	}
	return appendMessage(dst, v.Message(), depth+1)
}

// appendKnown appends a message of google.protobuf that stands for a value.
func appendKnown(dst []byte, m protoreflect.Message, d protoreflect.MessageDescriptor) ([]byte, bool, error) {
	field := func(n protoreflect.FieldNumber) (protoreflect.FieldDescriptor, protoreflect.Value) {
		f := d.Fields().ByNumber(n)
		return f, m.Get(f)
	}
	switch d.FullName() {
	case "google.protobuf.Timestamp":
		_, s := field(1)
		_, n := field(2)
		t := time.Unix(s.Int(), n.Int()).UTC()
		if t.Year() < 0 || t.Year() > 9999 {
			return dst, true, record.Refuse(BadProtobuf, "a timestamp is outside of the years 0 to 9999")
		}
		return jsondoc.AppendTime(dst, t), true, nil
	case "google.protobuf.Duration":
		_, s := field(1)
		_, n := field(2)
		return jsondoc.AppendFloat(dst, float64(s.Int())+float64(n.Int())/1e9, 64), true, nil
	case "google.protobuf.DoubleValue", "google.protobuf.FloatValue", "google.protobuf.Int64Value", "google.protobuf.UInt64Value",
		"google.protobuf.Int32Value", "google.protobuf.UInt32Value", "google.protobuf.BoolValue", "google.protobuf.StringValue", "google.protobuf.BytesValue":
		f, v := field(1)
		dst, err := appendOne(dst, f, v, 0)
		return dst, true, err
	}
	return dst, false, nil
}
