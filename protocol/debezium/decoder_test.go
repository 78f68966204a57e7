package debezium

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/protocol/jsontape"
	"github.com/varvedb/varve/protocol/rowmap"
)

const tables = `
tables:
  public.readings:
    measurement: pg
    time: {column: at, unit: us}
    tags: [device]
    fields: {value: float, price: {type: float, scale: 2}, note: string, tries: int}
  public.whole:
    measurement: whole
    time: {column: at, zone: Asia/Seoul}
    tags: [device]
    fields: {value: float, price: float, note: string}
  shop.readings:
    measurement: maria
    time: {column: at, unit: us}
    tags: [device]
    fields: {value: float, price: {type: float, scale: 2}, note: string}
  shop.orders:
    time: {column: placed, zone: Asia/Seoul}
    tags: [place]
    fields: {amount: float, n: int}
  keyed.t:
    time: at
    tags: [device]
    fields: {value: float}
    before: key
  iot.readings:
    time: at
    tags: {device: meta.device, site: meta.site, id: _id}
    fields: {value: float, count: int, spot: string}

  iot.ids:
    time: _id.at
    tags: {device: _id.device}
    fields: {value: float, depth: {column: deep.value, type: int}}
`

func decoder(t testing.TB) *Decoder {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(tables), &n); err != nil {
		t.Fatal(err)
	}
	s := declare.Section(n.Content[0], "")
	m := rowmap.Declare(s)
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return New(m)
}

// show lists records as text.
func show(l *record.List) (all []string) {
	for i := range l.Len() {
		r := l.At(i)
		s := r.Measurement
		if r.Delete {
			s = "delete " + s
		}
		for _, g := range r.Tags {
			s += "," + g.Key + "=" + g.Value
		}
		for _, f := range r.Fields {
			s += " " + f.Name + "=" + f.Text()
		}
		if r.Timed {
			s += " @" + time.Unix(0, r.Time).UTC().Format(time.RFC3339Nano)
		}
		all = append(all, s)
	}
	return all
}

const (
	pg    = `"source":{"connector":"postgresql","db":"d","schema":"public","table":"readings","ts_ms":1000,"ts_us":1000001}`
	maria = `"source":{"connector":"mariadb","db":"shop","table":"orders","ts_ms":1000}`
	mongo = `"source":{"connector":"mongodb","db":"iot","collection":"readings","ts_ms":1000}`
	ids   = `"source":{"connector":"mongodb","db":"iot","collection":"ids","ts_ms":1000}`
	keyed = `"source":{"db":"d","schema":"keyed","table":"t"}`
	// What a Debezium connector of a relational database says of its columns.
	schemaText = `{"type":"struct","fields":[{"type":"struct","optional":true,"field":"before","fields":[]},
		{"type":"struct","optional":true,"field":"after","fields":[
			{"type":"int64","name":"io.debezium.time.Timestamp","version":1,"field":"placed"},
			{"type":"string","field":"place"},
			{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2","connect.decimal.precision":"10"},"field":"amount"},
			{"type":"int32","field":"n"}]},
		{"type":"string","field":"op"}],"optional":false,"name":"x.Envelope"}`
)

func TestDecode(t *testing.T) {
	const at = `"at":1767366245000000,"device":"d1"` // 15:04:05
	for _, test := range []struct {
		name, key, payload string
		want               []string
		reason             string
	}{
		{name: "snapshot", payload: `{"before":null,"after":{` + at + `,"value":1.5,"price":"MDk=","note":null,"tries":3},` + pg + `,"op":"r","ts_ms":5,"transaction":null}`,
			want: []string{"pg,device=d1 value=1.5 price=123.45 tries=3 @2026-01-02T15:04:05Z"}},
		{name: "create", payload: `{"after":{"at":"2026-01-02T15:04:05.5Z","device":"d\u00e9\n","value":"1.25","extra":{"a":[1]}},` + pg + `,"op":"c"}`,
			want: []string{"pg,device=dé\n value=1.25 @2026-01-02T15:04:05.5Z"}},
		{name: "variable scale", payload: `{"after":{` + at + `,"value":{"scale":3,"value":"AeI="}},` + pg + `,"op":"c"}`,
			want: []string{"pg,device=d1 value=0.482 @2026-01-02T15:04:05Z"}},
		{name: "update", payload: `{"before":{` + at + `,"note":"x"},"after":{` + at + `,"value":2,"note":null},` + pg + `,"op":"u"}`,
			want: []string{"pg,device=d1 value=2 @2026-01-02T15:04:05Z", "delete pg,device=d1 note= @2026-01-02T15:04:05Z"}},
		{name: "a value that is kept out of the row", payload: `{"before":null,"after":{` + at + `,"value":2,"note":"__debezium_unavailable_value"},` + pg + `,"op":"u"}`,
			want: []string{"pg,device=d1 value=2 @2026-01-02T15:04:05Z"}},
		{name: "a list that is kept out of the row", payload: `{"before":null,"after":{` + at + `,"value":2,"note":["__debezium_unavailable_value"]},` + pg + `,"op":"u"}`,
			want: []string{"pg,device=d1 value=2 @2026-01-02T15:04:05Z"}},
		{name: "delete", payload: `{"before":{` + at + `},"after":null,` + pg + `,"op":"d"}`, want: []string{"delete pg,device=d1 @2026-01-02T15:04:05Z"}},
		{name: "delete with the key", key: `{"id":1}`, payload: `{"before":null,"after":null,` + pg + `,"op":"d"}`, reason: "no_before: "},
		{name: "delete with a key that tells all", key: `{"schema":{},"payload":{` + at + `}}`, payload: `{"before":null,` + pg + `,"op":"d"}`, want: []string{"delete pg,device=d1 @2026-01-02T15:04:05Z"}},
		{name: "of the row before only the key can be believed", key: `{"id":1}`, payload: `{"before":{"id":1,"at":"1970-01-01","device":""},` + keyed + `,"op":"d"}`, reason: "no_before: "},
		{name: "and is of use if it tells enough", key: `{"at":"1970-01-02","device":"x"}`,
			payload: `{"before":{"at":"1970-01-02","device":"x","value":0},"after":{"at":"1970-01-01","device":"x","value":7},` + keyed + `,"op":"u"}`,
			want:    []string{"delete keyed.t,device=x @1970-01-02T00:00:00Z", "keyed.t,device=x value=7 @1970-01-01T00:00:00Z"}},
		{name: "a table of PostgreSQL that logs keys", key: `{"id":1}`, payload: `{"before":{"id":1,"at":"1970-01-01T00:00:00Z","device":"","value":0.0,"tries":0,"price":"AA=="},"after":null,` + pg + `,"op":"d"}`, reason: "no_before: "},
		{name: "and one that does not", key: `{"id":1}`, payload: `{"before":{"id":1,"at":"1970-01-01T00:00:00Z","device":"","value":0.5},"after":null,` + pg + `,"op":"d"}`, want: []string{"delete pg @1970-01-01T00:00:00Z"}},
		{name: "truncate", payload: `{"before":null,"after":null,` + pg + `,"op":"t"}`, reason: "table_emptied: "},
		{name: "a program's message", payload: `{"op":"m","message":{"prefix":"x","content":""},"source":{"table":""}}`},
		{name: "another table", payload: `{"after":{},"op":"c","source":{"schema":"s","table":"x"}}`, reason: `unknown_table: table "s.x"`},
		{name: "MariaDB with schema", payload: `{"schema":` + schemaText + `,"payload":{"before":null,"after":{"placed":1767366245123,"place":"home","amount":"z8c=","n":12},` + maria + `,"op":"c"}}`,
			want: []string{"shop.orders,place=home amount=-123.45 n=12 @2026-01-02T06:04:05.123Z"}},
		{name: "MariaDB without", payload: `{"after":{"placed":1767366245123,"place":"home","amount":1},` + maria + `,"op":"c"}`, reason: "does not say of which unit"},
		{name: "tombstone", payload: ``},
		{name: "tombstone as JSON", payload: `null`},
		{name: "tombstone with schema", payload: `{"schema":null,"payload":null}`},
		{name: "transaction", payload: `{"status":"BEGIN","id":"571:53195829","ts_ms":1,"event_count":null,"data_collections":null}`},
		{name: "transaction with schema", payload: `{"schema":{},"payload":{"status":"END","id":"571","event_count":2,"data_collections":[{"data_collection":"s1.a","event_count":2}]}}`},
		{name: "schema change", payload: `{"source":{},"ts_ms":1,"databaseName":"shop","ddl":"ALTER TABLE","tableChanges":[]}`},
		{name: "heartbeat", payload: `{"ts_ms":1}`},
		{name: "notification", payload: `{"id":"x","aggregate_type":"Initial Snapshot","type":"STARTED","additional_data":{}}`},

		{name: "document", payload: `{"before":null,"after":"{\"_id\":{\"$oid\":\"596e275826f08b2730779e1f\"},\"at\":{\"$date\":1767366245123},\"meta\":{\"device\":\"d\"},\"value\":{\"$numberDecimal\":\"1.5\"},\"count\":{\"$numberLong\":\"7\"},\"spot\":[1, 2]}",` + mongo + `,"op":"r"}`,
			want: []string{"iot.readings,device=d,id=596e275826f08b2730779e1f value=1.5 count=7 spot=[1, 2] @2026-01-02T15:04:05.123Z"}},
		{name: "document, canonical", payload: `{"after":"{\"_id\":1,\"at\":{\"$date\":{\"$numberLong\":\"-1\"}},\"value\":{\"$numberDouble\":\"2\"}}",` + mongo + `,"op":"c"}`,
			want: []string{"iot.readings,id=1 value=2 @1969-12-31T23:59:59.999Z"}},
		{name: "document, relaxed", payload: `{"after":"{\"_id\":\"a\",\"at\":{\"$date\":\"1970-01-01T00:00:01Z\"},\"count\":2}",` + mongo + `,"op":"c"}`,
			want: []string{"iot.readings,id=a count=2 @1970-01-01T00:00:01Z"}},
		{name: "update with both images", payload: `{"before":"{\"_id\":1,\"at\":{\"$date\":1000},\"meta\":{\"site\":\"a\"},\"value\":1}","after":"{\"_id\":1,\"at\":{\"$date\":1000},\"meta\":{\"site\":\"b\"},\"value\":1}","updateDescription":{"removedFields":null,"updatedFields":"{\"meta.site\":\"b\"}"},` + mongo + `,"op":"u"}`,
			want: []string{"delete iot.readings,site=a,id=1 @1970-01-01T00:00:01Z", "iot.readings,site=b,id=1 value=1 @1970-01-01T00:00:01Z"}},
		{name: "update with the image before", payload: `{"before":"{\"_id\":1,\"at\":{\"$date\":1000},\"meta\":{\"site\":\"a\"},\"value\":1}","updateDescription":{"removedFields":["meta"],"updatedFields":"{\"count\":5}"},` + mongo + `,"op":"u"}`,
			want: []string{"delete iot.readings,site=a,id=1 @1970-01-01T00:00:01Z", "iot.readings,id=1 value=1 count=5 @1970-01-01T00:00:01Z"}},
		{name: "update without images", key: `{"id":"{\"at\":{\"$date\":1000},\"device\":\"d\"}"}`, payload: `{"after":null,"updateDescription":{"removedFields":["value"],"updatedFields":"{\"deep\":{\"value\":3}}","truncatedArrays":null},` + ids + `,"op":"u"}`,
			want: []string{"iot.ids,device=d depth=3 @1970-01-01T00:00:01Z", "delete iot.ids,device=d value= @1970-01-01T00:00:01Z"}},
		{name: "update that does not tell the point", key: `{"id":"1"}`, payload: `{"after":null,"updateDescription":{"removedFields":null,"updatedFields":"{\"value\":3}"},` + mongo + `,"op":"u"}`,
			reason: "no_column: table iot.readings: the event does not hold column at"},
		{name: "delete of a document", key: `{"schema":{},"payload":{"id":"{\"$oid\":\"59\"}"}}`, payload: `{"schema":{},"payload":{"before":null,"after":null,` + mongo + `,"op":"d"}}`, reason: "no_before: table iot.readings: a row was deleted, and the event does not tell its column at"},
		{name: "delete of a document with its id", key: `{"id":"{\"at\":{\"$date\":1000},\"device\":\"d\"}"}`, payload: `{"before":null,` + ids + `,"op":"d"}`, want: []string{"delete iot.ids,device=d @1970-01-01T00:00:01Z"}},
		{name: "delete of a document with its image", payload: `{"before":"{\"_id\":1,\"at\":{\"$timestamp\":{\"t\":1,\"i\":1}}}",` + mongo + `,"op":"d"}`, want: []string{"delete iot.readings,id=1 @1970-01-01T00:00:01Z"}},
		{name: "bad document", payload: `{"after":"{","op":"c",` + mongo + `}`, reason: "bad_json: the document in after"},
		{name: "bad document", payload: `{"after":"[]","op":"c",` + mongo + `}`, reason: "bad_json: the document in after: a document is an object"},
		{name: "bad update", payload: `{"after":null,"updateDescription":{"updatedFields":"x"},"op":"u",` + mongo + `}`, reason: "bad_json: updateDescription"},

		{name: "no JSON", payload: `{"op"`, reason: "bad_json: at byte 5: want a colon"},
		{name: "no UTF-8", payload: "\xff", reason: "bad_json: at byte 0: the message is not UTF-8"},
		{name: "too deep", payload: strings.Repeat("[", 100), reason: "bad_json: at byte 64: values are nested more than 64 deep"},
		{name: "no object", payload: `[]`, reason: "not_debezium: "},
		{name: "no envelope", payload: `{"id":1,"__op":"c"}`, reason: "not_debezium: the message has no op"},
		{name: "no operation", payload: `{"op":"x"}`, reason: `not_debezium: op is "x"`},
		{name: "no table", payload: `{"op":"c","after":{}}`, reason: `not_debezium: source names no table`},
		{name: "no row", payload: `{"op":"c",` + pg + `}`, reason: `no_row: `},
	} {
		d := decoder(t)
		for range 2 { // the second time with memory of the first
			var out record.List
			out.Add(7).Measurement = "kept"
			err := d.Decode([]byte(test.key), []byte(test.payload), 7, &out)
			var refusal *record.Refusal
			if err != nil && !errors.As(err, &refusal) {
				t.Errorf("%s: %v is no refusal", test.name, err)
			}
			if got := fmt.Sprint(err); test.reason == "" && err != nil || !strings.Contains(got, test.reason) {
				t.Errorf("%s: %s, want %q", test.name, got, test.reason)
			}
			if d := cmp.Diff(append([]string{"kept"}, test.want...), show(&out)); d != "" {
				t.Errorf("%s:\n%s", test.name, d)
			}
		}
	}
}

// TestLongPaths: a document does not make hundreds of times its size of itself by
// a key that lies around many values.
func TestLongPaths(t *testing.T) {
	around := func(length int) string {
		return `{\"` + strings.Repeat("k", length) + `\":{` + strings.Repeat(`\"x\":1,`, 5000) + `\"y\":{}},\"_id\":1,\"at\":{\"$date\":1000},\"value\":1}`
	}
	for name, c := range map[string]struct {
		key, payload string
		refused      bool
	}{
		"after":  {"", `{"after":"` + around(60_000) + `",` + mongo + `,"op":"c"}`, true},
		"update": {`{"id":"1"}`, `{"updateDescription":{"updatedFields":"` + around(60_000) + `"},` + mongo + `,"op":"u"}`, true},
		"key":    {`{"id":"` + around(60_000) + `"}`, `{"before":null,` + mongo + `,"op":"d"}`, true},
		"usual":  {"", `{"after":"` + around(40) + `",` + mongo + `,"op":"c"}`, false},
	} {
		var out record.List
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := decoder(t).Decode([]byte(c.key), []byte(c.payload), 0, &out)
		runtime.ReadMemStats(&after)
		var refusal *record.Refusal
		if refused := errors.As(err, &refusal) && refusal.Reason == record.TooLarge; refused != c.refused || !refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 16<<20 {
			t.Errorf("%s: %d bytes took %d", name, len(c.key)+len(c.payload), took)
		}
	}
}

// TestTimeOfChange shows which of the times of an event counts.
func TestTimeOfChange(t *testing.T) {
	for _, test := range []struct {
		source string
		want   int64
	}{
		{`{"ts_ms":1,"ts_us":1001,"ts_ns":1001001}`, 1001001}, {`{"ts_ms":1,"ts_us":1001}`, 1001000}, {`{"ts_ms":1}`, 1e6}, {`{}`, 0}, {`{"ts_ms":9223372036854775807}`, 0},
	} {
		var p jsontape.Tape
		if err := p.Read([]byte(test.source)); err != nil {
			t.Fatal(err)
		}
		if got := timeOf(&p, 0); got != test.want {
			t.Errorf("%s: %d, want %d", test.source, got, test.want)
		}
	}
}

// TestSchemas shows that a table whose schema changes is read by the new one,
// and that not all that ever were are kept.
func TestSchemas(t *testing.T) {
	d := decoder(t)
	for i := range 3 * maxSchemas {
		text := strings.Replace(schemaText, "x.Envelope", fmt.Sprint("x.Envelope", i%(2*maxSchemas)), 1)
		scale := fmt.Sprint(i % 3)
		text = strings.Replace(text, `"scale":"2"`, `"scale":"`+scale+`"`, 1)
		var out record.List
		err := d.Decode(nil, []byte(`{"schema":`+text+`,"payload":{"after":{"placed":0,"place":"x","amount":"ZA=="},`+maria+`,"op":"c"}}`), 0, &out)
		if err != nil {
			t.Fatal(err)
		}
		if v, _ := out.At(0).Field("amount").Number(); v != []float64{100, 10, 1}[i%3] {
			t.Fatalf("schema %d: %v with scale %s", i, v, scale)
		}
		if len(d.schemas.all) > maxSchemas {
			t.Fatalf("%d schemas are kept", len(d.schemas.all))
		}
	}
}

// TestEnvelopes decodes events. Those of postgresql.json and mariadb.json were
// written by the connectors of Debezium 3.5, but for long texts; table readings
// of PostgreSQL has no REPLICA IDENTITY FULL, table whole has. Those of
// mongodb.json are as Debezium's documentation describes them.
func TestEnvelopes(t *testing.T) {
	files, err := filepath.Glob("testdata/events/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no events: %v", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var all []struct {
			Key, Value json.RawMessage
			Want       []string
		}
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i, e := range all {
			var out record.List
			if err := decoder(t).Decode(e.Key, e.Value, 0, &out); err != nil {
				out.Add(0).Measurement = err.Error()
			}
			if d := cmp.Diff(e.Want, show(&out)); d != "" {
				t.Errorf("%s, event %d:\n%s", name, i, d)
			}
		}
	}
}

// FuzzDecode checks that no message harms the decoder, or what it decoded
// before.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":"1"}`), []byte(`{"schema":`+schemaText+`,"payload":{"after":{"placed":1,"amount":"ZA=="},`+maria+`,"op":"u"}}`))
	f.Add([]byte(`{"id":"{\"at\":1}"}`), []byte(`{"before":"{\"at\":{\"$date\":1}}","after":null,"updateDescription":{"removedFields":["meta"],"updatedFields":"{\"meta\":{\"site\":\"b\"}}"},`+mongo+`,"op":"u"}`))
	f.Add([]byte(``), []byte(`{"before":{"at":1,"device":"a"},"after":{"at":2,"device":"b","value":{"scale":1,"value":"AQ=="}},`+pg+`,"op":"u"}`))
	f.Add([]byte(`{"at":"1970-01-01","device":"a"}`), []byte(`{"before":{"at":"1970-01-01 00:00:00+09"},`+keyed+`,"op":"d"}`))
	f.Fuzz(func(t *testing.T, key, payload []byte) {
		d := decoder(t)
		var out record.List
		out.Add(0).Measurement = "kept"
		err := d.Decode(key, payload, 0, &out)
		if err != nil {
			var refusal *record.Refusal
			if !errors.As(err, &refusal) || out.Len() != 1 {
				t.Fatalf("%v with %d records", err, out.Len())
			}
		}
		for i := 1; i < out.Len(); i++ {
			r := out.At(i)
			if !r.Delete && len(r.Fields) == 0 {
				t.Fatalf("a point without fields: %v", show(&out))
			}
			for _, g := range r.Tags {
				if g.Value == "" {
					t.Fatalf("an empty tag: %v", show(&out))
				}
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	plain := []byte(`{"before":null,"after":{"id":1234567,"at":1767366245000000,"device":"device-001234","value":21.5,"price":"MDk=","note":"ok","tries":3},` + pg + `,"op":"c","ts_ms":1767366245123}`)
	withSchema := []byte(`{"schema":` + schemaText + `,"payload":{"before":null,"after":{"placed":1767366245123,"place":"home","amount":"z8c=","n":12},` + maria + `,"op":"c"}}`)
	for _, c := range []struct {
		name    string
		payload []byte
	}{{"plain", plain}, {"schema", withSchema}} {
		b.Run(c.name, func(b *testing.B) {
			d := decoder(b)
			var out record.List
			b.SetBytes(int64(len(c.payload)))
			b.ReportAllocs()
			for b.Loop() {
				out.Reset()
				if err := d.Decode(nil, c.payload, 0, &out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
