package flux

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/stdlib"
	"github.com/varvedb/varve/lang/flux/table"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/tables*.txt anew")

// TestTables runs testdata/tables*.txt: scripts, and after a line of dashes the
// tables that they make, or an error. Packages are imported by the names that
// stand before a dot. Scripts are separated by empty lines.
func TestTables(t *testing.T) {
	files, err := filepath.Glob("testdata/tables*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		testTables(t, file)
	}
}

func testTables(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var again []string
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		script, want, ok := strings.Cut(block, "\n----\n")
		if !ok && !*rewrite {
			t.Fatalf("script without a line of dashes:\n%s", block)
		}
		got := tables(script)
		if got != want && !*rewrite {
			t.Errorf("%s\ngot\n%s\nwant\n%s", script, got, want)
		}
		again = append(again, script+"\n----\n"+got)
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(strings.Join(again, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// tables runs a script and renders its tables: the labels, with a star before
// those of the group key, and a line for each row. Times of 2021-01-01 are
// short.
func tables(script string) string {
	imports := ""
	for path := range stdlib.Packages() {
		name := path[strings.LastIndexByte(path, '/')+1:]
		if name != "" && (strings.Contains(script, " "+name+".") || strings.HasPrefix(script, name+".") || strings.Contains(script, "("+name+".")) &&
			!hasShorter(path, name) {
			imports += fmt.Sprintf("import %q\n", path)
		}
	}
	s, err := Parse(imports + "option now = () => 2021-01-01T00:01:00Z\n" + script)
	if err != nil {
		return "error: " + err.Error()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	e, err := s.Run(ctx, Options{Memory: &allowance{limit: 64 << 20}, Now: time.Now()})
	if err != nil {
		return "error: " + message(err)
	}
	defer e.Close()
	var lines []string
	for e.Next() {
		_, in := e.Result()
		whole := table.NewWhole(in, func(int64) error { return nil })
		for {
			t, err := whole.Next()
			if err != nil {
				return "error: " + message(err)
			}
			if t == nil {
				break
			}
			lines = append(lines, renderTable(t)...)
		}
	}
	if e.Err() != nil {
		return "error: " + message(e.Err())
	}
	return strings.Join(lines, "\n")
}

// hasShorter reports whether there is another package of a name with a shorter
// path.
func hasShorter(path, name string) bool {
	for other := range stdlib.Packages() {
		if other != path && len(other) < len(path) && strings.HasSuffix("/"+other, "/"+name) {
			return true
		}
	}
	return false
}

// message returns the text of an error without the place in the script.
func message(err error) string {
	text := err.Error()
	if at, rest, ok := strings.Cut(text, ": "); ok && strings.HasPrefix(at, "error @") {
		return rest
	}
	return text
}

func renderTable(t *table.Table) []string {
	order := make([]int, len(t.Cols))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(t.Cols[a].Label, t.Cols[b].Label) })
	header := make([]string, len(order))
	for i, c := range order {
		header[i] = t.Cols[c].Label
		if t.Key.Has(header[i]) {
			header[i] = "*" + header[i]
		}
	}
	lines := []string{strings.Join(header, " | ")}
	for row := range t.Rows {
		cells := make([]string, len(order))
		for i, c := range order {
			cells[i] = strings.TrimPrefix(t.Cols[c].Value(row).Text(), "2021-01-01T")
		}
		lines = append(lines, "  "+strings.Join(cells, " | "))
	}
	return lines
}
