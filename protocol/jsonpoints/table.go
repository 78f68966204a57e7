package jsonpoints

import (
	"github.com/cespare/xxhash/v2"

	"github.com/varvedb/varve/column"
)

// table is what the decoder knows of a measurement: names, kept from body to
// body, and the rows of the present output table.
type table struct {
	name   string
	hash   uint64 // xxhash of name, for column.HashKey
	cols   []col
	fields map[string]int // cols by name
	keys   []tagKey
	tags   map[string]int // keys by name

	batch    uint64 // the body for which the rest is valid
	epoch    uint64 // of out, unique in the life of the decoder
	out      *column.Table
	used     []int // columns of out, in the order of their first value
	values   int   // in out
	excess   int   // nulls in out beyond those that its values allow
	rowBytes int   // buffers that belong to no column, as last measured
}

// tagKey is a tag key of a measurement.
type tagKey struct {
	name  string
	epoch uint64 // the last output table that lists it
}

// col is a field of a measurement.
type col struct {
	name   string
	epoch  uint64 // the output table that vec is of
	vec    column.Vector
	asked  uint64      // the body for which number is valid
	number column.Type // what the field is registered as
	serial uint64      // the last point that has it
	bytes  int         // buffers, as last measured
	value  int         // where among the values of that point
}

// Rough sizes of what names cost, map entries included.
const (
	tableBytes = 1024
	colBytes   = 256
	tagBytes   = 64
)

func newTable(name string) *table {
	return &table{name: name, hash: xxhash.Sum64String(name), fields: map[string]int{}, tags: map[string]int{}, out: new(column.Table)}
}

func (t *table) addField(name string) int {
	at := len(t.cols)
	t.cols = append(t.cols, col{name: name})
	t.fields[name] = at
	return at
}

// openTable begins an output table of t.
func (d *Decoder) openTable(t *table) error {
	if len(d.out.Tables) == d.cfg.MaxTables {
		return d.errorf("the body has more than %d measurements and changes of the types of their fields: send fewer points at a time", d.cfg.MaxTables)
	}
	d.epoch++
	t.epoch = d.epoch
	t.used, t.values, t.excess = t.used[:0], 0, 0
	t.out.Reset(t.name)
	d.out.Tables = append(d.out.Tables, t.out)
	return nil
}

// continueTable goes on with a further output table.
func (d *Decoder) continueTable(t *table) error {
	t.seal()
	t.detach()
	return d.openTable(t)
}

// append appends the present point to t.
func (d *Decoder) append(t *table, at int64) error {
	for i := range d.values {
		v := &d.values[i]
		if c := &t.cols[v.col]; v.typ != 0 && c.epoch == t.epoch && c.vec.Type != v.typ {
			// Which of the types counts, the schema knows. Rows stay in their
			// order, because it decides which of them overwrites another.
			if err := d.continueTable(t); err != nil {
				return err
			}
			break
		}
	}
	hash := column.HashKey(t.hash, d.key)
	series, ok := d.index.find(hash, t, d.key)
	if !ok {
		series = t.out.Series.Add(d.key, hash)
		d.index.add(hash, t.epoch, series)
		for _, tag := range d.tags {
			if len(tag.Value) > 0 {
				d.listKey(t, tag.Key)
			}
		}
	}
	row := len(t.out.Time)
	t.out.Row = append(t.out.Row, series)
	t.out.Time = append(t.out.Time, at)
	for i := range d.values {
		v := &d.values[i]
		if v.typ == 0 {
			continue
		}
		c := &t.cols[v.col]
		if c.epoch != t.epoch {
			c.epoch = t.epoch
			c.vec.Reset(v.typ)
			t.used = append(t.used, v.col)
			d.columns++
		}
		c.vec.AppendNulls(row - c.vec.Len())
		if v.typ == column.String {
			c.vec.AppendString(v.str)
		} else {
			c.vec.AppendWord(v.word)
		}
		t.values++
	}
	if d.columns > d.cfg.MaxColumns {
		return d.errorf("the body has more than %d field and tag keys: send fewer points at a time", d.cfg.MaxColumns)
	}
	if nulls := len(t.used)*(row+1) - (nullsPerValue+1)*t.values; nulls > 0 || t.excess > 0 {
		return d.limitNulls(t, nulls)
	}
	return nil
}

// listKey puts a tag key into the list of the output table of t.
func (d *Decoder) listKey(t *table, name []byte) {
	at, ok := t.tags[string(name)]
	if !ok {
		at = len(t.keys)
		t.keys = append(t.keys, tagKey{name: string(name)})
		t.tags[t.keys[at].name] = at
		d.bytes += tagBytes + len(name)
	}
	if k := &t.keys[at]; k.epoch != t.epoch {
		k.epoch = t.epoch
		t.out.TagKeys = append(t.out.TagKeys, k.name)
		d.columns++
	}
}

// nullsPerValue is how many absent values each present one allows, besides
// Config.MaxNulls: up to there a row of mostly nulls costs less than a further
// table.
const nullsPerValue = 8

// limitNulls continues t in a new table if nulls, what it has beyond what its
// values allow, bring the batch beyond its limit.
func (d *Decoder) limitNulls(t *table, nulls int) error {
	nulls = max(nulls, 0)
	d.excess += nulls - t.excess
	t.excess = nulls
	if nulls > 0 && d.excess > d.cfg.MaxNulls {
		return d.continueTable(t)
	}
	return nil
}

// seal completes the columns of t and puts them into its output table.
func (t *table) seal() {
	n := len(t.out.Time)
	for _, at := range t.used {
		c := &t.cols[at]
		c.vec.AppendNulls(n - c.vec.Len())
		t.out.Fields = append(t.out.Fields, column.Field{Name: c.name, Vector: c.vec})
	}
}

// detach gives the buffers of t away.
func (t *table) detach() {
	t.out = new(column.Table)
	for _, at := range t.used {
		t.cols[at].vec = column.Vector{}
	}
}

// measure notes what the buffers of t hold after a body and returns by how much
// that is more than before.
func (t *table) measure() int {
	o := t.out
	rows := 4*cap(o.Row) + 8*cap(o.Time) + cap(o.Series.Keys) + 4*cap(o.Series.Ends) + 8*cap(o.Series.Hash)
	more := rows - t.rowBytes
	t.rowBytes = rows
	for _, at := range t.used {
		c := &t.cols[at]
		n := 8*cap(c.vec.Words) + 4*cap(c.vec.Ends) + cap(c.vec.Data)
		more += n - c.bytes
		c.bytes = n
	}
	return more
}
