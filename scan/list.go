package scan

import (
	"context"
	"maps"
	"math"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
)

// openList returns the names that a measurement has. They come from the
// indexes of runs, so a name may belong to rows of the same partition outside
// of the range. Rows are read only where an index cannot know: under a
// condition on values or a tombstone, and for fields under a condition on
// tags; and then only of series that could add a name.
func (s *Scan) openList(src *source) error {
	all := src.fieldsOf(func(column.Type) bool { return true })
	for _, f := range all {
		src.reads(f)
	}
	if err := src.bind(s.plan.Where); err != nil {
		return err
	}
	s.prune(src)
	exact := src.where != nil || s.plan.List.What == plan.Fields && src.matcher != nil ||
		slices.ContainsFunc(src.inputs, func(in input) bool { return in.hidden != nil })
	l := &lister{scan: s, src: src, names: map[string]string{}}
	if end := s.plan.Each.End(); end > 0 && end <= maxPage && s.plan.List.What == plan.TagValues {
		l.most = int(end)
	}
	if !exact {
		if err := l.index(); err != nil {
			return err
		}
		return l.emit()
	}
	j, err := s.divide(src)
	if err != nil {
		return err
	}
	if err := l.read(s.ctx, j); err != nil {
		return err
	}
	return l.emit()
}

// lister collects the names of one measurement.
type lister struct {
	scan  *Scan
	src   *source
	names map[string]string // name → what else is known of it: the type of a field

	// most is how many of the least tag values are in question; 0: all of them.
	// From beyond on none can be among them; "" while that is not known.
	most   int
	beyond string
}

// maxPage is up to where a page is worth to be kept apart from all names.
const maxPage = 1 << 20

// wants reports whether a tag value is in question.
func (l *lister) wants(value string) bool {
	return value >= l.scan.plan.List.From && (l.beyond == "" || value < l.beyond)
}

// keep takes a tag value. Of a page, it forgets those that cannot be in it.
func (l *lister) keep(value string) {
	if !l.wants(value) {
		return
	}
	l.names[value] = ""
	if l.most == 0 || len(l.names) < 2*l.most+1 {
		return
	}
	all := slices.Sorted(maps.Keys(l.names))
	l.beyond = all[l.most]
	for _, v := range all[l.most:] {
		delete(l.names, v)
	}
}

// index takes names from the indexes of the runs.
func (l *lister) index() error {
	for _, in := range l.src.inputs {
		if err := context.Cause(l.scan.ctx); err != nil {
			return err
		}
		var err error
		switch l.scan.plan.List.What {
		case plan.Measurements:
			var ords []uint32
			if ords, err = in.run.Select(l.src.matcher); len(ords) > 0 {
				l.names[l.src.measurement] = ""
				return nil
			}
		case plan.Fields:
			for _, f := range in.run.Meta().Fields {
				l.names[f.Name] = f.Type.String()
			}
		case plan.TagKeys:
			err = l.tagKeys(in)
		case plan.TagValues:
			err = l.page(in)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *lister) tagKeys(in input) error {
	keys, err := in.run.TagKeys()
	if err != nil {
		return err
	}
	for _, k := range keys {
		if _, ok := l.names[k]; ok {
			continue
		}
		if l.src.matcher == nil {
			l.names[k] = ""
			continue
		}
		if err := l.tagValues(in, k, func([]byte) bool {
			l.names[k] = ""
			return false
		}); err != nil {
			return err
		}
	}
	return nil
}

// tagValues calls fn with the values of a tag that series in question have,
// until it returns false.
func (l *lister) tagValues(in input, tag string, fn func([]byte) bool) error {
	ix := in.run.Index()
	if l.src.matcher == nil {
		return ix.Values(tag, func(v []byte, _ *roaring.Bitmap) bool { return fn(v) })
	}
	chosen, err := l.src.matcher.Eval(ix)
	if err != nil {
		return err
	}
	return ix.Values(tag, func(v []byte, p *roaring.Bitmap) bool {
		return !p.Intersects(chosen) || fn(v)
	})
}

// page takes the values of a tag: all of them, or as many as are in question.
func (l *lister) page(in input) error {
	list := l.scan.plan.List
	ix, ok := in.run.Index().(orderedIndex)
	if !ok || list.From == "" && l.most == 0 {
		return l.tagValues(in, list.Tag, func(value []byte) bool {
			if _, ok := l.names[string(value)]; !ok {
				l.keep(string(value))
			}
			return true
		})
	}
	var chosen *roaring.Bitmap
	if l.src.matcher != nil {
		var err error
		if chosen, err = l.src.matcher.Eval(in.run.Index()); err != nil {
			return err
		}
	}
	// Under a condition on tags nobody knows how many have to be looked at, so
	// more and more are asked for.
	step, taken := math.MaxInt, 0
	if l.most > 0 {
		step = max(l.most, pageStep)
	}
	for from := list.From; ; {
		if err := context.Cause(l.scan.ctx); err != nil {
			return err
		}
		n := 0
		err := ix.ValuesFrom(list.Tag, from, step, func(value []byte, p *roaring.Bitmap) bool {
			n++
			from = string(value)
			if chosen == nil || p.Intersects(chosen) {
				taken++
				l.keep(from)
			}
			return (l.most == 0 || taken < l.most) && (l.beyond == "" || from < l.beyond)
		})
		if err != nil || n < step || l.most > 0 && taken >= l.most {
			return err
		}
		from += "\x00"
		step = min(4*step, math.MaxInt32)
	}
}

// pageStep is how many values an index is asked for at first. A memtable has to
// look at all of them for it.
const pageStep = 16 << 10

// orderedIndex is an index that finds some of the values of a tag without going
// through those before them.
type orderedIndex interface {
	// ValuesFrom calls fn with the least values of a tag that are not below
	// from, ascending, most of them at most, until fn returns false.
	ValuesFrom(key, from string, most int, fn func(value []byte, postings *roaring.Bitmap) bool) error
}

// read takes names from the rows themselves.
func (l *lister) read(ctx context.Context, j *job) error {
	r := newReader(j, false)
	defer func() {
		r.close()
		l.scan.stats.add(&r.stats)
	}()
	for unit := range j.units {
		if err := r.walker.begin(j, unit, nil); err != nil {
			return err
		}
		for {
			ok, err := r.next(ctx)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if done, err := l.series(ctx, r); err != nil || done {
				return err
			}
		}
	}
	return nil
}

// series takes the names of one series; done is true when no other can add
// any.
func (l *lister) series(ctx context.Context, r *reader) (done bool, err error) {
	var fresh []string
	switch l.scan.plan.List.What {
	case plan.Measurements:
		fresh = append(fresh, l.src.measurement)
	case plan.Fields:
		return l.fields(ctx, r)
	case plan.TagKeys:
		for k := range column.Tags(r.walker.key) {
			fresh = append(fresh, string(k))
		}
	case plan.TagValues:
		if v := column.TagValue(r.walker.key, l.scan.plan.List.Tag); v != nil && l.wants(string(v)) {
			fresh = append(fresh, string(v))
		}
	}
	fresh = slices.DeleteFunc(fresh, func(n string) bool { _, ok := l.names[n]; return ok })
	if len(fresh) == 0 {
		return false, nil
	}
	some := false
	err = l.rows(ctx, r, func(rows *column.Rows) bool {
		set := r.some(rows, len(rows.Cols))
		some = set == nil || slices.ContainsFunc(set, func(w uint64) bool { return w != 0 })
		return !some
	})
	if err != nil || !some {
		return false, err
	}
	for _, n := range fresh {
		if l.scan.plan.List.What == plan.TagValues {
			l.keep(n)
		} else {
			l.names[n] = ""
		}
	}
	return l.scan.plan.List.What == plan.Measurements, nil
}

// fields takes the fields of which a series has values.
func (l *lister) fields(ctx context.Context, r *reader) (done bool, err error) {
	err = l.rows(ctx, r, func(rows *column.Rows) bool {
		for i, f := range l.src.read {
			if _, ok := l.names[f.Name]; ok {
				continue
			}
			if v := &rows.Cols[i]; v.Type != 0 && v.Valid.Count(rows.Len()) > 0 {
				l.names[f.Name] = f.Type.String()
			}
		}
		return len(l.names) < len(l.src.read)
	})
	return len(l.names) == len(l.src.read), err
}

// rows calls fn with the rows in question of the present series until it
// returns false.
func (l *lister) rows(ctx context.Context, r *reader, fn func(*column.Rows) bool) error {
	if err := r.series(); err != nil {
		return err
	}
	r.seek(l.src.first, l.src.last)
	for {
		rows, _, _, err := r.stream.next()
		if err != nil || rows == nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if rows = r.where(rows); rows.Len() > 0 && !fn(rows) {
			return nil
		}
	}
}

// emit makes a batch of the names, ascending.
func (l *lister) emit() error {
	names := slices.Sorted(maps.Keys(l.names))
	lo, hi := l.scan.plan.Each.Cut(0, len(names))
	if lo == hi {
		return nil
	}
	b := &Batch{Measurement: l.src.measurement, Groups: []Group{{To: hi - lo}}}
	b.Columns = []Column{{Field: "name", Vector: column.Vector{Type: column.String}}}
	if l.scan.plan.List.What == plan.Fields {
		b.Columns = append(b.Columns, Column{Field: "type", Vector: column.Vector{Type: column.String}})
	}
	for _, n := range names[lo:hi] {
		b.Columns[0].AppendString([]byte(n))
		if len(b.Columns) > 1 {
			b.Columns[1].AppendString([]byte(l.names[n]))
		}
	}
	b.reserved = b.Bytes()
	if err := l.scan.budget.reserve(b.reserved); err != nil {
		return err
	}
	l.scan.out = append(l.scan.out, b)
	return nil
}
