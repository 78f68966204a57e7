package query

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/scan"
)

// Stored is a whole answer that is kept. Nobody changes it.
type Stored struct {
	batches []*scan.Batch
	rows    int64
	bytes   int64
	at      time.Time     // when it was computed
	took    time.Duration // by the run that computed it
}

// storedBytes is counted for an answer besides its batches.
const storedBytes = 128

// add appends a copy of a batch, which takes so many bytes.
func (s *Stored) add(b *scan.Batch, bytes int64) {
	c := &scan.Batch{
		Measurement: b.Measurement, Groups: slices.Clone(b.Groups),
		Time: slices.Clone(b.Time), Start: slices.Clone(b.Start), Stop: slices.Clone(b.Stop),
		Columns: make([]scan.Column, len(b.Columns)),
	}
	for i := range c.Groups {
		c.Groups[i].Key = slices.Clone(c.Groups[i].Key)
	}
	for i := range b.Columns {
		from, to := &b.Columns[i], &c.Columns[i]
		to.Field, to.Call, to.Func = from.Field, from.Call, from.Func
		to.Vector = column.Vector{Type: from.Type}
		to.Append(&from.Vector)
		to.At, to.Overflow, to.Series = slices.Clone(from.At), slices.Clone(from.Overflow), slices.Clone(from.Series)
		for k := range to.Series {
			to.Series[k] = slices.Clone(to.Series[k])
		}
	}
	s.batches = append(s.batches, c)
	s.rows += int64(b.Rows())
	s.bytes += bytes
}

// What Go needs for a batch, a group and a column besides their contents,
// rounded up.
const (
	batchBytes  = 192
	groupBytes  = 40
	columnBytes = 256
	keyBytes    = 24 // of a series key in a column
)

// sizeOf returns the memory that a copy of b takes. b itself may take more:
// it can be a view of something larger.
func sizeOf(b *scan.Batch) int64 {
	n := batchBytes + 8*(len(b.Time)+len(b.Start)+len(b.Stop))
	for i := range b.Groups {
		n += groupBytes + len(b.Groups[i].Key)
	}
	for i := range b.Columns {
		c := &b.Columns[i]
		n += columnBytes + 8*(len(c.Words)+len(c.At)) + len(c.Overflow)
		if !c.Valid.All() {
			n += c.Len()/8 + 8
		}
		if rows := len(c.Ends); rows > 0 {
			n += 4*rows + int(c.Ends[rows-1]-c.Vector.Start)
		}
		for _, key := range c.Series {
			n += keyBytes + len(key)
		}
	}
	return int64(n)
}

// replay is a Stored as rows.
type replay struct {
	*Stored
	plan *plan.Plan
	at   int
}

func (r *replay) Next() (*scan.Batch, error) {
	if r.at == len(r.batches) {
		return nil, nil
	}
	r.at++
	return r.batches[r.at-1], nil
}

// Stats is zero: nothing was read.
func (r *replay) Stats() scan.Stats { return scan.Stats{} }

func (r *replay) Explain() string {
	s := fmt.Sprintf("from the result cache: %d rows in %d batches, computed at %s in %s\n", r.rows, len(r.batches),
		r.Stored.at.UTC().Format(time.RFC3339), r.took.Round(time.Microsecond))
	for line := range strings.Lines(r.plan.String()) {
		s += "  " + line
	}
	return s + "\n"
}

func (r *replay) Close() {}
