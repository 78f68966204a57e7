package geo

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/golang/geo/s2"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/lang/flux/value"
)

// The columns that data with places has.
const (
	cellLabel = "s2_cell_id"
	latLabel  = "lat"
	lonLabel  = "lon"
)

// streams adds what reads tables.
func streams(p *lib.Package) {
	p.Func("gridFilter", "<-tables: stream, region: record, ?minSize: int, ?maxSize: int, ?level: int, ?s2cellIDLevel: int, ?units: record",
		func(c *value.Call) (value.Value, error) {
			s, err := regionOf(c)
			if err != nil {
				return value.Value{}, err
			}
			const fewest = 24
			op := &GridFilter{region: s, CellLevel: c.Int("s2cellIDLevel", anyLevel),
				Grid: Grid{MinSize: c.Int("minSize", fewest), MaxSize: c.Int("maxSize", anyLevel), Level: c.Int("level", anyLevel)}}
			return flow.New(c, op, flow.Input(c, "tables")), nil
		})
	p.Func("strictFilter", "<-tables: stream, region: record, ?units: record", func(c *value.Call) (value.Value, error) {
		s, err := regionOf(c)
		if err != nil {
			return value.Value{}, err
		}
		return flow.New(c, &StrictFilter{s}, flow.Input(c, "tables")), nil
	})
	p.Func("ST_LineString", "<-tables: stream", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &LineString{}, flow.Input(c, "tables")), nil
	})
	p.Func("totalDistance", "<-tables: stream, ?outputColumn: string", func(c *value.Call) (value.Value, error) {
		units, _ := flow.RunOf(c).Option(path, "units")
		radius, err := radiusIn(units)
		if err != nil {
			return value.Value{}, c.Errorf("%w", err)
		}
		return flow.New(c, &TotalDistance{c.Str("outputColumn", "_value"), radius}, flow.Input(c, "tables")), nil
	})
	p.Func("_cellColumn", "<-tables: stream, column: string, level: int, ?s2cellIDLevel: int", func(c *value.Call) (value.Value, error) {
		level, err := levelOf(c.Int("level", 0))
		if err != nil {
			return value.Value{}, c.Errorf("%w", err)
		}
		return flow.New(c, &CellColumn{c.Str("column", ""), level}, flow.Input(c, "tables")), nil
	})
	p.Func("_rows", "<-tables: stream", func(c *value.Call) (value.Value, error) {
		return flow.New(c, &Rows{}, flow.Input(c, "tables")), nil
	})
}

func regionOf(c *value.Call) (*shape, error) {
	radius, err := earth(c)
	if err != nil {
		return nil, c.Errorf("%w", err)
	}
	s, err := read(c.Arg("region"), radius)
	if err == nil && s == nil {
		err = errors.New("it is null")
	}
	if err != nil {
		return nil, c.Errorf("region: %w", err)
	}
	return s, nil
}

// GridFilter keeps rows whose column s2_cell_id names a cell that a grid over a
// region has, or that is within one, or has one within it.
type GridFilter struct {
	Grid
	CellLevel int64 // of the column; negative: that of its first row
	region    *shape
}

// Name implements flow.Op.
func (*GridFilter) Name() string { return "geo.gridFilter" }

// Details implements flow.Op.
func (g *GridFilter) Details() string {
	return fmt.Sprintf("minSize: %d, maxSize: %d, level: %d", g.MinSize, g.MaxSize, g.Level)
}

// Open implements flow.Op.
func (g *GridFilter) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	var grid s2.CellUnion
	begun := false
	// Rows of a table mostly are in one cell.
	lastToken, lastIn := "", false
	return flow.EachPiece(in[0], func(t *table.Table) (*table.Table, error) {
		column, err := t.Need(cellLabel, value.String)
		if err != nil {
			return nil, err
		}
		return keep(t, func(i int) (bool, error) {
			if column.Null(i) {
				return false, nil
			}
			token := column.Bytes(i)
			if begun && string(token) == lastToken {
				return lastIn, nil
			}
			id, err := cell(string(token))
			if err != nil {
				return false, err
			}
			if !begun {
				level := int(g.CellLevel)
				if level < 0 {
					level = id.Level()
				}
				if _, grid, err = g.cover(g.region, level); err != nil {
					return false, err
				}
				begun = true
			}
			lastToken, lastIn = string(token), grid.IntersectsCellID(id)
			return lastIn, nil
		}, column.Same)
	}), nil
}

// keep returns the rows of t that a test accepts, nil if there are none. If all
// is set, what the test says of the first row holds for all.
func keep(t *table.Table, test func(i int) (bool, error), all bool) (*table.Table, error) {
	if t.Rows == 0 {
		return t, nil
	}
	if all {
		yes, err := test(0)
		if !yes || err != nil {
			return nil, err
		}
		return t, nil
	}
	var rows []int
	for i := range t.Rows {
		yes, err := test(i)
		if err != nil {
			return nil, err
		}
		if yes {
			rows = append(rows, i)
		}
	}
	switch len(rows) {
	case 0:
		return nil, nil
	case t.Rows:
		return t, nil
	}
	return t.Pick(rows), nil
}

// places returns the columns with latitudes and longitudes.
func places(t *table.Table) (lat, lon *table.Column, err error) {
	if lat, err = t.Need(latLabel, value.Float); err != nil {
		return nil, nil, err
	}
	lon, err = t.Need(lonLabel, value.Float)
	return lat, lon, err
}

// StrictFilter keeps rows whose columns lat and lon are in a region.
type StrictFilter struct{ region *shape }

// Name implements flow.Op.
func (*StrictFilter) Name() string { return "geo.strictFilter" }

// Details implements flow.Op.
func (*StrictFilter) Details() string { return "" }

// Open implements flow.Op.
func (s *StrictFilter) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.EachPiece(in[0], func(t *table.Table) (*table.Table, error) {
		lat, lon, err := places(t)
		if err != nil {
			return nil, err
		}
		at := &shape{points: make([]s2.Point, 1)}
		return keep(t, func(i int) (bool, error) {
			if lat.Null(i) || lon.Null(i) {
				return false, nil
			}
			p, err := point(lat.Float(i), lon.Float(i))
			if err != nil {
				return false, err
			}
			at.points[0] = p
			return s.region.contains(at, run.Ended)
		}, lat.Same && lon.Same)
	}), nil
}

// perTable is the reader of an operator that makes a row of each table: of its
// key and one column more.
func perTable(run *flow.Run, in table.Reader, make func(t *table.Table) (table.Column, error)) table.Reader {
	return flow.EachTable(run, in, func(t *table.Table, emit func(*table.Table) error) error {
		c, err := make(t)
		if err != nil {
			return err
		}
		out := &table.Table{Key: t.Key, Rows: 1}
		return emit(out.WithKey(t.Key).With(c))
	})
}

// LineString makes a line of the points of each table.
type LineString struct{}

// Name implements flow.Op.
func (*LineString) Name() string { return "geo.ST_LineString" }

// Details implements flow.Op.
func (*LineString) Details() string { return "" }

// Open implements flow.Op.
func (*LineString) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return perTable(run, in[0], func(t *table.Table) (table.Column, error) {
		lat, lon, err := places(t)
		if err != nil {
			return table.Column{}, err
		}
		var b []byte
		for i := range t.Rows {
			if lat.Null(i) || lon.Null(i) {
				continue
			}
			if len(b) > 0 {
				b = append(b, ", "...)
			}
			b = strconv.AppendFloat(b, lon.Float(i), 'f', -1, 64)
			b = strconv.AppendFloat(append(b, ' '), lat.Float(i), 'f', -1, 64)
		}
		return table.Constant("st_linestring", value.OfString(string(b))), nil
	}), nil
}

// TotalDistance makes the distance that is covered from row to row of each
// table.
type TotalDistance struct {
	Output string
	radius float64 // of the earth, in the unit of the result
}

// Name implements flow.Op.
func (*TotalDistance) Name() string { return "geo.totalDistance" }

// Details implements flow.Op.
func (d *TotalDistance) Details() string { return fmt.Sprintf("outputColumn: %q", d.Output) }

// Open implements flow.Op.
func (d *TotalDistance) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return perTable(run, in[0], func(t *table.Table) (table.Column, error) {
		lat, lon, err := places(t)
		if err != nil {
			return table.Column{}, err
		}
		sum := 0.0
		var last s2.Point
		begun := false
		for i := range t.Rows {
			if lat.Null(i) || lon.Null(i) {
				continue
			}
			p, err := point(lat.Float(i), lon.Float(i))
			if err != nil {
				return table.Column{}, err
			}
			if begun {
				sum += float64(last.Distance(p)) * d.radius
			}
			last, begun = p, true
		}
		return table.Constant(d.Output, value.OfFloat(sum)), nil
	}), nil
}

// CellColumn adds a column with the tokens of the cells of a level that the
// places of rows are in.
type CellColumn struct {
	Column string
	Level  int
}

// Name implements flow.Op.
func (*CellColumn) Name() string { return "geo.cells" }

// Details implements flow.Op.
func (o *CellColumn) Details() string { return fmt.Sprintf("column: %q, level: %d", o.Column, o.Level) }

// Open implements flow.Op.
func (o *CellColumn) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.EachPiece(in[0], func(t *table.Table) (*table.Table, error) {
		lat, lon, err := places(t)
		if err != nil {
			return nil, err
		}
		known := t.Col(cellLabel)
		tokens := table.NewColumn(o.Column, value.String)
		for i := range t.Rows {
			if known != nil && known.Kind == value.String && !known.Null(i) {
				if id := s2.CellIDFromToken(string(known.Bytes(i))); id.IsValid() && id.Level() == o.Level {
					tokens.Append(known.Value(i))
					continue
				}
			}
			if lat.Null(i) || lon.Null(i) {
				tokens.Append(value.NullOf(value.String))
				continue
			}
			p, err := point(lat.Float(i), lon.Float(i))
			if err != nil {
				return nil, err
			}
			tokens.Append(value.OfString(s2.CellFromPoint(p).ID().Parent(o.Level).ToToken()))
		}
		return t.With(tokens), nil
	}), nil
}

// Rows pivots fields into columns, unless latitudes and longitudes are columns
// already.
type Rows struct{}

// Name implements flow.Op.
func (*Rows) Name() string { return "geo.toRows" }

// Details implements flow.Op.
func (*Rows) Details() string { return "unless there are lat and lon" }

// Open implements flow.Op.
func (*Rows) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	first, err := in[0].Next()
	if err != nil {
		return nil, err
	}
	all := &behind{first: first, Reader: in[0]}
	if first == nil || first.Find(latLabel) >= 0 && first.Find(lonLabel) >= 0 {
		return all, nil
	}
	return (&transform.Pivot{RowKey: []string{"_time"}, ColumnKey: []string{"_field"}, Value: "_value"}).Open(run, []table.Reader{all})
}

// behind is a reader with a table before what it reads.
type behind struct {
	first *table.Table
	table.Reader
}

// Next implements table.Reader.
func (b *behind) Next() (*table.Table, error) {
	if t := b.first; t != nil {
		b.first = nil
		return t, nil
	}
	return b.Reader.Next()
}
