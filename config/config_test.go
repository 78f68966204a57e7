package config

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/server"
)

var rewrite = flag.Bool("rewrite", false, "write golden files and docs/CONFIGURATION.md anew")

// load reads a file of that text, and nothing else unless change adds it.
func load(file string, change func(*Sources)) (*Effective, error) {
	s := Sources{File: "varve.yaml", ReadFile: func(string) ([]byte, error) { return []byte(file), nil }}
	if change != nil {
		change(&s)
	}
	return Load(s)
}

func TestPrecedence(t *testing.T) {
	file := "init:\n  org: file\n  bucket: file\nlog.level: warn\ninit.retention: 30d\n"
	e, err := load(file, func(s *Sources) {
		s.Environment = []string{"VARVE_INIT_BUCKET=environment", "VARVE_LOG_LEVEL=error", "VARVE_LOG_FORMAT=", "HOME=x"}
		s.Flags = map[string]string{"log.level": "debug"}
	})
	if err != nil {
		t.Fatal(err)
	}
	c := e.Config
	if c.InitOrg != "file" || c.InitBucket != "environment" || c.LogLevel != "debug" || c.LogFormat != "text" || c.InitRetention != 30*day {
		t.Errorf("%+v", c)
	}
	if len(e.Warnings) > 0 {
		t.Error(e.Warnings)
	}
	for key, want := range map[string]string{
		"init.org": "varve.yaml:2", "init.bucket": "environment VARVE_INIT_BUCKET", "log.level": "flag --log-level",
		"log.format": "default", "init.retention": "varve.yaml:5",
	} {
		if got := e.origin[key].String(); got != want {
			t.Errorf("%s comes from %s, want %s", key, got, want)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ file, variable, want string }{
		{"service:\n  auht: none", "", "varve.yaml:2: there is no setting service.auht; did you mean service.auth?"},
		{"service.auht: none", "", "varve.yaml:1: there is no setting service.auht; did you mean service.auth?"},
		{"completely: different", "", "varve.yaml:1: there is no setting completely; varve config --docs lists all"},
		{"log:\n  level: loud", "", `log.level: "loud": want debug, info, warn or error (varve.yaml:2)`},
		{"memory.limit: 12XB", "", `memory.limit: "12XB": want a size such as 512MiB (varve.yaml:1)`},
		{"", "VARVE_SHARDS=many", `shards: "many": want a whole number (environment VARVE_SHARDS)`},
		{"memory.limit: 1MiB", "", "memory limit is 1 MiB, want at least 64 MiB (memory.limit: varve.yaml:1)"},
		{"service.auth: none", "VARVE_SERVICE_ADDR=0.0.0.0:1", "a service port without tokens must be on loopback, not on 0.0.0.0:1 (service.addr: environment VARVE_SERVICE_ADDR; service.auth: varve.yaml:1)"},
		{"service: none", "", "varve.yaml:1: service is a section: want keys below it"},
		{"log.level: [debug]", "", "varve.yaml:1: log.level: want a single value"},
		{"log:\n  level:", "", "varve.yaml:2: log.level has no value"},
		{"log: {level: debug}\nlog.level: info", "", "varve.yaml:2: log.level is given already in line 1"},
		{"just text", "", "varve.yaml:1: want keys and values, such as: service.auth: token"},
		{"a: b\n---\nc: d", "", "read configuration varve.yaml: it has a second document (---); one is wanted"},
		{"a: [", "", "read configuration varve.yaml: "},
	} {
		_, err := load(c.file, func(s *Sources) { s.Environment = []string{c.variable} })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q and %q: %v\nwant %s", c.file, c.variable, err, c.want)
		}
	}
	_, err := load("log.level: loud\nshards: x\nnothing: 1", nil)
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("not every mistake is told: %v", err)
	}
	if _, err := load("log:\n  # level: debug\n\n", nil); err != nil {
		t.Errorf("a section without keys: %v", err)
	}
	if _, err := load("# nothing\n", nil); err != nil {
		t.Errorf("an empty file: %v", err)
	}
}

func TestUnknownVariable(t *testing.T) {
	e, err := load("", func(s *Sources) {
		s.Known = []string{"VARVE_TOKEN"}
		s.Environment = []string{"VARVE_TOKEN=x", "VARVE_LOG_LEVLE=debug", "VARVE_9=9"}
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"the environment has VARVE_LOG_LEVLE, which is no setting; did you mean VARVE_LOG_LEVEL?",
		"the environment has VARVE_9, which is no setting",
	}
	if diff := cmp.Diff(want, e.Warnings); diff != "" {
		t.Error(diff)
	}
}

// What is shown can be read again, and has no secret in it.
func TestWriteYAML(t *testing.T) {
	e, err := load("data_dir: 'null'\ninit: {org: 'a: #b', bucket: \"new\\nline\"}\nmemory: {limit: 1.5GiB}\n", func(s *Sources) {
		s.Environment = []string{"VARVE_ADMIN_TOKEN=very-secret"}
		s.Flags = map[string]string{"ingest.max_future": "36h"}
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := e.WriteYAML(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/effective.yaml", out.Bytes())
	if strings.Contains(out.String(), "very-secret") {
		t.Error("the secret is shown")
	}
	again, err := load(out.String(), func(s *Sources) { s.Environment = []string{"VARVE_ADMIN_TOKEN=very-secret"} })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e.Config, again.Config); diff != "" {
		t.Error(diff)
	}
}

// A row's renderer and reader agree, keys are unique and spelt as they should
// be, and the rows of a section stand together.
func TestTable(t *testing.T) {
	spelling := regexp.MustCompile(`^[a-z0-9]+([._][a-z0-9]+)*$`)
	flags, sections := map[string]bool{}, map[string]bool{}
	last := ""
	for _, s := range Table() {
		if !spelling.MatchString(s.Key) || flags[s.Flag()] || s.Usage == "" {
			t.Errorf("%s: bad or repeated key, or no usage", s.Key)
		}
		flags[s.Flag()] = true
		section := s.Key[:max(0, strings.LastIndexByte(s.Key, '.'))]
		if section != last && section != "" && sections[section] {
			t.Errorf("%s stands apart from its section", s.Key)
		}
		last, sections[section] = section, true
		c, d := server.Default(), server.Default()
		if err := s.Set(&c, s.Get(&d)); err != nil {
			t.Errorf("%s: the default cannot be written: %v", s.Key, err)
		}
		if diff := cmp.Diff(d, c); diff != "" {
			t.Errorf("%s: the default is read back otherwise: %s", s.Key, diff)
		}
	}
}

// Every kind of value, those too that no setting has at the moment.
func TestKinds(t *testing.T) {
	var f float64
	var b bool
	var l []string
	var c server.Config
	rows := []struct {
		s         Setting
		good, bad string
	}{
		{fraction("f", func(*server.Config) *float64 { return &f }, ""), "0.5", "half"},
		{toggle("b", func(*server.Config) *bool { return &b }, ""), "true", "yes"},
		{list("l", func(*server.Config) *[]string { return &l }, ""), "a,b", ""},
	}
	for _, r := range rows {
		if err := r.s.Set(&c, r.good); err != nil || r.s.Get(&c) != r.good {
			t.Errorf("%s: %v, %s", r.s.Kind, err, r.s.Get(&c))
		}
		if r.bad != "" && r.s.Set(&c, r.bad) == nil {
			t.Errorf("%s: took %q", r.s.Kind, r.bad)
		}
	}
	values, err := parseFile("f", []byte("l: [x, y]\nb: false\n"), []Setting{rows[1].s, rows[2].s})
	if err != nil || len(values) != 2 || values[0].text != "x,y" || values[1].text != "false" {
		t.Errorf("%v %v", values, err)
	}
	s := secret(number("n", func(*server.Config) *int { return new(int) }, ""))
	if err := s.Set(&c, "hidden"); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("a secret in an error: %v", err)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "17": 17, "17B": 17, "64KiB": 64 << 10, "1.5MiB": 3 << 19, "2GiB": 2 << 30, "1TiB": 1 << 40,
		"512MB": 512e6, "3k": 3 << 10, "4 GiB": 4 << 30,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "1XiB", "1e30", "MiB", "NaN", "inf"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
	for _, n := range []int64{0, 1, 1000, 64 << 10, 50 << 20, 3 << 30} {
		if got, err := ParseSize(FormatSize(n)); err != nil || got != n {
			t.Errorf("%d is rendered %q, which is %d, %v", n, FormatSize(n), got, err)
		}
	}
}

func TestSpans(t *testing.T) {
	for text, want := range map[string]time.Duration{"0": 0, "90s": 90 * time.Second, "72h": 3 * day, "30d": 30 * day, "52w": 364 * day, "1h30m": 90 * time.Minute} {
		if got, err := ParseSpan(text); err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1h", "d", "1.5d", "300000w", "soon"} {
		if got, err := ParseSpan(text); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
	for _, d := range []time.Duration{0, 1, time.Microsecond, 1500 * time.Millisecond, time.Minute, 36 * time.Hour, 30 * day, 1<<63 - 1} {
		if got, err := ParseSpan(FormatSpan(d)); err != nil || got != d {
			t.Errorf("%s is rendered %q, which is %s, %v", d, FormatSpan(d), got, err)
		}
	}
}

// The reference in docs/CONFIGURATION.md is what the program says.
func TestDocs(t *testing.T) {
	const name, mark = "../docs/CONFIGURATION.md", "<!-- from here on: varve config --docs -->\n"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := bytes.Cut(text, []byte(mark))
	if !ok {
		t.Fatalf("%s lacks the line %s", name, mark)
	}
	out := bytes.NewBuffer(append(head, mark...))
	out.WriteByte('\n')
	if err := WriteReference(out); err != nil {
		t.Fatal(err)
	}
	golden(t, name, out.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (go test ./config -rewrite writes it anew):\n%s", name, diff)
	}
}

// No file can make the parser fail otherwise than by an error.
func FuzzFile(f *testing.F) {
	for _, s := range []string{"service: {auth: none}", "service.auth: none\nlog:\n  level: debug\n", "a: &x 1\nb: *x\n", "- a\n", "? [a]\n: b\n", "<<: {shards: 3}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		values, err := parseFile("f", []byte(text), Table())
		if err == nil {
			for _, v := range values {
				if v.from.line < 1 {
					t.Errorf("%s has no line", v.key)
				}
			}
		}
	})
}
