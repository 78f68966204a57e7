package transform

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
)

// Limit keeps the first N rows of each table, behind Offset others.
type Limit struct {
	N, Offset int64
}

// Name implements flow.Op.
func (*Limit) Name() string { return "limit" }

// Details implements flow.Op.
func (l *Limit) Details() string { return fmt.Sprintf("n: %d, offset: %d", l.N, l.Offset) }

// Open implements flow.Op.
func (l *Limit) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	var key *table.Key
	var seen int64 // rows of the table that came
	return flow.EachPiece(in[0], func(t *table.Table) (*table.Table, error) {
		first := key == nil || !t.Key.Equal(key)
		if first {
			key, seen = t.Key, 0
		}
		from := min(max(l.Offset-seen, 0), int64(t.Rows))
		to := min(max(l.Offset+l.N-seen, from), int64(t.Rows))
		if l.Offset+l.N < l.Offset { // there are not so many
			to = int64(t.Rows)
		}
		seen += int64(t.Rows)
		switch {
		case from == to && !first:
			return nil, nil
		case from == 0 && to == int64(t.Rows):
			return t, nil
		}
		return t.Slice(int(from), int(to)), nil
	}), nil
}

// Tail keeps the last N rows of each table, in front of Offset others.
type Tail struct {
	N, Offset int64
}

// Name implements flow.Op.
func (*Tail) Name() string { return "tail" }

// Details implements flow.Op.
func (l *Tail) Details() string { return fmt.Sprintf("n: %d, offset: %d", l.N, l.Offset) }

// Open implements flow.Op.
func (l *Tail) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.PerTable(run, in[0], func(account *flow.Account) flow.TableState {
		return &tailState{op: l, account: account}
	}), nil
}

// tailState is the last pieces of a table, as many as may be needed.
type tailState struct {
	op      *Tail
	account *flow.Account
	parts   []*table.Table
	rows    int64
}

// Piece implements flow.TableState.
func (s *tailState) Piece(t *table.Table, _ func(*table.Table)) error {
	if err := s.account.Keep(t); err != nil {
		return err
	}
	s.parts = append(s.parts, t)
	s.rows += int64(t.Rows)
	for len(s.parts) > 1 && s.rows-int64(s.parts[0].Rows)-s.op.Offset >= s.op.N {
		s.rows -= int64(s.parts[0].Rows)
		s.account.Sub(s.parts[0].Memory())
		s.parts = s.parts[1:]
	}
	return nil
}

// End implements flow.TableState.
func (s *tailState) End(emit func(*table.Table)) error {
	to := max(s.rows-s.op.Offset, 0)
	from := max(to-s.op.N, 0)
	emitted := false
	for _, p := range s.parts {
		n := int64(p.Rows)
		if a, b := min(max(from, 0), n), min(max(to, 0), n); a < b {
			emit(p.Slice(int(a), int(b)))
			emitted = true
		}
		from, to = from-n, to-n
	}
	if !emitted {
		emit(s.parts[0].Slice(0, 0))
	}
	return nil
}
