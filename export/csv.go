package export

import (
	"bytes"
	"io"
	"strconv"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/export/stream"
)

// csvEncoder writes CSV (RFC 4180) with a header: time, tags, fields. A value
// that is not there is an empty cell; an empty string is a quoted one, for
// readers that tell them apart. encoding/csv cannot write the latter.
type csvEncoder struct {
	w      io.Writer
	buf    []byte
	header bool
	names  []string
}

func newCSVEncoder(w io.Writer, s *stream.Schema) *csvEncoder {
	return &csvEncoder{w: w, names: columnNames(s)}
}

func (e *csvEncoder) rows(a *aligned) error {
	b := e.buf[:0]
	if !e.header {
		for i, name := range e.names {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendCell(b, []byte(name))
		}
		b = append(b, '\n')
		e.header = true
	}
	for row, at := range a.table.Time {
		b = time.Unix(0, at).UTC().AppendFormat(b, time.RFC3339Nano)
		for i := range a.schema.Tags {
			b = append(b, ',')
			if v := a.tag(row, i); v != nil {
				b = appendCell(b, v)
			}
		}
		for _, f := range a.fields {
			b = append(b, ',')
			if f != nil && f.Valid.Get(row) {
				b = appendCSVValue(b, f, row)
			}
		}
		b = append(b, '\n')
	}
	e.buf = b
	_, err := e.w.Write(b)
	return err
}

func (e *csvEncoder) close() error { return nil }

func appendCSVValue(b []byte, f *column.Field, row int) []byte {
	switch f.Type {
	case column.Float64:
		return strconv.AppendFloat(b, f.Floats()[row], 'g', -1, 64)
	case column.Int64:
		return strconv.AppendInt(b, f.Ints()[row], 10)
	case column.Uint64:
		return strconv.AppendUint(b, f.Words[row], 10)
	case column.Bool:
		return strconv.AppendBool(b, f.Words[row] != 0)
	}
	return appendCell(b, f.Str(row))
}

// appendCell quotes where a reader would otherwise find something else.
func appendCell(b, text []byte) []byte {
	if len(text) > 0 && !bytes.ContainsAny(text, "\",\r\n") && text[0] != ' ' && text[len(text)-1] != ' ' {
		return append(b, text...)
	}
	b = append(b, '"')
	for _, c := range text {
		if c == '"' {
			b = append(b, '"')
		}
		b = append(b, c)
	}
	return append(b, '"')
}
