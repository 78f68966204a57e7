package join

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/flow/flowtest"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

var seed = flag.Uint64("seed", 0, "of random tests; 0: by the clock")

// as is a function of two rows, like (l, r) => ({...}).
func as(l, r string, do func(l, r *value.Fields) *value.Fields) *value.Func {
	return &value.Func{
		Params: []value.Param{{Name: l, Kinds: value.AnyKind}, {Name: r, Kinds: value.AnyKind}},
		Do: func(c *value.Call) (value.Value, error) {
			return value.OfRecord(do(c.Args[0].Record(), c.Args[1].Record())), nil
		},
	}
}

func get(r *value.Fields, label string) value.Value {
	if v, ok := r.Get(label); ok {
		return v
	}
	return value.NullOf(value.Null)
}

// both makes a row of the keys and values of two.
func both(l, r *value.Fields) *value.Fields {
	return value.NewRecord([]string{"h", "k", "m", "v", "w"}, []value.Value{get(l, "h"), get(l, "k"), get(r, "k"), get(l, "v"), get(r, "w")})
}

func on(pairs ...Pair) []Pair { return pairs }

var cases = []struct {
	name        string
	op          flow.Op
	left, right string
	want, err   string
}{
	{
		name: "columns", op: &Columns{Names: [2]string{"a", "b"}, On: []string{"t"}},
		left:  "*h:string t:time v:int\nx 2 20\nx 1 10\nx _ 0",
		right: "*h:string t:time v:int w:int\ny 1 11 5\ny 3 13 6\ny 1 12 7\ny _ 0 8",
		want:  "*h_a:string *h_b:string t:time v_a:int v_b:int w:int\nx y 1 10 11 5\nx y 1 10 12 7\n",
	},
	{
		name: "columns that are in the keys", op: &Columns{Names: [2]string{"a", "b"}, On: []string{"h", "t"}},
		left:  "*h:string t:time v:int\nx 1 10\n\n*h:string t:time v:int\ny 1 11\n\n*h:string t:time v:int\n_ 1 12",
		right: "*h:string t:time w:int\ny 1 1\n\n*h:string t:time w:int\nz 1 2\n\nt:time w:int\n1 3",
		want:  "*h:string t:time v:int w:int\ny 1 11 1\n",
	},
	{
		name: "columns of two kinds", op: &Columns{Names: [2]string{"a", "b"}, On: []string{"t"}}, left: "t:time\n1", right: "t:int\n1", want: "",
	},
	{
		name: "a label that is there already", op: &Columns{Names: [2]string{"a", "b"}, On: []string{"t"}},
		left: "t:int v:int v_a:int\n1 2 3", right: "t:int v:int\n1 4", err: `two columns called "v_a"`,
	},
	{
		name: "inner", op: &Records{Title: "join", On: on(Pair{"k", "k"}), As: as("l", "r", both), Params: [2]string{"l", "r"}},
		left:  "*h:string k:int v:int\nx 3 30\nx 1 10\nx _ 0\n\n*h:string k:int v:int\ny 1 11",
		right: "*h:string k:int w:int\nx 1 5\nx 2 6\nx _ 7\n\n*h:string k:int w:int\nz 1 8",
		want:  "*h:string k:int m:int v:int w:int\nx 1 1 10 5\n",
	},
	{
		name: "full", op: &Records{Title: "join", On: on(Pair{"k", "k"}), Params: [2]string{"l", "r"}, Left: true, Right: true, As: as("l", "r", both)},
		left:  "*h:string k:int v:int\nx 3 30\nx 1 10\nx _ 0\n\n*h:string k:int v:int\ny 1 11",
		right: "*h:string k:int w:int\nx 1 5\nx 2 6\nx _ 7\n\n*h:string k:int w:int\nz 1 8",
		want: "*h:string k:int m:int v:int w:int\nx _ _ 0 _\nx _ _ _ 7\nx 1 1 10 5\nx _ 2 _ 6\nx 3 _ 30 _\n\n" +
			"*h:string k:int m:int v:int w:int\ny 1 _ 11 _\n\n*h:string k:int m:int v:int w:int\nz _ 1 _ 8\n",
	},
	{
		name: "left", op: &Records{Title: "join", On: on(Pair{"k", "k"}), Params: [2]string{"l", "r"}, Left: true, As: as("l", "r", both)},
		left: "k:int v:int\n2 20\n1 10", right: "k:int w:int\n1 5\n3 6", want: "k:int m:int v:int w:int\n1 1 10 5\n2 _ 20 _\n",
	},
	{
		name: "right", op: &Records{Title: "join", On: on(Pair{"k", "k"}), Params: [2]string{"l", "r"}, Right: true, As: as("l", "r", both)},
		left: "k:int v:int\n2 20\n1 10", right: "k:int w:int\n1 5\n3 6", want: "k:int m:int v:int w:int\n1 1 10 5\n_ 3 _ 6\n",
	},
	{
		name: "a key that changes", err: "join cannot modify group key: output record has a missing or invalid value for column 'h:string'",
		op: &Records{Title: "join", On: on(Pair{"k", "k"}), Params: [2]string{"l", "r"}, As: as("l", "r", func(l, r *value.Fields) *value.Fields {
			return value.NewRecord([]string{"h"}, []value.Value{value.OfString("z")})
		})},
		left: "*h:string k:int\nx 1", right: "*h:string k:int\nx 1",
	},
	{
		name: "a key that may shrink", want: "v:int\n10\n",
		op: &Records{Title: "join", On: on(Pair{"k", "k"}), Params: [2]string{"left", "right"}, Rekey: true, As: as("left", "right", func(l, r *value.Fields) *value.Fields {
			return value.NewRecord([]string{"v"}, []value.Value{get(l, "v")})
		})},
		left: "*h:string k:int v:int\nx 1 10", right: "*h:string k:int\nx 1",
	},
	{
		name: "a column that is missing", err: "cannot set join columns in right table stream: table is missing column 'q'",
		op:   &Records{Title: "join", On: on(Pair{"k", "q"}), As: as("l", "r", both), Params: [2]string{"l", "r"}},
		left: "k:int\n1", right: "k:int\n1",
	},
}

func TestJoins(t *testing.T) {
	for _, c := range cases {
		for _, rows := range []int{0, 1, 2} {
			memory := &flowtest.Budget{}
			got, err := flowtest.Run(memory, c.op, flowtest.Cut(flowtest.Parse(t, c.left), rows), flowtest.Cut(flowtest.Parse(t, c.right), rows))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%s: %v: want an error with %q", c.name, err, c.err)
				}
			} else if err != nil {
				t.Errorf("%s: %v", c.name, err)
			} else if s := flowtest.Show(got); s != c.want {
				t.Errorf("%s, in pieces of %d rows, made\n%s\nwant\n%s", c.name, rows, s, c.want)
			}
			if memory.Used != 0 {
				t.Errorf("%s: %d bytes were not given back", c.name, memory.Used)
			}
		}
	}
}

// A join has the rows that going through all pairs finds, whatever the method.
func TestJoinRandom(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 1))
	for range 200 {
		make := func(label string) []*table.Table {
			var text strings.Builder
			fmt.Fprintf(&text, "k:int s:string %s:int\n", label)
			for i := range 1 + rng.IntN(30) {
				k, s := fmt.Sprint(rng.IntN(6)), string(rune('a'+rng.IntN(3)))
				if rng.IntN(8) == 0 {
					k = "_"
				}
				fmt.Fprintf(&text, "%s %s %d\n", k, s, i)
			}
			return flowtest.Parse(t, text.String())
		}
		left, right := make("v"), make("w")
		l, r := left[0], right[0]
		op := &Records{Title: "join", On: on(Pair{"k", "k"}, Pair{"s", "s"}), Params: [2]string{"l", "r"}, Left: rng.IntN(2) == 0, Right: rng.IntN(2) == 0,
			As: as("l", "r", func(l, r *value.Fields) *value.Fields {
				return value.NewRecord([]string{"v", "w"}, []value.Value{get(l, "v"), get(r, "w")})
			})}
		var want []string
		matched := map[int]bool{}
		for i := range l.Rows {
			found := false
			for j := range r.Rows {
				if !l.Col("k").Null(i) && l.Col("k").SameCell(i, r.Col("k"), j) && l.Col("s").SameCell(i, r.Col("s"), j) {
					want = append(want, fmt.Sprintf("%d %d", i, j))
					found, matched[j] = true, true
				}
			}
			if !found && op.Left {
				want = append(want, fmt.Sprintf("%d _", i))
			}
		}
		for j := range r.Rows {
			if !matched[j] && op.Right {
				want = append(want, fmt.Sprintf("_ %d", j))
			}
		}
		tables, err := flowtest.Run(&flowtest.Budget{}, op, flowtest.Cut(left, rng.IntN(5)), flowtest.Cut(right, rng.IntN(5)))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		if len(tables) > 0 {
			for i := range tables[0].Rows {
				cells := []string{"_", "_"}
				for n, label := range []string{"v", "w"} {
					if c := tables[0].Col(label); c != nil && !c.Null(i) {
						cells[n] = c.Value(i).Text()
					}
				}
				got = append(got, strings.Join(cells, " "))
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("%s of\n%s\nand\n%s\nmade %q\nwant %q", op.Details(), flowtest.Show(left), flowtest.Show(right), got, want)
		}
	}
}

// A join of more pairs than memory holds keeps no more than its input.
func TestJoinStreams(t *testing.T) {
	n := 4000
	k := table.Ints("k", make([]int64, n))
	side := &table.Table{Key: table.NewKey(nil, nil), Rows: n, Cols: []table.Column{k}}
	memory := &flowtest.Budget{Limit: 4 << 20}
	run := flowtest.NewRun(memory)
	in := []table.Reader{table.NewList(side), table.NewList(side)}
	r, err := (&Columns{Names: [2]string{"a", "b"}, On: []string{"k"}}).Open(run, in)
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for range 100 {
		out, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		rows += out.Rows
	}
	r.Close() // in the middle
	if rows != 100*chunkRows {
		t.Errorf("%d rows: want %d", rows, 100*chunkRows)
	}
	if memory.Used != 0 {
		t.Errorf("%d bytes were not given back", memory.Used)
	}
}

func benchmark(b *testing.B, op flow.Op) {
	const n = 1_000_000
	left, right := make([]int64, n), make([]int64, n)
	for i := range n {
		left[i], right[i] = int64(i), int64(n-i)
	}
	values := make([]float64, n)
	l := &table.Table{Key: table.NewKey(nil, nil), Rows: n, Cols: []table.Column{table.Times("k", left), table.Floats("v", values)}}
	r := &table.Table{Key: table.NewKey(nil, nil), Rows: n, Cols: []table.Column{table.Times("k", right), table.Floats("w", values)}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := flowtest.Run(&flowtest.Budget{}, op, []*table.Table{l}, []*table.Table{r}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkColumns(b *testing.B) {
	benchmark(b, &Columns{Names: [2]string{"a", "b"}, On: []string{"k"}})
}

func BenchmarkRecords(b *testing.B) {
	benchmark(b, &Records{Title: "join", On: on(Pair{"k", "k"}), Params: [2]string{"l", "r"}, As: as("l", "r", both)})
}
