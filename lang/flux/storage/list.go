package storage

import (
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/scan"
)

// list returns the plan of names, if the Filter speaks of nothing but tags,
// measurements and fields by name.
func (p *Plan) list() (*plan.Plan, bool) {
	q := plan.New(p.Bucket.ID, p.Since, p.Until)
	q.List = &plan.List{What: p.Names.What, Tag: p.Names.Tag}
	var tags []*Condition
	for _, c := range p.Filter.conjuncts() {
		switch {
		case c.Op == In && c.Column == Measurement && !c.Negated:
			q.Measurements = c.Texts
		case c.Op == In && c.Column == Field && !c.Negated && p.Names.What != plan.Fields:
			var some []*plan.Condition
			for _, f := range c.Texts {
				some = append(some, plan.Has(f))
			}
			q.Where = plan.Any(some...)
		case c.ofTags():
			tags = append(tags, c)
		default:
			return nil, false
		}
	}
	q.Tags = All(tags...).predicate()
	return q, true
}

// Lists reports whether the names of p can be asked for under its Filter.
func (p *Plan) Lists() bool {
	_, ok := p.list()
	return ok
}

// names reads a list of names into one table.
type names struct {
	source *source
	plan   *plan.Plan
	done   bool
}

// Next implements table.Reader.
func (n *names) Next() (*table.Table, error) {
	if n.done {
		return nil, nil
	}
	n.done = true
	account := n.source.run.Account()
	defer account.Clear()
	all, err := n.ask(n.plan, &account)
	if err != nil {
		return nil, err
	}
	if of := n.source.plan.Names; of.Columns {
		some := len(all) > 0
		if !some {
			// Series without tags have the other columns.
			q := *n.plan
			q.List = &plan.List{What: plan.Measurements}
			those, err := n.ask(&q, &account)
			if err != nil {
				return nil, err
			}
			some = len(those) > 0
		}
		if some {
			all = append(all, Start, Stop, Field, Measurement)
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return &table.Table{Key: table.NewKey(nil, nil), Cols: []table.Column{stringsOf(Value, all)}, Rows: len(all)}, nil
}

// stringsOf returns a column of strings.
func stringsOf(label string, all []string) table.Column {
	c := table.NewColumn(label, value.String)
	for _, s := range all {
		c.Append(value.OfString(s))
	}
	return c
}

// ask returns the names that a plan lists, of each measurement by itself.
func (n *names) ask(q *plan.Plan, account *flow.Account) ([]string, error) {
	var all []string
	err := each(n.source.host, q, func(b *scan.Batch) error {
		if err := account.Add(b.Bytes()); err != nil {
			return err
		}
		for i := range b.Rows() {
			all = append(all, string(b.Columns[0].Str(i)))
		}
		return nil
	})
	return all, err
}

// Close implements table.Reader.
func (n *names) Close() { n.done = true }
