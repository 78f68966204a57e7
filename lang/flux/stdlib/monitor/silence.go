package monitor

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Silence tells of each table whether it is dead: it has at most so many rows.
// Its result is a row of the group key. If there is no table at all, one of the
// measurement is dead.
type Silence struct {
	Measurement string
	Threshold   float64
	Now         int64 // the time of the result, nanoseconds since 1970
}

// Name implements flow.Op.
func (s *Silence) Name() string { return "tickscript.deadman" }

// Details implements flow.Op.
func (s *Silence) Details() string {
	return fmt.Sprintf("measurement: %q, threshold: %v, now: %s", s.Measurement, s.Threshold, shortly(s.Now))
}

// Open implements flow.Op.
func (s *Silence) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.AtOnce(run, in, func(_ *flow.Account, emit func(*table.Table) error) error {
		var keys []*table.Key
		rows := map[string]int{}
		for {
			t, err := in[0].Next()
			if err != nil {
				return err
			}
			if t == nil {
				break
			}
			if _, known := rows[t.Key.ID()]; !known {
				keys = append(keys, t.Key)
			}
			rows[t.Key.ID()] += t.Rows
		}
		if len(keys) == 0 {
			keys = append(keys, table.NewKey([]string{"_measurement"}, []value.Value{value.OfString(s.Measurement)}))
		}
		for _, k := range keys {
			dead := float64(rows[k.ID()]) <= s.Threshold
			t := (&table.Table{Key: k, Rows: 1}).WithKey(k)
			if t.Col("_measurement") == nil {
				t = t.With(table.Constant("_measurement", value.OfString(s.Measurement)))
			}
			t = t.With(table.Constant("_time", value.OfTime(s.Now))).With(table.Constant("dead", value.OfBool(dead)))
			if err := emit(t); err != nil {
				return err
			}
		}
		return nil
	}), nil
}
