package pushdown_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/pushdown"
	"github.com/varvedb/varve/lang/flux/storage/storagetest"
)

// Nothing ends rewriting but its own end: it takes about the time that reading the
// script does, however many operators stand behind each other.
func TestLongScripts(t *testing.T) {
	h := storagetest.New(t, storagetest.Points{}, 1)
	for _, step := range []string{`drop(columns: ["h%d"])`, `filter(fn: (r) => r.host != "h%[1]d" or r.zone == "z%[1]d")`} {
		steps := []string{`from(bucket: "b")`, "range(start: -1h)"}
		for i := range 900 {
			steps = append(steps, fmt.Sprintf(step, i))
		}
		began := time.Now()
		if r := ask(t, h, strings.Join(append(steps, "count()"), "\n\t|> "), pushdown.Rewrite); r.err != nil {
			t.Error(r.err)
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("900 times %s took %v", step, took)
		}
	}
}
