package pushdown

import (
	"github.com/varvedb/varve/lang/flux/aggregate"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/storage"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/plan"
)

// windowed computes a function of each window at the source.
func windowed(n *flow.Node) *flow.Node {
	call, ok := callOf(n.Op)
	if !ok || len(n.In) != 1 {
		return nil
	}
	w, ok := n.In[0].Op.(*transform.Window)
	if !ok {
		return nil
	}
	g, window, ok := cut(n.In[0], w)
	if !ok || !g.allows(call) {
		return nil
	}
	q := *g.plan
	q.Aggregate = &storage.Aggregate{
		Call: call, Window: window, Shape: storage.PerWindow,
		Empty: w.CreateEmpty && !call.Func.Selector(), // of no rows none is selected
	}
	g.place(&q, true)
	return g.replace(n, &q)
}

// aggregateWindow computes a function of each window at the source.
func aggregateWindow(n *flow.Node) *flow.Node {
	a, ok := n.Op.(*aggregate.AggregateWindow)
	if !ok || a.TimeDst != storage.Time {
		return nil
	}
	call, ok := callOf(a.Fn)
	if !ok {
		return nil
	}
	g, window, ok := cut(n, a.Window)
	if !ok || !g.allows(call) || !g.apart && call.Func.Selector() && a.Window.CreateEmpty {
		return nil
	}
	q := *g.plan
	q.Aggregate = &storage.Aggregate{Call: call, Window: window, Empty: a.Window.CreateEmpty}
	g.place(&q, true)
	switch a.TimeSrc {
	case storage.Start:
		q.Aggregate.Shape = storage.ByStart
	case storage.Stop:
		q.Aggregate.Shape = storage.ByStop
	default:
		return nil
	}
	return g.replace(n, &q)
}

// cut returns the rows below a node that cuts them into windows, and the windows
// as plans have them.
func cut(n *flow.Node, w *transform.Window) (*grouped, *plan.Window, bool) {
	if len(n.In) != 1 || w.TimeColumn != storage.Time || w.StartColumn != storage.Start || w.StopColumn != storage.Stop {
		return nil, nil, false
	}
	g, ok := grouping(n.In[0])
	if !ok || !w.Bounded || w.Bounds != (flow.Bounds{Start: g.plan.Start, Stop: g.plan.Stop}) || !g.visible.Has(storage.Time) {
		return nil, nil, false
	}
	p, ok := w.Plan()
	if !ok || !p.Period.IsZero() {
		// Windows that overlap and are the same within the range are one.
		return nil, nil, false
	}
	p.CreateEmpty = false // those are made of the answer
	g.visible = bounded(g.visible)
	return g, &p, true
}

// rejoined puts the results of windows back into one table, with a bound of each
// window as its time: what aggregateWindow() does behind its function.
func rejoined(n *flow.Node) *flow.Node {
	w, ok := n.Op.(*transform.Window)
	if !ok || !w.Endless() || w.CreateEmpty || w.TimeColumn != storage.Time || w.StartColumn != storage.Start || w.StopColumn != storage.Stop || len(n.In) != 1 {
		return nil
	}
	d, ok := n.In[0].Op.(*transform.Duplicate)
	if !ok || d.As != storage.Time || len(n.In[0].In) != 1 {
		return nil
	}
	p, ok := below(n.In[0])
	if !ok || p.Aggregate == nil || p.Aggregate.Shape != storage.PerWindow || !w.Bounded || w.Bounds != (flow.Bounds{Start: p.Start, Stop: p.Stop}) {
		return nil
	}
	a := *p.Aggregate
	switch d.Column {
	case storage.Start:
		a.Shape = storage.ByStart
	case storage.Stop:
		a.Shape = storage.ByStop
	default:
		return nil
	}
	q := *p
	q.Aggregate = &a
	q.Otherwise = nil
	if !q.Certain() {
		q.Otherwise = &flow.Node{Op: n.Op, In: []*flow.Node{{Op: d, In: []*flow.Node{fixed(n.In[0].In[0])}, At: n.In[0].At}}, At: n.At}
	}
	return &flow.Node{Op: &q, At: n.At}
}
