package flow

import "github.com/varvedb/varve/lang/flux/table"

// emitFunc hands a table to whoever reads the operator.
type emitFunc = func(*table.Table) error

// EachPiece returns the reader of an operator that makes at most one table of
// each piece, whatever came before. fn returns nil to leave a piece out.
func EachPiece(in table.Reader, fn func(*table.Table) (*table.Table, error)) table.Reader {
	return &pieces{in, fn}
}

type pieces struct {
	in table.Reader
	fn func(*table.Table) (*table.Table, error)
}

// Next implements table.Reader.
func (p *pieces) Next() (*table.Table, error) {
	for {
		t, err := p.in.Next()
		if t == nil || err != nil {
			return nil, err
		}
		if t, err = p.fn(t); t != nil || err != nil {
			return t, err
		}
	}
}

// Close implements table.Reader.
func (p *pieces) Close() { p.in.Close() }

// EachTable returns the reader of an operator that makes tables of each whole
// table by itself: fn calls emit with them, in order.
func EachTable(run *Run, in table.Reader, fn func(t *table.Table, emit func(*table.Table) error) error) table.Reader {
	w := &wholes{fn: fn, account: run.Account()}
	w.in = table.NewWhole(in, w.account.Add)
	return w
}

type wholes struct {
	in      table.Reader
	fn      func(*table.Table, emitFunc) error
	account Account
	out     []*table.Table
}

// Next implements table.Reader.
func (w *wholes) Next() (*table.Table, error) {
	for len(w.out) == 0 {
		w.account.Clear()
		t, err := w.in.Next()
		if t == nil || err != nil {
			return nil, err
		}
		err = w.fn(t, func(t *table.Table) error { w.out = append(w.out, t); return nil })
		if err != nil {
			return nil, err
		}
	}
	t := w.out[0]
	w.out = w.out[1:]
	return t, nil
}

// Close implements table.Reader.
func (w *wholes) Close() {
	w.in.Close()
	w.account.Clear()
}

// AtOnce returns the reader of an operator that has to see everything before it
// returns anything. fn reads what it takes, calls account for what it keeps,
// and calls emit with the tables of the result, which are kept until they are
// read. The memory that fn reserved is given back at the end.
func AtOnce(run *Run, in []table.Reader, fn func(account *Account, emit func(*table.Table) error) error) table.Reader {
	return &atOnce{in: in, fn: fn, account: run.Account()}
}

type atOnce struct {
	in      []table.Reader
	fn      func(*Account, emitFunc) error
	account Account
	done    bool
	out     []*table.Table
}

// Next implements table.Reader.
func (a *atOnce) Next() (*table.Table, error) {
	if !a.done {
		a.done = true
		if err := a.fn(&a.account, func(t *table.Table) error { a.out = append(a.out, t); return nil }); err != nil {
			return nil, err
		}
	}
	if len(a.out) == 0 {
		return nil, nil
	}
	t := a.out[0]
	a.out[0] = nil
	a.out = a.out[1:]
	return t, nil
}

// Close implements table.Reader.
func (a *atOnce) Close() {
	closeAll(a.in)
	a.account.Clear()
	a.out = nil
}
