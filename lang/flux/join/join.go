// Package join has the operators that join two streams of tables. Both keep
// their input and go through it in the order of the columns that are joined on;
// what they make is handed out as it is read, so that it may be larger than what
// a script may keep.
package join

import (
	"fmt"
	"iter"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/lang/flux/value"
)

// side is all tables of one of the two streams.
type side struct {
	groups map[string]*group
	order  []*group
	schema []table.Column // every column of any table, as a constant null
}

// group is a table of a side.
type group struct {
	key   *table.Key
	parts []*table.Table
	table *table.Table
	cols  []*table.Column // those that are joined on
	rows  []int           // in the order of cols
}

// read reads a stream and puts its tables together.
func read(account *flow.Account, in table.Reader) (*side, error) {
	s := &side{groups: map[string]*group{}}
	kinds := map[string]value.Kind{}
	for {
		t, err := in.Next()
		if err != nil {
			return nil, err
		}
		if t == nil {
			break
		}
		for i := range t.Cols {
			c := &t.Cols[i]
			if have, ok := kinds[c.Label]; !ok {
				kinds[c.Label] = c.Kind
				s.schema = append(s.schema, table.Constant(c.Label, value.NullOf(c.Kind)))
			} else if have != c.Kind && have != value.Absent {
				kinds[c.Label] = value.Absent // the first kind stands for it
			}
		}
		g := s.groups[t.Key.ID()]
		if g == nil {
			g = &group{key: t.Key}
			s.groups[t.Key.ID()] = g
			s.order = append(s.order, g)
		}
		if err := account.Keep(t); err != nil {
			return nil, err
		}
		g.parts = append(g.parts, t)
	}
	for _, g := range s.order {
		if err := g.whole(account); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (g *group) whole(account *flow.Account) error {
	var bytes int64
	for _, p := range g.parts {
		bytes += p.Memory()
	}
	if len(g.parts) > 1 {
		// The parts go when their copy is there.
		if err := account.Add(table.ConcatMemory(g.parts)); err != nil {
			return err
		}
		defer account.Sub(bytes)
	}
	var err error
	g.table, err = table.Concat(g.key, g.parts)
	g.parts = nil
	return err
}

// sort orders the rows by columns.
func (g *group) sort(run *flow.Run, account *flow.Account, cols []*table.Column) error {
	g.cols = cols
	const perRow = 8 + 2*16 // of the order and of what it takes to find it
	if err := account.Add(int64(g.table.Rows) * perRow); err != nil {
		return err
	}
	var vary []*table.Column
	for _, c := range cols {
		if !c.Same {
			vary = append(vary, c)
		}
	}
	var err error
	if g.rows, err = transform.OrderRows(run, vary, g.table.Rows, false); err != nil {
		return err
	}
	account.Sub(int64(g.table.Rows) * 2 * 16)
	return nil
}

// equals returns how many rows from place at on, in order, have equal cells, and
// whether a cell is null.
func (g *group) equals(at int) (n int, null bool) {
	for _, c := range g.cols {
		null = null || c.Null(g.rows[at])
	}
	for n = 1; at+n < len(g.rows); n++ {
		if transform.CompareRows(g.cols, g.rows[at], g.cols, g.rows[at+n], false) != 0 {
			break
		}
	}
	return n, null
}

// match goes through the rows of two tables in order and calls use with those
// that have equal cells and no nulls in them. Rows without a match are passed
// alone: one of the slices is then empty.
func match(l, r *group, use func(left, right []int) error) error {
	i, j := 0, 0
	for i < len(l.rows) || j < len(r.rows) {
		var order int
		var n, m int
		var null bool
		switch {
		case i == len(l.rows):
			order = 1
			m, _ = r.equals(j)
		case j == len(r.rows):
			order = -1
			n, _ = l.equals(i)
		default:
			order = transform.CompareRows(l.cols, l.rows[i], r.cols, r.rows[j], false)
			if order <= 0 {
				n, null = l.equals(i)
			}
			if order >= 0 {
				m, _ = r.equals(j)
			}
			if null && order == 0 {
				order, m = -1, 0 // a null equals nothing
			}
		}
		var left, right []int
		if order <= 0 {
			left = l.rows[i : i+n]
		}
		if order >= 0 {
			right = r.rows[j : j+m]
		}
		if err := use(left, right); err != nil {
			return err
		}
		i, j = i+len(left), j+len(right)
	}
	return nil
}

// chunkRows is how many rows are made before they are handed out.
const chunkRows = 1 << 14

// pulled is a reader of what a function makes, which runs as far as it is read.
type pulled struct {
	in      []table.Reader
	account flow.Account
	next    func() (*table.Table, error, bool)
	stop    func()
}

// pull returns the reader of the tables that make hands to yield. make ends when
// yield returns false.
func pull(run *flow.Run, in []table.Reader, make func(account *flow.Account, yield func(*table.Table) bool) error) table.Reader {
	p := &pulled{in: in, account: run.Account()}
	p.next, p.stop = iter.Pull2(func(yield func(*table.Table, error) bool) {
		err := make(&p.account, func(t *table.Table) bool { return yield(t, nil) })
		if err != nil {
			yield(nil, err)
		}
	})
	return p
}

// Next implements table.Reader.
func (p *pulled) Next() (*table.Table, error) {
	t, err, ok := p.next()
	if !ok {
		return nil, nil
	}
	return t, err
}

// Close implements table.Reader.
func (p *pulled) Close() {
	p.stop()
	for _, in := range p.in {
		in.Close()
	}
	p.account.Clear()
}

// errStopped ends a function that pull runs when nobody reads on.
var errStopped = fmt.Errorf("nobody reads on")
