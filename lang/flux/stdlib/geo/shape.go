package geo

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/golang/geo/r1"
	"github.com/golang/geo/s1"
	"github.com/golang/geo/s2"

	"github.com/varvedb/varve/lang/flux/value"
)

// shape is a point, a line, or a region.
type shape struct {
	points []s2.Point // of the line, or around the region
	closed bool       // the last point leads to the first
	// inside reports whether a point is in a box or polygon. nil: the shape has
	// no area, or is a circle.
	inside func(s2.Point) bool
	radius s1.Angle  // of a circle around the only point
	region s2.Region // what cells are found by
}

// parallelSteps is how many straight lines stand for the northern and southern
// sides of a box, which are bent: on one degree they are off by centimeters.
const parallelSteps = 128

// read reads a shape of a record. Distances are in the unit in which the radius
// of the earth is given. If a coordinate is null, there is no shape.
func read(v value.Value, earth float64) (*shape, error) {
	if v.IsNull() {
		return nil, nil
	}
	f := fields{r: v.Record()}
	switch {
	case f.has("linestring"):
		text, _ := f.r.Get("linestring")
		if text.IsNull() {
			return nil, nil
		}
		if text.Kind() != value.String {
			return nil, fmt.Errorf("linestring must be string, not %s", text.Kind())
		}
		return line(text.Str())
	case f.has("points"):
		list, _ := f.r.Get("points")
		if list.IsNull() {
			return nil, nil
		}
		return polygon(list)
	case f.has("minLat"):
		return box(f.number("minLat"), f.number("maxLat"), f.number("minLon"), f.number("maxLon"), &f)
	case f.has("lat"):
		lat, lon, radius := f.number("lat"), f.number("lon"), 0.0
		circle := f.has("radius")
		if circle {
			radius = f.number("radius")
		}
		if f.err != nil || f.null {
			return nil, f.err
		}
		p, err := point(lat, lon)
		if err != nil {
			return nil, err
		}
		if radius < 0 || math.IsNaN(radius) {
			return nil, fmt.Errorf("radius %v is negative", radius)
		}
		s := &shape{points: []s2.Point{p}, region: p}
		if circle {
			s.radius = s1.Angle(radius / earth)
			s.region = s2.CapFromCenterAngle(p, s.radius)
		}
		return s, nil
	}
	return nil, errors.New("it is neither a point {lat, lon}, a circle {lat, lon, radius}, a box {minLat, maxLat, minLon, maxLon}, a polygon {points} nor a line {linestring}")
}

// fields reads the fields of a record, and remembers what is wrong with them.
type fields struct {
	r    *value.Fields
	null bool
	err  error
}

func (f *fields) has(label string) bool { return f.r.Find(label) >= 0 }

func (f *fields) number(label string) float64 {
	v, ok := f.r.Get(label)
	switch {
	case !ok:
		f.err = errors.Join(f.err, fmt.Errorf("it has no %s", label))
	case v.IsNull():
		f.null = true
	case !v.Kind().Numeric():
		f.err = errors.Join(f.err, fmt.Errorf("%s must be float, not %s", label, v.Kind()))
	default:
		return number(v)
	}
	return 0
}

// line reads points like "39.7 14.0, 38.3 13.9", the longitude first.
func line(text string) (*shape, error) {
	s := &shape{}
	var all s2.Polyline
	for part := range strings.SplitSeq(text, ",") {
		words := strings.Fields(part)
		if len(words) != 2 {
			return nil, fmt.Errorf("linestring: %q is not a longitude and a latitude", strings.TrimSpace(part))
		}
		lon, err := strconv.ParseFloat(words[0], 64)
		if err != nil {
			return nil, fmt.Errorf("linestring: longitude %q is not a number", words[0])
		}
		lat, err := strconv.ParseFloat(words[1], 64)
		if err != nil {
			return nil, fmt.Errorf("linestring: latitude %q is not a number", words[1])
		}
		p, err := point(lat, lon)
		if err != nil {
			return nil, fmt.Errorf("linestring: %w", err)
		}
		all = append(all, p)
	}
	s.points, s.region = all, &all
	return s, nil
}

func polygon(list value.Value) (*shape, error) {
	if list.Kind() != value.Array {
		return nil, fmt.Errorf("points must be an array of records, not %s", list.Kind())
	}
	var ring []s2.Point
	for _, v := range list.Array() {
		if v.Kind() != value.Record || v.IsNull() {
			return nil, fmt.Errorf("points must be an array of records, not of %s", v.Describe())
		}
		f := fields{r: v.Record()}
		lat, lon := f.number("lat"), f.number("lon")
		if f.err != nil || f.null {
			return nil, f.err
		}
		p, err := point(lat, lon)
		if err != nil {
			return nil, err
		}
		ring = append(ring, p)
	}
	if n := len(ring); n > 1 && ring[0] == ring[n-1] {
		ring = ring[:n-1]
	}
	if len(ring) < 3 {
		return nil, fmt.Errorf("a polygon has at least 3 points, not %d", len(ring))
	}
	loop := s2.LoopFromPoints(ring)
	if err := loop.Validate(); err != nil {
		return nil, fmt.Errorf("the points make no polygon: %w", err)
	}
	// Points may go round either way; the smaller side is meant.
	loop.Normalize()
	return &shape{points: ring, closed: true, inside: loop.ContainsPoint, region: loop}, nil
}

func box(south, north, west, east float64, f *fields) (*shape, error) {
	if f.err != nil || f.null {
		return nil, f.err
	}
	for _, corner := range [][2]float64{{south, west}, {north, east}} {
		if _, err := point(corner[0], corner[1]); err != nil {
			return nil, err
		}
	}
	if south > north {
		return nil, fmt.Errorf("minLat %v is more than maxLat %v", south, north)
	}
	radians := func(d float64) float64 { return float64(s1.Angle(d) * s1.Degree) }
	r := s2.Rect{Lat: r1.Interval{Lo: radians(south), Hi: radians(north)}, Lng: s1.IntervalFromEndpoints(radians(west), radians(east))}
	s := &shape{closed: true, inside: r.ContainsPoint, region: r}
	step := r.Lng.Length() / parallelSteps
	for i := range parallelSteps + 1 {
		s.points = append(s.points, s2.PointFromLatLng(s2.LatLng{Lat: s1.Angle(r.Lat.Lo), Lng: s1.Angle(r.Lng.Lo + step*float64(i))}.Normalized()))
	}
	for i := parallelSteps; i >= 0; i-- {
		s.points = append(s.points, s2.PointFromLatLng(s2.LatLng{Lat: s1.Angle(r.Lat.Hi), Lng: s1.Angle(r.Lng.Lo + step*float64(i))}.Normalized()))
	}
	return s, nil
}

// edges returns the number of straight lines of s; a point has one, of no length.
func (s *shape) edges() int {
	switch {
	case len(s.points) == 1, s.closed:
		return len(s.points)
	}
	return len(s.points) - 1
}

func (s *shape) edge(i int) (a, b s2.Point) {
	switch {
	case i+1 < len(s.points):
		return s.points[i], s.points[i+1]
	case s.closed:
		return s.points[i], s.points[0]
	}
	return s.points[i], s.points[i]
}

// length returns how long a line is.
func (s *shape) length() s1.Angle {
	if s.closed {
		return 0
	}
	var sum s1.Angle
	for i := 1; i < len(s.points); i++ {
		sum += s.points[i-1].Distance(s.points[i])
	}
	return sum
}

// segments returns how far two straight lines are from each other.
func segments(a0, a1, b0, b1 s2.Point) s1.Angle {
	if a0 != a1 && b0 != b1 && s2.CrossingSign(a0, a1, b0, b1) == s2.Cross {
		return 0
	}
	return min(away(a0, b0, b1), away(a1, b0, b1), away(b0, a0, a1), away(b1, a0, a1))
}

func away(p, a, b s2.Point) s1.Angle {
	if a == b {
		return p.Distance(a)
	}
	return s2.DistanceFromSegment(p, a, b)
}

// distance returns how far s and o are from each other: 0 if they meet. ended
// says that it is to stop.
func (s *shape) distance(o *shape, ended func() error) (s1.Angle, error) {
	for _, pair := range [][2]*shape{{s, o}, {o, s}} {
		if pair[0].inside == nil {
			continue
		}
		for _, p := range pair[1].points {
			if pair[0].inside(p) {
				return 0, nil
			}
		}
	}
	least := s1.InfAngle()
	for i := range s.edges() {
		if err := ended(); err != nil {
			return 0, err
		}
		a0, a1 := s.edge(i)
		for j := range o.edges() {
			b0, b1 := o.edge(j)
			least = min(least, segments(a0, a1, b0, b1))
		}
	}
	return max(least-s.radius-o.radius, 0), nil
}

// contains reports whether all of o is in s.
func (s *shape) contains(o *shape, ended func() error) (bool, error) {
	if s.inside == nil {
		// A point or circle: every point of o is within its radius. A line
		// contains what does not leave it.
		for i, p := range o.points {
			d, err := s.distance(&shape{points: o.points[i : i+1]}, ended)
			if err != nil {
				return false, err
			}
			if len(s.points) == 1 {
				d = s.points[0].Distance(p) - s.radius
			}
			if d+o.radius > 0 {
				return false, nil
			}
		}
		return true, nil
	}
	for _, p := range o.points {
		if !s.inside(p) {
			return false, nil
		}
	}
	if len(o.points) == 1 && o.radius == 0 {
		return true, nil
	}
	for i := range s.edges() {
		if err := ended(); err != nil {
			return false, err
		}
		a0, a1 := s.edge(i)
		for j := range o.edges() {
			b0, b1 := o.edge(j)
			if b0 != b1 && s2.CrossingSign(a0, a1, b0, b1) == s2.Cross {
				return false, nil
			}
			if o.radius > 0 && away(b0, a0, a1) < o.radius {
				return false, nil
			}
		}
	}
	return true, nil
}
