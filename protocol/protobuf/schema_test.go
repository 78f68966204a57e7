package protobuf

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/varvedb/varve/pipeline/record"
)

const plant = `syntax = "proto3";
package plant;
import "google/protobuf/timestamp.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/wrappers.proto";
import "place.proto";
enum State { UNKNOWN = 0; ON = 1; }
message Reading {
  google.protobuf.Timestamp timestamp = 1;
  string sensor_type = 2;
  double value = 3;
  float quality = 4;
  int64 big = 5;
  State state = 6;
  optional uint32 maybe = 7;
  repeated int32 many = 8;
  map<string, double> more = 9;
  place.Place where = 10;
  bytes raw = 11;
  google.protobuf.Duration took = 12;
  google.protobuf.DoubleValue wrapped = 13;
  Reading inner = 14;
  bool on = 15;
  message Part { string name = 1; }
}
message Other { string x = 1; }
`

const place = `syntax = "proto3"; package place; message Place { string city = 1; }`

// load compiles the files above from a folder.
func load(t testing.TB, message string) *Schema {
	t.Helper()
	dir, other := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{filepath.Join(dir, "plant.proto"): plant, filepath.Join(other, "place.proto"): place} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Load(filepath.Join(dir, "plant.proto"), []string{other}, message)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func message(n protowire.Number, inside []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), inside)
}

func varint(n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
}

func double(n protowire.Number, f float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, n, protowire.Fixed64Type), math.Float64bits(f))
}

func TestAppendJSON(t *testing.T) {
	s := load(t, "plant.Reading")
	var b []byte
	for _, part := range [][]byte{
		message(1, append(varint(1, 1767366245), varint(2, 5e8)...)),
		message(2, []byte("t\"\n")),
		double(3, 21.5),
		protowire.AppendFixed32(protowire.AppendTag(nil, 4, protowire.Fixed32Type), math.Float32bits(0.1)),
		varint(5, math.MaxInt64),
		varint(6, 1),
		varint(7, 0),
		message(8, []byte{1, 2}),
		message(9, append(message(1, []byte("b")), double(2, 2)...)),
		message(9, append(message(1, []byte("a")), double(2, math.NaN())...)),
		message(10, message(1, []byte("seoul"))),
		message(11, []byte{1, 2}),
		message(12, append(varint(1, 1), varint(2, 5e8)...)),
		message(13, double(1, 7)),
		message(14, varint(6, 9)),
		varint(99, 1), // unknown
	} {
		b = append(b, part...)
	}
	got, err := s.AppendJSON([]byte("x"), b)
	want := `x{"timestamp":"2026-01-02T15:04:05.5Z","sensor_type":"t\"\u000a","value":21.5,"quality":0.1,"big":9223372036854775807,"state":"ON","maybe":0,` +
		`"many":[1,2],"more":{"a":null,"b":2},"where":{"city":"seoul"},"raw":"AQI=","took":1.5,"wrapped":7,` +
		`"inner":{"sensor_type":"","value":0,"quality":0,"big":0,"state":9,"raw":"","on":false},"on":false}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	if other, err := load(t, "Other").AppendJSON(nil, message(1, []byte("y"))); err != nil || string(other) != `{"x":"y"}` {
		t.Errorf("got %s, %v", other, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"two.proto": `syntax = "proto3"; message A {} message B {}`, "bad.proto": "message {", "import.proto": `syntax = "proto3"; import "no.proto";`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range [][3]string{
		{"absent.proto", "", "absent.proto"}, {"two.proto", "", "say which"}, {"two.proto", "C", "no message C"},
		{"bad.proto", "", "bad.proto"}, {"import.proto", "", "no.proto"},
	} {
		if _, err := Load(filepath.Join(dir, c[0]), nil, c[1]); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s: got %v, want %q", c[0], err, c[2])
		}
	}
}

// TestCut reads what clients of a schema registry write.
func TestCut(t *testing.T) {
	s, err := Parse(plant, map[string]string{"place.proto": place})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"\x00rest":         "plant.Reading",
		"\x02\x02rest":     "plant.Other",
		"\x04\x00\x02rest": "plant.Reading.Part", // the entries of the map stand before it
	} {
		one, rest, err := s.Cut([]byte(text))
		if err != nil || string(rest) != "rest" || string(one.message.FullName()) != want {
			t.Errorf("%q: got %v, %q, %v", text, one, rest, err)
		}
	}
	for _, bad := range []string{"", "\x02", "\x02\x09", "\x01", "\x06\x00\x00\x00", "\xff"} {
		if _, _, err := s.Cut([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	if _, err := Parse("message {", nil); err == nil {
		t.Error("no error for a bad schema")
	}
}

func TestRefused(t *testing.T) {
	s := load(t, "plant.Reading")
	deep := []byte(nil)
	for range 100 {
		deep = message(14, deep)
	}
	for name, text := range map[string][]byte{
		"short":   {0x1a, 9, 1},
		"deep":    deep,
		"year":    message(1, varint(1, 1<<50)),
		"utf8":    message(2, []byte{0xff}),
		"garbage": []byte("{\"value\": 1}"),
	} {
		_, err := s.AppendJSON(nil, text)
		if r := (*record.Refusal)(nil); !errors.As(err, &r) || r.Reason != BadProtobuf {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// FuzzAppendJSON: whatever comes is refused, or becomes JSON.
func FuzzAppendJSON(f *testing.F) {
	s, err := Parse(plant, map[string]string{"place.proto": place})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("\x00\x1a\x01x"))
	f.Add(append([]byte{0}, message(1, varint(1, 1767366245))...))
	f.Add(append([]byte{0}, message(14, message(9, append(message(1, []byte("a")), double(2, 1)...)))...))
	f.Fuzz(func(t *testing.T, text []byte) {
		one, rest, err := s.Cut(text)
		var doc []byte
		if err == nil {
			doc, err = one.AppendJSON(nil, rest)
		}
		if err != nil {
			if r := (*record.Refusal)(nil); !errors.As(err, &r) {
				t.Fatalf("%v is no refusal", err)
			}
			return
		}
		if !json.Valid(doc) {
			t.Fatalf("%q is no JSON", doc)
		}
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	s := load(b, "plant.Reading")
	text := append(message(1, varint(1, 1767366245)), message(2, []byte("temperature"))...)
	text = append(append(text, double(3, 21.5)...), message(10, message(1, []byte("seoul")))...)
	var doc []byte
	var err error
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if doc, err = s.AppendJSON(doc[:0], text); err != nil {
			b.Fatal(err)
		}
	}
}
