package flow

// Bounds is the time that a stream covers: from Start on and before Stop, in
// nanoseconds since 1970.
type Bounds struct{ Start, Stop int64 }

// Within returns what b and o have in common; b itself if that is nothing.
func (b Bounds) Within(o Bounds) Bounds {
	if c := (Bounds{max(b.Start, o.Start), min(b.Stop, o.Stop)}); c.Start < c.Stop {
		return c
	}
	return b
}

// Bounded is an operator that says which time its stream covers, if that is
// known, given what those before it say.
type Bounded interface {
	TimeBounds(before Bounds, known bool) (Bounds, bool)
}

// BoundsOf returns the time that a stream covers as its script says: that of
// the ranges that it comes through; of streams that are put together, all of
// theirs.
func BoundsOf(n *Node) (Bounds, bool) {
	type answer struct {
		bounds Bounds
		known  bool
	}
	known := map[*Node]answer{}
	var of func(n *Node) answer
	of = func(n *Node) answer {
		if a, ok := known[n]; ok {
			return a
		}
		var a answer
		for _, in := range n.In {
			switch b := of(in); {
			case !b.known:
			case !a.known:
				a = b
			default:
				a.bounds = Bounds{min(a.bounds.Start, b.bounds.Start), max(a.bounds.Stop, b.bounds.Stop)}
			}
		}
		if op, ok := n.Op.(Bounded); ok {
			a.bounds, a.known = op.TimeBounds(a.bounds, a.known)
		}
		known[n] = a
		return a
	}
	a := of(n)
	return a.bounds, a.known
}
