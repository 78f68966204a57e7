package transform

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Select keeps some columns, or drops them: by name, or as a function says.
type Select struct {
	Drop    bool
	Columns []string    // used if Fn is nil
	Fn      *value.Func // of column, to bool
}

// Name implements flow.Op.
func (s *Select) Name() string {
	if s.Drop {
		return "drop"
	}
	return "keep"
}

// Details implements flow.Op.
func (s *Select) Details() string {
	if s.Fn != nil {
		return "fn: " + s.Fn.Signature()
	}
	return "columns: " + quote(s.Columns)
}

// Open implements flow.Op.
func (s *Select) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	listed := func(label string) (value.Value, error) {
		return value.OfBool(slices.Contains(s.Columns, label)), nil
	}
	if s.Fn != nil {
		var err error
		if listed, err = labelFunc(run, s.Fn); err != nil {
			return nil, err
		}
	}
	known := map[string]bool{}
	keeps := func(label string) (bool, error) {
		if keep, ok := known[label]; ok {
			return keep, nil
		}
		v, err := listed(label)
		if err != nil {
			return false, err
		}
		if v.Kind() != value.Bool && !v.IsNull() {
			return false, fmt.Errorf("the function must return bool, not %s", v.Kind())
		}
		known[label] = v.Bool() != s.Drop
		return known[label], nil
	}
	return newRegroup(run, in, func(g *regroup, t *table.Table) error {
		for i := range t.Cols {
			if _, err := keeps(t.Cols[i].Label); err != nil {
				return err
			}
		}
		return g.add(t.Keep(func(label string) bool { return known[label] }))
	}), nil
}

// Rename gives columns other names: those of a list, or all as a function says.
type Rename struct {
	Columns map[string]string // old to new; used if Fn is nil
	Fn      *value.Func       // of column, to string
}

// Name implements flow.Op.
func (*Rename) Name() string { return "rename" }

// Details implements flow.Op.
func (r *Rename) Details() string {
	if r.Fn != nil {
		return "fn: " + r.Fn.Signature()
	}
	var pairs []string
	for _, old := range slices.Sorted(maps.Keys(r.Columns)) {
		pairs = append(pairs, fmt.Sprintf("%s: %q", old, r.Columns[old]))
	}
	return "columns: {" + strings.Join(pairs, ", ") + "}"
}

// Open implements flow.Op.
func (r *Rename) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	name := func(label string) (value.Value, error) {
		if to, ok := r.Columns[label]; ok {
			return value.OfString(to), nil
		}
		return value.OfString(label), nil
	}
	if r.Fn != nil {
		var err error
		if name, err = labelFunc(run, r.Fn); err != nil {
			return nil, err
		}
	}
	return newRegroup(run, in, func(g *regroup, t *table.Table) error {
		for _, old := range slices.Sorted(maps.Keys(r.Columns)) {
			if t.Find(old) < 0 {
				return fmt.Errorf("rename error: column %q doesn't exist", old)
			}
		}
		to := &table.Table{Rows: t.Rows, Cols: slices.Clone(t.Cols)}
		var labels []string
		var values []value.Value
		have := make(map[string]string, len(t.Cols))
		for i := range to.Cols {
			c := &to.Cols[i]
			old := c.Label
			v, err := name(old)
			switch {
			case err != nil:
				return err
			case v.Kind() != value.String || v.IsNull():
				return fmt.Errorf("the function must return a string, not %s", v.Describe())
			}
			c.Label = v.Str()
			if other, twice := have[c.Label]; twice {
				return fmt.Errorf("rename error: columns %q and %q would both be called %q", other, old, c.Label)
			}
			have[c.Label] = old
			if k, ok := t.Key.Get(old); ok {
				labels, values = append(labels, c.Label), append(values, k)
			}
		}
		to.Key = table.NewKey(labels, values)
		if r.Fn == nil {
			// Every table has the old columns and none has the new ones, so
			// different keys stay different.
			return g.pass(to)
		}
		return g.add(to)
	}), nil
}

// Duplicate copies a column under another name.
type Duplicate struct {
	Column string
	As     string
}

// Name implements flow.Op.
func (*Duplicate) Name() string { return "duplicate" }

// Details implements flow.Op.
func (d *Duplicate) Details() string { return fmt.Sprintf("column: %q, as: %q", d.Column, d.As) }

// Open implements flow.Op.
func (d *Duplicate) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return newRegroup(run, in, func(g *regroup, t *table.Table) error {
		c := t.Col(d.Column)
		if c == nil {
			return fmt.Errorf("duplicate error: column %q doesn't exist", d.Column)
		}
		as := *c
		as.Label = d.As
		to := t.With(as)
		if !t.Key.Has(d.As) {
			return g.pass(to)
		}
		if v, ok := t.Key.Get(d.Column); ok {
			to.Key = t.Key.Set(d.As, v)
		} else {
			to.Key = t.Key.Keep(func(label string) bool { return label != d.As })
		}
		return g.add(to)
	}), nil
}

// Set gives a column one value in all rows. A column of the group key stays in
// it, a new column does not come in.
type Set struct {
	Values []SetColumn
}

// SetColumn is a column and what is in it.
type SetColumn struct {
	Label string
	Value value.Value
}

// Name implements flow.Op.
func (*Set) Name() string { return "set" }

// Details implements flow.Op.
func (s *Set) Details() string {
	var parts []string
	for _, v := range s.Values {
		parts = append(parts, fmt.Sprintf("%s: %q", v.Label, v.Value.Text()))
	}
	return strings.Join(parts, ", ")
}

// Open implements flow.Op.
func (s *Set) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return newRegroup(run, in, func(g *regroup, t *table.Table) error {
		same := true
		for _, v := range s.Values {
			key := t.Key
			t = t.With(table.Constant(v.Label, v.Value))
			if key.Has(v.Label) {
				t.Key, same = key.Set(v.Label, v.Value), false
			}
		}
		if same {
			return g.pass(t)
		}
		return g.add(t)
	}), nil
}
