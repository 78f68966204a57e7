package ingest_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/ingest"
	"github.com/varvedb/varve/meta"
)

var seed = flag.Uint64("seed", 0, "seed of TestRandomRefusals; 0: another one each time")

// refusal is a row that WriteRows reported.
type refusal struct {
	Table, Row int
	Kind       ingest.DropKind
	Reason     string
}

func writeRows(w *ingest.Writer, bucket meta.Bucket, b *column.Batch) (got []refusal, err error) {
	err = w.WriteRows(context.Background(), bucket, b, func(table, row int, kind ingest.DropKind, reason string) {
		got = append(got, refusal{table, row, kind, reason})
	})
	return got, err
}

func join(batches ...*column.Batch) *column.Batch {
	out := &column.Batch{}
	for _, b := range batches {
		out.Tables = append(out.Tables, b.Tables...)
	}
	return out
}

func TestWriteRowsNamesEachRow(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprintf("shards=%d", n), func(t *testing.T) {
			sink, schema := newShards(n), openSchema(t, openCatalog(t), 4)
			w := newWriter(t, ingest.Config{MaxFuture: time.Minute}, schema, sink)
			short := bucket
			short.Retention = time.Hour
			at := func(d time.Duration) string { return fmt.Sprint(now.Add(d).UnixNano()) }
			if got, err := writeRows(w, short, parse(t, "m,tag=1 x=1,y=1 "+at(0))); err != nil || got != nil {
				t.Fatalf("good rows: %v, %v", got, err)
			}
			b := join(
				parse(t, "old x=1 "+at(-2*time.Hour)), // table 0: nothing is left of it
				parse(t, // table 1
					"m,tag=0 x=0 "+at(-3*time.Hour), // too old
					"m,tag=1 x=1 "+at(0),
					"m,tag=3 x=3 "+at(2*time.Minute), // ahead
					"m,tag=5 y=5,z=5 "+at(0)),        // registers z, the fourth column
				parse(t, // table 2
					"m,x=8 y=8 "+at(-2*time.Hour), // too old, which is found first
					"m,tag=6 y=6 "+at(0),
					"m,x=4 y=4 "+at(0)), // a tag named like a field
				parse(t, // table 3
					"m y=1 "+at(0),
					"m x=2i,y=2 "+at(0), // another type
					"m tag=7 "+at(0)),   // a field named like a tag
				parse(t, // table 4
					"fresh a=1 "+at(0),
					"fresh,b=1,c=1,d=1 f=1 "+at(0), // a column too many
					"fresh,b=2,c=1,d=1 a=2 "+at(0)),
			)
			for _, odd := range []*column.Table{table("m", "time=1", floats("x", 1)), table("m", "tag=1", floats("time", 1))} { // tables 5 and 6
				odd.Time[0] = now.UnixNano()
				b.Tables = append(b.Tables, odd)
			}
			lines := render(b)
			got, err := writeRows(w, short, b)
			if err != nil {
				t.Fatal(err)
			}
			horizon := `, and bucket "b" keeps nothing older than 2027-01-15T07:00:00Z`
			want := []refusal{
				{0, 0, ingest.DropRetention, "point beyond retention policy: its time is 2027-01-15T06:00:00Z" + horizon},
				{1, 0, ingest.DropRetention, "point beyond retention policy: its time is 2027-01-15T05:00:00Z" + horizon},
				{1, 2, ingest.DropFuture, "point more than 1m0s ahead of the server's clock: its time is 2027-01-15T08:02:00Z, and the server's 2027-01-15T08:00:00Z"},
				{2, 0, ingest.DropRetention, "point beyond retention policy: its time is 2027-01-15T06:00:00Z" + horizon},
				{2, 2, ingest.DropName, `name conflict: "x" on measurement "m" is both a tag and a field`},
				{3, 1, ingest.DropType, `field type conflict: input field "x" on measurement "m" is type integer, already exists as type float`},
				{3, 2, ingest.DropName, `name conflict: "tag" on measurement "m" is both a tag and a field`},
				{4, 1, ingest.DropColumns, `measurement "fresh" has 4 tags and fields, which is the limit (--schema-max-columns)`},
				{5, 0, ingest.DropName, `invalid tag key: input tag "time" on measurement "m" is invalid`},
				{6, 0, ingest.DropName, `invalid field name: input field "time" on measurement "m" is invalid`},
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("refused:\n%s", d)
			}
			if d := cmp.Diff(lines, render(b)); d != "" {
				t.Errorf("the caller's batch was changed:\n%s", d)
			}
			stored := []string{lines[2], lines[4], lines[6], lines[8], lines[11], lines[13], "m,tag=1 x=1,y=1 " + at(0)}
			slices.Sort(stored)
			if d := cmp.Diff(stored, sink.sorted()); d != "" {
				t.Errorf("stored:\n%s", d)
			}
		})
	}
}

func TestWriteRowsTellsNothingOfAWriteThatFailed(t *testing.T) {
	w, sink, _ := setUp(t)
	b := join(parse(t, `m x=1 1`), parse(t, `m x=1i 1`))
	broken := errors.New("broken")
	sink.err = func(int) error { return broken }
	if got, err := writeRows(w, bucket, b); !errors.Is(err, broken) || got != nil {
		t.Errorf("a failed write gives %v, refuses %v", err, got)
	}
	sink.err = nil
	if got, err := writeRows(w, bucket, b); err != nil || len(got) != 1 || got[0].Table != 1 {
		t.Errorf("written again it gives %v, refuses %v", err, got)
	}
}

func TestWriteRowsPassesGoodBatchesThrough(t *testing.T) {
	w, sink, _ := setUp(t)
	b := parse(t, `m,a=1 x=1 1`, `n y=1 1`)
	if got, err := writeRows(w, bucket, b); err != nil || got != nil || sink.last[0] != b {
		t.Errorf("it gives %v, refuses %v, and the sink got another batch: %v", err, got, sink.last[0] != b)
	}
}

// randomBatch makes a batch in which anything may be wrong with any row.
func randomBatch(t *testing.T, rng *rand.Rand) *column.Batch {
	b := &column.Batch{}
	names := []string{"a", "b", "c", "d", "e", "f"}
	values := []string{"1", "2i", "3u", `"s"`, "true"}
	for range 1 + rng.IntN(4) {
		if rng.IntN(8) == 0 {
			odd := table("m", "time=1", floats("x", 1))
			if rng.IntN(2) == 0 {
				odd = table("n", "a=1", floats("time", 1))
			}
			odd.Time[0] = now.UnixNano()
			b.Tables = append(b.Tables, odd)
		}
		var lines []string
		for range 1 + rng.IntN(12) {
			used := map[string]bool{}
			name := func() string {
				for {
					if n := names[rng.IntN(len(names))]; !used[n] {
						used[n] = true
						return n
					}
				}
			}
			line := []string{"m", "n"}[rng.IntN(2)]
			for range rng.IntN(3) {
				line += fmt.Sprintf(",%s=%d", name(), rng.IntN(3))
			}
			line += " "
			for i := range 1 + rng.IntN(3) {
				if i > 0 {
					line += ","
				}
				value := values[0]
				if rng.IntN(10) == 0 {
					value = values[rng.IntN(len(values))]
				}
				line += name() + "=" + value
			}
			at := now.Add(time.Duration(rng.IntN(60)-45) * time.Minute)
			lines = append(lines, fmt.Sprintf("%s %d", line, at.UnixNano()))
		}
		// A line may have a tag and a field of one name, which the parser
		// counts and leaves out.
		b = join(b, parse(t, lines...))
	}
	return b
}

// TestRandomRefusals writes the same batches by Write and by WriteRows, which
// must store the same rows and count the same; the rows refused and those
// stored must together be those of the caller.
func TestRandomRefusals(t *testing.T) {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", s)
	rng := rand.New(rand.NewPCG(s, 0))
	kinds := map[ingest.DropKind]int{}
	for range 40 {
		n := 1 + rng.IntN(3)
		maxColumns := 4 + rng.IntN(12)
		cfg := ingest.Config{MaxFuture: time.Duration(rng.IntN(2)) * 10 * time.Minute}
		short := bucket
		short.Retention = time.Duration(rng.IntN(2)) * 30 * time.Minute
		plainSink, rowsSink := newShards(n), newShards(n)
		plain := newWriter(t, cfg, openSchema(t, openCatalog(t), maxColumns), plainSink)
		rows := newWriter(t, cfg, openSchema(t, openCatalog(t), maxColumns), rowsSink)
		var all, refusedLines []string
		for range 6 {
			b := randomBatch(t, rng)
			lines := render(b)
			all = append(all, lines...)
			first := make([]int, len(b.Tables)) // place of each table's first row in lines
			for i := 1; i < len(first); i++ {
				first[i] = first[i-1] + len(b.Tables[i-1].Time)
			}
			dropped := 0
			if err := plain.Write(context.Background(), short, b); err != nil {
				var partial *ingest.PartialWriteError
				if !errors.As(err, &partial) {
					t.Fatal(err)
				}
				dropped = partial.Dropped
			}
			got, err := writeRows(rows, short, b)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != dropped {
				t.Fatalf("%d rows are refused, and Write drops %d", len(got), dropped)
			}
			for _, r := range got {
				refusedLines = append(refusedLines, lines[first[r.Table]+r.Row])
				kinds[r.Kind]++
			}
		}
		if d := cmp.Diff(plainSink.sorted(), rowsSink.sorted()); d != "" {
			t.Fatalf("stored by Write and by WriteRows:\n%s", d)
		}
		if d := cmp.Diff(plain.Stats(), rows.Stats()); d != "" {
			t.Fatalf("counted by Write and by WriteRows:\n%s", d)
		}
		both := append(refusedLines, rowsSink.sorted()...)
		slices.Sort(both)
		slices.Sort(all)
		if d := cmp.Diff(all, both); d != "" {
			t.Fatalf("rows written, and those refused and stored:\n%s", d)
		}
	}
	for _, kind := range []ingest.DropKind{ingest.DropType, ingest.DropName, ingest.DropRetention, ingest.DropFuture, ingest.DropColumns} {
		if kinds[kind] == 0 {
			t.Errorf("no row was refused for %s: %v", kind, kinds)
		}
	}
}

// BenchmarkWriteRows compares with BenchmarkKnownBatch what it costs to ask
// for rows: nothing while none is refused.
func BenchmarkWriteRows(b *testing.B) {
	for _, bc := range []struct {
		name string
		bad  int
	}{{"good", 0}, {"bad=1%", 100}} {
		b.Run(bc.name, func(b *testing.B) {
			w := newWriter(b, ingest.Config{}, openSchema(b, openCatalog(b), 1000), discard{})
			batch := benchmarkBatch(b, 1, 10000)
			bucket := bucket
			bucket.Retention = time.Hour
			for i := range bc.bad {
				batch.Tables[0].Time[i*100] = 0
			}
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				err := w.WriteRows(context.Background(), bucket, batch, func(int, int, ingest.DropKind, string) { n++ })
				if err != nil || n != bc.bad {
					b.Fatal(err, n)
				}
			}
			b.ReportMetric(float64(b.N)*10000/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
