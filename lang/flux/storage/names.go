package storage

import (
	"fmt"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/scan"
)

// source is a Plan that is being opened.
type source struct {
	plan *Plan
	run  *flow.Run
	host Host
}

// name is a name that the store lists.
type name struct {
	text string
	kind column.Type // of a field
}

// list asks for names of some measurements (nil: all), from indexes alone: some
// may belong to rows outside of the range.
func (s *source) list(measurements []string, what *plan.List) ([]name, error) {
	q := plan.New(s.plan.Bucket.ID, s.plan.Since, s.plan.Until)
	q.Measurements, q.List = measurements, what
	var out []name
	err := each(s.host, q, func(b *scan.Batch) error {
		for i := range b.Rows() {
			n := name{text: string(b.Columns[0].Str(i))}
			if what.What == plan.Fields {
				text := string(b.Columns[1].Str(i))
				var ok bool
				if n.kind, ok = column.TypeOf(text); !ok {
					return fmt.Errorf("field %q has the unknown type %q", n.text, text)
				}
			}
			out = append(out, n)
		}
		return nil
	})
	return out, err
}

// each asks q and calls use with each batch.
func each(host Host, q *plan.Plan, use func(*scan.Batch) error) error {
	a, err := host.Run(q)
	if err != nil {
		return err
	}
	defer a.Close()
	for {
		b, err := a.Next()
		if b == nil || err != nil {
			return err
		}
		if err := use(b); err != nil {
			return err
		}
	}
}
