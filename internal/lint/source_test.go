package lint

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxLines is where a file has more than one noun in it, going by the files
// that storage engineers regret.
const maxLines = 800

// machinePath finds folders of one person's machine. The slashes stand apart
// from the names, so that this line is not one of its own finds.
var machinePath = regexp.MustCompile(`(^|[^a-zA-Z0-9._/-])/(work|root|home)/`)

// vague names say nothing about what is in a file or package.
var vague = []string{"util", "utils", "common", "helpers", "misc", "types", "manager"}

func TestSources(t *testing.T) {
	comments := map[string]bool{} // folder of a package → one of its files has the comment
	for _, name := range sources(t, ".go") {
		src := read(t, name)
		test := strings.HasSuffix(name, "_test.go")
		if n := bytes.Count(src, []byte("\n")); !test && n > maxLines {
			t.Errorf("%s has %d lines: look for the noun that wants to leave (at most %d)", name, n, maxLines)
		}
		base := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(name), ".go"), "_test")
		if slices.Contains(vague, base) || slices.Contains(vague, filepath.Base(filepath.Dir(name))) {
			t.Errorf("%s: the name says nothing about what is in it", name)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments)
		if err != nil {
			t.Errorf("parse: %v", err)
			continue
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function: pass what it sets up to those who need it", name)
			}
		}
		if !test {
			dir := filepath.Dir(name)
			want := "Package " + file.Name.Name
			if file.Name.Name == "main" {
				want = "Command "
			}
			comments[dir] = comments[dir] || strings.HasPrefix(file.Doc.Text(), want)
		}
	}
	for dir, ok := range comments {
		if !ok {
			t.Errorf("package in %s has no package comment", dir)
		}
	}
}

func TestNoMachinePaths(t *testing.T) {
	for _, name := range sources(t, ".go", ".md", ".sh", ".mod", ".yml", ".yaml", "Makefile", "run", "full") {
		for i, line := range bytes.Split(read(t, name), []byte("\n")) {
			if machinePath.Match(line) {
				t.Errorf("%s:%d: a path of one machine: %s", name, i+1, bytes.TrimSpace(line))
			}
		}
	}
}

// sources returns the files of the repository, relative to its root, whose
// name ends in one of suffixes.
func sources(t *testing.T, suffixes ...string) []string {
	t.Helper()
	top := root(t)
	var names []string
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch rel {
			case ".git", "bin", "data", "demo-data":
				return filepath.SkipDir
			}
			if d.Name() == "testdata" {
				return filepath.SkipDir
			}
			return nil
		}
		if slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(d.Name(), s) }) {
			names = append(names, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatalf("no files that end in %q below %s", suffixes, top)
	}
	return names
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatalf("find the module's root: %v", err)
	}
	return dir
}
