package ingest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/varvedb/varve/column"
)

// DropKind is why rows were left out, as metrics call it.
type DropKind string

// The kinds.
const (
	DropType      DropKind = "type_conflict" // the field has another type
	DropName      DropKind = "name_conflict" // tag and field of one name, or a name that nothing may have
	DropRetention DropKind = "retention"     // older than the bucket keeps
	DropFuture    DropKind = "future"        // too far ahead of the clock
	DropColumns   DropKind = "columns"       // the measurement has too many columns
)

// dropKinds lists all kinds.
func dropKinds() []DropKind {
	return []DropKind{DropType, DropName, DropRetention, DropFuture, DropColumns}
}

// Dropped is rows that were left out for one reason.
type Dropped struct {
	Kind   DropKind
	Reason string // for the client; of several of a kind the first is shown
	Rows   int
}

// PartialWriteError says that some rows of a batch were left out; the others
// are stored.
type PartialWriteError struct {
	Reason  string
	Dropped int // rows
}

// Error returns the text of InfluxDB, which clients look for.
func (e *PartialWriteError) Error() string {
	return fmt.Sprintf("failure writing points to database: partial write: %s dropped=%d", e.Reason, e.Dropped)
}

// DroppedRows lets those who must not import this package count them.
func (e *PartialWriteError) DroppedRows() int { return e.Dropped }

// ErrUnavailable is what every *UnavailableError is, for errors.Is.
var ErrUnavailable = errors.New("unavailable")

// noSpaceRetry is how long a full disk takes to become less full, if a
// compaction or a person is at it.
const noSpaceRetry = 10 * time.Second

// UnavailableError says that a batch cannot be taken now, but may be later:
// there is no room, or no memory. What was stored of it is unknown; to write
// it again does no harm.
type UnavailableError struct {
	Reason     string
	RetryAfter time.Duration // 0: the caller chooses
	Err        error         // the cause, if it is an error
}

func (e *UnavailableError) Error() string {
	if e.Err == nil {
		return e.Reason
	}
	return e.Reason + ": " + e.Err.Error()
}

// Is makes errors.Is(err, ErrUnavailable) hold.
func (e *UnavailableError) Is(target error) bool { return target == ErrUnavailable }

func (e *UnavailableError) Unwrap() error { return e.Err }

// drops gathers what was left out of one batch. Its zero value costs nothing.
type drops struct {
	list []Dropped // one per kind
	rows int
	each *refusals // nil: nobody asks which rows they were
}

// without returns a copy of t, table i of its batch, that lacks the rows to
// drop, nil if none is left.
func (d *drops) without(i int, t *column.Table, drop []bool) *column.Table {
	if d.each != nil {
		d.each.take(i, drop)
	}
	return without(t, drop)
}

// add counts rows; reason is called if it is the first of its kind.
func (d *drops) add(kind DropKind, rows int, reason func() string) {
	if rows == 0 {
		return
	}
	d.rows += rows
	if i := slices.IndexFunc(d.list, func(have Dropped) bool { return have.Kind == kind }); i >= 0 {
		d.list[i].Rows += rows
		return
	}
	d.list = append(d.list, Dropped{Kind: kind, Reason: reason(), Rows: rows})
}

func (d *drops) err() error {
	if d.rows == 0 {
		return nil
	}
	reasons := make([]string, len(d.list))
	for i := range d.list {
		reasons[i] = d.list[i].Reason
	}
	return &PartialWriteError{Reason: strings.Join(reasons, "; "), Dropped: d.rows}
}
