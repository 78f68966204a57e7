// Package testing holds the packages of the standard library by which scripts
// are tested: testing, and those below internal.
package testing

import (
	"errors"
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/lang/flux/value"
)

// epsilon is how far floats may be from each other to be equal, as documented.
const epsilon = 1e-9

// source is what is written in Flux: load and tags are there for harnesses that
// set them, shouldError is a table without rows if the error is the right one.
const source = `
import "array"
import "experimental"
import "internal/testing"

option load = (tables=<-) => tables
option tags = []

shouldError = (fn, want) => testing.assertMatches(got: experimental.catch(fn: fn).msg, want: want)
assertEqualValues = (got, want) => diff(got: array.from(rows: [{v: got}]), want: array.from(rows: [{v: want}]))
`

// Packages returns the packages.
func Packages() []*lib.Package {
	p := lib.New("testing").
		Func("diff", "<-got: stream, want: stream, ?epsilon: float, ?nansEqual: bool", func(c *value.Call) (value.Value, error) {
			op := &transform.Diff{Function: "testing.diff", Epsilon: c.Float("epsilon", epsilon), NaNsEqual: c.Bool("nansEqual", false)}
			return flow.New(c, op, flow.Input(c, "want"), flow.Input(c, "got")), nil
		}).
		Func("assertEmpty", "<-tables: stream", func(c *value.Call) (value.Value, error) {
			return flow.New(c, &AssertEmpty{}, flow.Input(c, "tables")), nil
		}).
		Func("assertEquals", "<-got: stream, name: string, want: stream", func(c *value.Call) (value.Value, error) {
			got := flow.Input(c, "got")
			diff := &flow.Node{Op: &transform.Diff{Function: "testing.assertEquals", Epsilon: epsilon}, In: []*flow.Node{flow.Input(c, "want"), got}, At: c.At}
			return flow.New(c, &AssertEquals{c.Str("name", "")}, diff, got), nil
		}).
		Flux(source)
	internal := lib.New("internal/testing").
		Func("assertMatches", "got: string, want: regexp", func(c *value.Call) (value.Value, error) {
			key := table.NewKey(nil, nil)
			t := &table.Table{Key: key, Cols: []table.Column{table.NewColumn("v", value.String)}}
			switch got := c.Arg("got"); {
			case got.IsNull():
				t = &table.Table{Key: key, Cols: []table.Column{table.Constant("v", value.OfString("there was no error"))}, Rows: 1}
			case !c.Arg("want").Regexp().MatchString(got.Str()):
				text := fmt.Sprintf("%q does not match /%s/", got.Str(), c.Arg("want").Regexp())
				t = &table.Table{Key: key, Cols: []table.Column{table.Constant("v", value.OfString(text))}, Rows: 1}
			}
			return flow.New(c, &transform.Tables{List: []*table.Table{t}}), nil
		})
	internal.Flux(`
import "experimental"

shouldErrorWithCode = (fn, want, code) => {
    got = experimental.catch(fn: fn)
    return if got.code == code then assertMatches(got: got.msg, want: want)
        else assertMatches(got: "code ${string(v: got.code)}", want: /^$/)
}
`)
	boolean := lib.New("internal/boolean").Value("true", value.OfBool(true)).Value("false", value.OfBool(false))
	return []*lib.Package{p, internal, debug(), generator(), testutil(), boolean}
}

// AssertEmpty passes a stream on that has no rows, and ends with an error at the
// first row.
type AssertEmpty struct{}

// Name implements flow.Op.
func (*AssertEmpty) Name() string { return "testing.assertEmpty" }

// Details implements flow.Op.
func (*AssertEmpty) Details() string { return "" }

// Open implements flow.Op.
func (*AssertEmpty) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.EachPiece(in[0], func(t *table.Table) (*table.Table, error) {
		if t.Rows > 0 {
			return nil, fmt.Errorf("the stream is not empty: table %s has rows", t.Key)
		}
		return t, nil
	}), nil
}

// AssertEquals passes its second stream on if its first one, a difference, has
// no rows.
type AssertEquals struct{ Assertion string }

// Name implements flow.Op.
func (*AssertEquals) Name() string { return "testing.assertEquals" }

// Details implements flow.Op.
func (a *AssertEquals) Details() string { return fmt.Sprintf("name: %q", a.Assertion) }

// errDiffer is the end of a stream that is not what was wanted.
var errDiffer = errors.New("the tables are not those that are wanted")

// Open implements flow.Op.
func (a *AssertEquals) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	for {
		t, err := in[0].Next()
		if err != nil {
			return nil, err
		}
		if t == nil {
			in[0].Close()
			return in[1], nil
		}
		if t.Rows > 0 {
			return nil, fmt.Errorf("test %q: table %s: %w", a.Assertion, t.Key, errDiffer)
		}
	}
}
