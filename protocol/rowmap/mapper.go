// Package rowmap makes points of the rows of databases: a declared mapping says
// which table becomes which measurement, and which columns become tags, fields
// and the time. Decoders of change events, such as protocol/debezium, find the
// rows; what a change means for the points is decided here, alike for all.
//
// A point is found by its measurement, tags and time. So
//
//   - an insert writes a point;
//   - an update that leaves tags and time writes the point again, and deletes
//     the fields that have become null, because an absent field never
//     overwrites;
//   - an update that changes tags or time deletes the old point and writes the
//     new one. For that the row before the update has to be known. If it is
//     not, the new point is written and the old one stays;
//   - a delete deletes the point. If the tags and the time of the row are not
//     known, the change is refused, so that it can be looked up;
//   - a column of which nothing is known changes nothing.
//
// All changes of a table have to be handed over in their order; then a
// repeated run of them ends in the same points.
//
// A Mapper belongs to one goroutine at a time.
package rowmap

import (
	"slices"

	"github.com/varvedb/varve/pipeline/record"
)

// Op is what happened to a row.
type Op uint8

const (
	Read     Op = iota + 1 // found by a snapshot
	Create                 // inserted
	Update                 // changed
	Delete                 // deleted
	Truncate               // all rows of the table were deleted
)

// Change is a change of a row.
type Change struct {
	Op            Op
	Table         string
	Before, After *Row  // nil: nothing is known
	At            int64 // of the commit, in nanoseconds since 1970; 0 if not known
}

// Reasons for which a change is refused.
const (
	UnknownTable = "unknown_table" // the declaration does not name it
	BadValue     = "bad_value"     // a value is not of the declared type
	NoTime       = "no_time"       // the time is null
	NoBefore     = "no_before"     // the old point cannot be found
	Unavailable  = "no_column"     // the event does not hold a column that is needed
	Truncated    = "table_emptied" // TRUNCATE
	NoChange     = "no_row"        // the event holds no row
	BadOperation = "bad_operation" // none of Op
)

// Mapper applies a mapping.
type Mapper struct {
	tables     map[string]*table
	skipOthers bool
	now, old   place
	gone       []string
}

// table is a Table and where its columns were found the last time.
type table struct {
	Table
	time   int
	tags   []int
	fields []int
}

// place is where a row's point stands.
type place struct {
	tags    []record.Tag
	time    int64
	timed   bool
	missing Origin // what became of a time that is null; OfColumn if it is not
}

// New returns a mapper of m.
func New(m Mapping) *Mapper {
	p := &Mapper{tables: map[string]*table{}, skipOthers: m.SkipOthers}
	for _, t := range m.Tables {
		p.tables[t.Name] = &table{Table: t, tags: make([]int, len(t.Tags)), fields: make([]int, len(t.Fields))}
	}
	return p
}

// Table returns how a table is mapped, nil if it is not.
func (p *Mapper) Table(name string) *Table {
	if t := p.tables[name]; t != nil {
		return &t.Table
	}
	return nil
}

// Apply appends what has to be done for c. An error is a *record.Refusal; out
// is as it was then.
func (p *Mapper) Apply(c *Change, message int, out *record.List) error {
	t := p.tables[c.Table]
	if t == nil {
		if p.skipOthers {
			return nil
		}
		return record.Refuse(UnknownTable, "table %q is not declared: declare it, or say others: skip", c.Table)
	}
	n := out.Len()
	err := p.apply(t, c, message, out)
	if err != nil {
		out.Truncate(n)
	}
	return err
}

func (p *Mapper) apply(t *table, c *Change, message int, out *record.List) error {
	switch c.Op {
	case Truncate:
		switch t.Truncate {
		case DeletePoints:
			r := out.Add(message)
			r.Measurement, r.Delete, r.All = t.Measurement, true, true
			return nil
		case IgnoreEmptying:
			return nil
		}
		return record.Refuse(Truncated, "table %s was emptied by TRUNCATE, its points are still there: delete measurement %s, or say truncate: ignore or delete", t.Name, t.Measurement)
	case Delete:
		return p.delete(t, c, message, out)
	case Read, Create, Update:
		if c.After == nil {
			return record.Refuse(NoChange, "table %s: the event does not hold the row after the change", t.Name)
		}
		return p.write(t, c, message, out)
	}
	return record.Refuse(BadOperation, "table %s: operation %d is not known", t.Name, c.Op)
}

// delete deletes the point of the row as it was.
func (p *Mapper) delete(t *table, c *Change, message int, out *record.List) error {
	if t.KeepDeleted {
		return nil
	}
	absent, err := p.locate(t, c.Before, nil, 0, &p.old)
	switch {
	case err != nil:
		return err
	case absent != "":
		return record.Refuse(NoBefore, "table %s: a row was deleted, and the event does not tell its column %s, by which its point would be found: "+
			"have the database log whole rows (REPLICA IDENTITY FULL, binlog_row_image=FULL, pre-images)", t.Name, absent)
	}
	switch p.old.missing {
	case OfChange, OfArrival:
		return record.Refuse(NoBefore, "table %s: a row was deleted whose time, column %s, is null: nothing tells where its point stands", t.Name, t.Time.Column)
	case OfColumn:
		p.remove(t, &p.old, message, out)
	}
	return nil
}

// remove appends the deletion of a point, whole.
func (p *Mapper) remove(t *table, at *place, message int, out *record.List) *record.Record {
	r := out.Add(message)
	r.Measurement, r.Delete, r.Time, r.Timed = t.Measurement, true, at.time, true
	r.Tags = append(r.Tags, at.tags...)
	return r
}

// write writes the point of the row as it is, and deletes what is left of the
// row as it was.
func (p *Mapper) write(t *table, c *Change, message int, out *record.List) error {
	var before *Row
	if c.Op == Update {
		before = c.Before
	}
	absent, err := p.locate(t, c.After, before, c.At, &p.now)
	switch {
	case err != nil:
		return err
	case absent != "":
		return record.Refuse(Unavailable, "table %s: the event does not hold column %s, by which the point is found", t.Name, absent)
	case p.now.missing == Refused:
		return record.Refuse(NoTime, "table %s: column %s, the time, is null: say time: {missing: …} if such rows are to be taken", t.Name, t.Time.Column)
	}
	moved := false
	if before != nil && t.Time.Origin == OfColumn {
		absent, err := p.locate(t, before, nil, 0, &p.old)
		// A time that could not be read made no point either.
		if err == nil && absent == "" && p.old.missing == OfColumn && !p.old.same(&p.now) {
			moved = true
			p.remove(t, &p.old, message, out)
		}
	}
	if p.now.missing == Skipped {
		return nil
	}
	r := out.Add(message)
	at := out.Len() - 1
	r.Measurement, r.Time, r.Timed = t.Measurement, p.now.time, p.now.timed
	r.Tags = append(r.Tags, p.now.tags...)
	p.gone = p.gone[:0]
	for i := range t.Fields {
		f := &t.Fields[i]
		v := c.After.get(f.Column, &t.fields[i])
		if v.Kind == Absent && moved {
			if v = before.get(f.Column, &t.fields[i]); v.Kind == Absent {
				return record.Refuse(Unavailable, "table %s: an update moved a point, and the event does not hold column %s of it", t.Name, f.Column)
			}
		}
		switch v.Kind {
		case Absent:
			continue
		case Null:
			if c.Op == Update && !moved && before.get(f.Column, &t.fields[i]).Kind != Null {
				p.gone = append(p.gone, f.Name)
			}
			continue
		}
		value, problem := v.field(f)
		if problem != "" {
			return record.Refuse(BadValue, "table %s: column %s: %s %s", t.Name, f.Column, v.quoted(), problem)
		}
		r.Fields = append(r.Fields, record.Field{Name: f.Name, Value: value})
	}
	if len(r.Fields) == 0 {
		out.Truncate(at) // a point has a field at least
	}
	// At the time of a change or an arrival no point has been before.
	if len(p.gone) > 0 && p.now.missing == OfColumn && t.Time.Origin == OfColumn {
		r := p.remove(t, &p.now, message, out)
		for _, name := range p.gone {
			r.Fields = append(r.Fields, record.Field{Name: name})
		}
	}
	return nil
}

// locate finds where the point of a row stands. Columns of which row knows
// nothing are taken from rest, which may be nil. absent is a column of which
// neither knows.
func (p *Mapper) locate(t *table, row, rest *Row, change int64, at *place) (absent string, err error) {
	*at = place{tags: at.tags[:0]}
	find := func(name string, hint *int) Value {
		v := row.get(name, hint)
		if v.Kind == Absent {
			v = rest.get(name, hint)
		}
		return v
	}
	origin := t.Time.Origin
	if origin == OfColumn {
		v := find(t.Time.Column, &t.time)
		switch v.Kind {
		case Absent:
			return t.Time.Column, nil
		case Null:
			origin, at.missing = t.Time.Missing, t.Time.Missing
		default:
			ns, problem := v.nanosOf(t.Time.Unit, t.Time.Zone)
			if problem != "" {
				return "", record.Refuse(BadValue, "table %s: column %s: %s %s", t.Name, t.Time.Column, v.quoted(), problem)
			}
			at.time, at.timed = ns, true
		}
	}
	if origin == OfChange {
		at.time, at.timed = change, change != 0
	}
	for i := range t.Tags {
		g := &t.Tags[i]
		v := find(g.Column, &t.tags[i])
		if v.Kind == Absent {
			return g.Column, nil
		}
		if s := v.text(); s != "" {
			at.tags = append(at.tags, record.Tag{Key: g.Key, Value: s})
		}
	}
	return "", nil
}

// same reports whether both are one point.
func (p *place) same(q *place) bool {
	return p.timed == q.timed && p.time == q.time && slices.Equal(p.tags, q.tags)
}
