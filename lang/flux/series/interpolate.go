package series

import (
	"fmt"
	"time"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Interpolate adds rows at the times that are a multiple of an interval since
// 1970, between the rows that there are, with values on the straight line from
// one to the next.
type Interpolate struct{ Every value.Span }

// Name implements flow.Op.
func (p *Interpolate) Name() string { return "interpolate.linear" }

// Details implements flow.Op.
func (p *Interpolate) Details() string { return "every: " + p.Every.String() }

// maxAdded is how many rows are added to a table at most.
const maxAdded = 50_000_000

// Open implements flow.Op.
func (p *Interpolate) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	if p.Every.IsZero() || p.Every.Negative() {
		return nil, fmt.Errorf("every must be above zero, not %s", p.Every)
	}
	account := run.Account()
	return flow.EachTable(run, in[0], func(t *table.Table, emit func(*table.Table) error) error {
		account.Clear()
		out, err := p.fill(run, &account, t)
		if err != nil {
			return err
		}
		return emit(out)
	}), nil
}

func (p *Interpolate) fill(run *flow.Run, account *flow.Account, t *table.Table) (*table.Table, error) {
	at, err := t.Need(timeLabel, value.Time)
	if err != nil {
		return nil, err
	}
	c, err := t.Need(valueLabel, value.Float)
	if err != nil {
		return nil, err
	}
	for i := range t.Cols {
		if l := t.Cols[i].Label; l != timeLabel && l != valueLabel && !t.Key.Has(l) {
			return nil, fmt.Errorf("column %q is not in the group key: all but %s and %s must be", l, timeLabel, valueLabel)
		}
	}
	var times []int64
	var values []float64
	for i := range t.Rows {
		if at.Null(i) || c.Null(i) {
			return nil, fmt.Errorf("row %d has a null in %s or %s: drop such rows first", i, timeLabel, valueLabel)
		}
		now, v := at.Int(i), c.Float(i)
		if i > 0 {
			t0, v0 := at.Int(i-1), c.Float(i-1)
			for next := p.after(t0); next < now; next = p.after(next) {
				times = append(times, next)
				values = append(values, v0+(v-v0)*(float64(next-t0)/float64(now-t0)))
				if len(times)%1024 == 0 {
					if err := p.check(run, account, len(times)); err != nil {
						return nil, err
					}
				}
			}
		}
		times, values = append(times, now), append(values, v)
	}
	out := (&table.Table{Key: t.Key, Rows: len(times)}).WithKey(t.Key)
	return out.With(table.Times(timeLabel, times)).With(table.Floats(valueLabel, values)), nil
}

func (p *Interpolate) check(run *flow.Run, account *flow.Account, rows int) error {
	if rows > maxAdded {
		return fmt.Errorf("a table would have more than %d rows: use a longer interval", maxAdded)
	}
	if err := run.Ended(); err != nil {
		return err
	}
	return account.Add(1024 * 16)
}

// after returns the first multiple of the interval after t.
func (p *Interpolate) after(t int64) int64 {
	if ns, fixed := p.Every.Fixed(); fixed {
		next := t - t%ns + ns
		if t%ns < 0 {
			next -= ns
		}
		return next
	}
	y, m, _ := time.Unix(0, t).UTC().Date()
	months := (int64(y)-1970)*12 + int64(m) - 1
	months -= ((months % p.Every.Months) + p.Every.Months) % p.Every.Months
	return value.Span{Months: months + p.Every.Months}.AddTo(0, time.UTC) + p.Every.Nanos
}
