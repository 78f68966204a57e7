package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/importer"
)

var rewrite = flag.Bool("rewrite", false, "write the expected output of the scripts anew")

func TestCompleteMapping(t *testing.T) {
	var m importer.Mapping
	err := completeMapping(&m, "Europe/Kyiv", `\t`, "#", []string{"a", "b:bee"}, []string{"site=n=1"}, []string{"x", "y:why", "z::int", "u:v:float"})
	if err != nil {
		t.Fatal(err)
	}
	want := importer.Mapping{
		Comma: '\t', Comment: '#', Zone: m.Zone,
		Tags:      []importer.TagColumn{{Column: "a"}, {Column: "b", Key: "bee"}},
		FixedTags: map[string]string{"site": "n=1"},
		Fields: []importer.FieldColumn{{Column: "x"}, {Column: "y", Name: "why"},
			{Column: "z", Type: importer.Int}, {Column: "u", Name: "v", Type: importer.Float}},
	}
	if diff := cmp.Diff(want, m, cmp.Comparer(func(a, b *time.Location) bool { return a == b })); diff != "" || m.Zone.String() != "Europe/Kyiv" {
		t.Error(diff)
	}
	for _, c := range [][3]string{{"Mars", ",", ""}, {"", ",,", ""}, {"", ",", "//"}} {
		if err := completeMapping(&m, c[0], c[1], c[2], nil, nil, nil); err == nil {
			t.Errorf("%q: no error", c)
		}
	}
}

func TestDrawAnswer(t *testing.T) {
	var out bytes.Buffer
	err := readAnswer(strings.NewReader(`{"status":"success","data":[
		{"time":"2026-01-01T00:00:00Z","measurement":"m","field":"v","value":1.50,"tags":{"h":"ä"}},
		{"time":"2026-01-01T00:00:00.5Z","measurement":"m","field":"long","value":"a\u001b[31m","tags":{"g":"x"}},
		{"time":"2026-01-01T00:00:01Z","measurement":"m","field":"n","value":null,"tags":{}}],"count":3,"explain":"read 1 block\n"}`), &rowTable{out: &out})
	if err != nil {
		t.Fatal(err)
	}
	want := `time                    g  h  field  value
2026-01-01T00:00:00Z       ä  v      1.50
2026-01-01T00:00:00.5Z  x     long   "a\x1b[31m"
2026-01-01T00:00:01Z          n      
3 values

read 1 block
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{``, `[]`, `{"status":"success","data":[`, `{"status":"success","data":[]}`} {
		if err := readAnswer(strings.NewReader(text), &rowTable{out: &out}); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestParseWhere(t *testing.T) {
	for text, want := range map[string]string{
		"temperature>20":        `{"field":"temperature","op":">","value":20}`,
		" a <= -1.5e3 ":         `{"field":"a","op":"<=","value":-1.5e3}`,
		"ok==true":              `{"field":"ok","op":"=","value":true}`,
		"state=~^err|=x":        `{"field":"state","op":"=~","value":"^err|=x"}`,
		`name!="21"`:            `{"field":"name","op":"!=","value":"21"}`,
		`name=two words`:        `{"field":"name","op":"=","value":"two words"}`,
		`name=null`:             `{"field":"name","op":"=","value":"null"}`,
		`"a=\"b exists" exists`: `{"field":"a=\"b exists","op":"exists"}`,
		"note exists":           `{"field":"note","op":"exists"}`,
	} {
		c, err := parseWhere(text)
		got, _ := json.Marshal(c)
		b := bytes.NewBuffer(nil)
		json.HTMLEscape(b, []byte(want))
		if err != nil || string(got) != b.String() {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "a", "a=", "=1", "a is 1", `"a"`, `a="x`, "a!1"} {
		if c, err := parseWhere(text); err == nil {
			t.Errorf("%q: %v", text, c)
		}
	}
}

// More rows than are looked at for the widths come out as well.
func TestDrawLongAnswer(t *testing.T) {
	var in strings.Builder
	in.WriteString(`{"data":[`)
	for i := range 3 * peek {
		if i > 0 {
			in.WriteByte(',')
		}
		in.WriteString(`{"time":"t","field":"f","value":1,"tags":{}}`)
	}
	in.WriteString(`],"count":1500}`)
	var out bytes.Buffer
	if err := readAnswer(strings.NewReader(in.String()), &rowTable{out: &out}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 3*peek+2 {
		t.Errorf("%d lines, want %d", n, 3*peek+2)
	}
}

// Every command has help with an example or commands below it.
func TestHelp(t *testing.T) {
	for _, c := range root(nil).Commands() {
		if c.Short == "" || c.Example == "" && !c.HasSubCommands() && c.Name() != "version" {
			t.Errorf("command %s lacks help", c.Name())
		}
		for _, sub := range c.Commands() {
			if sub.Short == "" || sub.Example == "" {
				t.Errorf("command %s %s lacks help", c.Name(), sub.Name())
			}
		}
	}
}
