package storage

import (
	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/scan"
)

// item is a piece of a table and where it belongs among those of other parts.
type item struct {
	table  *table.Table
	series []byte // the key of its series or group
	field  string
}

// before reports whether i belongs before o.
func (i *item) before(o *item) bool {
	if c := compareKeys(i.series, o.series); c != 0 {
		return c < 0
	}
	return i.field < o.field
}

// parser makes items of batches: it calls emit with each, in order.
type parser interface {
	batch(b *scan.Batch, emit func(item)) error
	end(emit func(item)) error
	close()
}

// stream is the tables of one part.
type stream struct {
	answer *query.Answer
	parser parser
	queue  []item
	at     int
	ended  bool
}

// next returns the next item, and reports whether there is one.
func (s *stream) next() (item, bool, error) {
	emit := func(i item) { s.queue = append(s.queue, i) }
	for s.at == len(s.queue) {
		clear(s.queue)
		s.queue, s.at = s.queue[:0], 0
		if s.ended {
			return item{}, false, nil
		}
		b, err := s.answer.Next()
		if err != nil {
			return item{}, false, err
		}
		if b != nil && s.queue == nil {
			s.queue = make([]item, 0, len(b.Groups)*len(b.Columns))
		}
		if b == nil {
			s.ended = true
			err = s.parser.end(emit)
		} else {
			err = s.parser.batch(b, emit)
		}
		if err != nil {
			return item{}, false, err
		}
	}
	s.at++
	return s.queue[s.at-1], true, nil
}

func (s *stream) close() {
	s.answer.Close()
	s.parser.close()
}

// narrow makes a table of each field of each series. Rows of a series may come
// in several batches with all its fields in each; those of all fields but the
// first wait for the end of the series.
type narrow struct {
	layout  *layout
	account flow.Account
	upturn  bool
	waiting [][]item // by column, of the present series
}

func newNarrow(run *flow.Run, p *Plan) *narrow {
	return &narrow{layout: newLayout(p), account: run.Account(), upturn: p.Rows.Upturn}
}

// batch implements parser.
func (n *narrow) batch(b *scan.Batch, emit func(item)) error {
	for g := range b.Groups {
		group := &b.Groups[g]
		if n.layout.series(b.Measurement, group.Key) {
			n.flush(emit)
			for len(n.waiting) < len(b.Columns) {
				n.waiting = append(n.waiting, nil)
			}
		}
		last := g == len(b.Groups)-1
		for c := range b.Columns {
			i, ok := n.piece(b, group, c)
			switch {
			case !ok:
			case c == 0 && !n.upturn && len(n.waiting[0]) == 0:
				emit(i)
			case last || n.upturn:
				if err := n.account.Keep(i.table); err != nil {
					return err
				}
				n.waiting[c] = append(n.waiting[c], i)
			default:
				n.waiting[c] = append(n.waiting[c], i)
			}
		}
		if !last {
			n.flush(emit)
		}
	}
	return nil
}

// piece makes a table of the rows of a group in which a field has a value.
func (n *narrow) piece(b *scan.Batch, g *scan.Group, at int) (item, bool) {
	c := &b.Columns[at]
	v := c.Slice(g.From, g.To)
	times := b.Time[g.From:g.To]
	rows := len(times)
	if !v.Valid.All() {
		have := v.Valid.Count(rows)
		if have == 0 {
			return item{}, false
		}
		if have < rows {
			times, v = dense(times, &v, have)
			rows = have
		} else {
			v.Valid = column.Bitmap{}
		}
	}
	t := n.layout.selected(c.Field, table.Times(Time, times), table.OfVector(Value, v), rows)
	return item{t, g.Key, c.Field}, true
}

// dense returns the rows that have a value.
func dense(times []int64, v *column.Vector, have int) ([]int64, column.Vector) {
	kept := make([]int64, 0, have)
	out := column.Vector{Type: v.Type}
	if v.Type != column.String {
		out.Words = make([]uint64, 0, have)
	}
	for i := range times {
		if v.Valid.Get(i) {
			kept = append(kept, times[i])
			out.AppendRow(v, i)
		}
	}
	return kept, out
}

// flush ends the present series.
func (n *narrow) flush(emit func(item)) {
	for c := range n.waiting {
		list := n.waiting[c]
		if n.upturn && len(list) > 0 {
			list = []item{upturned(list)}
		}
		for _, i := range list {
			emit(i)
		}
		clear(n.waiting[c])
		n.waiting[c] = n.waiting[c][:0]
	}
	n.account.Clear()
}

// upturned returns the rows of the pieces of a table the other way round.
func upturned(list []item) item {
	b := table.NewBuilder(list[0].table.Key)
	for p := len(list) - 1; p >= 0; p-- {
		t := list[p].table
		order := make([]int, t.Rows)
		for i := range order {
			order[i] = t.Rows - 1 - i
		}
		if len(list) == 1 {
			list[0].table = t.Pick(order)
			return list[0]
		}
		if err := b.AppendTable(t.Pick(order)); err != nil {
			panic("BUG: pieces of one table differ: " + err.Error())
		}
	}
	list[0].table = b.Table()
	return list[0]
}

// end implements parser.
func (n *narrow) end(emit func(item)) error {
	n.flush(emit)
	return nil
}

func (n *narrow) close() { n.account.Clear() }
