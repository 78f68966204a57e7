package wlog

import (
	"errors"
	"fmt"
)

var (
	// ErrTrimmed says that records at the position are gone.
	ErrTrimmed = errors.New("log records at this position were trimmed")
	// ErrAhead says that the log ends before the position.
	ErrAhead = errors.New("position is past the end of the log")
	// ErrClosed says that the log was closed.
	ErrClosed = errors.New("log is closed")
	// ErrFailed says that the log could not make the records durable; the
	// error wraps the cause as well. A later append is tried afresh.
	ErrFailed = errors.New("log refuses appends")
	// ErrTooLarge says that a payload exceeds MaxPayload.
	ErrTooLarge = errors.New("log record is too large")
)

// CorruptError says that records which were durable cannot be read.
type CorruptError struct {
	File   string
	Offset int64
	Reason string
	// First and Last bound the sequences that are lost, inclusively; First
	// greater than Last means that no record is.
	First, Last uint64
}

func (e *CorruptError) Error() string {
	s := fmt.Sprintf("log file %s is corrupt at offset %d: %s", e.File, e.Offset, e.Reason)
	switch {
	case e.First == e.Last:
		s += fmt.Sprintf("; record %d is lost", e.First)
	case e.First < e.Last:
		s += fmt.Sprintf("; records %d to %d are lost", e.First, e.Last)
	}
	return s
}
