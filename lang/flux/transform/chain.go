package transform

import (
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Chain reads one stream to its end and then passes another one on.
type Chain struct{}

// Name implements flow.Op.
func (*Chain) Name() string { return "chain" }

// Details implements flow.Op.
func (*Chain) Details() string { return "" }

// Open implements flow.Op.
func (*Chain) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return &chained{first: in[0], second: in[1], run: run}, nil
}

type chained struct {
	first, second table.Reader
	run           *flow.Run
	read          bool
}

// Next implements table.Reader.
func (c *chained) Next() (*table.Table, error) {
	for !c.read {
		t, err := c.first.Next()
		if err != nil {
			return nil, err
		}
		c.read = t == nil
	}
	return c.second.Next()
}

// Close implements table.Reader.
func (c *chained) Close() {
	c.first.Close()
	c.second.Close()
}

// Preview passes a few rows of a few tables on.
type Preview struct{ Rows, Tables int64 }

// Name implements flow.Op.
func (*Preview) Name() string { return "preview" }

// Details implements flow.Op.
func (*Preview) Details() string { return "" }

// Open implements flow.Op.
func (p *Preview) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	return &preview{op: p, in: in[0]}, nil
}

type preview struct {
	op     *Preview
	in     table.Reader
	key    *table.Key
	tables int64
	rows   int64 // of the present table
}

// Next implements table.Reader.
func (p *preview) Next() (*table.Table, error) {
	for {
		t, err := p.in.Next()
		if t == nil || err != nil {
			return nil, err
		}
		if p.key == nil || !p.key.Equal(t.Key) {
			if p.tables++; p.tables > p.op.Tables {
				return nil, nil
			}
			p.key, p.rows = t.Key, 0
		} else if p.rows == p.op.Rows {
			continue
		}
		n := min(int64(t.Rows), p.op.Rows-p.rows)
		p.rows += n
		return t.Slice(0, int(n)), nil
	}
}

// Close implements table.Reader.
func (p *preview) Close() { p.in.Close() }

// FillTables gives every table without rows one, of nulls but for the group key.
type FillTables struct{}

// Name implements flow.Op.
func (*FillTables) Name() string { return "table.fill" }

// Details implements flow.Op.
func (*FillTables) Details() string { return "" }

// Open implements flow.Op.
func (*FillTables) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.PerTable(run, in[0], func(*flow.Account) flow.TableState { return &fillTable{} }), nil
}

// fillTable is a table of which no row came yet, or of which some did.
type fillTable struct {
	empty *table.Table
	rows  bool
}

// Piece implements flow.TableState.
func (s *fillTable) Piece(t *table.Table, emit func(*table.Table)) error {
	if t.Rows > 0 {
		s.rows = true
		emit(t)
	} else if s.empty == nil {
		s.empty = t
	}
	return nil
}

// End implements flow.TableState.
func (s *fillTable) End(emit func(*table.Table)) error {
	if s.rows {
		return nil
	}
	emit(OneNull(s.empty))
	return nil
}

// OneNull returns a table with the columns of t and one row, in which those
// outside the group key are null.
func OneNull(t *table.Table) *table.Table {
	row := &table.Table{Key: t.Key, Rows: 1, Cols: make([]table.Column, len(t.Cols))}
	for i := range t.Cols {
		v, ok := t.Key.Get(t.Cols[i].Label)
		if !ok {
			v = value.NullOf(t.Cols[i].Kind)
		}
		row.Cols[i] = table.Constant(t.Cols[i].Label, v)
	}
	return row
}
