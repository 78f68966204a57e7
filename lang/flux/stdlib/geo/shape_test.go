package geo

import (
	"flag"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/varvedb/varve/lang/flux/value"
)

var seed = flag.Uint64("geo-seed", 1, "seed of the random test of shapes")

func record(labels []string, numbers ...float64) value.Value {
	values := make([]value.Value, len(numbers))
	for i, n := range numbers {
		values[i] = value.OfFloat(n)
	}
	return value.OfRecord(value.NewRecord(labels, values))
}

func never() error { return nil }

// Distances do not depend on the order of shapes; what is contained is at no
// distance; a grid has a cell for every point of its region.
func TestShapesAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(*seed, 0))
	at := func(spread float64) (lat, lon float64) {
		return r.Float64()*2*spread - spread, r.Float64()*2*spread - spread
	}
	shapes := func() []*shape {
		var all []*shape
		add := func(v value.Value) {
			s, err := read(v, 6371.01)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
		}
		lat, lon := at(40)
		add(record([]string{"lat", "lon"}, lat, lon))
		add(record([]string{"lat", "lon", "radius"}, lat, lon, r.Float64()*2000))
		h, w := r.Float64()*20, r.Float64()*20
		add(record([]string{"minLat", "maxLat", "minLon", "maxLon"}, lat, lat+h, lon, lon+w))
		corner := []string{"lat", "lon"}
		add(value.OfRecord(value.NewRecord([]string{"points"}, []value.Value{value.OfArray([]value.Value{
			record(corner, lat, lon), record(corner, lat+1+h, lon), record(corner, lat, lon+1+w)})})))
		return all
	}
	for range 20 {
		for _, a := range shapes() {
			for _, b := range shapes() {
				d, err := a.distance(b, never)
				if err != nil {
					t.Fatal(err)
				}
				if back, _ := b.distance(a, never); math.Abs(float64(d-back)) > 1e-12 {
					t.Fatalf("seed %d: distances are %v and %v", *seed, d, back)
				}
				if in, _ := a.contains(b, never); in && d != 0 {
					t.Fatalf("seed %d: a shape contains another that is %v away", *seed, d)
				}
			}
			_, grid, err := Grid{MinSize: 24, MaxSize: -1, Level: -1}.cover(a, 12)
			if err != nil {
				t.Fatal(err)
			}
			lat, lon := at(60)
			p, err := point(lat, lon)
			if err != nil {
				t.Fatal(err)
			}
			if a.region.ContainsPoint(p) && !grid.ContainsPoint(p) {
				t.Fatalf("seed %d: %v, %v is in the region and in no cell of its grid", *seed, lat, lon)
			}
		}
	}
}
