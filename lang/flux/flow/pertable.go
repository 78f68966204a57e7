package flow

import "github.com/varvedb/varve/lang/flux/table"

// TableState is what an operator keeps while it reads the pieces of one table.
type TableState interface {
	// Piece takes a piece and calls emit with what there is to pass on.
	Piece(t *table.Table, emit func(*table.Table)) error
	// End is called behind the last piece.
	End(emit func(*table.Table)) error
}

// perTable runs an operator that goes through each table in order and remembers
// something.
type perTable struct {
	in      table.Reader
	begin   func(account *Account) TableState
	account Account
	key     *table.Key // of the table that is being read; nil: none
	state   TableState
	out     []*table.Table
	ended   bool
}

// PerTable returns a reader of what the states that begin returns, one for
// each table, make of in. What a state reserves is given back behind its table.
func PerTable(run *Run, in table.Reader, begin func(account *Account) TableState) table.Reader {
	return &perTable{in: in, begin: begin, account: run.Account()}
}

// Next implements table.Reader.
func (p *perTable) Next() (*table.Table, error) {
	emit := func(t *table.Table) { p.out = append(p.out, t) }
	for len(p.out) == 0 {
		if p.ended {
			return nil, nil
		}
		t, err := p.in.Next()
		if err != nil {
			return nil, err
		}
		if p.key != nil && (t == nil || !t.Key.Equal(p.key)) {
			if err := p.state.End(emit); err != nil {
				return nil, err
			}
			p.key = nil
			p.account.Clear()
		}
		if t == nil {
			p.ended = true
			continue
		}
		if p.key == nil {
			p.key, p.state = t.Key, p.begin(&p.account)
		}
		if err := p.state.Piece(t, emit); err != nil {
			return nil, err
		}
	}
	t := p.out[0]
	p.out[0] = nil
	p.out = p.out[1:]
	return t, nil
}

// Close implements table.Reader.
func (p *perTable) Close() {
	p.in.Close()
	p.account.Clear()
}
