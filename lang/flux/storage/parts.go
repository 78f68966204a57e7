package storage

import (
	"errors"
	"fmt"
	"slices"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
)

// maxParts bounds how many plans run side by side for one measurement: each has
// workers and batches of its own.
const maxParts = 64

// undecidedError says that a Plan cannot be run as it is.
type undecidedError struct{ reason string }

func (e *undecidedError) Error() string { return e.reason }

func isUndecided(err error) bool {
	var u *undecidedError
	return errors.As(err, &u) || errors.Is(err, errMixed)
}

// plan returns the plan of the store for some measurements (nil: all) and fields
// (nil: all, or, if there is one part, those that the part knows).
func (p *Plan) plan(measurements, fields []string, r reduced) *plan.Plan {
	q := plan.New(p.Bucket.ID, p.Since, p.Until)
	q.Measurements, q.Tags, q.Where = measurements, r.tags, r.where
	switch a := p.Aggregate; {
	case a == nil:
		q.Rows = &plan.Rows{Fields: fields}
		q.Desc, q.Each = p.Rows.Desc, p.Rows.Page
	default:
		q.Aggregate = &plan.Aggregate{Window: a.Window, Group: plan.BySeries()}
		if a.Group != nil {
			q.Aggregate.Group = plan.ByTags(a.Group.tags(nil)...)
		}
		if len(fields) == 0 {
			q.Aggregate.Calls = []plan.Call{a.Call}
		}
		for _, f := range fields {
			c := a.Call
			c.Field = f
			q.Aggregate.Calls = append(q.Aggregate.Calls, c)
		}
		if a.Beside != "" {
			for _, c := range q.Aggregate.Calls {
				q.Aggregate.Calls = append(q.Aggregate.Calls, plan.Call{Func: plan.First, Field: c.Field})
			}
		}
	}
	return q
}

// known returns the parts if they do not depend on what measurements and fields
// there are.
func (p *Plan) known() ([]*plan.Plan, bool) {
	if p.Names != nil {
		q, ok := p.list()
		return []*plan.Plan{q}, ok
	}
	var measurements, fields, tags = []string(nil), []string(nil), []*Condition(nil)
	for _, c := range p.Filter.conjuncts() {
		switch {
		case c.Op == In && c.Column == Measurement && !c.Negated:
			measurements = c.Texts
		case c.Op == In && c.Column == Field && !c.Negated:
			fields = c.Texts
		case c.ofTags():
			tags = append(tags, c)
		default:
			return nil, false
		}
	}
	r := reduced{tags: All(tags...).predicate()}
	if a := p.Aggregate; a != nil {
		switch {
		case fields == nil && !takesAll(a.Call), a.Group != nil && a.Group.Except:
			return nil, false
		case a.Group != nil && !a.Group.Has(Field) && len(fields) != 1,
			a.Group != nil && !a.Group.Has(Measurement) && len(measurements) != 1:
			return nil, false
		}
	}
	if p.apart() {
		if fields == nil || len(fields) > maxParts || len(measurements) != 1 && len(fields) > 1 {
			return nil, false
		}
		var parts []*plan.Plan
		for _, f := range fields {
			parts = append(parts, p.plan(measurements, []string{f}, r))
		}
		return parts, true
	}
	return []*plan.Plan{p.plan(measurements, fields, r)}, true
}

// Has reports whether tables are grouped by a column, among others.
func (g *Group) Has(name string) bool { return slices.Contains(g.Columns, name) != g.Except }

// covers reports whether all tags among some columns (nil: all there are) are in
// the group.
func (g *Group) covers(columns *Group) bool {
	return columns != nil && !columns.Except && !slices.ContainsFunc(columns.Columns, func(c string) bool { return isTag(c) && !g.Has(c) })
}

// tags returns the tags by which series are grouped, of all that there are.
func (g *Group) tags(all []string) []string {
	var out []string
	if !g.Except {
		for _, c := range g.Columns {
			if !slices.Contains(fixed[:], c) {
				out = append(out, c)
			}
		}
		return out
	}
	for _, t := range all {
		if !slices.Contains(g.Columns, t) {
			out = append(out, t)
		}
	}
	return out
}

// fixed are the columns that are not tags.
var fixed = [...]string{Start, Stop, Time, Value, Field, Measurement}

// isTag reports whether a column can be a tag.
func isTag(name string) bool { return !slices.Contains(fixed[:], name) }

// lookUp makes the parts that depend on the names and types of fields.
func (s *source) lookUp() ([]*plan.Plan, error) {
	p := s.plan
	measurements, err := s.measurements()
	if err != nil {
		return nil, err
	}
	re := patterns{}
	var parts []*plan.Plan
	for _, m := range measurements {
		c := p.Filter.names(m, nil, re)
		if c.none() {
			continue
		}
		some, err := s.partsOf(m, c, re)
		if err != nil {
			return nil, err
		}
		parts = append(parts, some...)
	}
	if a := p.Aggregate; a != nil && a.Group != nil && !a.Group.Has(Measurement) && len(parts) > 1 {
		return nil, &undecidedError{"several measurements are condensed together"}
	}
	return parts, nil
}

// measurements returns the names of those in question.
func (s *source) measurements() ([]string, error) {
	for _, c := range s.plan.Filter.conjuncts() {
		if c.Op == In && c.Column == Measurement && !c.Negated {
			return c.Texts, nil
		}
	}
	names, err := s.list(nil, &plan.List{What: plan.Measurements})
	if err != nil {
		return nil, err
	}
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = n.text
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// partsOf makes the parts of one measurement, of whose rows c holds.
func (s *source) partsOf(m string, c *Condition, re patterns) ([]*plan.Plan, error) {
	fields, err := s.list([]string{m}, &plan.List{What: plan.Fields})
	if err != nil {
		return nil, err
	}
	// Fields of which the same series are in question, whatever their values,
	// share a plan.
	type share struct {
		reduced
		fields []string
	}
	var shares []*share
	apart := s.plan.apart()
	var kinds []column.Type
	for _, f := range fields {
		of := c.names(m, &f.text, re)
		if of.none() {
			continue
		}
		some, err := of.reduce(f.text, f.kind)
		if err != nil {
			return nil, err
		}
		if len(some) > 0 && !slices.Contains(kinds, f.kind) {
			kinds = append(kinds, f.kind)
		}
		for _, r := range some {
			at := -1
			if r.where == nil && !apart {
				at = slices.IndexFunc(shares, func(sh *share) bool {
					return sh.where == nil && sh.tags.String() == r.tags.String()
				})
			}
			if at < 0 {
				at = len(shares)
				shares = append(shares, &share{reduced: r})
			}
			shares[at].fields = append(shares[at].fields, f.text)
		}
	}
	if err := s.fits(len(shares), kinds, func() int {
		n := 0
		for _, sh := range shares {
			n += len(sh.fields)
		}
		return n
	}); err != nil {
		return nil, err
	}
	var parts []*plan.Plan
	for _, sh := range shares {
		q := s.plan.plan([]string{m}, sh.fields, sh.reduced)
		if a := s.plan.Aggregate; a != nil && a.Group != nil && a.Group.Except {
			keys, err := s.list([]string{m}, &plan.List{What: plan.TagKeys})
			if err != nil {
				return nil, err
			}
			q.Aggregate.Group = groupExcept(a.Group, keys)
		}
		parts = append(parts, q)
	}
	return parts, nil
}

// fits reports why the parts of a measurement cannot answer what is asked.
func (s *source) fits(parts int, kinds []column.Type, fields func() int) error {
	p := s.plan
	if parts > maxParts {
		return &undecidedError{fmt.Sprintf("the filter makes %d plans of one measurement, the limit is %d: name fields, or filter their values in a second step", parts, maxParts)}
	}
	a := p.Aggregate
	if p.Rows.Wide && a == nil && parts > 1 {
		return &undecidedError{"rows are filtered field by field"}
	}
	if a == nil {
		return nil
	}
	for _, k := range kinds {
		if !a.Call.Func.Takes(k) {
			return &undecidedError{fmt.Sprintf("%s does not take values of type %s", a.Call.Func, k)}
		}
	}
	if a.Group != nil && (parts > 1 || !a.Group.Has(Field) && fields() > 1) {
		return &undecidedError{"several fields are condensed together"}
	}
	return nil
}

func groupExcept(g *Group, keys []name) plan.Group {
	all := make([]string, len(keys))
	for i, k := range keys {
		all[i] = k.text
	}
	return plan.ByTags(g.tags(all)...)
}
