// Package polyline is experimental/polyline of the standard library: curves with
// fewer points that look the same.
package polyline

import (
	"fmt"
	"math"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Packages returns the package.
func Packages() []*lib.Package {
	const params = "<-tables: stream, ?valColumn: string, ?timeColumn: string, ?epsilon: float, ?retention: float"
	return []*lib.Package{lib.New("experimental/polyline").Func("rdp", params, func(c *value.Call) (value.Value, error) {
		op := &RDP{Values: c.Str("valColumn", "_value"), Times: c.Str("timeColumn", "_time"), Epsilon: c.Float("epsilon", 0), Retention: c.Float("retention", 0)}
		switch {
		case op.Epsilon != 0 && op.Retention != 0:
			return value.Value{}, c.Errorf("give either epsilon or retention")
		case !(op.Epsilon >= 0):
			return value.Value{}, c.Errorf("epsilon must be more than 0: %v", op.Epsilon)
		case !(op.Retention >= 0 && op.Retention <= 100):
			return value.Value{}, c.Errorf("retention must be between 0 and 100 percent: %v", op.Retention)
		}
		return flow.New(c, op, flow.Input(c, "tables")), nil
	})}
}

// RDP leaves points of a curve out by the algorithm of Ramer, Douglas and
// Peucker: a stretch of the curve between two points that stay keeps the point
// that is farthest from the line between them, if that is far enough. Time
// counts in nanoseconds, beside which values are small, so that distances nearly
// are differences of values.
type RDP struct {
	Values, Times string
	Epsilon       float64 // what is this far stays; 0: what can be seen does
	Retention     float64 // percent of the points that stay; 0: not asked for
}

// Name implements flow.Op.
func (*RDP) Name() string { return "polyline.rdp" }

// Details implements flow.Op.
func (o *RDP) Details() string {
	return fmt.Sprintf("valColumn: %q, timeColumn: %q, epsilon: %v, retention: %v", o.Values, o.Times, o.Epsilon, o.Retention)
}

// Open implements flow.Op.
func (o *RDP) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.EachTable(run, in[0], func(t *table.Table, emit func(*table.Table) error) error {
		v, err := t.Need(o.Values, value.Float, value.Int, value.Uint)
		if err != nil {
			return err
		}
		at, err := t.Need(o.Times, value.Time, value.Int)
		if err != nil {
			return err
		}
		const pointBytes = 48 // of a point, its distance, and its place
		if err := run.Reserve(int64(t.Rows) * pointBytes); err != nil {
			return err
		}
		defer run.Release(int64(t.Rows) * pointBytes)
		var points []point
		var rows []int
		for i := range t.Rows {
			if v.Null(i) || at.Null(i) {
				continue
			}
			if len(points) > 0 {
				points = append(points, point{float64(at.Int(i) - at.Int(rows[0])), v.Number(i)})
			} else {
				points = append(points, point{0, v.Number(i)})
			}
			rows = append(rows, i)
		}
		stay, err := o.choose(points, run.Ended)
		if err != nil {
			return err
		}
		kept := rows[:0]
		for i, r := range rows {
			if stay[i] {
				kept = append(kept, r)
			}
		}
		thin := t.Keep(func(label string) bool { return label == o.Values || label == o.Times || t.Key.Has(label) })
		return emit(thin.Pick(kept))
	}), nil
}

// point is a point of a curve, x in nanoseconds since its first one.
type point struct{ x, y float64 }

// choose says which points stay.
func (o *RDP) choose(points []point, ended func() error) ([]bool, error) {
	stay := make([]bool, len(points))
	if len(points) <= 2 {
		for i := range stay {
			stay[i] = true
		}
		return stay, nil
	}
	far := func(distance float64, a, b point) bool { return distance >= o.Epsilon }
	switch {
	case o.Retention != 0:
		far = func(distance float64, _, _ point) bool { return distance > 0 }
	case o.Epsilon == 0:
		far = visible
	}
	// How far a point was when it was found to be the farthest.
	distances := make([]float64, len(points))
	last := len(points) - 1
	distances[0], distances[last] = math.Inf(1), math.Inf(1)
	open := [][2]int{{0, last}}
	for len(open) > 0 {
		if err := ended(); err != nil {
			return nil, err
		}
		from, to := open[len(open)-1][0], open[len(open)-1][1]
		open = open[:len(open)-1]
		farthest, distance := 0, 0.0
		for i := from + 1; i < to; i++ {
			if d := away(points[i], points[from], points[to]); d > distance {
				farthest, distance = i, d
			}
		}
		if farthest == 0 || !far(distance, points[from], points[to]) {
			continue
		}
		distances[farthest] = distance
		open = append(open, [2]int{from, farthest}, [2]int{farthest, to})
	}
	least := math.SmallestNonzeroFloat64
	if o.Retention != 0 {
		n := int(o.Retention / 100 * float64(len(points)))
		if n < 1 {
			return nil, fmt.Errorf("a retention of %v percent of %d points leaves none: choose more", o.Retention, len(points))
		}
		sorted := slices.Clone(distances)
		slices.Sort(sorted)
		least = sorted[len(sorted)-n]
	}
	for i, d := range distances {
		stay[i] = d >= least
	}
	return stay, nil
}

// away returns how far p is from the line through a and b.
func away(p, a, b point) float64 {
	dx, dy := b.x-a.x, b.y-a.y
	length := math.Hypot(dx, dy)
	if length == 0 {
		return math.Hypot(p.x-a.x, p.y-a.y)
	}
	return math.Abs(dx*(a.y-p.y)-dy*(a.x-p.x)) / length
}

// visible reports whether a point so far from the line between a and b is not
// explained by rounding the line to a grid of whole units, after Prasad, Leung,
// Quek and Cho, "A novel framework for making dominant point detection methods
// non-parametric", 2012.
func visible(distance float64, a, b point) bool {
	dx, dy := b.x-a.x, b.y-a.y
	s := math.Hypot(dx, dy)
	phi := 0.0
	if dx != 0 {
		phi = math.Atan(dy / dx)
	}
	sin, cos := math.Sincos(phi)
	t := (math.Abs(sin) + math.Abs(cos)) / s
	bend := max(math.Abs(sin+cos), math.Abs(sin-cos)) / s * (1 - t + t*t)
	return distance >= s*math.Atan(bend)
}
