// Package geo is experimental/geo of the standard library: points, lines and
// regions on a sphere, and S2 cells, by which places are found. Geometry is that
// of github.com/golang/geo; distances are those of a sphere with the mean radius
// of the earth.
package geo

import (
	"fmt"

	"github.com/golang/geo/s2"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

const path = "experimental/geo"

// source is what other functions are put together to.
const source = `
import "experimental"

toRows = (tables=<-) => tables |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")

shapeData = (tables=<-, latField, lonField, level) => tables
    |> map(fn: (r) => ({r with _field: if r._field == latField then "lat" else if r._field == lonField then "lon" else r._field}))
    |> toRows()
    |> _cellColumn(column: "s2_cell_id", level: level)
    |> experimental.group(columns: ["s2_cell_id"], mode: "extend")

filterRows = (tables=<-, region, minSize=24, maxSize=-1, level=-1, s2cellIDLevel=-1, strict=true, units=units) => {
    near = tables
        |> gridFilter(region: region, minSize: minSize, maxSize: maxSize, level: level, s2cellIDLevel: s2cellIDLevel, units: units)
        |> _rows()
    return if strict then near |> strictFilter(region: region, units: units) else near
}

groupByArea = (tables=<-, newColumn, level, s2cellIDLevel=-1) => tables
    |> _cellColumn(column: newColumn, level: level, s2cellIDLevel: s2cellIDLevel)
    |> group(columns: [newColumn])

asTracks = (tables=<-, groupBy=["id", "tid"], orderBy=["_time"]) => tables
    |> group(columns: groupBy)
    |> sort(columns: orderBy)
`

// Packages returns the package.
func Packages() []*lib.Package {
	p := lib.New(path).Option("units", value.OfRecord(value.NewRecord([]string{"distance"}, []value.Value{value.OfString("km")})))
	for _, name := range []string{"ST_Contains", "stContains"} {
		p.Func(name, "region: record, geometry: record, ?units: record", func(c *value.Call) (value.Value, error) {
			return onTwo(c, value.Bool, func(region, geometry *shape, _ float64) (value.Value, error) {
				yes, err := region.contains(geometry, flow.RunOf(c).Ended)
				return value.OfBool(yes), err
			})
		})
	}
	for _, name := range []string{"ST_Distance", "stDistance"} {
		p.Func(name, "region: record, geometry: record, ?units: record", func(c *value.Call) (value.Value, error) {
			return onTwo(c, value.Float, func(region, geometry *shape, radius float64) (value.Value, error) {
				d, err := region.distance(geometry, flow.RunOf(c).Ended)
				return value.OfFloat(float64(d) * radius), err
			})
		})
	}
	p.Func("ST_DWithin", "region: record, geometry: record, distance: float|int|uint, ?units: record", func(c *value.Call) (value.Value, error) {
		if c.Arg("distance").IsNull() {
			return value.NullOf(value.Bool), nil
		}
		return onTwo(c, value.Bool, func(region, geometry *shape, radius float64) (value.Value, error) {
			d, err := region.distance(geometry, flow.RunOf(c).Ended)
			return value.OfBool(float64(d)*radius <= number(c.Arg("distance"))), err
		})
	})
	p.Func("ST_Intersects", "region: record, geometry: record, ?units: record", func(c *value.Call) (value.Value, error) {
		return onTwo(c, value.Bool, func(region, geometry *shape, _ float64) (value.Value, error) {
			d, err := region.distance(geometry, flow.RunOf(c).Ended)
			return value.OfBool(d == 0), err
		})
	})
	for _, name := range []string{"ST_Length", "stLength"} {
		p.Func(name, "geometry: record, ?units: record", func(c *value.Call) (value.Value, error) {
			radius, err := earth(c)
			if err != nil {
				return value.Value{}, err
			}
			s, err := read(c.Arg("geometry"), radius)
			if s == nil || err != nil {
				return value.NullOf(value.Float), err
			}
			return value.OfFloat(float64(s.length()) * radius), nil
		})
	}
	cells(p)
	streams(p)
	return []*lib.Package{p.Flux(source)}
}

// onTwo reads the arguments region and geometry. If a coordinate is null, so is
// the result.
func onTwo(c *value.Call, result value.Kind, do func(region, geometry *shape, radius float64) (value.Value, error)) (value.Value, error) {
	radius, err := earth(c)
	if err != nil {
		return value.Value{}, err
	}
	region, err := read(c.Arg("region"), radius)
	if err != nil {
		return value.Value{}, c.Errorf("region: %w", err)
	}
	geometry, err := read(c.Arg("geometry"), radius)
	if err != nil {
		return value.Value{}, c.Errorf("geometry: %w", err)
	}
	if region == nil || geometry == nil {
		return value.NullOf(result), nil
	}
	return do(region, geometry, radius)
}

// earth returns the radius of the earth in the unit of the call, which its
// argument units or else the option of the package names.
func earth(c *value.Call) (float64, error) {
	v := c.Arg("units")
	if v.IsAbsent() || v.IsNull() {
		v, _ = flow.RunOf(c).Option(path, "units")
	}
	return radiusIn(v)
}

func radiusIn(units value.Value) (float64, error) {
	// The mean radius in kilometers, as package earth of golang/geo has it.
	const kilometers = 6371.01
	name := "km"
	if units.Kind() == value.Record && !units.IsNull() {
		if v, ok := units.Record().Get("distance"); ok && v.Kind() == value.String {
			name = v.Str()
		}
	}
	switch name {
	case "m":
		return kilometers * 1000, nil
	case "km":
		return kilometers, nil
	case "mile":
		return kilometers / 1.609344, nil
	}
	return 0, fmt.Errorf("there is no unit %q of distances: use m, km or mile", name)
}

// point returns the point of a latitude and a longitude in degrees.
func point(lat, lon float64) (s2.Point, error) {
	switch {
	case !(lat >= -90 && lat <= 90):
		return s2.Point{}, fmt.Errorf("latitude %v is not between -90 and 90 degrees", lat)
	case !(lon >= -180 && lon <= 180):
		return s2.Point{}, fmt.Errorf("longitude %v is not between -180 and 180 degrees", lon)
	}
	return s2.PointFromLatLng(s2.LatLngFromDegrees(lat, lon)), nil
}

// number returns a number of any kind as a float.
func number(v value.Value) float64 {
	switch v.Kind() {
	case value.Int:
		return float64(v.Int())
	case value.Uint:
		return float64(v.Uint())
	}
	return v.Float()
}
