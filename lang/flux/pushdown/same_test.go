package pushdown_test

import (
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/varvedb/varve/lang/flux/pushdown"
	"github.com/varvedb/varve/lang/flux/storage/storagetest"
)

// Scripts that mean the same get the same plan, and give what they give when
// nothing is pushed down.
func TestSamePlan(t *testing.T) {
	text, err := os.ReadFile("testdata/same.txt")
	if err != nil {
		t.Fatal(err)
	}
	h := storagetest.New(t, anyPoints(rand.New(rand.NewPCG(7, 7)), 600), 2)
	comments := regexp.MustCompile(`(?m)^#.*\n`)
	read := regexp.MustCompile(`\bR\b`)
	pairs := strings.Split(comments.ReplaceAllString(string(text), ""), "===\n")
	for _, pair := range pairs {
		a, b, ok := strings.Cut(pair, "---\n")
		if !ok {
			t.Fatalf("there are no two scripts in\n%s", pair)
		}
		var plans []string
		for _, script := range []string{a, b} {
			script = read.ReplaceAllString(script, `from(bucket: "b") |> range(start: -4h)`)
			got := ask(t, h, strings.ReplaceAll(script, byTime, ""), pushdown.Rewrite)
			if got.err != nil {
				t.Fatalf("%s\n%v", script, got.err)
			}
			plans = append(plans, got.explain)
			compare(t, h, script)
		}
		if plans[0] != plans[1] {
			t.Errorf("%s\nis planned as\n%s\n\n%s\nas\n%s", a, plans[0], b, plans[1])
		}
	}
	if len(pairs) < 30 {
		t.Errorf("%d pairs are too few", len(pairs))
	}
}
