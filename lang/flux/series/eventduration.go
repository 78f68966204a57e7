package series

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// EventDuration adds a column of how long the event of each row lasted: until
// that of the next row, and that of the last row until a stop.
type EventDuration struct {
	Unit       value.Span
	Column     string // of the result
	TimeColumn string
	StopColumn string      // whose last value is the stop
	Stop       value.Value // a time, or Absent: StopColumn holds
}

// Name implements flow.Op.
func (d *EventDuration) Name() string { return "events.duration" }

// Details implements flow.Op.
func (d *EventDuration) Details() string {
	return fmt.Sprintf("unit: %s, columnName: %q, timeColumn: %q, stopColumn: %q", d.Unit, d.Column, d.TimeColumn, d.StopColumn)
}

// Open implements flow.Op.
func (d *EventDuration) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	unit, err := perUnit(d.Unit)
	if err != nil {
		return nil, err
	}
	return flow.EachTable(run, in[0], func(t *table.Table, emit func(*table.Table) error) error {
		c, err := d.durations(t, unit)
		if err != nil {
			return err
		}
		return emit(t.With(c))
	}), nil
}

func (d *EventDuration) durations(t *table.Table, unit int64) (table.Column, error) {
	at, err := t.Need(d.TimeColumn, value.Time)
	if err != nil {
		return table.Column{}, err
	}
	out := make([]int64, t.Rows)
	if t.Rows == 0 {
		return made(d.Column, value.Int, out, &gaps{}), nil
	}
	stop := d.Stop
	if stop.IsAbsent() {
		c, err := t.Need(d.StopColumn, value.Time)
		if err != nil {
			return table.Column{}, fmt.Errorf("%w: give a stop, or bound the tables with range()", err)
		}
		stop = c.Value(t.Rows - 1)
	}
	if stop.IsNull() {
		return table.Column{}, fmt.Errorf("the stop of the last event is null")
	}
	for i := range out {
		if at.Null(i) {
			return table.Column{}, errNullTime
		}
		end := stop.Time()
		if i+1 < t.Rows {
			end = at.Int(i + 1)
		}
		out[i] = (end - at.Int(i)) / unit
	}
	return made(d.Column, value.Int, out, &gaps{}), nil
}
