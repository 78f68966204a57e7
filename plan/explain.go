package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/varvedb/varve/column"
)

// String says what p does, a step a line, the last step first.
func (p *Plan) String() string {
	var lines []string
	page := func(what string, g Page) {
		if g.All() {
			return
		}
		s := "page of " + what + ":"
		if g.Limit > 0 {
			s += fmt.Sprintf(" limit %d", g.Limit)
		}
		if g.Offset > 0 {
			s += fmt.Sprintf(" offset %d", g.Offset)
		}
		lines = append(lines, s)
	}
	page("all rows", p.Total)
	page("groups", p.Groups)
	page("each group", p.Each)
	if p.Desc {
		lines = append(lines, "order: newest first")
	}
	lines = append(lines, p.what(), p.source())
	for i := range lines {
		lines[i] = strings.Repeat("  ", i) + lines[i]
	}
	return strings.Join(lines, "\n")
}

func (p *Plan) what() string {
	switch {
	case p.Rows != nil:
		s := "rows: " + names(p.Rows.Fields, "all fields")
		if p.Rows.Merged {
			s += ", series merged by time"
		}
		return s
	case p.Aggregate != nil:
		return p.Aggregate.String()
	case p.List != nil && p.List.What == TagValues:
		if p.List.From != "" {
			return fmt.Sprintf("list: values of tag %q from %q on", p.List.Tag, p.List.From)
		}
		return fmt.Sprintf("list: values of tag %q", p.List.Tag)
	case p.List != nil:
		return "list: " + strings.ReplaceAll(string(p.List.What), "_", " ")
	}
	return "nothing"
}

// String says what a computes.
func (a *Aggregate) String() string {
	calls := make([]string, len(a.Calls))
	for i, c := range a.Calls {
		calls[i] = c.String()
	}
	s := "aggregate: " + strings.Join(calls, ", ")
	if a.Window != nil {
		s += " " + a.Window.String()
	}
	switch {
	case a.Group.Series:
		return s + " by series"
	case len(a.Group.Tags) > 0:
		return s + " by tags " + names(a.Group.Tags, "")
	}
	return s + " of all series together"
}

// String renders c like mean("usage").
func (c Call) String() string {
	args := []string{"every field"}
	if c.Field != "" {
		args[0] = fmt.Sprintf("%q", c.Field)
	}
	if c.Func == Quantile {
		args = append(args, fmt.Sprintf("%g", c.Quantile))
	}
	if c.Method != "" {
		args = append(args, string(c.Method))
	}
	return string(c.Func) + "(" + strings.Join(args, ", ") + ")"
}

func (p *Plan) source() string {
	s := fmt.Sprintf("scan: bucket %016x, %s, from %s until %s", p.Bucket,
		names(p.Measurements, "all measurements"), timeText(p.Start), timeText(p.Stop))
	if p.Tags != nil {
		s += ", tags " + p.Tags.String()
	}
	if p.Where != nil {
		s += ", where " + p.Where.String()
	}
	return s
}

func names(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	quoted := make([]string, len(list))
	for i, n := range list {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(quoted, ", ")
}

func timeText(t int64) string {
	switch {
	case t <= column.MinTime:
		return "the beginning"
	case t >= column.MaxTime:
		return "the end"
	}
	return time.Unix(0, t).UTC().Format(time.RFC3339Nano)
}
