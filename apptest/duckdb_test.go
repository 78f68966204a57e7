package apptest

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/lineproto"
)

var duckdb = flag.String("duckdb", "", "Python that has the module duckdb; `make test-export` gives one")

// duckRow is a row of testdata/duckdb_rows.py.
type duckRow struct {
	Measurement string
	Tags        map[string]string
	Fields      map[string]string // type:bits, or string:text
	Time        int64
	Date        string
}

// TestDuckDB exports random points to Parquet and has DuckDB read them: the
// same rows, of the same types.
func TestDuckDB(t *testing.T) {
	if *duckdb == "" {
		t.Skip("needs -duckdb; make test-export runs it")
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 4))
	dir := t.TempDir()
	s := start(t, filepath.Join(dir, "data"))
	for range 3 {
		s.write(randomPoints(rng, 3000))
	}
	for _, compression := range []string{"zstd", "snappy", "gzip", "none"} {
		out := filepath.Join(dir, compression)
		mustVarve(t, "export", "--data-dir", s.dir, "--compression", compression, "--row-group", "500", out)
		read := exec.Command(*duckdb, "testdata/duckdb_rows.py", out)
		var problems strings.Builder
		read.Stderr = &problems
		text, err := read.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, &problems)
		}
		var got []duckRow
		for dec := json.NewDecoder(strings.NewReader(string(text))); dec.More(); {
			var r duckRow
			if err := dec.Decode(&r); err != nil {
				t.Fatal(err)
			}
			got = append(got, r)
		}
		want := lineRows(t, s.must(200, "POST", s.service+"/api/v1/export", `{}`).body)
		for _, rows := range [][]duckRow{got, want} {
			slices.SortFunc(rows, func(a, b duckRow) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%s: rows differ:\n%.3000s", compression, d)
		}
		t.Logf("%s: %d rows are the same", compression, len(got))
	}
}

// lineRows reads line protocol.
func lineRows(t *testing.T, text string) []duckRow {
	t.Helper()
	b, err := lineproto.NewParser(lineproto.Default()).Parse([]byte(text), lineproto.Nanosecond, 0)
	if err != nil {
		t.Fatal(err)
	}
	var rows []duckRow
	for _, tb := range b.Tables {
		for i, at := range tb.Time {
			r := duckRow{Measurement: tb.Measurement, Tags: map[string]string{}, Fields: map[string]string{}, Time: at, Date: time.Unix(0, at).UTC().Format(time.DateOnly)}
			for k, v := range column.Tags(tb.Series.Key(int(tb.Row[i]))) {
				r.Tags[string(k)] = string(v)
			}
			for f := range tb.Fields {
				switch v := &tb.Fields[f]; {
				case !v.Valid.Get(i):
				case v.Type == column.String:
					r.Fields[v.Name] = "string:" + string(v.Str(i))
				default:
					r.Fields[v.Name] = fmt.Sprintf("%s:%016x", v.Type, v.Words[i])
				}
			}
			rows = append(rows, r)
		}
	}
	return rows
}
