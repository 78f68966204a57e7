package aggregate

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
)

// Sample keeps every Nth row from row Pos (counted from 0) on; a Pos of -1 is
// one of the first N by chance.
type Sample struct {
	By
	N, Pos int64
}

// Name implements flow.Op.
func (*Sample) Name() string { return "sample" }

// Details implements flow.Op.
func (s *Sample) Details() string {
	return with(with(s.By.Details(), "n", "%d", s.N), "pos", "%d", s.Pos)
}

// Check reports what is wrong with the arguments.
func (s *Sample) Check() error {
	switch {
	case s.N <= 0:
		return fmt.Errorf("n must be a positive integer, but was %d", s.N)
	case s.Pos >= s.N:
		return fmt.Errorf("pos must be less than n, but %d >= %d", s.Pos, s.N)
	case s.Pos < -1:
		return fmt.Errorf("pos must be -1, for any, or from 0 on, but was %d", s.Pos)
	}
	return nil
}

// Open implements flow.Op.
func (s *Sample) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	chance := rand.New(rand.NewPCG(uint64(run.Now), uint64(s.N)))
	return flow.PerTable(run, in[0], func(*flow.Account) flow.TableState {
		next := s.Pos
		if next < 0 {
			next = chance.Int64N(s.N)
		}
		return &sampleState{op: s, next: next}
	}), nil
}

type sampleState struct {
	op    *Sample
	next  int64 // rows until the one that is kept
	found bool  // the column
}

// Piece implements flow.TableState.
func (s *sampleState) Piece(t *table.Table, emit func(*table.Table)) error {
	s.found = s.found || t.Find(s.op.Column) >= 0
	var rows []int
	for s.next < int64(t.Rows) {
		rows = append(rows, int(s.next))
		s.next += min(s.op.N, math.MaxInt64-s.next)
	}
	s.next -= int64(t.Rows)
	emit(t.Pick(rows))
	return nil
}

// End implements flow.TableState.
func (s *sampleState) End(func(*table.Table)) error {
	if !s.found {
		return noColumn(s.op.Column)
	}
	return nil
}
