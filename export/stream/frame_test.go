package stream

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/lineproto"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file anew")

const twoMeasurements = `cpu,host=a\,b u=1.5,n=-3i 1
cpu,host=b,zone=z s="x
y",b=true,w=18446744073709551615u 1700000000000000000
disk free=-0 -9223372036854775806
`

// written collects what a Receiver is given, as text.
type written struct {
	strings.Builder
	fail error
}

func (w *written) Measurement(s *Schema) error {
	fmt.Fprintf(w, "# %s %q %v\n", s.Measurement, s.Tags, s.Fields)
	return w.fail
}

func (w *written) Rows(t *column.Table) error {
	lines, err := lineproto.AppendLines(nil, &column.Batch{Tables: []*column.Table{t}})
	w.Write(lines)
	return err
}

// feed gives text to out.
func feed(t testing.TB, text string, out Receiver) {
	t.Helper()
	b, err := lineproto.NewParser(lineproto.Default()).Parse([]byte(text), lineproto.Nanosecond, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range b.Tables {
		s := &Schema{Measurement: table.Measurement, Tags: table.TagKeys}
		for _, f := range table.Fields {
			s.Fields = append(s.Fields, column.FieldInfo{Name: f.Name, Type: f.Type})
		}
		if err := errors.Join(out.Measurement(s), out.Rows(table)); err != nil {
			t.Fatal(err)
		}
	}
}

func encoded(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	e := NewEncoder(&b)
	feed(t, text, e)
	if err := e.End(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	var many strings.Builder
	for i := range 50_000 { // several frames
		fmt.Fprintf(&many, "m,k=v%d f=%d.5,s=%q %d\n", i%100, i, strings.Repeat("x", i%50), i)
	}
	for _, text := range []string{twoMeasurements, many.String()} {
		var want, got written
		feed(t, text, &want)
		n, err := Decode(bytes.NewReader(encoded(t, text)), &got)
		if err != nil || got.String() != want.String() || n != int64(strings.Count(text, "\nm,")+strings.Count(text, "\ncpu,")+strings.Count(text, "\ndisk"))+1 {
			t.Errorf("%d rows came back, error %v", n, err)
		}
	}
}

func TestGolden(t *testing.T) {
	name := filepath.Join("testdata", "export.v1.golden")
	got := encoded(t, twoMeasurements)
	if *rewrite {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, golden) {
		t.Error("the frames changed: a new layout needs a new version")
	}
	var want, back written
	feed(t, twoMeasurements, &want)
	if _, err := Decode(bytes.NewReader(golden), &back); err != nil || back.String() != want.String() {
		t.Errorf("golden file decodes to %q, %v", back.String(), err)
	}
}

func TestBroken(t *testing.T) {
	whole := encoded(t, twoMeasurements)
	for n := range whole {
		if _, err := Decode(bytes.NewReader(whole[:n]), &written{}); !errors.Is(err, ErrBroken) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0x40
		if _, err := Decode(bytes.NewReader(damaged), &written{}); err == nil {
			t.Fatalf("a flipped bit at %d is not noticed", i)
		}
	}
	if _, err := Decode(strings.NewReader("<html>not an export</html>"), &written{}); err == nil || !strings.Contains(err.Error(), "service port") {
		t.Errorf("another page: %v", err)
	}
	whole[len(magic)]++
	if _, err := Decode(bytes.NewReader(whole), &written{}); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("a later version: %v", err)
	}
	full := errors.New("disk full")
	if _, err := Decode(bytes.NewReader(encoded(t, twoMeasurements)), &written{fail: full}); !errors.Is(err, full) {
		t.Errorf("error of the receiver: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encoded(f, twoMeasurements))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Whatever comes: an answer or an error, in bounded memory.
		_, _ = Decode(bytes.NewReader(b), &written{})
	})
}

func TestPartitionLabel(t *testing.T) {
	for at, want := range map[int64][2]string{
		0: {"1970-01-01", "1970-01"}, -1: {"1969-12-31", "1969-12"},
		column.MinTime: {"1677-09-21", "1677-09"}, column.MaxTime: {"2262-04-11", "2262-04"},
	} {
		if d, m := Day.Label(at), Month.Label(at); d != want[0] || m != want[1] || None.Label(at) != "" {
			t.Errorf("labels of %d are %s and %s", at, d, m)
		}
	}
	if Partition("week").Validate() == nil || Day.Validate() != nil {
		t.Error("week is taken, or day is not")
	}
}
