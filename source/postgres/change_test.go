package postgres

import (
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/protocol/debezium"
	"github.com/varvedb/varve/protocol/rowmap"
)

const offlineYAML = `
url: postgres://varve@127.0.0.1/db
tables:
  public.t: {measurement: m, time: at, tags: [dev], fields: {v: float, on: bool, note: string}}
`

// wire writes messages of pgoutput, as chapter 55.9 of PostgreSQL's manual
// describes them.
type wire struct{ b []byte }

func (w *wire) byte(c byte) *wire { w.b = append(w.b, c); return w }
func (w *wire) u16(n int) *wire   { w.b = binary.BigEndian.AppendUint16(w.b, uint16(n)); return w }
func (w *wire) u32(n int) *wire   { w.b = binary.BigEndian.AppendUint32(w.b, uint32(n)); return w }
func (w *wire) u64(n int) *wire   { w.b = binary.BigEndian.AppendUint64(w.b, uint64(n)); return w }
func (w *wire) str(s string) *wire {
	w.b = append(append(w.b, s...), 0)
	return w
}

// tuple writes a row: "" is null, "~" unchanged.
func (w *wire) tuple(values ...string) *wire {
	w.u16(len(values))
	for _, v := range values {
		switch v {
		case "":
			w.byte('n')
		case "~":
			w.byte('u')
		default:
			w.byte('t').u32(len(v))
			w.b = append(w.b, v...)
		}
	}
	return w
}

// relationText describes table public.t: its key is id.
func relationText() []byte {
	w := (&wire{}).byte('R').u32(7).str("public").str("t").byte('d').u16(6)
	for _, c := range []struct {
		name string
		oid  int
	}{{"id", 20}, {"at", 1184}, {"dev", 25}, {"v", 701}, {"on", 16}, {"note", 25}} {
		flags := byte(0)
		if c.name == "id" {
			flags = 1
		}
		w.byte(flags).str(c.name).u32(c.oid).u32(0xffffffff)
	}
	return w.b
}

func offline(t testing.TB) (*stream, Config) {
	cfg, err := declared(t, offlineYAML)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, &memory{})
	if err != nil {
		t.Fatal(err)
	}
	return &stream{s: s, relations: map[uint32]*relation{}, filling: &batch{}, spare: &batch{}, at: origin{state: "false"},
		ready: &ready{database: `d"b`, tables: map[string]*tableInfo{"public.t": {table: &cfg.Tables[0], key: []columnInfo{{"id", 20}}}}}}, cfg
}

// TestEvents shows what becomes of the messages of the log.
func TestEvents(t *testing.T) {
	st, _ := offline(t)
	at := []string{"1", "2026-01-02 15:04:05.5+00", "d\xff\"\n", "1.5e+20", "t", "x"}
	commit := time.Date(2026, 1, 2, 15, 4, 6, 7000, time.UTC)
	micros := int(commit.Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Microseconds())
	for _, m := range [][]byte{
		relationText(),
		(&wire{}).byte('B').u64(90).u64(micros).u32(44).b,
		(&wire{}).byte('I').u32(7).byte('N').tuple(at...).b,
		(&wire{}).byte('U').u32(7).byte('K').tuple("1", "", "", "", "", "").byte('N').tuple("2", at[1], "d", "NaN", "f", "~").b,
		(&wire{}).byte('U').u32(7).byte('O').tuple(at...).byte('N').tuple("2", at[1], "d", "", "f", "~").b,
		(&wire{}).byte('U').u32(7).byte('N').tuple(at...).b,
		(&wire{}).byte('D').u32(7).byte('K').tuple("1", "", "", "", "", "").b,
		(&wire{}).byte('T').u32(1).byte(0).u32(7).b,
		(&wire{}).byte('C').byte(0).u64(90).u64(99).u64(micros).b,
	} {
		if err := st.change(m, 50); err != nil {
			t.Fatal(err)
		}
	}
	from := `"source":{"connector":"postgresql","db":"d\"b","schema":"public","table":"t","lsn":50,"txId":44,"snapshot":"false","ts_us":1767366246000007}}`
	row := `{"id":1,"at":"2026-01-02 15:04:05.5+00","dev":"d` + "\uFFFD" + `\"\u000a","v":1.5e+20,"on":true,"note":"x"}`
	want := []string{
		`{"op":"c","before":null,"after":` + row + `,` + from,
		`{"op":"u","before":{"id":1},"after":{"id":2,"at":"2026-01-02 15:04:05.5+00","dev":"d","v":"NaN","on":false},` + from,
		`{"op":"u","before":` + row + `,"after":{"id":2,"at":"2026-01-02 15:04:05.5+00","dev":"d","v":null,"on":false},` + from,
		`{"op":"u","before":null,"after":` + row + `,` + from,
		`{"op":"d","before":{"id":1},"after":null,` + from,
		`{"op":"t","before":null,"after":null,` + from,
	}
	var got []string
	for _, m := range st.filling.seal() {
		got = append(got, string(m.Payload))
		if m.Topic != "public.t" || m.Time != commit.UnixNano() || m.Offset != -1 {
			t.Errorf("message %+v", m)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if st.filling.commit != 99 || st.inside {
		t.Errorf("the batch ends transaction %v", st.filling.commit)
	}
	for _, text := range []string{"", "I", "R\x00\x00\x00\x07public", "B\x00", "I\x00\x00\x00\x07N\x00\x01t\xff\xff\xff\xff", "I\x00\x00\x00\x07N\x00\x01b", "D\x00\x00\x00\x07N\x00\x00", "U\x00\x00\x00\x07O\x00\x00D"} {
		if err := st.change([]byte(text), 50); err == nil || !strings.Contains(err.Error(), "is not as pgoutput writes it") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if n := len(st.filling.ends); n != len(want) || len(st.filling.text) != st.filling.ends[n-1] {
		t.Error("a message that was refused left something")
	}
	if err := st.change((&wire{}).byte('I').u32(8).byte('N').tuple("1").b, 50); err == nil || !strings.Contains(err.Error(), "was not described") {
		t.Errorf("a row of an unknown table: %v", err)
	}
	if err := st.change((&wire{}).byte('I').u32(7).byte('N').tuple(append(at, "more")...).b, 50); err == nil || !strings.Contains(err.Error(), "a row of public.t with 7 columns") {
		t.Errorf("a row that is too long: %v", err)
	}
}

func TestNumbers(t *testing.T) {
	for text, want := range map[string]bool{"0": true, "-1.50": true, "1e+20": true, "2.5e-07": true, "12345678901234567890.5": true,
		"": false, "-": false, "01": false, "1.": false, ".5": false, "1e": false, "1e+": false, "NaN": false, "-Infinity": false, "1x": false, "1e5x": false} {
		if got := isNumber([]byte(text)); got != want || want && !json.Valid([]byte(text)) {
			t.Errorf("%q is a number: %v", text, got)
		}
	}
}

// TestCommit shows what is confirmed, and when.
func TestCommit(t *testing.T) {
	st, _ := offline(t)
	st.commit(10)
	if st.confirmed != 10 {
		t.Errorf("a transaction without rows is not confirmed: %v", st.confirmed)
	}
	r := newRelation("d", "public", "t")
	st.filling.add(r, &st.at)
	st.commit(20)
	if st.confirmed != 10 || st.filling.commit != 20 {
		t.Errorf("confirmed %v, waiting %v", st.confirmed, st.filling.commit)
	}
	st.taking, st.filling = st.filling, st.spare
	st.commit(30) // its rows are all being taken
	if st.confirmed != 10 || st.taking.commit != 30 {
		t.Errorf("confirmed %v, waiting %v", st.confirmed, st.taking.commit)
	}
}

func TestPages(t *testing.T) {
	at, id, v := columnInfo{"at", 1184}, columnInfo{`i"d`, 20}, columnInfo{"v", 701}
	info := &tableInfo{table: &rowmap.Table{Name: "public.t"}, columns: []columnInfo{at, id, v}, key: []columnInfo{id, at}}
	text, params, _ := pageQuery(info, nil, 10)
	if want := `SELECT "at", "i""d", "v" FROM "public"."t" ORDER BY "i""d", "at" LIMIT 10`; text != want || len(params) > 0 {
		t.Errorf("%s %s, want %s", text, params, want)
	}
	text, params, oids := pageQuery(info, []string{"5", "2026-01-02"}, 10)
	if want := `SELECT "at", "i""d", "v" FROM "public"."t" WHERE ("i""d", "at") > ($1, $2) ORDER BY "i""d", "at" LIMIT 10`; text != want {
		t.Errorf("%s, want %s", text, want)
	}
	if d := cmp.Diff([][]byte{[]byte("5"), []byte("2026-01-02")}, params); d != "" || !cmp.Equal(oids, []uint32{20, 1184}) {
		t.Error(d, oids)
	}
	info.key = nil
	if text, _, _ = pageQuery(info, nil, 10); text != `SELECT "at", "i""d", "v" FROM "public"."t"` {
		t.Error(text)
	}
}

func TestDeclare(t *testing.T) {
	const tables = "\ntables: {public.t: {time: at, fields: {v: float}}}"
	for _, test := range []struct{ text, want string }{
		{"slot: s" + tables, "source.postgres.url: is missing"},
		{"url: postgres://u:secret@h:port/d" + tables, "url: is no connection to PostgreSQL"},
		{"url: postgres://h/d\nslot: Upper" + tables, `slot: "Upper": a slot's name`},
		{"url: postgres://h/d\npublication: ''" + tables, "publication: "},
		{"url: postgres://h/d\nlost: snapshot\ncreate: false" + tables, "lost: a snapshot needs a slot of its own making"},
		{"url: postgres://h/d\nsnapshot: maybe" + tables, `snapshot: "maybe": want one of initial, never`},
		{"url: postgres://h/d\ntables: {t: {time: at, fields: {v: float}}}", `tables: "t": want a table with its schema, such as public.t`},
		{"url: postgres://h/d\nothers: skip" + tables, "others: there is no such key"},
		{"url: postgres://h/d", "tables: want at least one table"},
	} {
		_, err := declared(t, test.text)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.text, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the password is told: %v", err)
		}
	}
	c, err := declared(t, "url: postgres://h/d\npassword_file: /p\nslot: s_1\npublication: P\ncreate: false\nsnapshot: never\nlost: stop"+tables)
	if err != nil || c.Slot != "s_1" || c.Publication != "P" || c.Create || c.Snapshot || c.Again || c.PasswordFile != "/p" || len(c.Mapping().Tables) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestDamagedPosition shows that a position that cannot be read is not taken
// for none.
func TestDamagedPosition(t *testing.T) {
	cfg, err := declared(t, offlineYAML)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, &memory{b: []byte("{")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.loadPosition(t.Context()); err == nil || !isFatal(err) {
		t.Errorf("a damaged position: %v", err)
	}
}

// FuzzChange checks that what the log says does no harm, and that what is made
// of it is JSON that the decoder knows.
func FuzzChange(f *testing.F) {
	f.Add((&wire{}).byte('I').u32(7).byte('N').tuple("1", "2026-01-02 15:04:05.5+00", "d\xff\"\n", "1.5", "t", "x").b)
	f.Add((&wire{}).byte('U').u32(7).byte('K').tuple("1", "", "", "", "", "").byte('N').tuple("2", "2026-01-02 15:04:05.5+00", "d", "NaN", "f", "~").b)
	f.Add((&wire{}).byte('D').u32(7).byte('O').tuple("1", "2026-01-02 15:04:05.5+00", "d", "1", "f", "").b)
	f.Add((&wire{}).byte('T').u32(1).byte(0).u32(7).b)
	f.Add((&wire{}).byte('B').u64(90).u64(1).u32(44).b)
	f.Add((&wire{}).byte('C').byte(0).u64(90).u64(99).u64(1).b)
	f.Add(relationText())
	f.Fuzz(func(t *testing.T, data []byte) {
		st, cfg := offline(t)
		if err := st.change(relationText(), 1); err != nil {
			t.Fatal(err)
		}
		if st.change(data, 2) != nil {
			return
		}
		d := debezium.New(cfg.Mapping())
		var out record.List
		for _, m := range st.filling.seal() {
			if !json.Valid(m.Payload) || !utf8.Valid(m.Payload) {
				t.Fatalf("%q is no JSON", m.Payload)
			}
			if err := d.Decode(nil, m.Payload, 0, &out); err != nil && strings.HasPrefix(err.Error(), debezium.BadJSON) {
				t.Fatalf("%s: %v", m.Payload, err)
			}
		}
	})
}

func BenchmarkChange(b *testing.B) {
	st, _ := offline(b)
	if err := st.change(relationText(), 1); err != nil {
		b.Fatal(err)
	}
	insert := (&wire{}).byte('I').u32(7).byte('N').tuple("1234567", "2026-01-02 15:04:05.5+00", "device-1234", "21.5", "t", "x").b
	b.SetBytes(int64(len(insert)))
	b.ReportAllocs()
	for b.Loop() {
		if err := st.change(insert, 2); err != nil {
			b.Fatal(err)
		}
		if st.filling.full(&st.s.cfg) {
			st.filling.reset()
		}
	}
}
