// Package csv is csv of the standard library: tables from annotated CSV.
package csv

import (
	"fmt"
	"strings"

	"github.com/varvedb/varve/lang/flux/anncsv"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Packages returns the package.
func Packages() []*lib.Package {
	return []*lib.Package{lib.New("csv").Func("from", "?csv: string, ?mode: string, ?file: string, ?url: string", from)}
}

// From reads annotated CSV, or with Raw CSV with a header and nothing else.
type From struct {
	Text string
	Raw  bool
}

func from(c *value.Call) (value.Value, error) {
	if c.Has("file") || c.Has("url") {
		return value.Value{}, c.Errorf("files and addresses are not read: give the text itself as csv")
	}
	if !c.Has("csv") {
		return value.Value{}, c.Errorf("missing required argument csv")
	}
	f := &From{Text: c.Str("csv", "")}
	switch mode := c.Str("mode", "annotations"); mode {
	case "annotations":
	case "raw":
		f.Raw = true
	default:
		return value.Value{}, c.Errorf("unknown mode %q: use annotations or raw", mode)
	}
	return flow.New(c, f), nil
}

// Name implements flow.Op.
func (f *From) Name() string { return "csv.from" }

// Details implements flow.Op.
func (f *From) Details() string { return fmt.Sprintf("%d bytes", len(f.Text)) }

// Open implements flow.Op.
func (f *From) Open(*flow.Run, []table.Reader) (table.Reader, error) {
	return anncsv.NewDecoder(strings.NewReader(f.Text), f.Raw), nil
}
