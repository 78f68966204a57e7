package rowmap

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
)

// declared reads a mapping.
func declared(t testing.TB, text string) (Mapping, error) {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	s := declare.Section(n.Content[0], "decode.debezium")
	m := Declare(s)
	return m, s.Err()
}

const readings = `
tables:
  public.readings:
    measurement: readings
    time: {column: at, unit: ms, zone: Asia/Seoul}
    tags: {device: dev, site: site}
    fields: {value: float, n: {column: cnt, type: int}, note: string, on: bool, u: uint}
`

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
			s += fmt.Sprintf(" %s=%s(%v)", f.Name, f.Text(), f.Type)
		}
		if r.Timed {
			s += " @" + time.Unix(0, r.Time).UTC().Format(time.RFC3339Nano)
		}
		all = append(all, s)
	}
	return all
}

// row makes a row of names and values: nil is null, numbers are numbers.
func row(pairs ...any) *Row {
	r := &Row{}
	for i := 0; i < len(pairs); i += 2 {
		v := Value{Kind: Null}
		switch x := pairs[i+1].(type) {
		case string:
			v = Value{Kind: Text, Text: x}
		case bool:
			v = Value{Kind: Bool}
			if x {
				v.Int = 1
			}
		case Value:
			v = x
		case nil:
		default:
			v = Value{Kind: Number, Text: fmt.Sprint(x)}
		}
		r.Add(pairs[i].(string), v)
	}
	return r
}

func TestApply(t *testing.T) {
	const at = "2026-01-02 15:04:05.123" // 06:04:05 UTC
	full := func(pairs ...any) *Row {
		return row(append([]any{"id", 1, "at", at, "dev", "d1", "site", "s"}, pairs...)...)
	}
	for _, test := range []struct {
		name   string
		change Change
		want   []string
		reason string
	}{
		{name: "insert", change: Change{Op: Create, After: full("value", "1.50", "cnt", "12.00", "note", nil, "on", true, "u", 7)},
			want: []string{"readings,device=d1,site=s value=1.5(float) n=12(integer) on=true(boolean) u=7(unsigned) @2026-01-02T06:04:05.123Z"}},
		{name: "a row without values is no point", change: Change{Op: Read, After: full("value", nil)}},
		{name: "a tag that is null is absent", change: Change{Op: Create, After: row("at", 1000, "dev", 5, "site", nil, "value", 1)},
			want: []string{"readings,device=5 value=1(float) @1969-12-31T15:00:01Z"}},
		{name: "update in place", change: Change{Op: Update, Before: full("value", 1, "note", "x", "cnt", nil), After: full("value", 2, "note", nil, "cnt", nil)},
			want: []string{"readings,device=d1,site=s value=2(float) @2026-01-02T06:04:05.123Z",
				"delete readings,device=d1,site=s note=(type(0)) @2026-01-02T06:04:05.123Z"}},
		{name: "update without the row before", change: Change{Op: Update, After: full("value", 2, "note", nil)},
			want: []string{"readings,device=d1,site=s value=2(float) @2026-01-02T06:04:05.123Z",
				"delete readings,device=d1,site=s note=(type(0)) @2026-01-02T06:04:05.123Z"}},
		{name: "what is not known is not touched", change: Change{Op: Update, Before: full("value", 1, "note", "x"), After: full("value", 2)},
			want: []string{"readings,device=d1,site=s value=2(float) @2026-01-02T06:04:05.123Z"}},
		{name: "a tag changes", change: Change{Op: Update, Before: full("value", 1, "note", "long"), After: row("at", at, "dev", "d2", "site", "s", "value", 1)},
			reason: "no_column: table public.readings: an update moved a point, and the event does not hold column cnt of it"},
		{name: "a tag changes, what is not known moves along",
			change: Change{Op: Update, Before: full("value", 1, "note", "long", "cnt", nil, "on", nil, "u", nil), After: row("at", at, "dev", "d2", "site", "s", "value", 1, "cnt", nil, "on", nil, "u", nil)},
			want: []string{"delete readings,device=d1,site=s @2026-01-02T06:04:05.123Z",
				"readings,device=d2,site=s value=1(float) note=long(string) @2026-01-02T06:04:05.123Z"}},
		{name: "the time changes", change: Change{Op: Update, Before: row("at", 0, "dev", "d1", "site", nil), After: row("at", 1.5, "dev", "d1", "site", nil, "value", 1, "cnt", 3, "note", "", "on", "f", "u", nil)},
			want: []string{"delete readings,device=d1 @1969-12-31T15:00:00Z",
				"readings,device=d1 value=1(float) n=3(integer) note=(string) on=false(boolean) @1969-12-31T15:00:00.0015Z"}},
		{name: "the row before with its key only", change: Change{Op: Update, Before: row("id", 1), After: full("value", 1)},
			want: []string{"readings,device=d1,site=s value=1(float) @2026-01-02T06:04:05.123Z"}},
		{name: "a tag that is not known is that of before", change: Change{Op: Update, Before: full(), After: row("at", at, "dev", "d1", "value", 1)},
			want: []string{"readings,device=d1,site=s value=1(float) @2026-01-02T06:04:05.123Z"}},
		{name: "a tag that is nowhere", change: Change{Op: Update, After: row("at", at, "dev", "d1", "value", 1)}, reason: "no_column: table public.readings: the event does not hold column site"},
		{name: "delete", change: Change{Op: Delete, Before: full("value", 1)}, want: []string{"delete readings,device=d1,site=s @2026-01-02T06:04:05.123Z"}},
		{name: "delete with the key only", change: Change{Op: Delete, Before: row("id", 1)}, reason: "no_before: table public.readings: a row was deleted, and the event does not tell its column at"},
		{name: "delete without a row", change: Change{Op: Delete}, reason: "no_before: "},
		{name: "no time", change: Change{Op: Create, After: row("at", nil, "dev", "d", "site", nil)}, reason: "no_time: table public.readings: column at, the time, is null"},
		{name: "no row", change: Change{Op: Create}, reason: "no_row: "},
		{name: "truncate", change: Change{Op: Truncate}, reason: "table_emptied: table public.readings was emptied by TRUNCATE"},
		{name: "no operation", change: Change{}, reason: "bad_operation: "},
		{name: "wrong type", change: Change{Op: Create, After: full("value", "NaN")}, reason: `bad_value: table public.readings: column value: "NaN" is not finite`},
		{name: "wrong type", change: Change{Op: Create, After: full("cnt", "1.5")}, reason: `column cnt: "1.5" is not a whole number`},
		{name: "wrong type", change: Change{Op: Create, After: full("u", -1)}, reason: `column u: "-1" is not a whole number of 64 bits from 0 on`},
		{name: "wrong type", change: Change{Op: Create, After: full("on", 2)}, reason: `column on: "2" is not true or false`},
		{name: "year 9999", change: Change{Op: Create, After: row("at", "9999-01-01", "dev", "d")}, reason: "out of range"},
	} {
		m, err := declared(t, readings)
		if err != nil {
			t.Fatal(err)
		}
		test.change.Table = "public.readings"
		var out record.List
		out.Add(0).Measurement = "before"
		err = New(m).Apply(&test.change, 1, &out)
		var refusal *record.Refusal
		if err != nil && !errors.As(err, &refusal) {
			t.Errorf("%s: %v is no refusal", test.name, err)
		}
		if got := fmt.Sprint(err); test.reason == "" && err != nil || !strings.Contains(got, test.reason) {
			t.Errorf("%s: %s, want %q", test.name, got, test.reason)
		}
		if d := cmp.Diff(append([]string{"before"}, test.want...), show(&out)); d != "" {
			t.Errorf("%s:\n%s", test.name, d)
		}
	}
}

// TestRowsWithoutTime shows what takes the place of a time that is null.
func TestRowsWithoutTime(t *testing.T) {
	for _, test := range []struct {
		time   string
		change Change
		want   []string
		reason string
	}{
		{"{column: at, missing: skip}", Change{Op: Create, After: row("at", nil, "v", 1)}, nil, ""},
		{"{column: at, missing: skip}", Change{Op: Update, Before: row("at", "1970-01-01", "v", 1), After: row("at", nil, "v", 1)}, []string{"delete t @1970-01-01T00:00:00Z"}, ""},
		{"{column: at, missing: skip}", Change{Op: Delete, Before: row("at", nil)}, nil, ""},
		{"{column: at, missing: change}", Change{Op: Create, At: 5e9, After: row("at", nil, "v", 1)}, []string{"t v=1(float) @1970-01-01T00:00:05Z"}, ""},
		{"{column: at, missing: arrival}", Change{Op: Create, At: 5e9, After: row("at", nil, "v", 1)}, []string{"t v=1(float)"}, ""},
		{"{column: at, missing: arrival}", Change{Op: Delete, Before: row("at", nil)}, nil, "no_before: "},
		{"{from: change}", Change{Op: Create, At: 5e9, After: row("v", 1)}, []string{"t v=1(float) @1970-01-01T00:00:05Z"}, ""},
		{"{from: change}", Change{Op: Update, At: 6e9, Before: row("v", 1), After: row("v", 2)}, []string{"t v=2(float) @1970-01-01T00:00:06Z"}, ""},
		{"{from: change}", Change{Op: Update, At: 6e9, Before: row("v", 1), After: row("v", nil)}, nil, ""},
		{"{from: change}", Change{Op: Delete, At: 7e9, Before: row("v", 1)}, nil, ""},
		{"{from: arrival}", Change{Op: Create, At: 5e9, After: row("v", 1)}, []string{"t v=1(float)"}, ""},
	} {
		m, err := declared(t, "tables: {t: {time: "+test.time+", fields: {v: float}}}")
		if err != nil {
			t.Fatal(err)
		}
		test.change.Table = "t"
		var out record.List
		err = New(m).Apply(&test.change, 0, &out)
		if test.reason == "" && err != nil || !strings.Contains(fmt.Sprint(err), test.reason) {
			t.Errorf("%s: %v, want %q", test.time, err, test.reason)
		}
		if d := cmp.Diff(test.want, show(&out)); d != "" {
			t.Errorf("%s:\n%s", test.time, d)
		}
	}
}

func TestOthers(t *testing.T) {
	for _, test := range []struct{ others, reason string }{{"refuse", "unknown_table: "}, {"skip", ""}} {
		m, err := declared(t, "others: "+test.others+readings)
		if err != nil {
			t.Fatal(err)
		}
		err = New(m).Apply(&Change{Table: "x", Op: Create}, 0, &record.List{})
		if test.reason == "" && err != nil || !strings.Contains(fmt.Sprint(err), test.reason) {
			t.Errorf("%s: %v", test.others, err)
		}
	}
	m, err := declared(t, "tables: {t: {time: at, truncate: ignore, deletes: keep, fields: {v: float}}}")
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range []Op{Truncate, Delete} {
		var out record.List
		if err := New(m).Apply(&Change{Table: "t", Op: op}, 0, &out); err != nil || out.Len() > 0 {
			t.Errorf("operation %d is not ignored: %v, %v", op, err, show(&out))
		}
	}
}

func TestTruncateDeletes(t *testing.T) {
	m, err := declared(t, "tables: {t: {measurement: m, time: at, truncate: delete, fields: {v: float}}}")
	if err != nil {
		t.Fatal(err)
	}
	var out record.List
	if err := New(m).Apply(&Change{Table: "t", Op: Truncate}, 0, &out); err != nil || out.Len() != 1 || !out.At(0).All || !out.At(0).Delete || out.At(0).Measurement != "m" {
		t.Errorf("%v, %v", err, show(&out))
	}
}

func TestDeclare(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"tables: {}", "tables: want at least one table"},
		{"others: maybe\ntables: {t: {time: at, fields: {v: float}}}", `others: "maybe": want one of refuse, skip`},
		{"tables: {t: {fields: {v: float}}}", "1:13: decode.debezium.tables.t.time: is missing"},
		{"tables: {t: {time: at}}", "fields: want at least one field"},
		{"tables: {t: {time: at, fields: {v: flaot}}}", `fields.v: "flaot": want one of float, int`},
		{"tables: {t: {time: at, fields: {v: {column: x}}}}", "fields.v.type: is missing"},
		{"tables: {t: {time: at, fields: {v: {type: int, colum: x}}}}", "did you mean column?"},
		{"tables: {t: {time: at, tags: [v], fields: {v: int}}}", "v is a tag already"},
		{"tables: {t: {time: at, tags: [a, a], fields: {v: int}}}", "a is given already"},
		{"tables: {t: {time: {column: at, zone: Mars/Base}, fields: {v: int}}}", `time.zone: "Mars/Base": want the name of a time zone`},
		{"tables: {t: {time: {column: at, unit: h}, fields: {v: int}}}", `time.unit: "h": want one of s, ms`},
		{"tables: {t: {time: {from: change, column: at}, fields: {v: int}}}", "time.column: there is no such key"},
		{"tables: {t: {time: {from: change}, deletes: remove, fields: {v: int}}}", "deletes: a deleted row's point cannot be found"},
		{"tables: {t: {time: at, key: [id], fields: {v: int}}}", "key: is of use with before: key only"},
		{"tables: {t: {measurement: m, time: at, fields: {v: int}}, u: {measurement: m, time: at, truncate: delete, fields: {v: int}}}", "tables.u.measurement: m is that of table t too"},
		{"tables: {t: {time: at, fields: {v: int}, feilds: {}}}", "did you mean fields?"},
	} {
		if _, err := declared(t, test.text); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.text, err, test.want)
		}
	}
	m, err := declared(t, readings)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"at", "dev", "site", "value", "cnt", "note", "on", "u"}, m.Tables[0].Columns()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"at", "dev", "site"}, m.Tables[0].Place()); d != "" {
		t.Error(d)
	}
}

func TestTimes(t *testing.T) {
	seoul, err := time.LoadLocation("Asia/Seoul")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		value Value
		unit  time.Duration
		want  string
	}{
		{Value{Kind: Text, Text: "2026-01-02T15:04:05Z"}, 0, "2026-01-02T15:04:05Z"},
		{Value{Kind: Text, Text: "2026-01-02 15:04:05.123456+00"}, 0, "2026-01-02T15:04:05.123456Z"},
		{Value{Kind: Text, Text: "2026-01-02 15:04:05.1234567899+05:30"}, 0, "2026-01-02T09:34:05.123456789Z"},
		{Value{Kind: Text, Text: "1900-01-01 00:00:00-00:01:15"}, 0, "1900-01-01T00:01:15Z"},
		{Value{Kind: Text, Text: "2026-01-02T15:04-0330"}, 0, "2026-01-02T18:34:00Z"},
		{Value{Kind: Text, Text: "2026-01-02 15:04:05"}, 0, "2026-01-02T06:04:05Z"},
		{Value{Kind: Text, Text: "2026-01-02"}, 0, "2026-01-01T15:00:00Z"},
		{Value{Kind: Text, Text: "1767366245"}, time.Second, "2026-01-02T06:04:05Z"},
		{Value{Kind: Number, Text: "1767366245.25"}, time.Second, "2026-01-02T06:04:05.25Z"},
		{Value{Kind: Number, Text: "-1"}, time.Millisecond, "1969-12-31T14:59:59.999Z"},
		{Value{Kind: Number, Text: "20000"}, 24 * time.Hour, "2024-10-03T15:00:00Z"},
		{Value{Kind: Number, Text: "1"}, 0, "does not say of which unit"},
		{Value{Kind: Number, Text: "1e3"}, time.Second, "is not a time"},
		{Value{Kind: Number, Text: "9223372036854775807"}, time.Second, "is out of range"},
		{Value{Kind: Number, Text: "99999999999"}, time.Second, "is out of range"},
		{Value{Kind: Instant, Int: 1e9}, 0, "1970-01-01T00:00:01Z"},
		{Value{Kind: Wall, Int: 9 * 3600e9}, 0, "1970-01-01T00:00:00Z"},
		{Value{Kind: Bool}, 0, "is not a time"},
		{Value{Kind: Text, Text: "infinity"}, 0, "is not a time such as"},
		{Value{Kind: Text, Text: "2026-02-30"}, 0, "is not a time such as"},
		{Value{Kind: Text, Text: "2026-01-02 24:00"}, 0, "is not a time such as"},
		{Value{Kind: Text, Text: "2026-01-02x"}, 0, "is not a time such as"},
		{Value{Kind: Text, Text: "2026-01-02 15:04:05."}, 0, "is not a time such as"},
		{Value{Kind: Text, Text: "0044-03-15 12:00:00"}, 0, "is out of range"},
		{Value{Kind: Text, Text: "1677-01-01"}, 0, "is out of range"},
	} {
		ns, got := test.value.nanosOf(test.unit, seoul)
		if got == "" {
			got = time.Unix(0, ns).UTC().Format(time.RFC3339Nano)
		}
		if !strings.HasPrefix(got, test.want) && !strings.Contains(got, test.want) {
			t.Errorf("%+v: %s, want %s", test.value, got, test.want)
		}
	}
}

func TestDecimal(t *testing.T) {
	for _, test := range []struct {
		text  string
		scale int
		want  string
	}{
		{"MDk=", 2, "123.45"}, {"z8c=", 2, "-123.45"}, {"AA==", 2, "0.00"}, {"AQ==", 5, "0.00001"}, {"/w==", 0, "-1"}, {"AQ==", -3, "1000"},
		{"AIAAAAAAAAAA", 0, "9223372036854775808"}, {"!", 2, "not base 64"}, {"", 2, "1 to 1000 digits"}, {"AQ==", 20000, "its scale"},
	} {
		got, problem := Decimal(test.text, test.scale)
		if got+problem == "" || !strings.Contains(got+problem, test.want) {
			t.Errorf("%s, scale %d: %q %q, want %s", test.text, test.scale, got, problem, test.want)
		}
	}
	m, err := declared(t, "tables: {t: {time: {from: arrival}, fields: {v: {type: float, scale: 2}}}}")
	if err != nil {
		t.Fatal(err)
	}
	var out record.List
	if err := New(m).Apply(&Change{Op: Create, Table: "t", After: row("v", "MDk=")}, 0, &out); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"t v=123.45(float)"}, show(&out)); d != "" {
		t.Error(d)
	}
}

// TestPaths shows what is known of a document of which a part was changed.
func TestPaths(t *testing.T) {
	r := &Row{Columns: []Column{{"a.b", Value{Kind: Text, Text: "x"}}}, Replaced: []string{"a"}}
	var hint int
	for name, want := range map[string]Kind{"a.b": Text, "a.c": Null, "a": Absent, "ab": Absent, "b": Absent} {
		if got := r.get(name, &hint); got.Kind != want {
			t.Errorf("%s is %v, want %v", name, got.Kind, want)
		}
	}
	r.Complete = true
	if got := r.get("b", &hint); got.Kind != Null {
		t.Errorf("b of a whole document is %v", got.Kind)
	}
}
