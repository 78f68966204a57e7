package query

import (
	"testing"

	"github.com/varvedb/varve/memory"
)

// TestAllowance: what a question forgets to give back is not lost to others, and
// it cannot give back what others have.
func TestAllowance(t *testing.T) {
	pool := memory.NewPool("questions", 1000)
	if err := pool.Reserve(300); err != nil { // another question's
		t.Fatal(err)
	}
	a := allowance{pool: pool, limit: 500}
	if err := a.Reserve(200); err != nil {
		t.Fatal(err)
	}
	a.Release(50)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("more was given back than the question had")
			}
		}()
		a.Release(151)
	}()
	if used := pool.Stats().Used; used != 450 {
		t.Errorf("%d bytes are in use: want 450", used)
	}
	a.releaseAll()
	if used := pool.Stats().Used; used != 300 {
		t.Errorf("%d bytes are in use at the end: want those of the other question, 300", used)
	}
}
