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
		if cfg.Header != nil {
			cfg.Header(row.text)
		}
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
	batch  csvBatch
}

// csvBatch is the text of the rows of a batch, for when some are not taken.
type csvBatch struct {
	text  []byte
	ends  []int   // of each row in text
	lines []int64 // of each row, its number in the file
}

func (b *csvBatch) add(row *csvRow) {
	b.text = append(b.text, row.text...)
	b.ends, b.lines = append(b.ends, len(b.text)), append(b.lines, row.line)
}

func (b *csvBatch) row(i int) []byte {
	from := 0
	if i > 0 {
		from = b.ends[i-1]
	}
	return b.text[from:b.ends[i]]
}

func (b *csvBatch) reset() { b.text, b.ends, b.lines = b.text[:0], b.ends[:0], b.lines[:0] }

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
			row.cells, row.text = slices.Clone(row.cells), slices.Clone(row.text)
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
	if err := c.flush(ctx, c.in.bytes(), c.in.lines()); err != nil {
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
	before := c.tables.rows
	if row.err == nil {
		row.err = c.add(row)
	}
	if row.err != nil {
		if row.end <= c.cfg.Start.Offset {
			return ctx.Err()
		}
		c.report.Bad++
		if err := c.reject([]Reject{{row.line, row.text, row.err.Error()}}); err != nil {
			return err
		}
		if err := c.check(); err != nil {
			return err
		}
		return ctx.Err()
	}
	if c.tables.rows > before {
		c.batch.add(row)
	}
	if c.tables.rows >= c.cfg.BatchRows || len(c.batch.text) >= c.cfg.BatchBytes {
		return c.flush(ctx, row.end, row.line)
	}
	return nil
}

// flush writes the batch, which ends at a position. Of an import that is
// resumed, batches before its start are only read: types that are open are
// settled by the first values.
func (c *csvImport) flush(ctx context.Context, end, line int64) error {
	defer func() {
		c.tables.reset()
		c.batch.reset()
	}()
	if err := ctx.Err(); err != nil {
		return err
	}
	if end <= c.cfg.Start.Offset {
		return nil
	}
	if c.tables.rows > 0 {
		if err := c.write(ctx, 0, c.tables.rows); err != nil {
			return fmt.Errorf("write the rows from %d on: %w", c.batch.lines[0], err)
		}
	}
	return c.reached(Position{Offset: end, Rows: line})
}

// write stores rows i to j-1 of the batch, which the tables hold, and finds
// those that are not taken by halving.
func (c *csvImport) write(ctx context.Context, i, j int) error {
	b := c.tables.batch()
	err := c.dst.Write(ctx, b)
	var body *BodyError
	switch dropped, refused := droppedRows(err), errors.As(err, &body); {
	case err == nil:
		c.report.Points += int64(j - i)
		c.report.Values += int64(b.Values())
		return nil
	case dropped == 0 && !refused:
		return err
	case dropped >= j-i || j-i == 1:
		c.report.Dropped += int64(j - i)
		var all []Reject
		for k := i; k < j; k++ {
			all = append(all, Reject{c.batch.lines[k], c.batch.row(k), err.Error()})
		}
		return c.reject(all)
	}
	mid := i + (j-i)/2
	for _, half := range [][2]int{{i, mid}, {mid, j}} {
		if err := c.again(half[0], half[1]); err != nil {
			return err
		}
		if err := c.write(ctx, half[0], half[1]); err != nil {
			return err
		}
	}
	return nil
}

// again makes the tables of rows i to j-1 of the batch.
func (c *csvImport) again(i, j int) error {
	c.tables.reset()
	for k := i; k < j; k++ {
		cells, err := c.in.again(c.batch.row(k))
		if err == nil {
			err = c.add(&csvRow{cells: cells})
		}
		if err != nil {
			return fmt.Errorf("read row %d again: %w", c.batch.lines[k], err)
		}
	}
	return nil
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
	csv     *csv.Reader
	src     *boundedReader
	mapping *Mapping
	at      int64 // where the last row ended
	line    int64 // number of the last row
}

// csvRow is a row, or why it cannot be read. Cells and text are valid until
// the next row.
type csvRow struct {
	line  int64
	cells []string
	text  []byte
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
	r := m.reader(bounded)
	r.ReuseRecord = true
	return &csvReader{csv: r, src: bounded, mapping: m}
}

// reader returns a reader of rows as the mapping says.
func (m *Mapping) reader(src io.Reader) *csv.Reader {
	r := csv.NewReader(src)
	r.FieldsPerRecord = -1 // a row of another length is one bad row
	r.Comment = m.Comment
	if m.Comma != 0 {
		r.Comma = m.Comma
	}
	return r
}

func (r *csvReader) bytes() int64 { return r.csv.InputOffset() }

func (r *csvReader) lines() int64 { return r.line }

// again reads the cells of a row from its text.
func (r *csvReader) again(text []byte) ([]string, error) {
	return r.mapping.reader(bytes.NewReader(text)).Read()
}

// next returns a row; an error means that there are no more.
func (r *csvReader) next() (csvRow, error) {
	r.src.from(r.at)
	cells, err := r.csv.Read()
	row := csvRow{cells: cells, end: r.csv.InputOffset()}
	row.text = r.src.text(row.end)
	for _, cell := range cells {
		row.size += len(cell) + 1
	}
	r.at = row.end
	var bad *csv.ParseError
	defer func() { r.line = max(r.line, row.line) }()
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
	begin int64  // of the row
	kept  []byte // what was read from begin on
}

// readAhead is what encoding/csv reads beyond a row.
const readAhead = 64 << 10

func (r *boundedReader) from(offset int64) {
	r.kept = r.kept[offset-r.begin:]
	r.begin = offset
}

// text returns the row, which ends at an offset.
func (r *boundedReader) text(end int64) []byte { return r.kept[:end-r.begin] }

func (r *boundedReader) Read(p []byte) (int, error) {
	if r.read-r.begin > r.max+readAhead {
		return 0, fmt.Errorf("the row after byte %d is longer than %d bytes; is a quote left open?", r.begin, r.max)
	}
	n, err := r.src.Read(p[:min(len(p), readAhead)])
	r.read += int64(n)
	if cap(r.kept)-len(r.kept) < n {
		r.kept = append(make([]byte, 0, 2*(len(r.kept)+n)+readAhead), r.kept...)
	}
	r.kept = append(r.kept, p[:n]...)
	return n, err
}
