package flux

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/stdlib"
	"github.com/varvedb/varve/lang/flux/syntax"
	"github.com/varvedb/varve/lang/flux/value"
)

const referenceFile = "../../docs/FLUX-FUNCTIONS.md"

// TestReference: the list of functions in the documents is the one that scripts
// have.
func TestReference(t *testing.T) {
	want := reference(t)
	if *rewrite {
		if err := os.WriteFile(referenceFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("%s is not what the library has: go test ./lang/flux -run TestReference -rewrite", referenceFile)
	}
}

func reference(t *testing.T) string {
	var b strings.Builder
	b.WriteString("# Functions of Flux\n\nWhat scripts can call, with its parameters: `<-` takes what is piped, `?` may be left out.\n" +
		"What each does is what InfluxDB's documentation of the Flux standard library says;\n" +
		"[FLUX.md](FLUX.md) tells where Varve differs. This page is made from the library by\n`go test ./lang/flux -run TestReference -rewrite`.\n")
	all := stdlib.Packages()
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(path, "internal/") || all[path].Refused != "" || len(members(t, all[path])) == 0 {
			continue
		}
		title := "Without an import"
		if path != "" {
			title = "`import \"" + path + "\"`"
		}
		names := members(t, all[path])
		fmt.Fprintf(&b, "\n## %s\n\n", title)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			fmt.Fprintf(&b, "- `%s%s`\n", name, names[name])
		}
	}
	return b.String()
}

// members returns what a package has, with the parameters of functions.
func members(t *testing.T, p *lib.Package) map[string]string {
	names := map[string]string{}
	for name, v := range p.Values {
		if strings.HasPrefix(name, "_") || p.Refuses[name] {
			continue
		}
		if v.Kind() != value.Function {
			names[name] = ": " + v.Kind().String()
			continue
		}
		text := v.Func().Signature()
		names[name] = text[:strings.LastIndex(text, " => ")]
	}
	f, err := p.File()
	if err != nil {
		t.Fatalf("package %q: %v", p.Path, err)
	}
	if f == nil {
		return names
	}
	for _, s := range f.Body {
		if o, ok := s.(*syntax.OptionStatement); ok {
			s = o.Assignment
		}
		a, ok := s.(*syntax.VariableAssignment)
		if !ok || strings.HasPrefix(a.ID.Name, "_") {
			continue
		}
		fn, ok := a.Init.(*syntax.FunctionExpression)
		if !ok {
			names[a.ID.Name] = ""
			continue
		}
		var params []string
		for _, p := range fn.Params {
			switch p.Default.(type) {
			case nil:
				params = append(params, p.Name)
			case *syntax.PipeLiteral:
				params = append(params, "<-"+p.Name)
			default:
				params = append(params, "?"+p.Name)
			}
		}
		names[a.ID.Name] = "(" + strings.Join(params, ", ") + ")"
	}
	return names
}
