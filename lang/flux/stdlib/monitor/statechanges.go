package monitor

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// StateChanges is the rows at which the level differs from that of the row
// before. Tables whose keys differ only in the level are the course of one
// thing; its rows are put in order of _source_timestamp and _time. The level is
// in the keys of the result.
type StateChanges struct {
	From, To string // levels, or any
}

const (
	anyLevel   = "any"
	levelLabel = "_level"
)

// Name implements flow.Op.
func (s *StateChanges) Name() string { return "monitor.stateChanges" }

// Details implements flow.Op.
func (s *StateChanges) Details() string {
	return fmt.Sprintf("fromLevel: %q, toLevel: %q", s.From, s.To)
}

// Open implements flow.Op.
func (s *StateChanges) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.AtOnce(run, in, func(account *flow.Account, emit func(*table.Table) error) error {
		courses := map[string]*table.Builder{}
		var order []string
		for {
			t, err := in[0].Next()
			if err != nil {
				return err
			}
			if t == nil {
				break
			}
			if _, err := t.Need(levelLabel, value.String); err != nil {
				return err
			}
			key := t.Key.Keep(func(label string) bool { return label != levelLabel })
			b := courses[key.ID()]
			if b == nil {
				b = table.NewBuilder(key)
				courses[key.ID()] = b
				order = append(order, key.ID())
			}
			if err := account.Keep(t); err != nil {
				return err
			}
			if err := b.AppendTable(t); err != nil {
				return err
			}
		}
		for _, id := range order {
			if err := run.Ended(); err != nil {
				return err
			}
			if err := s.changes(courses[id].Table(), emit); err != nil {
				return err
			}
		}
		return nil
	}), nil
}

// changes emits the rows of one course, a table for each level.
func (s *StateChanges) changes(t *table.Table, emit func(*table.Table) error) error {
	rows := make([]int, t.Rows)
	for i := range rows {
		rows[i] = i
	}
	for _, label := range []string{"_time", "_source_timestamp"} {
		c := t.Col(label)
		if c == nil || c.Kind != value.Int && c.Kind != value.Time {
			continue
		}
		slices.SortStableFunc(rows, func(a, b int) int { return cmp.Compare(c.Int(a), c.Int(b)) })
	}
	level := t.Col(levelLabel)
	found := map[string][]int{}
	var order []string
	before := ""
	for i, r := range rows {
		now := level.Value(r).Str()
		if i > 0 && now != before && (s.From == anyLevel || before == s.From) && (s.To == anyLevel || now == s.To) {
			if found[now] == nil {
				order = append(order, now)
			}
			found[now] = append(found[now], r)
		}
		before = now
	}
	for _, l := range order {
		out := t.Pick(found[l]).With(table.Constant(levelLabel, value.OfString(l)))
		if err := emit(out.WithKey(t.Key.Set(levelLabel, value.OfString(l)))); err != nil {
			return err
		}
	}
	return nil
}
