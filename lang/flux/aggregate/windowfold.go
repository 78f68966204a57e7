package aggregate

import (
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/lang/flux/value"
)

// foldedWindows are windows of an aggregate.
type foldedWindows struct {
	frame
	*binding
	accs  map[int64]accumulator
	held  map[int64]int64 // of accumulators that grow
	early []earlyRows
}

// earlyRows are rows of a window that came before the column was known.
type earlyRows struct {
	window int64
	rows   int
}

func (g *foldedWindows) piece(t *table.Table, times *table.Column) error {
	known, err := g.bind(t)
	if err != nil {
		return g.failed(err)
	}
	if known && g.accs == nil {
		g.accs = map[int64]accumulator{}
		for _, e := range g.early {
			acc, err := g.acc(e.window)
			if err != nil {
				return err
			}
			g.nulls(acc, e.rows)
		}
		g.early = nil
	}
	return transform.EachRun(g.run, g.grid, times, t.Rows, func(p *transform.Place, from, to int) error {
		return g.grid.EachOf(g.run, p, func(i int64) error {
			if !known {
				g.early = append(g.early, earlyRows{i, to - from})
				return g.account.Add(16)
			}
			acc, err := g.acc(i)
			if err != nil {
				return err
			}
			acc.add(g.cols, from, to)
			return g.grown(i, acc)
		})
	})
}

// acc returns the accumulator of a window.
func (g *foldedWindows) acc(i int64) (accumulator, error) {
	if acc := g.accs[i]; acc != nil {
		return acc, nil
	}
	acc := g.fold.begin(g.kinds)
	g.accs[i] = acc
	return acc, g.account.Add(stateBytes + acc.size())
}

// grown reserves what an accumulator has grown by, if it is one that does.
func (g *foldedWindows) grown(i int64, acc accumulator) error {
	size := acc.size()
	if size <= 128 {
		return nil
	}
	if g.held == nil {
		g.held = map[int64]int64{}
	}
	held := g.held[i]
	err := grow(g.account, &held, size)
	g.held[i] = held
	return err
}

func (g *foldedWindows) table() (*table.Table, error) {
	if g.accs == nil {
		if len(g.early) == 0 && !g.op.Window.CreateEmpty {
			return nil, nil
		}
		return nil, g.failed(g.missing())
	}
	list, err := windowsOf(&g.frame, g.accs)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	if err := g.account.Add(int64(len(list)) * rowBytes); err != nil {
		return nil, err
	}
	values, times := g.column(), make([]int64, len(list))
	var empty value.Value
	if len(list) > len(g.accs) {
		empty = g.fold.begin(g.kinds).value()
	}
	for k, i := range list {
		start, stop := g.grid.Bounds(i)
		if times[k] = stop; g.op.TimeSrc == g.op.Window.StartColumn {
			times[k] = start
		}
		if acc := g.accs[i]; acc != nil {
			values.Append(acc.value())
		} else {
			values.Append(empty)
		}
	}
	key := g.key()
	t := &table.Table{Key: key, Rows: len(list)}
	for i := range g.first.Cols {
		if v, ok := key.Get(g.first.Cols[i].Label); ok && v.Kind().Columnar() {
			t.Cols = append(t.Cols, table.Constant(g.first.Cols[i].Label, v))
		}
	}
	t = t.WithKey(key)
	t.Cols = append(t.Cols, values, table.Times(g.op.TimeDst, times))
	return t, nil
}
