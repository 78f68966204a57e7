package transform

import (
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/varvedb/varve/lang/flux/flow/flowtest"
)

var diffSeed = flag.Uint64("diff-seed", 1, "seed of the random test of differences")

// What is the same and what is marked - is the first sequence, what is the same
// and what is marked + the second; and no shorter way leads from one to the
// other.
func TestScriptOfEdits(t *testing.T) {
	r := rand.New(rand.NewPCG(*diffSeed, 0))
	run := flowtest.NewRun(&flowtest.Budget{})
	for range 2000 {
		a, b := make([]int, r.IntN(9)), make([]int, r.IntN(9))
		for i := range a {
			a[i] = r.IntN(3)
		}
		for i := range b {
			b[i] = r.IntN(3)
		}
		account := run.Account()
		edits, err := script(run, &account, len(a), len(b), func(i, j int) bool { return a[i] == b[j] })
		if err != nil {
			t.Fatal(err)
		}
		x, y, changes := 0, 0, 0
		for _, e := range edits {
			n := e.to - e.from
			switch e.mark {
			case "":
				for i := range n {
					if e.from+i != x+i || a[x+i] != b[y+i] {
						t.Fatalf("seed %d: %v to %v: %v: rows are not the same", *diffSeed, a, b, edits)
					}
				}
				x, y = x+n, y+n
			case "-":
				x, changes = x+n, changes+n
			case "+":
				y, changes = y+n, changes+n
			}
		}
		if x != len(a) || y != len(b) {
			t.Fatalf("seed %d: %v to %v: %v does not cover both", *diffSeed, a, b, edits)
		}
		if want := len(a) + len(b) - 2*common(a, b); changes != want {
			t.Fatalf("seed %d: %v to %v: %v has %d changes: want %d", *diffSeed, a, b, edits, changes, want)
		}
	}
}

// common returns the length of the longest common subsequence.
func common(a, b []int) int {
	best := make([]int, len(b)+1)
	for i := range a {
		diagonal := 0
		for j := range b {
			up := best[j+1]
			if a[i] == b[j] {
				best[j+1] = diagonal + 1
			} else {
				best[j+1] = max(up, best[j])
			}
			diagonal = up
		}
	}
	return best[len(b)]
}

func TestDiff(t *testing.T) {
	for name, tt := range map[string]struct{ want, got, out string }{
		"same":       {"*h:string n:int\na 1", "*h:string n:int\na 1", ""},
		"close":      {"f:float\n1.0000001", "f:float\n1", ""},
		"changed":    {"*h:string n:int\na 1\na 2", "*h:string n:int\na 1\na 3", "_diff:string *h:string n:int\n a 1\n- a 2\n+ a 3\n"},
		"one side":   {"*h:string n:int\na 1", "*h:string n:int\nb 1", "_diff:string *h:string n:int\n- a 1\n\n_diff:string *h:string n:int\n+ b 1\n"},
		"null":       {"n:int\n1\n_", "n:int\n1\n1", "_diff:string n:int\n 1\n- _\n+ 1\n"},
		"new column": {"n:int\n1", "n:int m:int\n1 _", ""},
	} {
		for _, rows := range []int{0, 1} {
			got, err := flowtest.Run(&flowtest.Budget{}, &Diff{Epsilon: 1e-6}, flowtest.Cut(flowtest.Parse(t, tt.want), rows), flowtest.Cut(flowtest.Parse(t, tt.got), rows))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if flowtest.Show(got) != tt.out {
				t.Errorf("%s: got\n%swant\n%s", name, flowtest.Show(got), tt.out)
			}
		}
	}
}
