package anncsv

import (
	"bytes"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// flushBytes is how much is written at once: enough that a write costs little
// beside what it carries.
const flushBytes = 32 << 10

// Encoder writes results, table by table.
type Encoder struct {
	w       io.Writer
	d       Dialect
	buf     []byte
	result  string
	begun   bool // something was written for the result
	id      int  // of the present table
	last    *table.Table
	lastRow bool // the present table has a row
	parts   []part
	consts  []byte // texts of parts
	clock   clock
}

// part is a stretch of a row: the same bytes for every row, or a column.
type part struct {
	from, to int           // in consts
	column   *table.Column // nil: text
}

// NewEncoder returns an encoder that writes to w.
func NewEncoder(w io.Writer, d Dialect) *Encoder { return &Encoder{w: w, d: d} }

// Begin begins a result.
func (e *Encoder) Begin(name string) error {
	e.result, e.begun, e.id, e.last, e.lastRow = name, false, -1, nil, false
	return nil
}

// Table writes a piece of a table. Pieces that follow on each other and have
// equal keys are one table.
func (e *Encoder) Table(t *table.Table) error {
	if e.last != nil && e.last.Key.Equal(t.Key) && sameColumns(e.last, t) {
		if t.Rows == 0 {
			return nil
		}
		if !e.lastRow {
			// The table only seemed empty, and nothing was written of it.
			e.last = nil
			return e.open(t, e.id)
		}
		e.last = t
		return e.rows(t)
	}
	if err := e.endTable(); err != nil {
		return err
	}
	return e.open(t, e.id+1)
}

// open begins the table with an id. One without rows is held back: there may be
// more of it.
func (e *Encoder) open(t *table.Table, id int) error {
	sameBlock := e.lastBlock(t)
	e.id, e.last, e.lastRow = id, t, false
	if t.Rows == 0 {
		return nil
	}
	if !sameBlock {
		e.header(t, false)
	}
	return e.rows(t)
}

// block is what the header that was written last says.
func (e *Encoder) lastBlock(t *table.Table) bool {
	return e.begun && e.lastRow && e.last != nil && sameColumns(e.last, t) && sameLabels(e.last.Key.Labels(), t.Key.Labels())
}

func sameLabels(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func sameColumns(a, b *table.Table) bool {
	if len(a.Cols) != len(b.Cols) {
		return false
	}
	for i := range a.Cols {
		if a.Cols[i].Label != b.Cols[i].Label || a.Cols[i].Kind != b.Cols[i].Kind {
			return false
		}
	}
	return true
}

// endTable writes a table that turned out to have no rows: a header whose
// defaults tell its key.
func (e *Encoder) endTable() error {
	if e.last == nil || e.lastRow {
		return nil
	}
	e.header(e.last, true)
	return e.flush(flushBytes)
}

// header begins a block.
func (e *Encoder) header(t *table.Table, empty bool) {
	if e.begun {
		e.buf = append(e.buf, "\r\n"...)
	}
	e.begun = true
	for _, a := range e.d.annotations {
		e.buf = append(append(e.buf, e.d.CommentPrefix...), a...)
		switch a {
		case datatype:
			e.cell("string")
			e.cell("long")
		case group:
			e.cell("false")
			e.cell("false")
		default:
			e.cell(e.result)
			if empty {
				e.cell(strconv.Itoa(e.id))
			} else {
				e.cell("")
			}
		}
		for i := range t.Cols {
			c := &t.Cols[i]
			switch a {
			case datatype:
				e.cell(typeName(c.Kind))
			case group:
				e.cell(strconv.FormatBool(t.Key.Has(c.Label)))
			default:
				e.buf = append(e.buf, e.d.Delimiter)
				if v, ok := t.Key.Get(c.Label); ok && empty {
					e.value(v)
				}
			}
		}
		e.buf = append(e.buf, "\r\n"...)
	}
	if !e.d.Header {
		return
	}
	e.cell("result")
	e.cell("table")
	for i := range t.Cols {
		e.cell(t.Cols[i].Label)
	}
	e.buf = append(e.buf, "\r\n"...)
}

// cell writes the delimiter and a text.
func (e *Encoder) cell(s string) {
	e.buf = append(e.buf, e.d.Delimiter)
	e.buf = appendText(e.buf, []byte(s), e.d.Delimiter)
}

func (e *Encoder) value(v value.Value) {
	if v.IsNull() {
		return
	}
	if v.Kind() == value.String {
		e.buf = appendText(e.buf, []byte(v.Str()), e.d.Delimiter)
		return
	}
	if t, far := v.Far(); far {
		e.buf = t.AppendFormat(e.buf, time.RFC3339Nano)
		return
	}
	e.buf = e.appendWord(e.buf, v.Kind(), v.Word())
}

// rows writes the rows of a piece.
func (e *Encoder) rows(t *table.Table) error {
	e.lastRow = true
	e.prepare(t)
	for i := range t.Rows {
		for p := range e.parts {
			c := e.parts[p].column
			if c == nil {
				e.buf = append(e.buf, e.consts[e.parts[p].from:e.parts[p].to]...)
				continue
			}
			e.buf = append(e.buf, e.d.Delimiter)
			if c.Vec.Valid.Words != nil && !c.Vec.Valid.Get(i) {
				continue
			}
			if c.Kind == value.String {
				e.buf = appendText(e.buf, c.Vec.Str(i), e.d.Delimiter)
				continue
			}
			if c.Far != nil {
				e.value(c.Value(i))
				continue
			}
			e.buf = e.appendWord(e.buf, c.Kind, c.Vec.Words[i])
		}
		if len(e.buf) >= flushBytes {
			if err := e.flush(0); err != nil {
				return err
			}
		}
	}
	return nil
}

// prepare cuts a row of t into what is the same for all rows and what is not.
func (e *Encoder) prepare(t *table.Table) {
	e.parts = e.parts[:0]
	text, from := e.consts[:0], 0
	end := func() {
		if len(text) > from {
			e.parts = append(e.parts, part{from: from, to: len(text)})
			from = len(text)
		}
	}
	text = append(text, e.d.Delimiter)
	if !e.d.has(defaults) {
		text = appendText(text, []byte(e.result), e.d.Delimiter)
	}
	text = strconv.AppendInt(append(text, e.d.Delimiter), int64(e.id), 10)
	for i := range t.Cols {
		c := &t.Cols[i]
		if !c.Same {
			end()
			e.parts = append(e.parts, part{column: c})
			continue
		}
		text = append(text, e.d.Delimiter)
		switch {
		case c.Null(0):
		case c.Kind == value.String:
			text = appendText(text, c.Bytes(0), e.d.Delimiter)
		case c.Far != nil:
			text = c.Value(0).Clock().AppendFormat(text, time.RFC3339Nano)
		default:
			text = e.appendWord(text, c.Kind, c.Word(0))
		}
	}
	text = append(text, "\r\n"...)
	end()
	e.consts = text
}

func (e *Encoder) appendWord(b []byte, k value.Kind, w uint64) []byte {
	switch k {
	case value.Bool:
		return strconv.AppendBool(b, w != 0)
	case value.Int:
		return strconv.AppendInt(b, int64(w), 10)
	case value.Uint:
		return strconv.AppendUint(b, w, 10)
	case value.Time:
		return e.clock.append(b, int64(w))
	}
	return appendFloat(b, math.Float64frombits(w))
}

// appendText appends a text, in quotes where a reader would need them.
func appendText(b, s []byte, delimiter byte) []byte {
	quote := len(s) > 0 && (s[0] == ' ' || s[0] == '\t')
	for _, c := range s {
		if c == delimiter || c == '"' || c == '\r' || c == '\n' {
			quote = true
			break
		}
	}
	if !quote {
		return append(b, s...)
	}
	b = append(b, '"')
	for {
		i := bytes.IndexByte(s, '"')
		if i < 0 {
			break
		}
		b = append(append(b, s[:i]...), `""`...)
		s = s[i+1:]
	}
	return append(append(b, s...), '"')
}

// End ends a result.
func (e *Encoder) End() error {
	if err := e.endTable(); err != nil {
		return err
	}
	e.last = nil
	e.buf = append(e.buf, "\r\n"...)
	return e.flush(0)
}

// Fail writes, after whatever was written, that the results end with an error.
func (e *Encoder) Fail(err error) error {
	if e.begun {
		e.buf = append(e.buf, "\r\n"...)
	}
	for _, a := range e.d.annotations {
		e.buf = append(append(e.buf, e.d.CommentPrefix...), a...)
		text := ""
		switch a {
		case datatype:
			text = "string"
		case group:
			text = "true"
		}
		e.cell(text)
		e.cell(text)
		e.buf = append(e.buf, "\r\n"...)
	}
	e.cell("error")
	e.cell("reference")
	e.buf = append(e.buf, "\r\n"...)
	e.cell(err.Error())
	e.cell("")
	e.buf = append(e.buf, "\r\n"...)
	return e.flush(0)
}

// flush writes what there is, if it is so much.
func (e *Encoder) flush(atLeast int) error {
	if len(e.buf) == 0 || len(e.buf) < atLeast {
		return nil
	}
	_, err := e.w.Write(e.buf)
	e.buf = e.buf[:0]
	return err
}
