package join

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Columns joins every table of the left stream with every table of the right
// one, row by row where columns have equal values. The group key is the union of
// both. Columns that both tables have, and that are not joined on, get the names
// of their sides behind theirs.
type Columns struct {
	Names [2]string // of the left side and the right side
	On    []string
}

// Name implements flow.Op.
func (*Columns) Name() string { return "join" }

// Details implements flow.Op.
func (c *Columns) Details() string {
	return fmt.Sprintf("%s with %s, on: %s", c.Names[0], c.Names[1], strings.Join(c.On, ", "))
}

// Open implements flow.Op.
func (c *Columns) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return pull(run, in, func(account *flow.Account, yield func(*table.Table) bool) error {
		var sides [2]*side
		for i := range sides {
			var err error
			if sides[i], err = read(account, in[i]); err != nil {
				return err
			}
			if err := c.prepare(run, account, sides[i]); err != nil {
				return err
			}
		}
		j := &columnJoin{op: c, run: run, account: account, yield: yield}
		err := j.tables(sides[0], sides[1])
		if errors.Is(err, errStopped) {
			return nil
		}
		return err
	}), nil
}

// prepare leaves out the tables that cannot match anything and sorts the others.
func (c *Columns) prepare(run *flow.Run, account *flow.Account, s *side) error {
	s.order = slices.DeleteFunc(s.order, func(g *group) bool {
		if g.table.Rows == 0 {
			return true
		}
		for _, l := range c.On {
			if g.table.Find(l) < 0 {
				return true
			}
			if v, ok := g.key.Get(l); ok && v.IsNull() {
				return true
			}
		}
		return false
	})
	for _, g := range s.order {
		cols := make([]*table.Column, len(c.On))
		for i, l := range c.On {
			cols[i] = g.table.Col(l)
		}
		if err := g.sort(run, account, cols); err != nil {
			return err
		}
	}
	return nil
}

// label returns the label in the joined table of a column of side i, of which
// other is the opposite table.
func (c *Columns) label(i int, label string, other *table.Table) string {
	if slices.Contains(c.On, label) || other.Find(label) < 0 {
		return label
	}
	return label + "_" + c.Names[i]
}

// columnJoin is a join that runs.
type columnJoin struct {
	op      *Columns
	run     *flow.Run
	account *flow.Account
	yield   func(*table.Table) bool
}

func (j *columnJoin) tables(left, right *side) error {
	// Only tables that agree in the columns of their keys that are joined on
	// have rows that match. The right ones are found by those values, of the
	// columns that all their keys have.
	var keyed []string
	for _, l := range j.op.On {
		has := func(g *group) bool { return g.key.Has(l) }
		if !slices.ContainsFunc(left.order, func(g *group) bool { return !has(g) }) && !slices.ContainsFunc(right.order, func(g *group) bool { return !has(g) }) {
			keyed = append(keyed, l)
		}
	}
	part := func(g *group) string {
		return g.key.Keep(func(l string) bool { return slices.Contains(keyed, l) }).ID()
	}
	index := map[string][]*group{}
	for _, g := range right.order {
		index[part(g)] = append(index[part(g)], g)
	}
	var pairs []pair
	for _, l := range left.order {
		if err := j.run.Ended(); err != nil {
			return err
		}
		for _, r := range index[part(l)] {
			if p := j.pair(l, r); p.key != nil {
				const pairBytes = 512 // with its key
				if err := j.account.Add(pairBytes); err != nil {
					return err
				}
				pairs = append(pairs, p)
			}
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return a.key.Compare(b.key) })
	for _, p := range pairs {
		if err := j.join(p.left, p.right, p.key); err != nil {
			return err
		}
	}
	return nil
}

// pair is two tables and the group key that they have together.
type pair struct {
	left, right *group
	key         *table.Key
}

// pair returns two tables as a pair, without a key if none of their rows match.
func (j *columnJoin) pair(l, r *group) pair {
	for i := range l.cols {
		if l.cols[i].Kind != r.cols[i].Kind {
			return pair{} // values of different kinds are not equal
		}
	}
	var labels []string
	var values []value.Value
	for i, g := range []*group{l, r} {
		for n := range g.key.Len() {
			if name := j.op.label(i, g.key.Label(n), [2]*group{r, l}[i].table); !slices.Contains(labels, name) {
				labels, values = append(labels, name), append(values, g.key.Value(n))
			}
		}
	}
	return pair{l, r, table.NewKey(labels, values)}
}

// join joins two tables.
func (j *columnJoin) join(l, r *group, key *table.Key) error {
	var lefts, rights []int
	flush := func() error {
		if len(lefts) == 0 {
			return nil
		}
		t, err := j.table(key, l.table.Pick(lefts), r.table.Pick(rights))
		if err != nil {
			return err
		}
		lefts, rights = lefts[:0], rights[:0]
		if !j.yield(t) {
			return errStopped
		}
		return j.run.Ended()
	}
	err := match(l, r, func(left, right []int) error {
		for _, a := range left {
			for _, b := range right {
				lefts, rights = append(lefts, a), append(rights, b)
				if len(lefts) == chunkRows {
					if err := flush(); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// table puts the columns of both sides side by side.
func (j *columnJoin) table(key *table.Key, l, r *table.Table) (*table.Table, error) {
	out := &table.Table{Key: key, Rows: l.Rows}
	have := map[string]bool{}
	for i, t := range []*table.Table{l, r} {
		for _, c := range t.Cols {
			if i == 1 && slices.Contains(j.op.On, c.Label) {
				continue
			}
			c.Label = j.op.label(i, c.Label, [2]*table.Table{r, l}[i])
			if have[c.Label] {
				return nil, fmt.Errorf("the joined table would have two columns called %q: rename one before the join", c.Label)
			}
			have[c.Label] = true
			out.Cols = append(out.Cols, c)
		}
	}
	return out, nil
}
