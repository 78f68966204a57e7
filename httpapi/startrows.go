package httpapi

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/jsonpoints"
)

// startRows makes the lines of a stream of the pieces of an answer.
type startRows struct {
	put   func(lines []byte, points int) error
	lines []byte
	table column.Table

	// Last values of the present series.
	values []lastValue
}

// lastValue is the last value of a field.
type lastValue struct {
	at    int64
	field string
	value column.Vector // of one row
}

// rows sends the rows of a piece.
func (s *startRows) rows(p *Piece) error {
	s.begin(p.Measurement, p.Tags)
	for range p.Rows.Time {
		s.table.Row = append(s.table.Row, 0)
	}
	s.table.Time = p.Rows.Time
	for c := range p.Rows.Cols {
		if p.Rows.Cols[c].Type != 0 {
			s.table.Fields = append(s.table.Fields, column.Field{Name: p.Fields[c], Vector: p.Rows.Cols[c]})
		}
	}
	return s.send()
}

// begin empties the table for rows of one series.
func (s *startRows) begin(measurement string, tags []byte) {
	s.table = column.Table{Measurement: measurement, Series: s.table.Series, Row: s.table.Row[:0], Fields: s.table.Fields[:0]}
	s.table.Series.Reset()
	s.table.Series.Add(tags, 0)
}

func (s *startRows) send() error {
	s.lines = jsonpoints.AppendLines(s.lines[:0], &column.Batch{Tables: []*column.Table{&s.table}})
	if n := bytes.Count(s.lines, []byte{'\n'}); n > 0 {
		return s.put(s.lines, n)
	}
	return nil
}

// lasts gathers a piece with the last value of a field of a series. The fields
// of a series come one behind the other, and those of one time make a point.
func (s *startRows) lasts(p *Piece) error {
	same := len(s.values) > 0 && s.table.Measurement == p.Measurement && string(s.table.Series.Key(0)) == string(p.Tags)
	if !same {
		if err := s.end(); err != nil {
			return err
		}
		s.begin(p.Measurement, p.Tags)
	}
	for c := range p.Rows.Cols {
		for i, at := range p.Rows.Time {
			v := &p.Rows.Cols[c]
			if v.Type == 0 || !v.Valid.Get(i) {
				continue
			}
			one := column.Vector{Type: v.Type}
			one.AppendRow(v, i)
			s.values = append(s.values, lastValue{at, p.Fields[c], one})
		}
	}
	return nil
}

// end sends what was gathered.
func (s *startRows) end() error {
	slices.SortStableFunc(s.values, func(a, b lastValue) int { return cmp.Compare(a.at, b.at) })
	for i := 0; i < len(s.values); {
		s.table.Row, s.table.Time, s.table.Fields = append(s.table.Row[:0], 0), []int64{s.values[i].at}, s.table.Fields[:0]
		for at := s.values[i].at; i < len(s.values) && s.values[i].at == at; i++ {
			s.table.Fields = append(s.table.Fields, column.Field{Name: s.values[i].field, Vector: s.values[i].value})
		}
		if err := s.send(); err != nil {
			return err
		}
	}
	s.values = s.values[:0]
	return nil
}
