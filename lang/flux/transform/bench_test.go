package transform

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/flow/flowtest"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

const benchRows = 1_000_000

// series returns tables of a host each, so many rows together, in
// pieces as storage makes them.
func series(rows, hosts int) []*table.Table {
	rng := rand.New(rand.NewPCG(1, 1))
	var all []*table.Table
	n := rows / hosts
	for h := range hosts {
		times, values := make([]int64, n), make([]float64, n)
		for i := range n {
			times[i], values[i] = int64(i)*1e9, rng.Float64()
		}
		key := table.NewKey([]string{"_field", "host"}, []value.Value{value.OfString(fmt.Sprint("f", h%4)), value.OfString(fmt.Sprint("h", h/4))})
		t := (&table.Table{Rows: n, Cols: []table.Column{table.Times(timeLabel, times), table.Floats(valueLabel, values)}}).WithKey(key)
		all = append(all, flowtest.Cut([]*table.Table{t}, 8192)...)
	}
	return all
}

func bench(b *testing.B, op flow.Op, in []*table.Table) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := flowtest.Run(&flowtest.Budget{}, op, in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(benchRows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkSort(b *testing.B) {
	bench(b, &Sort{Columns: []string{valueLabel}}, series(benchRows, 1))
}
func BenchmarkSortSorted(b *testing.B) {
	bench(b, &Sort{Columns: []string{timeLabel}}, series(benchRows, 1))
}
func BenchmarkGroup(b *testing.B) {
	bench(b, &Group{Columns: []string{"host"}}, series(benchRows, 1000))
}
func BenchmarkPivot(b *testing.B) {
	bench(b, &Pivot{[]string{timeLabel}, []string{fieldLabel}, valueLabel}, series(benchRows, 1000))
}

// Strings in no order, few of them different from each other.
func BenchmarkSortTexts(b *testing.B) {
	bench(b, &Sort{Columns: []string{"s"}}, texts())
}

func BenchmarkGroupRows(b *testing.B) {
	bench(b, &Group{Columns: []string{"s"}}, texts())
}

func texts() []*table.Table {
	rng := rand.New(rand.NewPCG(1, 1))
	c := table.NewColumn("s", value.String)
	for range benchRows {
		c.Vec.AppendString(fmt.Append(nil, "host-", rng.IntN(1000)))
	}
	t := &table.Table{Key: noKey, Rows: benchRows, Cols: []table.Column{c, table.Floats(valueLabel, make([]float64, benchRows))}}
	return flowtest.Cut([]*table.Table{t}, 8192)
}
