package series

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Elapsed adds a column of the time since the row before, in whole units. The
// first row of a table is left out.
type Elapsed struct {
	Unit       value.Span
	TimeColumn string
	Column     string // of the result
}

// Name implements flow.Op.
func (e *Elapsed) Name() string { return "elapsed" }

// Details implements flow.Op.
func (e *Elapsed) Details() string {
	return fmt.Sprintf("unit: %s, timeColumn: %q, columnName: %q", e.Unit, e.TimeColumn, e.Column)
}

// Open implements flow.Op.
func (e *Elapsed) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	unit, err := perUnit(e.Unit)
	if err != nil {
		return nil, err
	}
	return walk(in[0], func() walker { return &elapsing{of: e, unit: unit} }), nil
}

type elapsing struct {
	of    *Elapsed
	unit  int64
	begun bool
	known bool // last is a time
	last  int64
}

func (e *elapsing) piece(t *table.Table) (*table.Table, error) {
	at, err := t.Need(e.of.TimeColumn, value.Time)
	if err != nil {
		return nil, err
	}
	out := make([]int64, t.Rows)
	var none gaps
	for i := range out {
		if at.Null(i) {
			none.add(i, len(out))
			continue
		}
		now := at.Int(i)
		if e.known {
			out[i] = (now - e.last) / e.unit
		} else {
			none.add(i, len(out))
		}
		e.known, e.last = true, now
	}
	with := t.With(made(e.of.Column, value.Int, out, &none))
	if !e.begun && t.Rows > 0 {
		e.begun = true
		with = with.Slice(1, t.Rows)
	}
	return with, nil
}

func (e *elapsing) end() (*table.Table, error) { return nil, nil }
