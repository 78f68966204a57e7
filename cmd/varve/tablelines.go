package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// tableLines writes each row of the tables as a JSON object: on a line of its
// own or, as an array, all in one.
type tableLines struct {
	out   *bufio.Writer
	array bool
	rows  int
	line  []byte
	keys  [][]byte // of the present table, quoted
}

func newTableLines(out io.Writer, array bool) *tableLines {
	return &tableLines{out: bufio.NewWriter(out), array: array}
}

// add implements tableSink.
func (l *tableLines) add(p piece) error {
	if p.first {
		l.keys = l.keys[:0]
		for _, c := range p.Cols {
			l.keys = append(l.keys, quoted(c.Label))
		}
	}
	for row := range p.Rows {
		b := l.line[:0]
		switch {
		case l.array && l.rows == 0:
			b = append(b, "[\n"...)
		case l.array:
			b = append(b, ",\n"...)
		}
		b = append(b, '{')
		// A column of the same name is what the script means.
		if p.Find("result") < 0 {
			b = append(append(b, `"result":`...), quoted(p.result)...)
		}
		if p.Find("table") < 0 && p.number != "" {
			b = append(append(comma(b), `"table":`...), p.number...)
		}
		for i := range p.Cols {
			b = append(append(comma(b), l.keys[i]...), ':')
			b = appendJSON(b, &p.Cols[i], row)
		}
		b = append(b, '}')
		if !l.array {
			b = append(b, '\n')
		}
		if _, err := l.out.Write(b); err != nil {
			return err
		}
		l.line = b
		l.rows++
	}
	// What is there is shown before more is waited for.
	return l.out.Flush()
}

func comma(b []byte) []byte {
	if b[len(b)-1] != '{' {
		return append(b, ',')
	}
	return b
}

// end implements tableSink.
func (l *tableLines) end() error {
	if l.array {
		end := "\n]\n"
		if l.rows == 0 {
			end = "[]\n"
		}
		if _, err := l.out.WriteString(end); err != nil {
			return err
		}
	}
	return l.out.Flush()
}

func quoted(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic("BUG: a string has no JSON: " + err.Error())
	}
	return b
}

// appendJSON appends a cell. JSON has no word for infinities and what is no
// number, which are null, as in the answers of POST /query.
func appendJSON(b []byte, c *table.Column, row int) []byte {
	if c.Null(row) {
		return append(b, "null"...)
	}
	switch c.Kind {
	case value.Bool:
		return strconv.AppendBool(b, c.Word(row) != 0)
	case value.Int:
		return strconv.AppendInt(b, c.Int(row), 10)
	case value.Uint:
		return strconv.AppendUint(b, c.Word(row), 10)
	case value.Float:
		f := c.Float(row)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return append(b, "null"...)
		}
		return strconv.AppendFloat(b, f, 'g', -1, 64)
	case value.Time:
		b = append(b, '"')
		b = time.Unix(0, c.Int(row)).UTC().AppendFormat(b, time.RFC3339Nano)
		return append(b, '"')
	case value.String:
		return append(b, quoted(string(c.Bytes(row)))...)
	}
	panic(fmt.Sprintf("BUG: a column of type %s in CSV", c.Kind))
}
