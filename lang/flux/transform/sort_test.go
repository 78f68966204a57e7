package transform

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/flow/flowtest"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

var seed = flag.Uint64("seed", 0, "of random tests; 0: by the clock")

// Rows come in the order of a stable sort by their cells.
func TestOrderRowsRandom(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 1))
	run := flowtest.NewRun(&flowtest.Budget{})
	for try := range 300 {
		rows, different := 1+rng.IntN(200), 1+rng.IntN(50)
		if try == 0 {
			rows, different = 3*fewTexts, 2*fewTexts
		}
		var cols []*table.Column
		for range 1 + rng.IntN(3) {
			kind := []value.Kind{value.Bool, value.Int, value.Uint, value.Float, value.String, value.Time}[rng.IntN(6)]
			c := table.NewColumn("c", kind)
			for range rows {
				n := rng.IntN(different)
				switch {
				case rng.IntN(6) == 0:
					c.Vec.AppendNulls(1)
				case kind == value.String:
					c.Vec.AppendString(fmt.Append(nil, "a name that is long ", n)[n%20:])
				case kind == value.Float:
					c.Append(value.OfFloat([]float64{float64(n), -float64(n), 0, math.NaN()}[rng.IntN(4)]))
				default:
					c.Append(value.OfWord(kind, uint64(n-n/2*rng.IntN(2))))
				}
			}
			cols = append(cols, &c)
		}
		desc := rng.IntN(2) == 0
		got, err := OrderRows(run, cols, rows, desc)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]int, rows)
		for i := range want {
			want[i] = i
		}
		slices.SortStableFunc(want, func(i, j int) int { return CompareRows(cols, i, cols, j, desc) })
		if !slices.Equal(got, want) {
			t.Fatalf("try %d: %d columns, descending %v: order %v\nwant %v", try, len(cols), desc, got, want)
		}
	}
}

// What keeps a stream ends with the error of the limit before it takes more, and
// what is reserved is about what is taken.
func TestReserves(t *testing.T) {
	for _, c := range []struct {
		op     flow.Op
		tables int
	}{
		{&Sort{Columns: []string{valueLabel}}, 1},
		{&Tail{N: 1 << 40}, 1},
		{&Group{}, 8},
		{&Group{Columns: []string{valueLabel}}, 8},
		{&Union{}, 8},
		{&Pivot{[]string{timeLabel}, []string{fieldLabel}, valueLabel}, 8},
		{&Pivot{[]string{valueLabel}, []string{fieldLabel}, timeLabel}, 8},
	} {
		op, in := c.op, series(100_000, c.tables)
		memory := &flowtest.Budget{}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := flowtest.Run(memory, op, in); err != nil {
			t.Fatalf("%s: %v", op.Name(), err)
		}
		runtime.ReadMemStats(&after)
		// What the test itself puts together, and what was given back in
		// between, is more than nothing.
		if took := int64(after.TotalAlloc - before.TotalAlloc); memory.Most < took/4 {
			t.Errorf("%s %s: %d bytes were reserved at most, %d taken in all", op.Name(), op.Details(), memory.Most, took)
		}
		limited := &flowtest.Budget{Limit: memory.Most / 2}
		if _, err := flowtest.Run(limited, op, in); !errors.Is(err, flowtest.ErrOver) {
			t.Errorf("%s %s within half of what it needs: %v", op.Name(), op.Details(), err)
		}
		if limited.Used != 0 {
			t.Errorf("%s: %d bytes were not given back", op.Name(), limited.Used)
		}
	}
}
