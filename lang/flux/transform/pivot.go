package transform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Pivot makes columns of rows: rows with equal cells in RowKey become one, and
// each value goes into the column that the cells in ColumnKey name. Of more
// values for one place the last one holds. Columns that are neither in RowKey
// nor in the group key are left out.
type Pivot struct {
	RowKey, ColumnKey []string
	Value             string
}

// Name implements flow.Op.
func (*Pivot) Name() string { return "pivot" }

// Details implements flow.Op.
func (p *Pivot) Details() string {
	return fmt.Sprintf("rowKey: %s, columnKey: %s, valueColumn: %q", quote(p.RowKey), quote(p.ColumnKey), p.Value)
}

// Open implements flow.Op.
func (p *Pivot) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.AtOnce(run, in, func(account *flow.Account, emit func(*table.Table) error) error {
		groups := map[string]*pivoted{}
		var order []*pivoted
		for {
			t, err := in[0].Next()
			if err != nil {
				return err
			}
			if t == nil {
				break
			}
			if err := p.check(t); err != nil {
				return err
			}
			key := t.Key.Keep(func(label string) bool {
				return label != p.Value && !slices.Contains(p.ColumnKey, label)
			})
			to := groups[key.ID()]
			if to == nil {
				to = newPivoted(p, key, account)
				groups[key.ID()] = to
				order = append(order, to)
			}
			if err := to.add(run, t); err != nil {
				return err
			}
		}
		for _, to := range order {
			t, err := to.table(run)
			if err != nil {
				return err
			}
			// In pieces, so that whoever reads them can be stopped between them.
			for from := 0; from == 0 || from < t.Rows; from += sliceRows {
				if err := emit(t.Slice(from, min(from+sliceRows, t.Rows))); err != nil {
					return err
				}
			}
		}
		return nil
	}), nil
}

func (p *Pivot) check(t *table.Table) error {
	for _, labels := range [][]string{p.RowKey, p.ColumnKey, {p.Value}} {
		for _, l := range labels {
			if t.Find(l) < 0 {
				return fmt.Errorf("specified column does not exist in table: %s", l)
			}
		}
	}
	return nil
}

// pivoted is a table that is being made.
type pivoted struct {
	op      *Pivot
	key     *table.Key
	account *flow.Account
	rows    rowIndex // nil as long as no row came
	rowCols []table.Column
	cols    []*wideColumn
	byLabel map[string]*wideColumn
	n       int // rows
}

func newPivoted(p *Pivot, key *table.Key, account *flow.Account) *pivoted {
	return &pivoted{op: p, key: key, account: account, byLabel: map[string]*wideColumn{}}
}

// add takes the rows of t.
func (p *pivoted) add(run *flow.Run, t *table.Table) error {
	var keys []*table.Column // of the rows, without those that the group key has
	for _, l := range p.op.RowKey {
		if !p.key.Has(l) && !slices.ContainsFunc(keys, func(c *table.Column) bool { return c.Label == l }) {
			keys = append(keys, t.Col(l))
		}
	}
	if p.rowCols == nil {
		for _, k := range keys {
			p.rowCols = append(p.rowCols, table.NewColumn(k.Label, k.Kind))
		}
	}
	for i, k := range keys {
		if p.rowCols[i].Kind != k.Kind {
			return &table.KindError{Label: k.Label, A: p.rowCols[i].Kind, B: k.Kind}
		}
	}
	if p.rows == nil {
		p.rows = newRowIndex(keys)
	}
	var names []*table.Column
	for _, l := range p.op.ColumnKey {
		names = append(names, t.Col(l))
	}
	same := !slices.ContainsFunc(names, func(c *table.Column) bool { return !c.Same })
	values := t.Col(p.op.Value)
	var to *wideColumn
	for i := range t.Rows {
		if i%endedEvery == 0 {
			if err := run.Ended(); err != nil {
				return err
			}
			if err := p.reserveRows(min(endedEvery, t.Rows-i)); err != nil {
				return err
			}
		}
		if to == nil || !same && !sameCells(names, i, i-1) {
			var err error
			if to, err = p.column(nameOf(names, i), values.Kind); err != nil {
				return err
			}
		}
		at := p.rows.find(keys, i, p.rowCols, p.n)
		if at == p.n {
			for j, k := range keys {
				p.rowCols[j].AppendFrom(k, i)
			}
			p.n++
		}
		if err := to.set(p.account, at, values, i); err != nil {
			return err
		}
	}
	return nil
}

// reserveRows reserves what the keys of so many more rows may take at most: what
// is reserved for rows that turn out to be there is used for the next ones.
func (p *pivoted) reserveRows(more int) error {
	const perKey = 64 // in the index, and in a column
	need := int64(p.n+more) * perKey * int64(max(len(p.rowCols), 1))
	if have := p.rows.reserved(); need > *have {
		if err := p.account.Add(need - *have); err != nil {
			return err
		}
		*have = need
	}
	return nil
}

// nameOf returns the label of the column that row i belongs to.
func nameOf(names []*table.Column, i int) string {
	parts := make([]string, len(names))
	for n, c := range names {
		if v := c.Value(i); v.IsNull() {
			parts[n] = "null"
		} else {
			parts[n] = strings.Clone(v.Text())
		}
	}
	return strings.Join(parts, "_")
}

// column returns the column of a label, which is made if it is not there.
func (p *pivoted) column(label string, kind value.Kind) (*wideColumn, error) {
	c := p.byLabel[label]
	if c == nil {
		if p.key.Has(label) || slices.ContainsFunc(p.rowCols, func(c table.Column) bool { return c.Label == label }) {
			return nil, fmt.Errorf("the table would have two columns %q: one is in the row key or group key, the other one is made of columnKey", label)
		}
		c = &wideColumn{label: label, kind: kind}
		if kind == value.String {
			c.texts = table.NewColumn(label, kind)
		}
		p.byLabel[label] = c
		p.cols = append(p.cols, c)
		return c, p.account.Add(512)
	}
	if c.kind != kind {
		return nil, &table.KindError{Label: label, A: c.kind, B: kind}
	}
	return c, nil
}

// table returns the table. Columns of few cells become as long as all others.
func (p *pivoted) table(run *flow.Run) (*table.Table, error) {
	t := (&table.Table{Rows: p.n}).WithKey(p.key)
	t.Cols = append(t.Cols, p.rowCols...)
	for _, c := range p.cols {
		if err := run.Ended(); err != nil {
			return nil, err
		}
		if err := p.account.Add(int64(max(p.n-c.room, 0)) * 9); err != nil {
			return nil, err
		}
		t.Cols = append(t.Cols, c.column(p.n))
	}
	return t, nil
}

// wideColumn is a column whose cells come in any order. Those that did not come
// are null.
type wideColumn struct {
	label string
	kind  value.Kind
	words []uint64 // of strings: the place in texts
	valid []uint64 // a bit for each word there is room for
	room  int
	texts table.Column
}

// set puts row i of from into row at.
func (c *wideColumn) set(account *flow.Account, at int, from *table.Column, i int) error {
	if at >= len(c.words) {
		if err := c.grow(account, at+1); err != nil {
			return err
		}
	}
	if from.Null(i) {
		c.valid[at>>6] &^= 1 << (at & 63)
		return nil
	}
	c.valid[at>>6] |= 1 << (at & 63)
	if c.kind != value.String {
		c.words[at] = from.Word(i)
		return nil
	}
	c.words[at] = uint64(c.texts.Vec.Len())
	if err := account.Add(2 * int64(len(from.Bytes(i))+4)); err != nil { // here and in the table
		return err
	}
	c.texts.AppendFrom(from, i)
	return nil
}

func (c *wideColumn) grow(account *flow.Account, rows int) error {
	if rows > c.room {
		// A multiple of 64, so that bits and words have room for the same.
		room := (max(rows, 2*c.room) + 63) &^ 63
		if err := account.Add(int64(room-c.room) * 9); err != nil {
			return err
		}
		words, valid := make([]uint64, len(c.words), room), make([]uint64, room/64)
		copy(words, c.words)
		copy(valid, c.valid)
		c.words, c.valid, c.room = words, valid, room
	}
	c.words = c.words[:rows]
	return nil
}

// column returns the column with so many rows.
func (c *wideColumn) column(rows int) table.Column {
	out := table.NewColumn(c.label, c.kind)
	if c.kind == value.String {
		for i := range rows {
			if i < len(c.words) && c.valid[i>>6]>>(i&63)&1 != 0 {
				out.AppendFrom(&c.texts, int(c.words[i]))
			} else {
				out.Vec.AppendNulls(1)
			}
		}
		return out
	}
	have := len(c.words)
	out.Vec.Words = c.words
	full := have == rows
	for i := 0; i < have && full; i += 64 {
		full = c.valid[i>>6] == ^uint64(0)>>max(0, 64-(have-i))
	}
	if !full {
		for i := range c.words {
			if c.valid[i>>6]>>(i&63)&1 == 0 {
				c.words[i] = 0 // a null that came after a value
			}
		}
		out.Vec.Valid.Words = c.valid[:(have+63)/64]
		out.Vec.AppendNulls(rows - have)
	}
	return out
}
