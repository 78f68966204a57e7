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
	native  bool // nothing was changed
}

// grouping looks through group(), keep() and drop() at the Plan below them.
func grouping(n *flow.Node) (*grouped, bool) {
	switch op := n.Op.(type) {
	case *storage.Plan:
		if op.Fixed || op.Aggregate != nil || op.Names != nil || op.Rows != (storage.Rows{}) {
			return nil, false
		}
		return &grouped{
			plan: op, key: setOf(true, []string{storage.Time, storage.Value}), visible: setOf(true, nil), native: true,
		}, true
	case *transform.Group:
		g, ok := grouping(n.In[0])
		if !ok {
			return nil, false
		}
		g.key = both(setOf(op.Except, op.Columns), g.visible)
		g.anyhow, g.native = true, false
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
		g.key, g.visible, g.native = both(g.key, kept), both(g.visible, kept), false
		return g, g.visible.Has(storage.Value)
	}
	return nil, false
}

// group returns the grouping as a Plan has it.
func (g *grouped) group() *storage.Group {
	if g.native {
		return nil
	}
	return g.key
}

// shown returns a node that returns the visible columns of another.
func (g *grouped) shown(n *flow.Node) *flow.Node {
	if g.visible.Except && len(g.visible.Columns) == 0 {
		return n
	}
	return &flow.Node{Op: &transform.Select{Drop: g.visible.Except, Columns: g.visible.Columns}, In: []*flow.Node{n}, At: n.At}
}
