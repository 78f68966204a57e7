package scan

import (
	"fmt"
	"slices"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/run"
	"github.com/varvedb/varve/tombstone"
)

// source is all that a plan needs of one measurement.
type source struct {
	measurement string
	types       map[string]column.Type // of every field of every run
	read        []column.FieldInfo     // the columns that are read
	names       []string               // of read
	matcher     *predicate.Matcher
	where       *filter // nil: every row
	inputs      []input // in the order of precedence
	first, last int64
}

// input is one run and where its rows can lie within the range.
type input struct {
	run      run.Run
	hidden   *tombstone.Set
	min, max int64
	alone    bool // no other input has rows between min and max
}

// source asks the snapshots for the runs of a measurement; nil if there is
// nothing to read.
func (s *Scan) source(measurement string) (*source, error) {
	s.stats.Measurements++
	src := &source{measurement: measurement, types: map[string]column.Type{}, first: s.first, last: s.last}
	var err error
	if src.matcher, err = predicate.Compile(s.plan.Tags); err != nil {
		return nil, err
	}
	partitions := map[[2]int64]bool{}
	for _, snap := range s.snaps {
		ins, err := snap.Runs(s.plan.Bucket, measurement, s.first, s.last)
		if err != nil {
			return nil, err
		}
		for _, in := range ins {
			partitions[[2]int64{in.PartMin, in.PartMax}] = true
			meta := in.Run.Meta()
			for _, f := range meta.Fields {
				if have, ok := src.types[f.Name]; ok && have != f.Type {
					return nil, fmt.Errorf("field %q is %s in one run and %s in another", f.Name, have, f.Type)
				}
				src.types[f.Name] = f.Type
			}
			src.inputs = append(src.inputs, input{
				run: in.Run, hidden: in.Hidden,
				min: max(meta.MinTime, in.PartMin, s.first), max: min(meta.MaxTime, in.PartMax, s.last),
			})
		}
	}
	s.stats.Runs += int64(len(src.inputs))
	s.stats.Partitions += int64(len(partitions))
	return src, nil
}

// bind makes the columns that a condition reads join the others.
func (src *source) bind(c *plan.Condition) (err error) {
	if c != nil {
		src.where, err = bind(c, src, false)
	}
	return err
}

// reads returns the place of a field among the columns that are read, which
// it joins if it is not there; -1 if no run has it.
func (src *source) reads(field string) int {
	if i := slices.Index(src.names, field); i >= 0 {
		return i
	}
	t, ok := src.types[field]
	if !ok {
		return -1
	}
	src.names = append(src.names, field)
	src.read = append(src.read, column.FieldInfo{Name: field, Type: t})
	return len(src.names) - 1
}

// prune leaves out the runs that have no rows in the range or none of the
// fields that are read, and finds those that stand alone.
func (s *Scan) prune(src *source) {
	n := len(src.inputs)
	src.inputs = slices.DeleteFunc(src.inputs, func(in input) bool {
		return in.min > in.max || !slices.ContainsFunc(in.run.Meta().Fields, func(f column.FieldInfo) bool {
			return slices.Contains(src.names, f.Name)
		})
	})
	s.stats.RunsPruned += int64(n - len(src.inputs))
	for i := range src.inputs {
		in := &src.inputs[i]
		in.alone = true
		for j := range src.inputs {
			if o := &src.inputs[j]; i != j && o.min <= in.max && o.max >= in.min {
				in.alone = false
				break
			}
		}
	}
}

// fieldsOf returns the names of all fields, ascending.
func (src *source) fieldsOf(takes func(column.Type) bool) []string {
	var out []string
	for f, t := range src.types {
		if takes(t) {
			out = append(out, f)
		}
	}
	slices.Sort(out)
	return out
}

// column of a call: which of the columns that are read it is applied to.
type callColumn struct {
	call  int // place in Aggregate.Calls
	col   int
	field column.FieldInfo
}

// resolve finds the columns that the calls of an aggregate are applied to.
func (src *source) resolve(a *plan.Aggregate) ([]callColumn, error) {
	var out []callColumn
	for i, c := range a.Calls {
		names := []string{c.Field}
		if c.Field == "" {
			names = src.fieldsOf(c.Func.Takes)
		}
		for _, name := range names {
			t, ok := src.types[name]
			if !ok {
				continue
			}
			if !c.Func.Takes(t) {
				return nil, planErrorf("%s cannot be computed: field %q holds %s values; count, first and last take any", c, name, t)
			}
			col := src.reads(name)
			out = append(out, callColumn{i, col, src.read[col]})
		}
	}
	return out, nil
}
