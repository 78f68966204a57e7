package transform

import (
	"maps"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

const (
	// groupBytes is about what a group takes besides its key and its parts.
	groupBytes = 512
	// smallRows is below how many rows a part is copied together with those
	// around it: the columns of a part cost about as much as 500 values.
	smallRows = 512
	// chunkRows is about how many rows small parts are put together to.
	chunkRows = 4096
)

// regroup collects tables by their keys, because tables that were apart may
// have become one.
type regroup struct {
	in      []table.Reader
	each    func(g *regroup, t *table.Table) error
	run     *flow.Run
	account flow.Account
	groups  map[string]*group
	recent  *layout // of the last new group
	order   []*group
	byKey   bool           // return groups in the order of their keys, not of arrival
	at      int            // of the stream that is being read
	read    bool           // all of them
	passed  []*table.Table // to be returned before the groups
	last    int64          // bytes of what Next returned last
}

// group is what came for one key.
type group struct {
	key    *table.Key
	layout *layout // of all parts
	parts  []*table.Table
	open   bool // the last part belongs to the group, which appends to it
	bytes  int64
	rows   int // of the parts, once they are returned
}

// layout is columns, each a constant null, and their places. It is immutable, as
// groups share it.
type layout struct {
	cols   []table.Column
	places map[string]int
}

// fits reports whether t has these columns, in this order.
func (l *layout) fits(t *table.Table) bool {
	return slices.EqualFunc(l.cols, t.Cols, func(a, b table.Column) bool { return a.Label == b.Label && a.Kind == b.Kind })
}

// extend returns the layout with the columns of t too.
func (l *layout) extend(t *table.Table) (*layout, error) {
	if l.fits(t) {
		return l, nil
	}
	shared := true
	for i := range t.Cols {
		c := &t.Cols[i]
		at, ok := l.places[c.Label]
		if !ok {
			if shared {
				l, shared = &layout{slices.Clone(l.cols), maps.Clone(l.places)}, false
			}
			l.places[c.Label] = len(l.cols)
			l.cols = append(l.cols, table.Constant(c.Label, value.NullOf(c.Kind)))
			continue
		}
		if have := l.cols[at].Kind; have != c.Kind {
			return nil, &table.KindError{Label: c.Label, A: have, B: c.Kind}
		}
	}
	return l, nil
}

// newRegroup returns a reader of the tables that each hands to add and addRows
// for the pieces of the streams in.
func newRegroup(run *flow.Run, in []table.Reader, each func(g *regroup, t *table.Table) error) *regroup {
	return &regroup{in: in, each: each, run: run, account: run.Account(), groups: map[string]*group{}, recent: &layout{places: map[string]int{}}}
}

// add takes a table, or a piece of one.
func (g *regroup) add(t *table.Table) error {
	n := t.Memory()
	if err := g.account.Add(n); err != nil {
		return err
	}
	return g.put(t, n)
}

// pass hands on a piece whose key is that of no table that is collected. All
// pieces of one table are passed, or none.
func (g *regroup) pass(t *table.Table) error {
	g.passed = append(g.passed, t)
	return nil
}

// put takes a table of which so many bytes are reserved.
func (g *regroup) put(t *table.Table, bytes int64) error {
	to, err := g.group(t)
	if err != nil {
		return err
	}
	to.bytes += bytes
	if len(to.parts) > 0 && t.Rows == 0 {
		return nil
	}
	to.parts, to.open = append(to.parts, t), false
	return nil
}

// addRows takes some rows of t, as a part of a table with a key that some of the
// columns are in. Who calls it has reserved their memory: so many bytes.
func (g *regroup) addRows(key *table.Key, t *table.Table, keyed []bool, rows []int, bytes int64) error {
	to, err := g.group(&table.Table{Key: key, Cols: t.Cols})
	if err != nil {
		return err
	}
	to.bytes += bytes
	small := len(rows) < smallRows
	if n := len(to.parts); small && n > 0 && to.open && to.parts[n-1].Rows < chunkRows && appendRows(to.parts[n-1], t, keyed, rows) {
		return nil
	}
	// Beside the cells a part has its columns, and a constant of each that is
	// in the key.
	frame := int64(64 + 256*len(t.Cols))
	if err := g.account.Add(frame); err != nil {
		return err
	}
	to.bytes += frame
	p := &table.Table{Key: key, Rows: len(rows), Cols: make([]table.Column, len(t.Cols))}
	for i := range t.Cols {
		c := &t.Cols[i]
		if keyed[i] || c.Same {
			p.Cols[i] = table.Constant(c.Label, c.Value(rows[0]))
		} else {
			p.Cols[i] = c.Pick(rows)
		}
	}
	to.parts, to.open = append(to.parts, p), small
	return nil
}

// appendRows appends rows of t to a part that nobody else has seen, and reports
// whether the columns go together.
func appendRows(to, t *table.Table, keyed []bool, rows []int) bool {
	if len(to.Cols) != len(t.Cols) {
		return false
	}
	for i := range t.Cols {
		if to.Cols[i].Label != t.Cols[i].Label || to.Cols[i].Kind != t.Cols[i].Kind {
			return false
		}
	}
	for i := range t.Cols {
		if keyed[i] {
			continue
		}
		c, from := &to.Cols[i], &t.Cols[i]
		if c.Same {
			if from.Same && c.SameCell(0, from, 0) {
				continue
			}
			*c = c.Flat(to.Rows)
		}
		for _, r := range rows {
			c.AppendFrom(from, r)
		}
	}
	to.Rows += len(rows)
	return true
}

// group returns the group of t's key and makes room for its columns.
func (g *regroup) group(t *table.Table) (*group, error) {
	to := g.groups[t.Key.ID()]
	if to == nil {
		if !g.recent.fits(t) {
			l, err := (&layout{places: map[string]int{}}).extend(t)
			if err != nil {
				return nil, err
			}
			g.recent = l
		}
		// The key is in the group, in a map, and in the tables.
		n := int64(groupBytes + len(t.Key.ID()) + t.Key.Len()*128)
		if err := g.account.Add(n); err != nil {
			return nil, err
		}
		to = &group{key: t.Key, layout: g.recent, bytes: n}
		g.groups[t.Key.ID()] = to
		g.order = append(g.order, to)
		return to, nil
	}
	l, err := to.layout.extend(t)
	if err != nil {
		return nil, err
	}
	to.layout = l
	return to, nil
}

// Next implements table.Reader.
func (g *regroup) Next() (*table.Table, error) {
	for !g.read && len(g.passed) == 0 {
		if err := g.readPiece(); err != nil {
			return nil, err
		}
	}
	if len(g.passed) > 0 {
		t := g.passed[0]
		g.passed = g.passed[1:]
		return t, nil
	}
	g.account.Sub(g.last)
	g.last = 0
	for len(g.order) > 0 && len(g.order[0].layout.cols) == 0 {
		g.order = g.order[1:] // rows, but nothing in them
	}
	if len(g.order) == 0 {
		return nil, nil
	}
	to := g.order[0]
	if to.rows == 0 {
		for _, p := range to.parts {
			to.rows += p.Rows
		}
	}
	n, rows := 1, to.parts[0].Rows
	for n < len(to.parts) && rows+to.parts[n].Rows <= chunkRows {
		rows += to.parts[n].Rows
		n++
	}
	t, err := table.Concat(to.key, to.parts[:n])
	if err != nil {
		return nil, err
	}
	clear(to.parts[:n])
	if to.parts = to.parts[n:]; len(to.parts) == 0 {
		g.last = to.bytes
		g.order[0] = nil
		g.order = g.order[1:]
	} else {
		// Whoever keeps the rows counts them too, so that those that were
		// returned are given up one by one.
		g.last = to.bytes / int64(max(to.rows, 1)) * int64(rows)
		to.bytes -= g.last
		to.rows -= rows
	}
	return to.conform(t), nil
}

// conform returns t with all columns of the group, in the same order.
func (to *group) conform(t *table.Table) *table.Table {
	if len(t.Cols) == len(to.layout.cols) && slices.EqualFunc(t.Cols, to.layout.cols, func(a, b table.Column) bool { return a.Label == b.Label }) {
		return t
	}
	out := &table.Table{Key: t.Key, Rows: t.Rows, Cols: slices.Clone(to.layout.cols)}
	for i := range t.Cols {
		if at, ok := to.layout.places[t.Cols[i].Label]; ok {
			out.Cols[at] = t.Cols[i]
		}
	}
	return out.WithKey(to.key)
}

// readPiece reads a piece of the streams, which are read one behind the other.
func (g *regroup) readPiece() error {
	if g.at == len(g.in) {
		g.read = true
		if g.byKey {
			slices.SortStableFunc(g.order, func(a, b *group) int { return a.key.Compare(b.key) })
		}
		return nil
	}
	t, err := g.in[g.at].Next()
	switch {
	case err != nil:
		return err
	case t == nil:
		g.at++
		return nil
	}
	return g.each(g, t)
}

// Close implements table.Reader.
func (g *regroup) Close() {
	for _, in := range g.in {
		in.Close()
	}
	g.account.Clear()
	g.groups, g.order, g.passed = nil, nil, nil
}
