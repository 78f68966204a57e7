package pipeline

import (
	"fmt"
	"strings"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/batch"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/protocol/lineproto"
)

// liner writes records as line protocol. The zero liner is ready.
type liner struct {
	builder *batch.Builder
	text    []byte
	record  record.Record
}

// line writes a record, or says why that cannot be.
func (l *liner) line(r *record.Record, at int64) string {
	if len(r.Fields) == 0 {
		return fmt.Sprintf("(%s: no fields)", r.Measurement)
	}
	if l.builder == nil {
		l.builder = batch.NewBuilder()
	}
	l.builder.Begin(func(_, _ string) column.Type { return 0 })
	if err := l.builder.Add(copyOf(r), at, 0); err != nil {
		return "(" + err.Error() + ")"
	}
	text, err := lineproto.AppendLines(l.text[:0], l.builder.End())
	if err != nil {
		return "(" + err.Error() + ")"
	}
	l.text = text
	out := strings.TrimSuffix(string(text), "\n")
	if !r.Timed && at == 0 {
		out = strings.TrimSuffix(out, " 0")
	}
	return out
}

// row writes a row of a batch.
func (l *liner) row(b *column.Batch, table, row int) string {
	batch.Row(b.Tables[table], row, &l.record)
	return l.line(&l.record, l.record.Time)
}

// line writes a record as line protocol.
func line(r *record.Record, at int64) string { return new(liner).line(r, at) }
