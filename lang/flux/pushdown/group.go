package pushdown

import (
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/storage"
	"github.com/varvedb/varve/lang/flux/transform"
)

// set is a set of columns: some, or all but some.
type set = storage.Group

// both returns the columns that are in both sets.
func both(a, b *set) *set {
	switch {
	case a.Except && b.Except:
		all := slices.Concat(a.Columns, b.Columns)
		slices.Sort(all)
		return &set{Except: true, Columns: slices.Compact(all)}
	case a.Except:
		a, b = b, a
	}
	return &set{Columns: slices.DeleteFunc(slices.Clone(a.Columns), func(c string) bool { return !b.Has(c) })}
}

func setOf(except bool, columns []string) *set {
	s := &set{Except: except, Columns: slices.Clone(columns)}
	slices.Sort(s.Columns)
	s.Columns = slices.Compact(s.Columns)
	return s
}

// grouped is the rows of a Plan, put together by other columns than those of its
// tables.
type grouped struct {
	plan    *storage.Plan
	key     *set // the columns of the group key
	visible *set // the columns that there are
	anyhow  bool // group() put the rows together, and leaves their order open
	apart   bool // no two tables became one
	hidden  bool // the Plan itself does not show all columns
}

// grouping looks through group(), keep() and drop() at the Plan below them.
func grouping(n *flow.Node) (*grouped, bool) {
	switch op := n.Op.(type) {
	case *storage.Plan:
		if op.Fixed || op.Aggregate != nil || op.Names != nil || op.Rows != (storage.Rows{}) {
			return nil, false
		}
		g := &grouped{plan: op, key: setOf(true, []string{storage.Time, storage.Value}), visible: setOf(true, nil), apart: true}
		if op.Shown != nil {
			all := *op
			all.Shown = nil
			g.plan, g.key, g.visible, g.hidden = &all, both(g.key, op.Shown), op.Shown, true
		}
		return g, g.visible.Has(storage.Value)
	case *transform.Group:
		g, ok := grouping(n.In[0])
		if !ok || g.anyhow {
			// Tables that group() put together have null where one had no
			// column, and null would be in the key.
			return nil, false
		}
		g.key = both(setOf(op.Except, op.Columns), g.visible)
		g.anyhow, g.apart = true, false
		return g, !g.key.Has(storage.Time) && !g.key.Has(storage.Value)
	case *transform.Select:
		if op.Fn != nil {
			return nil, false
		}
		g, ok := grouping(n.In[0])
		if !ok {
			return nil, false
		}
		kept := setOf(op.Drop, op.Columns)
		g.key, g.visible, g.apart = both(g.key, kept), both(g.visible, kept), false
		return g, g.visible.Has(storage.Value)
	}
	return nil, false
}

// place says in a Plan by which columns tables are put together and which of them
// are seen. windows says that the bounds of windows are among both, whatever was
// there before.
func (g *grouped) place(p *storage.Plan, windows bool) {
	key, visible := g.key, g.visible
	if windows {
		key, visible = bounded(key), bounded(visible)
	}
	if g.apart {
		if !all(visible) {
			p.Shown = visible
		}
		return
	}
	p.Aggregate.Group = key
}

// all reports whether a set is of all columns.
func all(s *set) bool { return s.Except && len(s.Columns) == 0 }

// shown returns a node that returns the visible columns of another, if that is of
// tables that were put together.
func (g *grouped) shown(n *flow.Node) *flow.Node {
	if g.apart || all(g.visible) {
		return n
	}
	return &flow.Node{Op: &transform.Select{Drop: g.visible.Except, Columns: g.visible.Columns}, In: []*flow.Node{n}, At: n.At}
}

// bounded returns the set with the columns of the bounds of windows in it.
func bounded(s *set) *set {
	if s.Except {
		return setOf(true, slices.DeleteFunc(slices.Clone(s.Columns), func(c string) bool { return c == storage.Start || c == storage.Stop }))
	}
	return setOf(false, append(slices.Clone(s.Columns), storage.Start, storage.Stop))
}
