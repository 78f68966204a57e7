package analysis

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// effectiveness returns experimental/oee.
func effectiveness() *lib.Package {
	op := func(c *value.Call) *Effectiveness {
		e := &Effectiveness{Running: c.Str("runningState", "")}
		for name, to := range map[string]*int64{"plannedTime": &e.Planned, "idealCycleTime": &e.Ideal} {
			if v := c.Arg(name); v.Kind() == value.Duration {
				*to = v.Duration().Nanos
			} else {
				*to = v.Int()
			}
		}
		return e
	}
	return lib.New("experimental/oee").
		Func("computeAPQ", "productionEvents: stream, partEvents: stream, runningState: string, plannedTime: duration|int, idealCycleTime: duration|int", func(c *value.Call) (value.Value, error) {
			return flow.New(c, op(c), flow.Input(c, "productionEvents"), flow.Input(c, "partEvents")), nil
		}).
		Func("APQ", "<-tables: stream, runningState: string, plannedTime: duration|int, idealCycleTime: duration|int", func(c *value.Call) (value.Value, error) {
			return flow.New(c, op(c), flow.Input(c, "tables"), flow.Input(c, "tables")), nil
		})
}

// Effectiveness is the overall effectiveness of equipment: availability, the
// part of the planned time in which it ran; performance, the parts made against
// those that could be made while it ran; quality, the part that is good; and
// the product of the three. The first stream has the states of the equipment,
// the second running counts of parts; tables of equal keys belong together.
type Effectiveness struct {
	Running        string // the state in which equipment runs
	Planned, Ideal int64  // the time planned and that for a part, nanoseconds
}

// Name implements flow.Op.
func (e *Effectiveness) Name() string { return "oee.computeAPQ" }

// Details implements flow.Op.
func (e *Effectiveness) Details() string {
	return fmt.Sprintf("runningState: %q, plannedTime: %dns, idealCycleTime: %dns", e.Running, e.Planned, e.Ideal)
}

// parts is how many parts a table tells were made.
type parts struct{ all, bad int64 }

// Open implements flow.Op.
func (e *Effectiveness) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	if e.Planned <= 0 || e.Ideal <= 0 {
		return nil, fmt.Errorf("plannedTime and idealCycleTime must be above zero and without months")
	}
	return flow.AtOnce(run, in, func(account *flow.Account, emit func(*table.Table) error) error {
		made := map[string]parts{}
		counts := table.NewWhole(in[1], account.Add)
		for {
			t, err := counts.Next()
			if err != nil {
				return err
			}
			if t == nil {
				break
			}
			if t.Rows == 0 {
				continue
			}
			var p parts
			for label, to := range map[string]*int64{"partCount": &p.all, "badCount": &p.bad} {
				c, err := t.Need(label, value.Int)
				if err != nil {
					return err
				}
				*to = c.Int(t.Rows-1) - c.Int(0)
			}
			made[t.Key.ID()] = p
		}
		states := table.NewWhole(in[0], account.Add)
		for {
			t, err := states.Next()
			if t == nil || err != nil {
				return err
			}
			p, ok := made[t.Key.ID()]
			if !ok || t.Rows == 0 {
				continue
			}
			ran, stop, err := e.ran(t)
			if err != nil {
				return err
			}
			if err := emit(e.row(t.Key, ran, stop, p)); err != nil {
				return err
			}
		}
	}), nil
}

// ran returns for how long equipment ran until the stop of a table.
func (e *Effectiveness) ran(t *table.Table) (ran, stop int64, err error) {
	at, err := t.Need("_time", value.Time)
	if err != nil {
		return 0, 0, err
	}
	end, err := t.Need("_stop", value.Time)
	if err != nil {
		return 0, 0, err
	}
	state, err := t.Need("state", value.String)
	if err != nil {
		return 0, 0, err
	}
	stop = end.Int(t.Rows - 1)
	for i := range t.Rows {
		until := stop
		if i+1 < t.Rows {
			until = at.Int(i + 1)
		}
		if !state.Null(i) && string(state.Bytes(i)) == e.Running {
			ran += until - at.Int(i)
		}
	}
	return ran, stop, nil
}

func (e *Effectiveness) row(key *table.Key, ran, stop int64, p parts) *table.Table {
	availability := float64(ran) / float64(e.Planned)
	performance := float64(p.all) * float64(e.Ideal) / float64(ran)
	quality := float64(p.all-p.bad) / float64(p.all)
	t := (&table.Table{Key: key, Rows: 1}).WithKey(key)
	for _, c := range []struct {
		label string
		v     value.Value
	}{
		{"_time", value.OfTime(stop)},
		{"_stop", value.OfTime(stop)},
		{"availability", value.OfFloat(availability)},
		{"performance", value.OfFloat(performance)},
		{"quality", value.OfFloat(quality)},
		{"oee", value.OfFloat(availability * performance * quality)},
		{"runTime", value.OfInt(ran)},
	} {
		t = t.With(table.Constant(c.label, c.v))
	}
	return t
}
