package importer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/lineproto"
)

// sampleRows is how many rows are looked at for types that are not given:
// enough to get past a column's empty beginning, few enough to keep.
const sampleRows = 1000

// CSV imports a CSV file (RFC 4180) as mapping says. The report is valid with
// an error too.
func CSV(ctx context.Context, src io.Reader, dst Destination, mapping Mapping, cfg Config) (Report, error) {
	if err := cfg.Validate(); err != nil {
		return Report{}, err
	}
	format, err := NewTimeFormat(mapping.TimeFormat, mapping.Zone)
	if err != nil {
		return Report{}, fmt.Errorf("import CSV: %w", err)
	}
	in := newCSVReader(src, &mapping, cfg.MaxRowBytes)
	header := mapping.Names
	if header == nil {
		row, err := in.next()
		if err == nil {
			err = row.err
		}
		if err != nil {
			return Report{}, fmt.Errorf("import CSV: read header: %w", err)
		}
		header = slices.Clone(row.cells)
	}
	l, err := mapping.layout(header)
	if err != nil {
		return Report{}, fmt.Errorf("import CSV: %w", err)
	}
	c := &csvImport{
		run:    run{cfg: &cfg, dst: dst},
		in:     in,
		layout: l,
		format: format,
		nulls:  mapping.Nulls,
		values: make([]csvValue, len(l.fields)),
		tables: tables{known: map[string]*tableBuilder{}},
	}
	err = c.all(ctx)
	return c.report, err
}

// csvImport is one import of CSV under way.
type csvImport struct {
	run
	in     *csvReader
	layout *layout
	format *TimeFormat
	nulls  []string

	values []csvValue // of the row at hand, parallel to layout.fields
	tags   []column.Tag
	key    []byte
	tables tables
	begin  int64 // first row of the batch
	bytes  int   // of rows in the batch
}

// csvValue is a cell of a field.
type csvValue struct {
	null bool
	word uint64
	text string
}

func (c *csvImport) all(ctx context.Context) error {
	// A sample for the types that are open.
	var sample []csvRow
	var end error
	for size := 0; len(sample) < sampleRows && size < c.cfg.BatchBytes && end == nil; {
		var row csvRow
		if row, end = c.in.next(); end == nil {
			size += row.size
			row.cells = slices.Clone(row.cells)
			sample = append(sample, row)
		}
	}
	c.layout.infer(sample, c.null)

	for i := range sample {
		if err := c.row(ctx, &sample[i]); err != nil {
			return err
		}
	}
	for end == nil {
		var row csvRow
		if row, end = c.in.next(); end == nil {
			if err := c.row(ctx, &row); err != nil {
				return err
			}
		}
	}
	if err := c.flush(ctx, c.in.bytes()); err != nil {
		return err
	}
	if errors.Is(end, io.EOF) {
		return nil
	}
	return fmt.Errorf("import CSV: %w", end)
}

func (c *csvImport) null(cell string) bool {
	return cell == "" || len(c.nulls) > 0 && slices.Contains(c.nulls, cell)
}

// row adds a row to the batch, or notes why not.
func (c *csvImport) row(ctx context.Context, row *csvRow) error {
	if row.err == nil {
		row.err = c.add(row)
	}
	if row.err != nil {
		c.report.Bad++
		c.problem(row.line, row.err.Error())
		if err := c.check(); err != nil {
			return err
		}
		return ctx.Err()
	}
	if c.tables.rows >= c.cfg.BatchRows || c.bytes >= c.cfg.BatchBytes {
		return c.flush(ctx, row.end)
	}
	return nil
}

func (c *csvImport) flush(ctx context.Context, bytes int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := c.write(ctx, c.tables.batch(), c.begin, bytes)
	c.tables.reset()
	c.bytes = 0
	return err
}

// add reads every cell before it changes the batch, so that a bad row leaves
// nothing behind.
func (c *csvImport) add(row *csvRow) error {
	l := c.layout
	if len(row.cells) != l.columns {
		return fmt.Errorf("row has %d cells, want %d", len(row.cells), l.columns)
	}
	at, err := c.format.Parse(row.cells[l.time])
	if err != nil {
		return err
	}
	measurement := l.fixed
	if l.measurement >= 0 {
		measurement = row.cells[l.measurement]
		if err := lineproto.CheckMeasurement(measurement); err != nil {
			return err
		}
	}
	c.tags = append(c.tags[:0], l.fixedTags...)
	for _, t := range l.tags {
		v := row.cells[t.at]
		if c.null(v) {
			continue
		}
		if err := lineproto.CheckName("tag value", v); err != nil {
			return fmt.Errorf("tag %q: %w", t.key, err)
		}
		c.tags = append(c.tags, column.Tag{Key: t.key, Value: []byte(v)})
	}
	if c.key, err = column.AppendSeriesKey(c.key[:0], c.tags); err != nil {
		return err
	}
	n := 0
	for i := range l.fields {
		cell := row.cells[l.fields[i].at]
		v := &c.values[i]
		if v.null = c.null(cell); v.null {
			continue
		}
		n++
		if l.fields[i].typ == 0 {
			l.fields[i].typ = guessType(cell)
		}
		if err := v.parse(cell, l.fields[i].typ); err != nil {
			return fmt.Errorf("field %q: %w", l.fields[i].name, err)
		}
	}
	if n == 0 {
		c.report.Empty++
		return nil
	}

	if c.tables.rows == 0 {
		c.begin = row.line
	}
	c.bytes += row.size
	c.tables.add(measurement, c.key, at, l.fields, c.values)
	return nil
}

func (v *csvValue) parse(cell string, typ column.Type) error {
	if typ == column.String {
		v.text = cell
		return nil
	}
	cell = strings.TrimSpace(cell)
	var err error
	switch typ {
	case column.Float64:
		var f float64
		f, err = parseFloat(cell)
		if err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
			return fmt.Errorf("%q cannot be stored; if it stands for no value, name it as a null", cell)
		}
		v.word = math.Float64bits(f)
	case column.Int64:
		var n int64
		n, err = strconv.ParseInt(cell, 10, 64)
		v.word = uint64(n)
	case column.Uint64:
		v.word, err = strconv.ParseUint(cell, 10, 64)
	case column.Bool:
		var b bool
		b, err = strconv.ParseBool(strings.ToLower(cell))
		v.word = 0
		if b {
			v.word = 1
		}
	}
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%q is out of the range of type %v", cell, typ)
	}
	if err != nil {
		return fmt.Errorf("%q is not of type %v", cell, typ)
	}
	return nil
}

// parseFloat reads decimal numbers only; strconv takes hexadecimal ones too.
func parseFloat(cell string) (float64, error) {
	cell = strings.TrimSpace(cell)
	if strings.ContainsAny(cell, "xXpP_") {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(cell, 64)
}

// csvReader reads rows and bounds their size.
type csvReader struct {
	csv *csv.Reader
	src *boundedReader
	at  int64 // where the last row ended
}

// csvRow is a row, or why it cannot be read. The cells are valid until the
// next row.
type csvRow struct {
	line  int64
	cells []string
	size  int   // bytes
	end   int64 // where it ends in the file
	err   error
}

func newCSVReader(src io.Reader, m *Mapping, maxRow int) *csvReader {
	b := bufio.NewReader(src)
	if bom, err := b.Peek(3); err == nil && bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = b.Discard(3) // they are there
	}
	bounded := &boundedReader{src: b, max: int64(maxRow)}
	r := csv.NewReader(bounded)
	r.ReuseRecord = true
	r.FieldsPerRecord = -1 // a row of another length is one bad row
	r.Comment = m.Comment
	if m.Comma != 0 {
		r.Comma = m.Comma
	}
	return &csvReader{csv: r, src: bounded}
}

func (r *csvReader) bytes() int64 { return r.csv.InputOffset() }

// next returns a row; an error means that there are no more.
func (r *csvReader) next() (csvRow, error) {
	r.src.from(r.at)
	cells, err := r.csv.Read()
	row := csvRow{cells: cells, end: r.csv.InputOffset()}
	for _, cell := range cells {
		row.size += len(cell) + 1
	}
	r.at = row.end
	var bad *csv.ParseError
	switch {
	case errors.As(err, &bad):
		row.line, row.err = int64(bad.StartLine), bad.Err
	case err != nil:
		return row, err
	default:
		line, _ := r.csv.FieldPos(0)
		row.line = int64(line)
		if int64(row.size) > r.src.max {
			row.err = fmt.Errorf("row has %d bytes, at most %d are taken", row.size, r.src.max)
		}
	}
	return row, nil
}

// boundedReader ends a file in which a row does not end: a quote is left open,
// and the rest of the file would be read into memory for it.
type boundedReader struct {
	src   io.Reader
	max   int64 // bytes of a row
	read  int64
	begin int64 // of the row
}

// readAhead is what encoding/csv reads beyond a row.
const readAhead = 64 << 10

func (r *boundedReader) from(offset int64) { r.begin = offset }

func (r *boundedReader) Read(p []byte) (int, error) {
	if r.read-r.begin > r.max+readAhead {
		return 0, fmt.Errorf("the row after byte %d is longer than %d bytes; is a quote left open?", r.begin, r.max)
	}
	n, err := r.src.Read(p[:min(len(p), readAhead)])
	r.read += int64(n)
	return n, err
}
