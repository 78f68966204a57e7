package export

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/export/stream"
)

// metadataKey is the key of the file's metadata under which stands, in JSON,
// what the columns are: see parquetMetadata.
const metadataKey = "varve"

// parquetMetadata says what a reader of the columns alone cannot know.
type parquetMetadata struct {
	Measurement string          `json:"measurement"`
	Columns     []parquetColumn `json:"columns"` // but for time
}

type parquetColumn struct {
	Column string `json:"column"`
	Tag    string `json:"tag,omitempty"`
	Field  string `json:"field,omitempty"`
	Type   string `json:"type,omitempty"` // of a field: float, integer, unsigned, string, boolean
}

// parquetEncoder writes a file of Parquet, column by column.
type parquetEncoder struct {
	w       *parquet.GenericWriter[any]
	columns []*parquet.ColumnWriter
	cfg     *Config
	unit    int64 // nanoseconds of the unit of time
	values  []parquet.Value
	group   int // rows in the present row group
	bytes   int // of its values
}

func newParquetEncoder(out io.Writer, s *stream.Schema, cfg *Config) (*parquetEncoder, error) {
	names := columnNames(s)
	unit, nanos := parquet.Nanosecond, int64(1)
	switch cfg.TimeUnit {
	case Microseconds:
		unit, nanos = parquet.Microsecond, 1e3
	case Milliseconds:
		unit, nanos = parquet.Millisecond, 1e6
	}
	root := &orderedGroup{Group: parquet.Group{}}
	root.add(names[0], parquet.Encoded(parquet.TimestampAdjusted(unit, true), &parquet.DeltaBinaryPacked))
	meta := parquetMetadata{Measurement: s.Measurement}
	for i, t := range s.Tags {
		name := names[1+i]
		root.add(name, parquet.Optional(parquet.Encoded(parquet.String(), &parquet.RLEDictionary)))
		meta.Columns = append(meta.Columns, parquetColumn{Column: name, Tag: t})
	}
	for i, f := range s.Fields {
		name := names[1+len(s.Tags)+i]
		root.add(name, parquet.Optional(parquetNode(f.Type)))
		meta.Columns = append(meta.Columns, parquetColumn{Column: name, Field: f.Name, Type: f.Type.String()})
	}
	text, err := json.Marshal(meta)
	if err != nil {
		return nil, fmt.Errorf("describe columns: %w", err)
	}
	w := parquet.NewGenericWriter[any](out,
		parquet.NewSchema("varve", root),
		parquet.Compression(parquetCodec(cfg.Compression)),
		parquet.KeyValueMetadata(metadataKey, string(text)),
		parquet.CreatedBy("varve", "1", ""),
		parquet.DataPageStatistics(true),
		parquet.PageBufferSize(pageBytes),
		parquet.DictionaryMaxBytes(dictionaryBytes),
	)
	return &parquetEncoder{w: w, columns: w.ColumnWriters(), cfg: cfg, unit: nanos}, nil
}

const (
	// pageBytes is what a reader decompresses at a time, and what each column
	// has of its own before it is compressed.
	pageBytes = 256 << 10
	// dictionaryBytes is beyond what tags have that are worth a dictionary; a
	// column with more is written plainly.
	dictionaryBytes = 1 << 20
)

func parquetCodec(c Compression) compress.Codec {
	switch c {
	case Zstd:
		return &parquet.Zstd
	case Gzip:
		return &parquet.Gzip
	case Snappy:
		return &parquet.Snappy
	}
	return &parquet.Uncompressed
}

func parquetNode(t column.Type) parquet.Node {
	switch t {
	case column.Float64:
		return parquet.Leaf(parquet.DoubleType)
	case column.Int64:
		return parquet.Int(64)
	case column.Uint64:
		return parquet.Uint(64)
	case column.Bool:
		return parquet.Leaf(parquet.BooleanType)
	}
	return parquet.String()
}

// orderedGroup is a group whose columns stand in the order in which they were
// added, and not in that of their names.
type orderedGroup struct {
	parquet.Group
	fields []parquet.Field
}

func (g *orderedGroup) add(name string, n parquet.Node) {
	g.Group[name] = n
	g.fields = append(g.fields, parquet.Group{name: n}.Fields()...)
}

// Fields overrides Group's.
func (g *orderedGroup) Fields() []parquet.Field { return g.fields }

func (e *parquetEncoder) rows(a *aligned) error {
	n := len(a.table.Time)
	for lo := 0; lo < n; {
		hi := min(n, lo+e.cfg.RowGroupRows-e.group)
		if err := e.stretch(a, lo, hi); err != nil {
			return err
		}
		e.group += hi - lo
		lo = hi
		if e.group >= e.cfg.RowGroupRows || e.bytes >= e.cfg.RowGroupBytes {
			if err := e.w.Flush(); err != nil {
				return err
			}
			e.group, e.bytes = 0, 0
		}
	}
	return nil
}

// stretch writes rows lo to hi-1 of every column.
func (e *parquetEncoder) stretch(a *aligned, lo, hi int) error {
	v := e.values[:0]
	for _, at := range a.table.Time[lo:hi] {
		if at%e.unit != 0 {
			return fmt.Errorf("time %s of %q has parts of a unit of %s, which would be lost: export in ns",
				time.Unix(0, at).UTC().Format(time.RFC3339Nano), a.table.Measurement, e.cfg.TimeUnit)
		}
		v = append(v, parquet.Int64Value(at/e.unit).Level(0, 0, 0))
	}
	if err := e.put(0, v); err != nil {
		return err
	}
	for i, tag := range a.schema.Tags {
		v = v[:0]
		for row := lo; row < hi; row++ {
			text := a.tag(row, i)
			if text == nil {
				v = append(v, parquet.NullValue().Level(0, 0, 1+i))
				continue
			}
			if !utf8.Valid(text) {
				return notUTF8(a, row, "tag", tag)
			}
			v = append(v, parquet.ByteArrayValue(text).Level(0, 1, 1+i))
			e.bytes += 4 // its number in the dictionary
		}
		if err := e.put(1+i, v); err != nil {
			return err
		}
	}
	for i, f := range a.fields {
		at := 1 + len(a.schema.Tags) + i
		v = v[:0]
		for row := lo; row < hi; row++ {
			if f == nil || !f.Valid.Get(row) {
				v = append(v, parquet.NullValue().Level(0, 0, at))
				continue
			}
			if f.Type == column.String && !utf8.Valid(f.Str(row)) {
				return notUTF8(a, row, "field", f.Name)
			}
			v = append(v, parquetValue(f, row).Level(0, 1, at))
			e.bytes += 8
			if f.Type == column.String {
				e.bytes += len(f.Str(row))
			}
		}
		if err := e.put(at, v); err != nil {
			return err
		}
	}
	e.values = v
	return nil
}

func (e *parquetEncoder) put(at int, v []parquet.Value) error {
	_, err := e.columns[at].WriteRowValues(v)
	return err
}

func parquetValue(f *column.Field, row int) parquet.Value {
	switch f.Type {
	case column.Float64:
		return parquet.DoubleValue(f.Floats()[row])
	case column.Bool:
		return parquet.BooleanValue(f.Words[row] != 0)
	case column.String:
		return parquet.ByteArrayValue(f.Str(row))
	}
	return parquet.Int64Value(int64(f.Words[row])) // unsigned ones by their bits
}

func notUTF8(a *aligned, row int, what, name string) error {
	return fmt.Errorf("%s %q of %q at %s is not UTF-8, which Parquet wants: export it as csv or lines",
		what, name, a.table.Measurement, time.Unix(0, a.table.Time[row]).UTC().Format(time.RFC3339Nano))
}

func (e *parquetEncoder) close() error { return e.w.Close() }
