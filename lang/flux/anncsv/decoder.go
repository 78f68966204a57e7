package anncsv

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// pieceRows is how many rows the pieces of a decoded table have at most.
const pieceRows = 8192

// Decoder reads annotated CSV: the tables of all results in it, one after the
// other. It is a table.Reader.
type Decoder struct {
	r       *csv.Reader
	block   *block
	notes   map[string][]string // annotations before the next header
	ahead   []string            // a row that belongs to the next table
	raw     bool
	id      string // of the table that is being read
	result  string
	key     *table.Key
	ended   bool
	started bool
}

// block is what annotations and a header say of the rows behind them.
type block struct {
	labels   []string
	kinds    []value.Kind
	group    []bool
	defaults []string
	first    int // place of the first column of the tables
	table    int // place of the column with the number of the table, or -1
	result   int // place of the column with the name of the result, or -1
}

// NewDecoder returns a decoder of annotated CSV, or, if raw, of CSV with a
// header and nothing else, whose columns all are strings.
func NewDecoder(r io.Reader, raw bool) *Decoder {
	c := csv.NewReader(r)
	c.FieldsPerRecord = -1
	return &Decoder{r: c, raw: raw, notes: map[string][]string{}}
}

// FailureError is an error that stands in the CSV instead of further tables:
// what made it failed half-way.
type FailureError struct{ Text string }

func (e *FailureError) Error() string { return "failed to read csv: it holds an error: " + e.Text }

// Result returns the name of the result that the last piece belongs to, and the
// number of its table in there, as they stand in the CSV.
func (d *Decoder) Result() (name, number string) { return d.result, d.id }

// Close implements table.Reader.
func (d *Decoder) Close() { d.ended = true }

// Next implements table.Reader.
func (d *Decoder) Next() (*table.Table, error) {
	if d.ended {
		return nil, nil
	}
	t, err := d.next()
	if t == nil || err != nil {
		d.ended = true
	}
	return t, err
}

func (d *Decoder) next() (*table.Table, error) {
	var cols []table.Column
	rows := 0
	for {
		row := d.ahead
		d.ahead = nil
		if row == nil {
			var err error
			if row, err = d.read(); errors.Is(err, io.EOF) {
				if rows > 0 {
					return d.table(cols, rows), nil
				}
				return d.emptyTable()
			} else if err != nil {
				return nil, fmt.Errorf("failed to read csv: %w", err)
			}
		}
		if d.starts(row) {
			if rows > 0 {
				d.ahead = row
				return d.table(cols, rows), nil
			}
			empty, err := d.emptyTable()
			if empty != nil || err != nil {
				d.ahead = row
				return empty, err
			}
			if err := d.note(row); err != nil {
				return nil, err
			}
			continue
		}
		if len(row) != len(d.block.labels) {
			return nil, d.errorf("row has %d cells, its header %d", len(row), len(d.block.labels))
		}
		id, result := d.cell(row, d.block.table), d.cell(row, d.block.result)
		if d.key == nil || id != d.id || result != d.result {
			if rows > 0 {
				d.ahead = row
				return d.table(cols, rows), nil
			}
			if err := d.begin(row, id, result); err != nil {
				return nil, err
			}
		}
		if cols == nil {
			cols = d.columns()
		}
		for i := range cols {
			v, err := d.value(row, d.block.first+i)
			if err != nil {
				return nil, err
			}
			cols[i].Append(v)
		}
		if rows++; rows == pieceRows {
			return d.table(cols, rows), nil
		}
	}
}

func (d *Decoder) read() ([]string, error) { return d.r.Read() }

// starts reports whether a row is an annotation or a header.
func (d *Decoder) starts(row []string) bool {
	return d.block == nil || strings.HasPrefix(row[0], "#") && !d.raw
}

func (d *Decoder) errorf(format string, args ...any) error {
	line, _ := d.r.FieldPos(0)
	return fmt.Errorf("failed to read csv: line %d: %w", line, fmt.Errorf(format, args...))
}

// note takes an annotation, or a header, which begins a block.
func (d *Decoder) note(row []string) error {
	if d.raw {
		d.block = rawBlock(row)
		return d.check()
	}
	name, ok := strings.CutPrefix(row[0], "#")
	if !ok && (name == datatype || name == group || name == defaults) {
		ok = true // files in use have annotations without the mark
	}
	if ok {
		d.block, d.key = nil, nil
		switch name {
		case datatype, group, defaults:
			d.notes[name] = row
		default:
			return d.errorf("there is no annotation #%s: use #datatype, #group, #default", name)
		}
		return nil
	}
	if slices.Equal(row, []string{"", "error", "reference"}) || slices.Equal(row, []string{"error", "reference"}) {
		failure, err := d.read()
		if err != nil || len(failure) < 2 {
			return d.errorf("an error without a text")
		}
		return &FailureError{failure[len(failure)-2]}
	}
	types := d.notes[datatype]
	if types == nil {
		return d.errorf("missing expected annotation datatype: data without annotations is read with mode: \"raw\"")
	}
	b := &block{labels: row, kinds: make([]value.Kind, len(row)), group: make([]bool, len(row)), first: 1, table: -1, result: -1}
	for name, note := range d.notes {
		if len(note) != len(row) {
			return d.errorf("annotation #%s has %d cells, the header %d", name, len(note), len(row))
		}
	}
	for ; b.first < len(row) && b.first <= 2; b.first++ {
		switch row[b.first] {
		case "result":
			b.result = b.first
			continue
		case "table":
			b.table = b.first
			continue
		}
		break
	}
	b.defaults = d.notes[defaults]
	for i := b.first; i < len(row); i++ {
		var ok bool
		if b.kinds[i], ok = kindOf(types[i]); !ok {
			return d.errorf("column %q has the unsupported data type %q", row[i], types[i])
		}
		if g := d.notes[group]; g != nil {
			b.group[i] = g[i] == "true"
		}
	}
	clear(d.notes)
	d.block, d.started = b, false
	return d.check()
}

func rawBlock(row []string) *block {
	b := &block{labels: row, kinds: make([]value.Kind, len(row)), group: make([]bool, len(row)), table: -1, result: -1}
	for i := range b.kinds {
		b.kinds[i] = value.String
	}
	return b
}

// check finds labels that stand twice.
func (d *Decoder) check() error {
	have := map[string]bool{}
	for _, l := range d.block.labels[d.block.first:] {
		if have[l] {
			return d.errorf("column %q stands twice", l)
		}
		have[l] = true
	}
	return nil
}

// begin begins a table with its first row.
func (d *Decoder) begin(row []string, id, result string) error {
	d.id, d.result, d.started = id, result, true
	var labels []string
	var values []value.Value
	for i := d.block.first; i < len(row); i++ {
		if !d.block.group[i] {
			continue
		}
		v, err := d.value(row, i)
		if err != nil {
			return err
		}
		labels, values = append(labels, d.block.labels[i]), append(values, v)
	}
	d.key = table.NewKey(labels, values)
	return nil
}

// emptyTable returns the table of a block without rows, once: its defaults say
// its key.
func (d *Decoder) emptyTable() (*table.Table, error) {
	if d.block == nil || d.started || d.block.defaults == nil || d.cell(d.block.defaults, d.block.table) == "" {
		return nil, nil
	}
	row := make([]string, len(d.block.labels))
	if err := d.begin(row, d.cell(row, d.block.table), d.cell(row, d.block.result)); err != nil {
		return nil, err
	}
	return d.table(d.columns(), 0), nil
}

func (d *Decoder) columns() []table.Column {
	var cols []table.Column
	for i := d.block.first; i < len(d.block.labels); i++ {
		cols = append(cols, table.NewColumn(d.block.labels[i], d.block.kinds[i]))
	}
	return cols
}

func (d *Decoder) table(cols []table.Column, rows int) *table.Table {
	for i := range cols {
		if v, ok := d.key.Get(cols[i].Label); ok {
			cols[i] = table.Constant(cols[i].Label, v)
		}
	}
	return &table.Table{Key: d.key, Cols: cols, Rows: rows}
}

// cell returns a cell or, if it is empty, the default of its column.
func (d *Decoder) cell(row []string, i int) string {
	if i < 0 {
		return ""
	}
	if row[i] == "" && d.block.defaults != nil {
		return d.block.defaults[i]
	}
	return row[i]
}

func (d *Decoder) value(row []string, i int) (value.Value, error) {
	text, kind := d.cell(row, i), d.block.kinds[i]
	if text == "" && !d.raw {
		return value.NullOf(kind), nil
	}
	var err error
	switch kind {
	case value.Bool:
		switch text {
		case "true", "false":
			return value.OfBool(text == "true"), nil
		}
		err = fmt.Errorf("%q is neither true nor false", text)
	case value.Int:
		var v int64
		if v, err = strconv.ParseInt(text, 10, 64); err == nil {
			return value.OfInt(v), nil
		}
	case value.Uint:
		var v uint64
		if v, err = strconv.ParseUint(text, 10, 64); err == nil {
			return value.OfUint(v), nil
		}
	case value.Float:
		var v float64
		if v, err = strconv.ParseFloat(text, 64); err == nil {
			return value.OfFloat(v), nil
		}
	case value.Time:
		var v time.Time
		if v, err = time.Parse(time.RFC3339Nano, text); err == nil {
			return value.OfClock(v), nil
		}
	default:
		return value.OfString(text), nil
	}
	return value.Value{}, d.errorf("column %q: %w", d.block.labels[i], err)
}
