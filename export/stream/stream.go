// Package stream owns what an export asks for and the form in which rows
// travel from a server to who writes them to files: a Request, the Receiver
// that both ends implement, and the frames between them (FORMAT.md). The rows
// keep their exact types, which JSON would not.
//
// Server answers a Request by calling a Receiver; over HTTP that is an
// Encoder, and Decode calls the Receiver of package export at the other end.
//
// An Encoder and a Decode belong to one goroutine each.
package stream

import (
	"fmt"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/predicate"
)

// Request says which rows of a bucket are wanted.
type Request struct {
	Measurements []string // none: all
	Start, Stop  int64    // nanoseconds since 1970; Stop itself is left out
	Tags         *predicate.Expr
	Partition    Partition
}

// Whole is a request for all rows of a bucket.
func Whole() Request {
	return Request{Start: column.MinTime, Stop: column.MaxTime + 1, Partition: None}
}

// Partition is the length of time by which rows are parted.
type Partition string

// The partitions: all times together, or days or months in UTC.
const (
	None  Partition = "none"
	Day   Partition = "day"
	Month Partition = "month"
)

// Validate reports a partition that is not known.
func (p Partition) Validate() error {
	switch p {
	case None, Day, Month:
		return nil
	}
	return fmt.Errorf("partition %q is not known: want day, month or none", string(p))
}

// Label returns the name of the stretch of time that t belongs to, such as
// 2026-01-02 or 2026-01; empty for None.
func (p Partition) Label(t int64) string {
	at := time.Unix(0, t).UTC()
	switch p {
	case Day:
		return at.Format(time.DateOnly)
	case Month:
		return at.Format("2006-01")
	}
	return ""
}

// Schema is what all rows of a measurement have in common: each is a subset of
// these names, which ascend.
type Schema struct {
	Measurement string
	Tags        []string
	Fields      []column.FieldInfo
}

// Receiver takes the rows of an export: a measurement, then its rows, then the
// next measurement. An error ends the export and is returned by it.
type Receiver interface {
	// Measurement says whose rows follow.
	Measurement(s *Schema) error
	// Rows takes rows of the last measurement and of one stretch of the
	// partition; stretches ascend. Within one, rows come series by series, in
	// the order of time. The table is valid until Rows returns.
	Rows(t *column.Table) error
}
