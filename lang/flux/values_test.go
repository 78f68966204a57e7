package flux

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/varvedb/varve/lang/flux/stdlib"
)

// TestValues runs testdata/values.txt: a line is an expression, " = " and what
// display makes of its value, or " ! " and a part of the error. Packages are
// imported by the names that stand in the expression.
func TestValues(t *testing.T) {
	f, err := os.Open("testdata/values.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at, fails := strings.LastIndex(line, " = "), false
		if i := strings.LastIndex(line, " ! "); i > at {
			at, fails = i, true
		}
		if at < 0 {
			t.Fatalf("line %d has neither = nor !", n)
		}
		expression, want := line[:at], strings.ReplaceAll(line[at+3:], `\n`, "\n")
		got, err := displayed(expression)
		switch {
		case fails && err == nil:
			t.Errorf("line %d: %s is %s: want an error", n, expression, got)
		case fails && !strings.Contains(err.Error(), want):
			t.Errorf("line %d: %s: %v: want an error with %q", n, expression, err, want)
		case fails:
		case err != nil:
			t.Errorf("line %d: %s: %v", n, expression, err)
		case got != want:
			t.Errorf("line %d: %s is\n%s\nwant\n%s", n, expression, got, want)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// displayed runs a script that displays an expression. A package is imported if
// its name stands in it, or its path with _ for /; of packages with one name the
// one with the shortest path is meant.
func displayed(expression string) (string, error) {
	paths := slices.Collect(maps.Keys(stdlib.Packages()))
	slices.SortFunc(paths, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	words := map[string]bool{}
	for _, w := range strings.FieldsFunc(expression, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		words[w] = true
	}
	script := "import _rows \"array\"\n"
	for _, path := range paths {
		name := path[strings.LastIndexByte(path, '/')+1:]
		if alias := strings.ReplaceAll(path, "/", "_"); words[alias] {
			name = alias
		}
		if path != "" && words[name] {
			script += fmt.Sprintf("import %s %q\n", name, path)
			delete(words, name)
		}
	}
	script += "option now = () => 2022-06-15T13:45:30.5Z\n"
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := run(ctx, script+"_rows.from(rows: [{v: display(v:\n"+expression+"\n)}])")
	if err != nil {
		return "", err
	}
	_, row, _ := strings.Cut(string(out), ",result,table,v\r\n,,0,")
	row = strings.TrimSuffix(row, "\r\n\r\n")
	if text, ok := strings.CutPrefix(row, `"`); ok {
		row = strings.ReplaceAll(strings.TrimSuffix(text, `"`), `""`, `"`)
	}
	return row, nil
}
