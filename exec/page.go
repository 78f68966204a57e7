package exec

import (
	"bytes"
	"fmt"

	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/scan"
)

func pageText(what string, p plan.Page) string {
	if p.Limit == 0 {
		return fmt.Sprintf("%s from %d on", what, p.Offset)
	}
	return fmt.Sprintf("%s %d to %d", what, p.Offset, p.End()-1)
}

// totalPage chooses a stretch of all rows.
type totalPage struct {
	below *step
	page  plan.Page
	at    int64
}

func (o *totalPage) explain() string { return pageText("page: rows", o.page) }

func (o *totalPage) next() (*scan.Batch, error) {
	for o.page.Limit == 0 || o.at < o.page.End() {
		b, err := o.below.next()
		if b == nil || err != nil {
			return nil, err
		}
		lo, hi := o.page.Cut(o.at, b.Rows())
		o.at += int64(b.Rows())
		switch {
		case hi-lo == b.Rows():
			return b, nil
		case lo < hi:
			return b.Slice(lo, hi), nil
		}
	}
	return nil, nil
}

// eachPage chooses a stretch of the rows of each measurement.
type eachPage struct {
	below       *step
	page        plan.Page
	measurement string
	at          int64
}

func (o *eachPage) explain() string { return pageText("page: of each measurement rows", o.page) }

func (o *eachPage) next() (*scan.Batch, error) {
	for {
		b, err := o.below.next()
		if b == nil || err != nil {
			return nil, err
		}
		if b.Measurement != o.measurement {
			o.measurement, o.at = b.Measurement, 0
		}
		lo, hi := o.page.Cut(o.at, b.Rows())
		o.at += int64(b.Rows())
		if lo < hi {
			return b.Slice(lo, hi), nil
		}
	}
}

// groupPage chooses a stretch of the groups.
type groupPage struct {
	below        *step
	page         plan.Page
	measurements bool // are the groups
	some         bool // there was a group before
	measurement  string
	key          []byte
	at           int64 // place of the present group
}

func (o *groupPage) explain() string { return pageText("page: groups", o.page) }

func (o *groupPage) next() (*scan.Batch, error) {
	for {
		b, err := o.below.next()
		if b == nil || err != nil {
			return nil, err
		}
		from, to := 0, 0
		for _, g := range b.Groups {
			if !o.some {
				o.some = true
			} else if b.Measurement != o.measurement || !o.measurements && !bytes.Equal(g.Key, o.key) {
				o.at++
			}
			o.measurement, o.key = b.Measurement, append(o.key[:0], g.Key...)
			if o.at < o.page.Offset {
				from, to = g.To, g.To
			} else if o.page.Limit == 0 || o.at < o.page.End() {
				to = g.To
			}
		}
		if from < to {
			return b.Slice(from, to), nil
		}
		if o.page.Limit > 0 && o.at >= o.page.End() {
			return nil, nil
		}
	}
}
