package transform

import (
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// AlignTime moves the times of each table so that its first row is at To, in
// nanoseconds since 1970.
type AlignTime struct{ To int64 }

// Name implements flow.Op.
func (*AlignTime) Name() string { return "experimental.alignTime" }

// Details implements flow.Op.
func (a *AlignTime) Details() string {
	return "alignTo: " + time.Unix(0, a.To).UTC().Format(time.RFC3339Nano)
}

// Open implements flow.Op.
func (a *AlignTime) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	var key *table.Key
	var by int64
	begun := false
	return flow.EachPiece(in[0], func(t *table.Table) (*table.Table, error) {
		times, err := t.Need(timeLabel, value.Time)
		if err != nil {
			return nil, err
		}
		if key == nil || !key.Equal(t.Key) {
			key, begun = t.Key, false
		}
		if t.Rows == 0 {
			return t, nil
		}
		if !begun {
			by, begun = a.To-times.Int(0), true
		}
		moved := table.NewColumn(timeLabel, value.Time)
		moved.Same = times.Same
		rows := t.Rows
		if times.Same {
			rows = 1
		}
		for i := range rows {
			if times.Null(i) {
				moved.Append(value.NullOf(value.Time))
				continue
			}
			moved.Vec.AppendWord(uint64(times.Int(i) + by))
		}
		out := t.With(moved)
		if t.Key.Has(timeLabel) {
			out.Key = t.Key.Set(timeLabel, moved.Value(0))
		}
		return out, nil
	}), nil
}
