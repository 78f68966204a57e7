package lint

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"
)

const module = "github.com/varvedb/varve"

// order lists the packages of the module from top to bottom, relative to the
// module. A package imports only packages of lower rows. A pattern that ends
// in /* stands for every folder directly below; an exact name wins over it.
var order = [][]string{
	{"apptest", "clienttest", "internal/lint"}, // tests only
	{"cmd/varve"},
	{"prompt"},
	{"config"},
	{"server"},
	{"source/*", "sink/*", "source/postgres/pgtest"},
	{"manage"},
	{"httpapi", "transport"},
	{"devices"},
	{"result"},
	{"lang/*"},
	{"lang/flux/stdlib"},
	{"lang/flux/stdlib/*"},
	{"lang/flux/pushdown", "lang/flux/interp"},
	{"lang/flux/storage/storagetest"},
	{"lang/flux/storage"},
	{"lang/flux/join"},
	{"lang/flux/aggregate"},
	{"lang/flux/transform", "lang/flux/series", "lang/flux/anncsv"},
	{"lang/flux/vector"},
	{"lang/flux/flow/flowtest"},
	{"lang/flux/flow"},
	{"lang/flux/table", "lang/flux/lib"},
	{"lang/flux/value"},
	{"lang/flux/syntax"},
	{"pipeline"},
	{"pipeline/decode", "pipeline/step"},
	{"pipeline/rule", "pipeline/batch", "pipeline/*"},
	{"health", "ingest", "live", "simulate", "query", "check", "importer", "export", "bench", "demo"},
	{"bench/*", "export/*", "simulate/*"},
	{"exec"},
	{"scan"},
	{"plan"},
	{"shard"},
	{"compact"},
	{"merge"},
	{"manifest"},
	{"memtable"},
	{"segment"},
	{"run/*"},
	{"run", "tombstone"},
	{"encoding"},
	{"encoding/*"},
	{"meta"},
	{"wlog/*", "catalog/*", "tracing"},
	{"wlog", "catalog"},
	{"protocol/jsonrecord"},
	{"protocol/*"},
	{"protocol/rowmap", "protocol/jsontape", "protocol/jsondoc"},
	{"protocol/rows", "protocol/wire", "protocol/buckets"},
	{"source", "kafka"},
	{"pipeline/detect"},
	{"pipeline/record", "pipeline/declare"},
	{"predicate"},
	{"column"},
	{"memory"},
	{"plot", "tdigest", "spelling"},
	{"vfs"},
	{"trace"},
}

// seams names the packages that implement a seam and who may choose them.
var seams = map[string][]string{
	"wlog/file":    {"server"},
	"catalog/bolt": {"server"},
	"tracing":      {"server"},
}

type listedPackage struct {
	ImportPath string
	Imports    []string
}

func TestImportsGoDownOnly(t *testing.T) {
	for _, p := range packages(t) {
		from, ok := relative(p.ImportPath)
		if !ok {
			continue
		}
		row := rowOf(from)
		if row < 0 {
			t.Errorf("package %s has no place in the import order: give it one", from)
			continue
		}
		for _, imp := range p.Imports {
			to, ok := relative(imp)
			if !ok {
				continue
			}
			if at := rowOf(to); at <= row {
				t.Errorf("package %s imports %s, which does not stand below it", from, to)
			}
			if who, ok := seams[to]; ok && !contains(who, from) {
				t.Errorf("package %s imports %s: only %s chooses an implementation", from, to, strings.Join(who, ", "))
			}
		}
	}
}

func TestRowOfPrefersExactNames(t *testing.T) {
	for name, below := range map[string]string{"wlog/file": "wlog", "bench": "bench/fleet", "httpapi": "column"} {
		if a, b := rowOf(name), rowOf(below); a < 0 || b < 0 || a >= b {
			t.Errorf("rows of %s and %s are %d and %d: want the first above the second", name, below, a, b)
		}
	}
	if rowOf("nowhere") >= 0 {
		t.Error("a package that is not listed has a row")
	}
}

func packages(t *testing.T) []listedPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var all []listedPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listedPackage
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		t.Fatal("go list found no package")
	}
	return all
}

func relative(importPath string) (string, bool) {
	return strings.CutPrefix(importPath, module+"/")
}

func rowOf(name string) int {
	for i, row := range order {
		if contains(row, name) {
			return i
		}
	}
	for i, row := range order {
		if contains(row, path.Dir(name)+"/*") {
			return i
		}
	}
	return -1
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
