package storage

import (
	"fmt"
	"strings"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/plan"
)

// Plan is tables that the store makes: those of From, between two times, as far
// as they meet a condition, and then their rows (neither Aggregate nor Names is
// set), or what they are condensed to, or names.
type Plan struct {
	Bucket      Bucket
	Start, Stop int64 // of the range, in nanoseconds since 1970; Stop is left out
	// Only rows from Since on and before Until are read, and of them those that
	// meet the Filter (nil: all).
	Since, Until int64
	Filter       *Condition

	Rows      Rows
	Aggregate *Aggregate
	Names     *Names
	// Shown is which columns tables have, of the key too; nil: all. Tables must not
	// become equal in their keys.
	Shown *Group

	// Otherwise does the same without the store's help, with a Plan of rows that
	// is Fixed at its bottom. It is run where the fields turn out to be of types
	// that Aggregate does not take, or the Filter to be too much.
	Otherwise *flow.Node
	// Fixed says that rules leave this Plan as it is.
	Fixed bool
}

// Rows chooses among the rows of each table, and how they look.
type Rows struct {
	Wide   bool      // fields are columns, as pivot makes them; a table for each series
	Desc   bool      // the newest row first
	Page   plan.Page // of each table, in the order of Desc
	Upturn bool      // turn the rows of each page round again: the last ones, in the order of time
}

// Aggregate condenses the values of each table, or of several.
type Aggregate struct {
	Call   plan.Call // the field is left empty
	Window *plan.Window
	Empty  bool // windows without values have a row (or a table) too, as far as the function has one for them
	Shape  Shape
	Group  *Group // nil: each table by itself
	// Beside is the label of the column in which counts stand beside the first
	// values, for those who have to see what was counted; empty: no such column.
	Beside string
}

// Shape says how results of windows lie in tables.
type Shape uint8

// The shapes.
const (
	OneRow    Shape = iota // there are no windows: a row for each table
	PerWindow              // a table for each window, whose bounds are in its key
	ByStart                // a row for each window, with its start as the time
	ByStop                 // a row for each window, with its end as the time
)

// Group puts tables together, as group() does.
type Group struct {
	Except  bool     // by all columns but those, else by those
	Columns []string // ascending
}

// Names wants names in one table with a column _value.
type Names struct {
	What plan.ListKind
	Tag  string // of values of a tag
	// Columns puts the other columns of the key among the keys of tags.
	Columns bool
}

// Read returns the Plan of all rows of a bucket from start on and before stop.
func Read(b Bucket, start, stop int64) *Plan {
	return &Plan{Bucket: b, Start: start, Stop: stop, Since: start, Until: stop}
}

// Name implements flow.Op.
func (p *Plan) Name() string { return "from" }

// instant shows nanoseconds since 1970 as scripts write times.
func instant(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

// Details implements flow.Op.
func (p *Plan) Details() string {
	var b strings.Builder
	fmt.Fprintf(&b, "bucket: %q, %s", p.Bucket.Name, p.what())
	parts, ok := p.known()
	if !ok {
		fmt.Fprintf(&b, "\n%s\nplanned when the fields are known, of bucket %016x from %s until %s where %s",
			p.calls(), p.Bucket.ID, instant(p.Since), instant(p.Until), p.Filter)
		return b.String()
	}
	for _, part := range parts {
		b.WriteByte('\n')
		b.WriteString(part.String())
	}
	return b.String()
}

func (p *Plan) calls() string {
	if p.Aggregate == nil {
		return "rows"
	}
	a := plan.Aggregate{Calls: []plan.Call{p.Aggregate.Call}, Window: p.Aggregate.Window, Group: plan.BySeries()}
	return a.String()
}

// what says how tables look.
func (p *Plan) what() string {
	switch {
	case p.Names != nil:
		return "a table of names"
	case p.Aggregate == nil:
		s := "a table for each series"
		if !p.Rows.Wide {
			s += " and field"
		}
		if p.Rows.Upturn {
			s += ", turned round"
		}
		if p.Shown != nil {
			s += p.Shown.shownText()
		}
		return s
	}
	s := "a table for each series and field"
	if g := p.Aggregate.Group; g != nil {
		s = fmt.Sprintf("a table for each group by %q", g.Columns)
		if g.Except {
			s = fmt.Sprintf("a table for each group by all but %q", g.Columns)
		}
	}
	if p.Shown != nil {
		s += p.Shown.shownText()
	}
	return s + [...]string{", one row each", " and window", ", times are starts of windows", ", times are ends of windows"}[p.Aggregate.Shape]
}

// shownText renders the columns that are shown.
func (g *Group) shownText() string {
	if g.Except {
		return fmt.Sprintf(" without the columns %q", g.Columns)
	}
	return fmt.Sprintf(" with the columns %q", g.Columns)
}

// Open implements flow.Op.
func (p *Plan) Open(run *flow.Run, _ []table.Reader) (table.Reader, error) {
	host, err := HostOf(run)
	if err != nil {
		return nil, err
	}
	if p.Start >= p.Stop {
		return nil, fmt.Errorf("cannot query an empty range")
	}
	if p.Since >= p.Until {
		return table.NewList(), nil
	}
	s := &source{plan: p, run: run, host: host}
	parts, ok := p.known()
	if p.Names != nil {
		if !ok {
			panic("BUG: names are asked for under a filter that the store cannot apply")
		}
		return &names{source: s, plan: parts[0]}, nil
	}
	if !ok {
		if parts, err = s.lookUp(); err != nil {
			if p.Otherwise != nil && isUndecided(err) {
				return run.Open(p.Otherwise)
			}
			return nil, err
		}
	}
	r := s.reader(parts)
	if p.Otherwise != nil {
		return &either{Reader: r, run: run, otherwise: p.Otherwise}, nil
	}
	return r, nil
}

// Single reports whether p is of one measurement, and of one field, whatever there
// is.
func (p *Plan) Single() (measurement, field bool) {
	for _, c := range p.Filter.conjuncts() {
		if c.Op == In && !c.Negated && len(c.Texts) == 1 {
			measurement = measurement || c.Column == Measurement
			field = field || c.Column == Field
		}
	}
	return measurement, field
}

// Certain reports whether p can be run whatever fields there are.
func (p *Plan) Certain() bool {
	_, ok := p.known()
	return ok && (p.Aggregate == nil || takesAll(p.Aggregate.Call))
}

// takesAll reports whether a function takes values of all types.
func takesAll(c plan.Call) bool { return c.Func.Takes(column.String) }

// apart reports whether each field needs a plan of its own: where a page is of rows
// in which the field has a value, and where nothing but the row itself says that
// there were values.
func (p *Plan) apart() bool {
	if p.Aggregate == nil {
		return !p.Rows.Page.All() && !p.Rows.Wide
	}
	return p.lonely()
}

// lonely reports whether the function has no result where there is one value.
func (p *Plan) lonely() bool {
	return p.Aggregate.Call.Func == plan.Stddev && p.Aggregate.Call.Method != plan.Population
}
