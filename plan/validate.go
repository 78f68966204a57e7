package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/varvedb/varve/predicate"
)

// Encode returns p in JSON.
func (p *Plan) Encode() ([]byte, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode plan: %w", err)
	}
	return b, nil
}

// Decode reads a plan and validates it. A field that it does not know is an
// error: leaving it out could change the answer.
func Decode(b []byte) (*Plan, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	p := new(Plan)
	if err := dec.Decode(p); err != nil {
		return nil, fmt.Errorf("decode plan: %w", err)
	}
	if dec.More() {
		return nil, fmt.Errorf("decode plan: something follows it")
	}
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("decode plan: %w", err)
	}
	return p, nil
}

// Validate reports the first thing that makes p impossible to execute.
func (p *Plan) Validate() error {
	if p.Version < 1 || p.Version > Version {
		return fmt.Errorf("plan has version %d: this server knows 1 to %d", p.Version, Version)
	}
	if p.Start >= p.Stop {
		return fmt.Errorf("range is empty: start %s is not before stop %s", timeText(p.Start), timeText(p.Stop))
	}
	if slices.Contains(p.Measurements, "") {
		return fmt.Errorf("a measurement has an empty name")
	}
	if _, err := predicate.Compile(p.Tags); err != nil {
		return err
	}
	if p.Where != nil {
		if err := p.Where.validate(0); err != nil {
			return err
		}
	}
	for _, page := range []struct {
		of string
		Page
	}{{"each group", p.Each}, {"groups", p.Groups}, {"total", p.Total}} {
		if page.Limit < 0 || page.Offset < 0 {
			return fmt.Errorf("limit %d, offset %d of %s: neither may be negative", page.Limit, page.Offset, page.of)
		}
	}
	return p.validateWhat()
}

func (p *Plan) validateWhat() error {
	n := 0
	for _, some := range []bool{p.Rows != nil, p.Aggregate != nil, p.List != nil} {
		if some {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("plan wants %d of rows, aggregate and list: it must be exactly one", n)
	}
	switch {
	case p.Rows != nil:
		return distinct("field", p.Rows.Fields)
	case p.Aggregate != nil:
		return p.Aggregate.validate()
	}
	return p.List.validate()
}

func (a *Aggregate) validate() error {
	if len(a.Calls) == 0 {
		return fmt.Errorf("aggregate has no function: name at least one, such as %q", string(Mean))
	}
	for _, c := range a.Calls {
		if err := c.validate(); err != nil {
			return err
		}
	}
	if a.Window != nil {
		if err := a.Window.validate(); err != nil {
			return err
		}
	}
	if a.Group.Series && len(a.Group.Tags) > 0 {
		return fmt.Errorf("group by series takes no tags, but has %q", a.Group.Tags)
	}
	return distinct("tag", a.Group.Tags)
}

func (c Call) validate() error {
	allowed := []Method{""}
	switch c.Func {
	case Stddev:
		allowed = append(allowed, Sample, Population)
	case Quantile:
		allowed = append(allowed, ExactMean, ExactSelector, TDigest)
	}
	switch {
	case !c.Func.Known():
		return fmt.Errorf("unknown function %q", string(c.Func))
	case !slices.Contains(allowed, c.Method):
		return fmt.Errorf("function %s has no method %q: choose of %q", c.Func, string(c.Method), allowed[1:])
	case c.Func == Quantile && !(c.Quantile >= 0 && c.Quantile <= 1):
		return fmt.Errorf("quantile %g is not between 0 and 1", c.Quantile)
	case c.Func != Quantile && c.Quantile != 0:
		return fmt.Errorf("function %s takes no quantile", c.Func)
	}
	return nil
}

func (l *List) validate() error {
	switch l.What {
	case TagValues:
		if l.Tag == "" {
			return fmt.Errorf("list of tag values needs a tag key")
		}
		return nil
	case Measurements, TagKeys, Fields:
		if l.Tag != "" {
			return fmt.Errorf("list of %s takes no tag key, but has %q", l.What, l.Tag)
		}
		if l.From != "" {
			return fmt.Errorf("list of %s takes no least value, but has %q", l.What, l.From)
		}
		return nil
	}
	return fmt.Errorf("unknown list %q", string(l.What))
}

// distinct reports a name that is empty or stands twice.
func distinct(what string, names []string) error {
	for i, n := range names {
		if n == "" {
			return fmt.Errorf("a %s has an empty name", what)
		}
		if slices.Contains(names[:i], n) {
			return fmt.Errorf("%s %q stands twice", what, n)
		}
	}
	return nil
}
