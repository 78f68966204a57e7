package geo

import (
	"errors"
	"fmt"
	"math"

	"github.com/golang/geo/s2"

	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

// maxCells is how many cells a grid has at most: each takes some tens of bytes,
// and a filter looks them up for every table.
const maxCells = 1 << 18

// anyLevel is what scripts give for a level that is to be found out.
const anyLevel = -1

// cells adds what computes with S2 cells.
func cells(p *lib.Package) {
	p.Func("s2CellIDToken", "?token: string, ?point: record, level: int", func(c *value.Call) (value.Value, error) {
		level, err := levelOf(c.Int("level", 0))
		if err != nil {
			return value.Value{}, c.Errorf("%w", err)
		}
		token, at := c.Arg("token"), c.Arg("point")
		switch {
		case token.IsAbsent() == at.IsAbsent():
			return value.Value{}, c.Errorf("give either a token or a point")
		case !token.IsAbsent():
			if token.IsNull() {
				return value.NullOf(value.String), nil
			}
			id, err := cell(token.Str())
			if err != nil {
				return value.Value{}, c.Errorf("%w", err)
			}
			if id.Level() < level {
				return value.Value{}, c.Errorf("token %q is of level %d, which is coarser than level %d", token.Str(), id.Level(), level)
			}
			return value.OfString(id.Parent(level).ToToken()), nil
		}
		s, err := read(at, 1)
		if err != nil {
			return value.Value{}, c.Errorf("point: %w", err)
		}
		if s == nil {
			return value.NullOf(value.String), nil
		}
		return value.OfString(s2.CellFromPoint(s.points[0]).ID().Parent(level).ToToken()), nil
	})
	p.Scalar("s2CellLatLon", "token: string", value.Record, func(c *value.Call) (value.Value, error) {
		id, err := cell(c.Args[0].Str())
		if err != nil {
			return value.Value{}, c.Errorf("%w", err)
		}
		at := id.LatLng()
		return value.OfRecord(value.NewRecord([]string{"lat", "lon"}, []value.Value{value.OfFloat(at.Lat.Degrees()), value.OfFloat(at.Lng.Degrees())})), nil
	})
	p.Scalar("getLevel", "token: string", value.Int, func(c *value.Call) (value.Value, error) {
		id, err := cell(c.Args[0].Str())
		if err != nil {
			return value.Value{}, c.Errorf("%w", err)
		}
		return value.OfInt(int64(id.Level())), nil
	})
	p.Func("getGrid", "region: record, ?minSize: int, ?maxSize: int, ?level: int, ?maxLevel: int, ?units: record", func(c *value.Call) (value.Value, error) {
		radius, err := earth(c)
		if err != nil {
			return value.Value{}, err
		}
		s, err := read(c.Arg("region"), radius)
		if err == nil && s == nil {
			err = errors.New("it is null")
		}
		if err != nil {
			return value.Value{}, c.Errorf("region: %w", err)
		}
		g := Grid{MinSize: c.Int("minSize", anyLevel), MaxSize: c.Int("maxSize", anyLevel), Level: c.Int("level", anyLevel)}
		maxLevel := c.Int("maxLevel", anyLevel)
		if maxLevel == anyLevel {
			maxLevel = s2.MaxLevel
		}
		level, ids, err := g.cover(s, int(min(maxLevel, s2.MaxLevel)))
		if err != nil {
			return value.Value{}, c.Errorf("%w", err)
		}
		set := make([]value.Value, len(ids))
		for i, id := range ids {
			set[i] = value.OfString(id.ToToken())
		}
		return value.OfRecord(value.NewRecord([]string{"level", "set"}, []value.Value{value.OfInt(int64(level)), value.OfArray(set)})), nil
	})
}

func levelOf(n int64) (int, error) {
	if n < 0 || n > s2.MaxLevel {
		return 0, fmt.Errorf("level %d is not between 0 and %d", n, s2.MaxLevel)
	}
	return int(n), nil
}

func cell(token string) (s2.CellID, error) {
	id := s2.CellIDFromToken(token)
	if !id.IsValid() {
		return 0, fmt.Errorf("%q is not the token of an S2 cell", token)
	}
	return id, nil
}

// Grid says by which cells a region is covered: those of Level, or those of the
// coarsest level at which there are at least MinSize, and not more than MaxSize.
// A negative number means that nothing is asked for.
type Grid struct {
	Level, MinSize, MaxSize int64
}

// cover returns the cells that touch a region and are of one level, no finer
// than maxLevel.
func (g Grid) cover(s *shape, maxLevel int) (int, s2.CellUnion, error) {
	if g.Level >= 0 {
		if g.Level > int64(maxLevel) {
			return 0, nil, fmt.Errorf("level %d is finer than level %d of the cells", g.Level, maxLevel)
		}
		ids, err := coverAt(s, int(g.Level))
		return int(g.Level), ids, err
	}
	level, ids, err := 0, s2.CellUnion(nil), error(nil)
	for l := 0; l <= maxLevel; l++ {
		next, err := coverAt(s, l)
		if err != nil {
			if l > 0 {
				break
			}
			return 0, nil, err
		}
		if l > 0 && g.MaxSize >= 0 && int64(len(next)) > g.MaxSize {
			break
		}
		level, ids = l, next
		if g.MinSize < 0 || int64(len(ids)) >= g.MinSize {
			break
		}
	}
	return level, ids, err
}

func coverAt(s *shape, level int) (s2.CellUnion, error) {
	// Cells of a level are nearly equal in size; there are 6*4^level.
	about := s.region.CapBound().Area() / (4 * math.Pi) * 6 * math.Pow(4, float64(level))
	if about > maxCells {
		return nil, fmt.Errorf("about %.0f cells of level %d cover the region, and at most %d are looked up: choose a coarser level", about, level, maxCells)
	}
	c := s2.RegionCoverer{MinLevel: level, MaxLevel: level, LevelMod: 1, MaxCells: math.MaxInt32}
	return c.Covering(s.region), nil
}
