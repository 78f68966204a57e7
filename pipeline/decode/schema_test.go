package decode

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/source"
)

const (
	avroReading  = `{"type": "record", "name": "Reading", "fields": [{"name": "sensor_type", "type": "string"}, {"name": "value", "type": "double"}, {"name": "place", "type": "Place"}]}`
	avroPlace    = `{"type": "record", "name": "Place", "fields": [{"name": "city", "type": "string"}]}`
	protoReading = `syntax = "proto3"; import "place.proto"; message Reading { string sensor_type = 1; double value = 2; Place place = 3; }`
	protoPlace   = `syntax = "proto3"; message Place { string city = 1; }`

	// A reading of type t, value 2, at seoul.
	avroMessage  = "\x02t\x00\x00\x00\x00\x00\x00\x00\x40\x0aseoul"
	protoMessage = "\x0a\x01t\x11\x00\x00\x00\x00\x00\x00\x00\x40\x1a\x07\x0a\x05seoul"

	mapping = "measurement: m, tags: {kind: sensor_type, city: place.city}, fields: {value: float}"
	wanted  = "m,kind=t,city=seoul value=float:2"
)

func declaredFormat(t *testing.T, text string) (Format, error) {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	return Declare(n.Content[0], "decode")
}

func decodeAll(f Format, messages ...string) ([]string, error) {
	var l record.List
	d := f.Decoder()
	for i, m := range messages {
		if err := d.Decode(&source.Message{Payload: []byte(m), Offset: -1}, i, 0, &l); err != nil {
			return shown(&l), err
		}
	}
	return shown(&l), nil
}

func TestSchemaFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	avsc := write("reading.avsc", strings.Replace(avroReading, `"Place"`, avroPlace, 1))
	proto := write("reading.proto", protoReading)
	imports := filepath.Dir(write("other/place.proto", protoPlace))
	for text, message := range map[string]string{
		fmt.Sprintf("avro: {schema: %q, %s}", avsc, mapping):                                              avroMessage,
		fmt.Sprintf("protobuf: {schema: %q, imports: [%q], %s}", proto, imports, mapping):                 protoMessage,
		fmt.Sprintf("protobuf: {schema: %q, imports: %q, message: Reading, %s}", proto, imports, mapping): protoMessage,
	} {
		f, err := declaredFormat(t, text)
		if err != nil {
			t.Fatal(err)
		}
		// Texts of records stay what they are when others are decoded.
		all := slices.Repeat([]string{message}, 20_000)
		all[1] = strings.Replace(message, "seoul", "busan", 1)
		got, err := decodeAll(f, all...)
		if err != nil || len(got) != len(all) || got[0] != wanted || got[1] != strings.Replace(wanted, "seoul", "busan", 1) {
			t.Errorf("%s: got %d, %.100q, %v", text, len(got), got, err)
		}
		if _, err := decodeAll(f, "\xff"); err == nil || errors.Is(err, source.ErrBusy) {
			t.Errorf("%s: garbage: got %v", text, err)
		}
		if n := f.Names(); !slices.Equal(n.Tags, []string{"kind", "city"}) {
			t.Errorf("%s: names %+v", text, n)
		}
	}
	for text, want := range map[string]string{
		"avro: {measurement: m}":                                           "want schema: FILE, or registry",
		"avro: {schema: a, registry: {url: 'http://h'}}":                   "want schema: FILE, or registry",
		"avro: {schema: no-such-file}":                                     "no-such-file",
		fmt.Sprintf("avro: {schema: %q}", proto):                           "schema",
		fmt.Sprintf("protobuf: {schema: %q}", proto):                       "place.proto",
		"avro: {registry: {url: nowhere}}":                                 "want http://HOST:PORT",
		"protobuf: {registry: {}}":                                         "is missing",
		"avro: {registry: {url: 'http://h', password_file: no-such-file}}": "no-such-file",
	} {
		if _, err := declaredFormat(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

// fakeRegistry answers as one of Confluent does.
type fakeRegistry struct {
	asked atomic.Int64
	away  atomic.Bool
}

func (r *fakeRegistry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.asked.Add(1)
	if user, password, _ := req.BasicAuth(); user != "u" || password != "p" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.away.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	refer := func(name, subject string) []any {
		return []any{map[string]any{"name": name, "subject": subject, "version": 3}}
	}
	answers := map[string]any{
		"/schemas/ids/1":                 map[string]any{"schema": avroReading, "references": refer("Place", "a/place")},
		"/schemas/ids/2":                 map[string]any{"schema": protoReading, "schemaType": "PROTOBUF", "references": refer("place.proto", "place")},
		"/schemas/ids/3":                 map[string]any{"schema": "{", "schemaType": "AVRO"},
		"/schemas/ids/4":                 map[string]any{"schema": "{}", "schemaType": "JSON"},
		"/schemas/ids/5":                 map[string]any{"schema": avroReading, "references": refer("Place", "circle")},
		"/schemas/ids/6":                 map[string]any{"schema": avroReading, "references": refer("Place", "nowhere")},
		"/subjects/a%2Fplace/versions/3": map[string]any{"schema": avroPlace},
		"/subjects/place/versions/3":     map[string]any{"schema": protoPlace},
		"/subjects/circle/versions/3":    map[string]any{"schema": avroPlace, "references": refer("Place", "circle")},
	}
	a, ok := answers[req.URL.EscapedPath()]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_ = json.NewEncoder(w).Encode(a)
}

// withNumber puts the head of a registry's client before a message.
func withNumber(id uint32, message string) string {
	return string(binary.BigEndian.AppendUint32([]byte{0}, id)) + message
}

func TestRegistry(t *testing.T) {
	reg := &fakeRegistry{}
	server := httptest.NewServer(reg)
	defer server.Close()
	declared := func(kind string) Format {
		f, err := declaredFormat(t, fmt.Sprintf("%s: {registry: {url: %q, user: u, password: p}, %s}", kind, server.URL, mapping))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, p := declared("avro"), declared("protobuf")
	for range 2 {
		if got, err := decodeAll(a, withNumber(1, avroMessage), withNumber(5, avroMessage)); err != nil || !slices.Equal(got, []string{wanted, wanted}) {
			t.Errorf("got %q, %v", got, err)
		}
		if got, err := decodeAll(p, withNumber(2, "\x00"+protoMessage)); err != nil || !slices.Equal(got, []string{wanted}) {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if n := reg.asked.Load(); n != 6 {
		t.Errorf("the registry was asked %d times, want 6: answers are kept", n)
	}
	for _, c := range []struct {
		format  Format
		message string
		reason  string
	}{
		{a, "", BadFrame}, {a, avroMessage, BadFrame}, {a, withNumber(1, "")[:4], BadFrame},
		{a, withNumber(2, protoMessage), UnknownSchema}, {p, withNumber(1, avroMessage), UnknownSchema},
		{a, withNumber(3, ""), UnknownSchema}, {a, withNumber(4, ""), UnknownSchema}, {a, withNumber(6, ""), UnknownSchema}, {a, withNumber(99, ""), UnknownSchema},
		{a, withNumber(1, "x"), "bad_avro"}, {p, withNumber(2, "\x07"), "bad_protobuf"}, {p, withNumber(2, "\x00x"), "bad_protobuf"},
	} {
		_, err := decodeAll(c.format, c.message)
		var r *record.Refusal
		if !errors.As(err, &r) || r.Reason != c.reason {
			t.Errorf("%q: got %v, want %s", c.message, err, c.reason)
		}
	}
}

// TestRegistryAway checks that messages wait for a registry that does not answer,
// and that it is left alone for a moment.
func TestRegistryAway(t *testing.T) {
	reg := &fakeRegistry{}
	server := httptest.NewServer(reg)
	defer server.Close()
	now := time.Now()
	r := &registry{url: server.URL, user: "u", password: "p", client: server.Client(), now: func() time.Time { return now }, known: map[uint32]*registered{}}
	reg.away.Store(true)
	for range 3 {
		if _, _, err := r.avro([]byte(withNumber(1, avroMessage))); !errors.Is(err, source.ErrBusy) {
			t.Fatalf("got %v", err)
		}
	}
	if n := reg.asked.Load(); n != 1 {
		t.Errorf("the registry was asked %d times, want once", n)
	}
	reg.away.Store(false)
	now = now.Add(2 * askAgainAfter)
	if _, _, err := r.avro([]byte(withNumber(1, avroMessage))); err != nil {
		t.Fatal(err)
	}
	// What it did not know is asked for again after a while.
	asked := reg.asked.Load()
	for _, step := range []struct {
		wait time.Duration
		asks int64
	}{{0, 1}, {unknownFor / 2, 0}, {unknownFor, 1}} {
		now = now.Add(step.wait)
		if _, _, err := r.avro([]byte(withNumber(99, ""))); err == nil {
			t.Fatal("no error")
		}
		if n := reg.asked.Load() - asked; n != step.asks {
			t.Errorf("after %v it was asked %d times, want %d", step.wait, n, step.asks)
		}
		asked = reg.asked.Load()
	}
}
