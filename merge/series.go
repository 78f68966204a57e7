// Package merge brings sorted runs together: k-way by series key and time,
// the value of the later sequence winning field by field, tombstones applied.
// Flush and compaction read through it; scan has a merge of its own, for which
// docs/DESIGN.md gives the reason.
//
// Inputs stand in ascending order of sequence. Because a delete seals the
// memtable, each input is wholly older or wholly younger than any tombstone,
// so tombstones are applied to an input before it meets the others.
//
// Nothing here is safe for concurrent use; make one for each goroutine.
package merge

import (
	"sort"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/run"
	"github.com/varvedb/varve/tombstone"
)

// Source is the rows of one series in one input: a cursor that stands on them
// (after Seek), and what tombstones hide of them.
type Source struct {
	Cursor run.Cursor
	Hidden []tombstone.Hidden
}

// Series merges the rows of one series from several sources.
type Series struct {
	fields  []column.FieldInfo
	sources []source
	n       int // of sources, those in use
	out     column.Rows
	view    column.Rows
}

type source struct {
	Source
	rows     *column.Rows // what was read last; nil at the end
	at       int          // first row of rows that was not given out
	filtered column.Rows
	near     []tombstone.Hidden // what hides something of rows
}

// copyBelow is how long a stretch of rows of one source must be to be handed
// on as it is; shorter ones are copied together, because a consumer's cost
// for each call would outweigh copying them.
const copyBelow = 128

// outRows is how many rows are copied together at most: a block's worth of
// one column fits the first-level cache.
const outRows = 2048

// NewSeries returns a merger for cursors that read these fields. Columns of
// sources that lack a field have Type 0.
func NewSeries(fields []column.FieldInfo) *Series {
	return &Series{fields: fields}
}

// Reset begins a new series. sources ascend by sequence.
func (s *Series) Reset(sources []Source) error {
	s.n = len(sources)
	for len(s.sources) < s.n {
		s.sources = append(s.sources, source{})
	}
	for i := range sources {
		src := &s.sources[i]
		src.Source = sources[i]
		if err := s.load(src); err != nil {
			return err
		}
	}
	return nil
}

// load reads the next rows of a source.
func (s *Series) load(src *source) error {
	for {
		rows, err := src.Cursor.Next()
		if err != nil {
			return err
		}
		if rows != nil && len(src.Hidden) > 0 {
			rows = s.filter(src, rows)
		}
		src.rows, src.at = rows, 0
		if rows == nil || len(rows.Time) > 0 {
			return nil
		}
	}
}

// Next returns the next merged rows, nil at the end. They are valid until the
// next call.
func (s *Series) Next() (*column.Rows, error) {
	s.out.Reset(s.fields)
	for {
		first, limit, tie, err := s.earliest()
		if err != nil {
			return nil, err
		}
		if first < 0 {
			break
		}
		if tie {
			s.mergeRow(s.sources[first].rows.Time[s.sources[first].at])
		} else {
			src := &s.sources[first]
			from, to := src.at, len(src.rows.Time)
			if src.rows.Time[to-1] >= limit {
				to = from + sort.Search(to-from, func(i int) bool { return src.rows.Time[from+i] >= limit })
			}
			if to-from >= copyBelow {
				if len(s.out.Time) > 0 {
					break // give out what was copied first
				}
				src.at = to
				if from == 0 && to == len(src.rows.Time) {
					return src.rows, nil
				}
				src.rows.SliceInto(&s.view, from, to)
				return &s.view, nil
			}
			s.copy(src.rows, from, to)
			src.at = to
		}
		if len(s.out.Time) >= outRows {
			break
		}
	}
	if len(s.out.Time) == 0 {
		return nil, nil
	}
	return &s.out, nil
}

// earliest returns the source with the earliest row, the earliest time of all
// others, and whether another has a row at that very time. first is -1 when
// all sources are at their end.
func (s *Series) earliest() (first int, limit int64, tie bool, err error) {
	first, limit = -1, column.MaxTime+1
	var lowest int64
	for i := range s.n {
		src := &s.sources[i]
		if src.rows != nil && src.at == len(src.rows.Time) {
			if err := s.load(src); err != nil {
				return -1, 0, false, err
			}
		}
		if src.rows == nil {
			continue
		}
		t := src.rows.Time[src.at]
		switch {
		case first < 0:
			first, lowest = i, t
		case t < lowest:
			first, limit, lowest, tie = i, lowest, t, false
		default:
			tie = tie || t == lowest
			limit = min(limit, t)
		}
	}
	return first, limit, tie, nil
}

// mergeRow appends one row at time t from every source that has it.
func (s *Series) mergeRow(t int64) {
	s.out.Time = append(s.out.Time, t)
	for c := range s.out.Cols {
		done := false
		for i := s.n - 1; i >= 0 && !done; i-- {
			src := &s.sources[i]
			if src.rows == nil || src.at == len(src.rows.Time) || src.rows.Time[src.at] != t {
				continue
			}
			if v := &src.rows.Cols[c]; v.Type != 0 && v.Valid.Get(src.at) {
				s.out.Cols[c].AppendRow(v, src.at)
				done = true
			}
		}
		if !done {
			s.out.Cols[c].AppendNulls(1)
		}
	}
	for i := range s.n {
		src := &s.sources[i]
		if src.rows != nil && src.at < len(src.rows.Time) && src.rows.Time[src.at] == t {
			src.at++
		}
	}
}

// copy appends rows from to to-1.
func (s *Series) copy(rows *column.Rows, from, to int) {
	s.out.Time = append(s.out.Time, rows.Time[from:to]...)
	for c := range s.out.Cols {
		if rows.Cols[c].Type == 0 {
			s.out.Cols[c].AppendNulls(to - from)
			continue
		}
		part := rows.Cols[c].Slice(from, to)
		s.out.Cols[c].Append(&part)
	}
}

// filter returns rows without what tombstones hide. Rows that lose the last
// of the values that are read go altogether.
func (s *Series) filter(src *source, rows *column.Rows) *column.Rows {
	n := len(rows.Time)
	src.near = tombstone.Between(src.near[:0], src.Hidden, rows.Time[0], rows.Time[n-1])
	if len(src.near) == 0 {
		return rows
	}
	out := &src.filtered
	out.Reset(s.fields)
	for r := range n {
		s.filterRow(out, src.near, rows, r)
	}
	return out
}

func (s *Series) filterRow(out *column.Rows, hidden []tombstone.Hidden, rows *column.Rows, r int) {
	t := rows.Time[r]
	some := false
	for _, h := range hidden {
		if t < h.Min || t > h.Max {
			continue
		}
		if len(h.Fields) == 0 {
			return
		}
		some = true
	}
	kept := 0
	for c := range out.Cols {
		v := &rows.Cols[c]
		if v.Type == 0 || !v.Valid.Get(r) || some && fieldHidden(hidden, t, s.fields[c].Name) {
			out.Cols[c].AppendNulls(1)
			continue
		}
		out.Cols[c].AppendRow(v, r)
		kept++
	}
	if some && kept == 0 {
		for c := range out.Cols {
			out.Cols[c].Truncate(len(out.Time))
		}
		return
	}
	out.Time = append(out.Time, t)
}

func fieldHidden(hidden []tombstone.Hidden, t int64, field string) bool {
	for _, h := range hidden {
		if t < h.Min || t > h.Max {
			continue
		}
		for _, f := range h.Fields {
			if f == field {
				return true
			}
		}
	}
	return false
}
