package transform

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/flow/flowtest"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// shuffled returns a table of so many rows in pieces: few different numbers and
// texts, of which some are null, and the place of the row.
func shuffled(rows int) []*table.Table {
	rng := rand.New(rand.NewPCG(3, 4))
	var pieces []*table.Table
	for from := 0; from < rows; {
		n := min(1+rng.IntN(20_000), rows-from)
		t := &table.Table{Key: noKey, Rows: n, Cols: []table.Column{table.NewColumn("n", value.Int), table.NewColumn("s", value.String), table.NewColumn("place", value.Int), table.Constant("same", value.OfString("x"))}}
		for i := range n {
			if rng.IntN(50) == 0 {
				t.Cols[0].Vec.AppendNulls(1)
			} else {
				t.Cols[0].Append(value.OfInt(rng.Int64N(100) - 50))
			}
			t.Cols[1].Append(value.OfString("text " + string(rune('a'+rng.IntN(26)))))
			t.Cols[2].Append(value.OfInt(int64(from + i)))
		}
		pieces = append(pieces, t)
		from += n
	}
	return pieces
}

// A sort that may not take what the quick way needs merges, to the same order.
func TestSortMerges(t *testing.T) {
	const rows = 5*sortedRows + 17
	for _, op := range []*Sort{{Columns: []string{"n"}}, {Columns: []string{"s", "n"}, Desc: true}, {Columns: []string{"same", "none", "n"}}} {
		free := &flowtest.Budget{}
		want, err := flowtest.Run(free, op, shuffled(rows))
		if err != nil {
			t.Fatal(err)
		}
		tight := &flowtest.Budget{Limit: free.Most * 3 / 4}
		got, err := flowtest.Run(tight, op, shuffled(rows))
		if err != nil {
			t.Fatalf("%s: of %d bytes %d would be enough: %v", op.Details(), free.Most, tight.Limit, err)
		}
		a, err := table.Concat(noKey, want)
		if err != nil {
			t.Fatal(err)
		}
		b, err := table.Concat(noKey, got)
		if err != nil {
			t.Fatal(err)
		}
		if a.Rows != rows || b.Rows != rows || len(a.Cols) != len(b.Cols) {
			t.Fatalf("%s: %d rows at once, %d merged", op.Details(), a.Rows, b.Rows)
		}
		for i := range rows {
			if !a.Col("place").SameCell(i, b.Col("place"), i) || !a.Col("n").SameCell(i, b.Col("n"), i) || !a.Col("s").SameCell(i, b.Col("s"), i) {
				t.Fatalf("%s: row %d differs", op.Details(), i)
			}
		}
		if tight.Used != 0 {
			t.Errorf("%s: %d bytes were not given back", op.Details(), tight.Used)
		}
		for limit := tight.Most / 64; limit < tight.Most; limit += tight.Most / 16 {
			narrow := &flowtest.Budget{Limit: limit}
			if _, err := flowtest.Run(narrow, op, shuffled(rows)); err != nil && !errors.Is(err, flowtest.ErrOver) || narrow.Used != 0 {
				t.Errorf("%s within %d bytes: %v, and %d bytes were not given back", op.Details(), limit, err, narrow.Used)
			}
		}
	}
}

// BenchmarkSortMerged is BenchmarkSort with too little memory for the quick way.
func BenchmarkSortMerged(b *testing.B) {
	in := shuffled(1 << 20)
	for b.Loop() {
		op := &Sort{Columns: []string{"n"}}
		if _, err := flowtest.Run(&mergeOnly{}, op, in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(1<<20)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// mergeOnly refuses what only the quick way takes at once.
type mergeOnly struct{ flowtest.Budget }

func (m *mergeOnly) Reserve(n int64) error {
	if n > 1<<24 {
		return flowtest.ErrOver
	}
	return m.Budget.Reserve(n)
}

var _ flow.Memory = (*mergeOnly)(nil)
