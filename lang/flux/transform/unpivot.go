package transform

import (
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Unpivot makes a table of each column that is neither in the group key nor one
// of Others: its label goes into _field, which joins the key unless it is one of
// Others, and its values but the nulls into _value.
type Unpivot struct{ Others []string }

// Name implements flow.Op.
func (*Unpivot) Name() string { return "unpivot" }

// Details implements flow.Op.
func (u *Unpivot) Details() string { return "otherColumns: " + quote(u.Others) }

// Open implements flow.Op.
func (u *Unpivot) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	keyed := !slices.Contains(u.Others, fieldLabel)
	return newRegroup(run, in, func(g *regroup, t *table.Table) error {
		base := &table.Table{Key: t.Key, Rows: t.Rows}
		for _, c := range t.Cols {
			if c.Label != fieldLabel && c.Label != valueLabel && (t.Key.Has(c.Label) || slices.Contains(u.Others, c.Label)) {
				base.Cols = append(base.Cols, c)
			}
		}
		for _, c := range t.Cols {
			if t.Key.Has(c.Label) || slices.Contains(u.Others, c.Label) {
				continue
			}
			field := value.OfString(c.Label)
			c.Label = valueLabel
			to := base.With(c).With(table.Constant(fieldLabel, field))
			if keyed {
				to.Key = t.Key.Set(fieldLabel, field)
			}
			if !c.Vec.Valid.All() {
				var rows []int
				for i := range t.Rows {
					if !c.Null(i) {
						rows = append(rows, i)
					}
				}
				to = to.Pick(rows)
			}
			if err := g.add(to); err != nil {
				return err
			}
		}
		return nil
	}), nil
}

// ExtendGroup adds columns to the group key.
type ExtendGroup struct{ Columns []string }

// Name implements flow.Op.
func (*ExtendGroup) Name() string { return "group" }

// Details implements flow.Op.
func (e *ExtendGroup) Details() string { return "columns: " + quote(e.Columns) + `, mode: "extend"` }

// Open implements flow.Op.
func (e *ExtendGroup) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return newRegroup(run, in, func(g *regroup, t *table.Table) error {
		var by []int
		for i := range t.Cols {
			if l := t.Cols[i].Label; t.Key.Has(l) || slices.Contains(e.Columns, l) {
				by = append(by, i)
			}
		}
		return g.split(t, by)
	}), nil
}
