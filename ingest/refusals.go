package ingest

import (
	"cmp"
	"context"
	"slices"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/trace"
)

// WriteRows does what Write does, for those who must know which rows were left
// out: instead of a *PartialWriteError, refused is called for each of them, by
// its table and row in b, in that order. It is called when the others are
// durable and visible, and not at all if WriteRows returns an error: then b is
// to be written again as a whole. reason says what was wrong with that row;
// of several things, the first that was found.
func (w *Writer) WriteRows(ctx context.Context, bucket meta.Bucket, b *column.Batch, refused func(table, row int, kind DropKind, reason string)) (err error) {
	ctx, span := trace.Start(ctx, "ingest")
	defer func() { span.End(err) }()
	drops := drops{each: &refusals{}}
	points, err := w.write(ctx, &bucket, b, &drops)
	if err != nil {
		return err
	}
	span.Int("points", int64(points))
	drops.each.report(refused)
	return nil
}

// refusals is which rows of a batch were left out. Rows are dropped in several
// steps, each of which makes smaller tables; it follows them back to the
// caller's. Nothing is kept of a table as long as none of its rows is dropped.
type refusals struct {
	list []refusal
	// left holds, for each table of the caller's from which rows were taken,
	// which of its rows are those of the table that is left.
	left [][]uint32
}

type refusal struct {
	table  int
	row    uint32
	kind   DropKind
	reason string
}

// add notes a row of what is left of a table.
func (f *refusals) add(table, row int, kind DropKind, reason string) {
	f.list = append(f.list, refusal{table, f.origin(table, row), kind, reason})
}

func (f *refusals) origin(table, row int) uint32 {
	if table < len(f.left) && f.left[table] != nil {
		return f.left[table][row]
	}
	return uint32(row)
}

// take notes which rows of what is left of a table go.
func (f *refusals) take(table int, drop []bool) {
	if !slices.Contains(drop, true) {
		return
	}
	left := make([]uint32, 0, len(drop))
	for r := range drop {
		if !drop[r] {
			left = append(left, f.origin(table, r))
		}
	}
	for len(f.left) <= table {
		f.left = append(f.left, nil)
	}
	f.left[table] = left
}

// report calls refused for each row, in the order of the caller's batch.
func (f *refusals) report(refused func(table, row int, kind DropKind, reason string)) {
	slices.SortFunc(f.list, func(a, b refusal) int {
		return cmp.Or(cmp.Compare(a.table, b.table), cmp.Compare(a.row, b.row))
	})
	for _, r := range f.list {
		refused(r.table, int(r.row), r.kind, r.reason)
	}
}
