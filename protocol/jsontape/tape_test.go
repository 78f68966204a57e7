package jsontape

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func read(t testing.TB, text string) *Tape {
	t.Helper()
	var tape Tape
	if err := tape.Read([]byte(text)); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return &tape
}

// TestLooks is about what is found on a tape, and that nothing is where there is
// nothing.
func TestLooks(t *testing.T) {
	tape := read(t, ` {"a": [10, {"b": "x\n"}, []], "k\u0065y": true, "twice": 1, "twice": {"only": null}} `)
	list := tape.Get(0, "a")
	if tape.Kind(list) != Array || string(tape.Raw(list)) != `[10, {"b": "x\n"}, []]` {
		t.Fatalf("a is %s: %s", tape.Kind(list), tape.Raw(list))
	}
	var elements []string
	for i := range tape.Elements(list) {
		elements = append(elements, tape.View(i))
	}
	if want := []string{"10", `{"b": "x\n"}`, "[]"}; !slices.Equal(elements, want) {
		t.Errorf("elements are %q, want %q", elements, want)
	}
	var keys []string
	for i := range tape.Members(0) {
		keys = append(keys, tape.Key(i))
	}
	if want := []string{"a", "key", "twice", "twice"}; !slices.Equal(keys, want) {
		t.Errorf("keys are %q, want %q", keys, want)
	}
	b := tape.Only(tape.Element(list, 1))
	if tape.Key(b) != "b" || tape.Text(b) != "x\n" || !tape.Escaped(b) || string(tape.Raw(b)) != `x\n` {
		t.Errorf("%s is %q", tape.Key(b), tape.Text(b))
	}
	if i := tape.Get(0, "key"); tape.Kind(i) != True || tape.Text(i) != "" {
		t.Errorf("a key with escapes is not found")
	}
	twice := tape.Get(0, "twice")
	if tape.Kind(twice) != Object || tape.Kind(tape.Only(twice)) != Null {
		t.Errorf("of a key that stands twice, the last does not count")
	}
	if end := tape.Next(twice); end != tape.Next(0) || end != 10 {
		t.Errorf("value %d is behind the last one, want 10", end)
	}
	for name, i := range map[string]int{
		"no key": tape.Get(0, "b"), "key of an array": tape.Get(list, "b"), "key of nothing": tape.Get(None, "b"),
		"no element": tape.Element(list, 3), "element of an object": tape.Element(0, 0), "element of nothing": tape.Element(None, 0),
		"only of many": tape.Only(0), "only of none": tape.Only(tape.Element(list, 2)),
	} {
		if i != None {
			t.Errorf("%s is value %d", name, i)
		}
	}
	for range tape.Members(list) {
		t.Error("an array has a member")
	}
	for range tape.Elements(None) {
		t.Error("nothing has an element")
	}
	if k := tape.Kind(None); k != 0 || tape.Text(None) != "" {
		t.Errorf("nothing is %s", k)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "at byte 0: want a value, found the end"},
		{"[1,", "at byte 3: want a value, found the end"},
		{`{"a" 1}`, `at byte 5: want a colon behind a key, found "1}"`},
		{`{a:1}`, `at byte 1: want a key in quotes, found "a:1}"`},
		{`{"a":1,}`, `at byte 7: want a key in quotes, found "}"`},
		{`{"a":1]`, `at byte 6: want a comma or } behind a value, found "]"`},
		{`[1 2]`, `at byte 3: want a comma or ] behind a value, found "2]"`},
		{`1 2`, `at byte 2: want the end behind the document, found "2"`},
		{`nul`, `at byte 0: want null, found "nul"`},
		{`+1`, `at byte 0: want a value, found "+1"`},
		{`01`, `at byte 0: "01" is not a number in JSON`},
		{`1.e5`, `at byte 0: "1.e5" is not a number in JSON`},
		{`-`, `at byte 0: "-" is not a number in JSON`},
		{"\"a\tb\"", `at byte 2: a text holds a control character; JSON writes it as \u0009`},
		{`"abc`, "at byte 0: a text has no closing quote"},
		{`"\x"`, `at byte 1: JSON has no escape "\\x"`},
		{`"\u12g4"`, `at byte 1: want four hexadecimal digits behind \u, found "\\u12g4\""`},
		{`"\`, "at byte 1: an escape has no end"},
		{`{"\u":1}`, `at byte 2: want four hexadecimal digits behind \u, found "\\u\":1}"`},
		{"[\"\xff\"]", "at byte 2: the message is not UTF-8"},
		{strings.Repeat("[", MaxDepth+1), "at byte 64: values are nested more than 64 deep"},
		{"[" + strings.Repeat("0,", maxValues) + "0]", "at byte 2097151: the document has more than 1048576 values"},
	} {
		var tape Tape
		err := tape.Read([]byte(c.text))
		if err == nil || err.Error() != c.want {
			t.Errorf("%.20s: got %v, want %s", c.text, err, c.want)
		}
		if is := strings.HasSuffix(c.want, "UTF-8"); errors.Is(err, ErrUTF8) != is {
			t.Errorf("%.20s: that it is not UTF-8 is told: %t", c.text, !is)
		}
	}
	read(t, strings.Repeat("[", MaxDepth)+strings.Repeat("]", MaxDepth))
}

func TestQuote(t *testing.T) {
	if got := Quote("a\n"); got != `"a\n"` {
		t.Error(got)
	}
	if got := Quote([]byte(strings.Repeat("x", 1000))); got != `"`+strings.Repeat("x", maxQuoted)+`"…` {
		t.Error(got)
	}
}

// FuzzRead compares with the standard library what is JSON, and what its texts,
// keys and numbers say.
func FuzzRead(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e+3,true,false,null,"x\u00e9\ud83d\ude00\ud800\n"],"b":{}}`, `[`, `"\ud800\u0041"`, `"\ud83d\ud83d\ude00"`,
		`01`, "\"\x01\"", ` 1 `, `1 2`, `{"\u0061\/":"\"\\","a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var tape Tape
		err := tape.Read(text)
		if err != nil && (strings.Contains(err.Error(), "deep") || errors.Is(err, ErrUTF8)) {
			return
		}
		if got, want := err == nil, json.Valid(text); got != want {
			t.Fatalf("%q: %v, and the standard library says %t", text, err, want)
		}
		if IsNumber(text) && (err != nil || tape.Kind(0) != Number) {
			t.Fatalf("%q is told to be a number", text)
		}
		if err != nil {
			return
		}
		for i := range tape.nodes {
			raw := tape.Raw(i)
			switch tape.Kind(i) {
			case Text:
				var want string
				if err := json.Unmarshal([]byte(`"`+string(raw)+`"`), &want); err != nil || tape.Text(i) != want {
					t.Fatalf("%q: %q, want %q (%v)", text, tape.Text(i), want, err)
				}
			case Object:
				var want map[string]json.RawMessage
				if err := json.Unmarshal(raw, &want); err != nil {
					t.Fatalf("%q: %s", text, err)
				}
				for v := range tape.Members(i) {
					key := tape.Key(v)
					last := tape.Raw(tape.Get(i, key))
					if got := strings.Trim(string(want[key]), `"`); got != strings.Trim(string(last), `"`) {
						t.Fatalf("%q: %q is %s, want %s", text, key, last, got)
					}
				}
			case Number:
				if !IsNumber(raw) {
					t.Fatalf("%q: %s is not told to be a number", text, raw)
				}
			default:
				if !json.Valid(raw) {
					t.Fatalf("%q: %q is no value", text, raw)
				}
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	for name, text := range map[string]string{
		"reading": `{"timestamp":"2026-01-02T15:04:05.123Z","sensor_type":"temperature","location":"seoul","value":21.53,"quality":98.2}`,
		"escapes": `{"before":"{\"_id\":1,\"at\":{\"$date\":1767366245123},\"note\":\"\\u00e9\"}","after":null}`,
		"arrays":  `[[1767366245123,21.5,true],[1767366246123,21.25,false],[1767366247123,-3e2,null]]`,
	} {
		b.Run(name, func(b *testing.B) {
			var tape Tape
			message := []byte(text)
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			for b.Loop() {
				if err := tape.Read(message); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
