package scan

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/plan"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file anew")

const goldenPartial = "testdata/partial.v1.golden"

func TestPartialGolden(t *testing.T) {
	p := everyCall()
	made := filled(p)
	got := made.Encode()
	if *rewrite {
		if err := os.WriteFile(goldenPartial, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(goldenPartial)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, golden) {
		t.Errorf("the encoding of a partial result changed: a new layout needs a new version\n%x, golden\n%x", got, golden)
	}
	back, err := DecodePartial(p, golden)
	if err != nil {
		t.Fatal(err)
	}
	want := merged(t, p, made)
	if strings.Count(want, "\n") != 2 {
		t.Errorf("the partial result comes to\n%s\nwant two windows: the third has no values", want)
	}
	if diff := cmp.Diff(want, merged(t, p, back)); diff != "" {
		t.Errorf("what was made (-) and what the golden file holds (+) differ:\n%s", diff)
	}
}

// merged returns the results of a partial result, a window a line.
func merged(t *testing.T, p *plan.Plan, part *Partial) string {
	t.Helper()
	s, err := Merge(t.Context(), p, []*Partial{part}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out strings.Builder
	for {
		b, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			return out.String()
		}
		for i := range b.Rows() {
			fmt.Fprintf(&out, "%s{%s}", b.Measurement, b.Groups[0].Key)
			for c := range b.Columns {
				v := &b.Columns[c]
				switch {
				case !v.Valid.Get(i):
					fmt.Fprintf(&out, " %s(%s)=null", v.Func, v.Field)
				case v.Words == nil:
					fmt.Fprintf(&out, " %s(%s)=%q", v.Func, v.Field, v.Str(i))
				default:
					fmt.Fprintf(&out, " %s(%s)=%x", v.Func, v.Field, v.Words[i])
				}
			}
			out.WriteByte('\n')
		}
	}
}
