package storage

import (
	"fmt"
	"slices"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Writer is what a flow.Run's host has to be for scripts to write.
type Writer interface {
	// Writable finds a bucket that the script may write. One that is not
	// there, or that it may neither read nor write, is a NotFoundError; one
	// that it may read only is another error.
	Writable(ref Ref) (Bucket, error)
	// Write stores rows: they are durable when it returns. The batch is the
	// callee's.
	Write(bucket uint64, b *column.Batch) error
}

// WriterOf returns the host that a run writes to.
func WriterOf(run *flow.Run) (Writer, error) {
	if w, ok := run.Host.(Writer); ok {
		return w, nil
	}
	return nil, fmt.Errorf("there is no storage to write to from here")
}

// To writes the rows of tables, which it hands on.
type To struct {
	Bucket      Bucket
	TimeColumn  string
	Measurement string   // column
	Tags        []string // columns; nil: all of strings that are nothing else
	// Fields makes a record of fields of each row; nil: the field that _field
	// names has the value in _value.
	Fields *value.Func
	// Wide takes the columns of the key as tags, and all others as fields.
	Wide bool
}

// Name implements flow.Op.
func (t *To) Name() string { return "to" }

// Details implements flow.Op.
func (t *To) Details() string { return fmt.Sprintf("bucket: %q", t.Bucket.Name) }

// toRows is how many rows are written at once: some MiB, and few enough waits for
// the disk.
const toRows = 1 << 14

// Open implements flow.Op.
func (t *To) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	host, err := WriterOf(run)
	if err != nil {
		return nil, err
	}
	w := &toReader{Reader: in[0], to: t, host: host}
	if t.Fields != nil {
		if len(t.Fields.Params) == 0 {
			return nil, fmt.Errorf("fieldFn must have a parameter: (r) => ({...})")
		}
		if w.fields, err = flow.NewRowFunc(run, t.Fields, t.Fields.Params[0].Name); err != nil {
			return nil, err
		}
		w.read = references(t.Fields)
	}
	return w, nil
}

// toReader writes what passes.
type toReader struct {
	table.Reader
	to     *To
	host   Writer
	fields *flow.RowFunc
	read   []string // columns that the function of fields looks at
	batch  points
}

// Next implements table.Reader.
func (w *toReader) Next() (*table.Table, error) {
	t, err := w.Reader.Next()
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, w.flush()
	}
	if err := w.add(t); err != nil {
		return nil, err
	}
	if w.batch.rows >= toRows {
		err = w.flush()
	}
	return t, err
}

func (w *toReader) flush() error {
	if w.batch.rows == 0 {
		return nil
	}
	b := w.batch.take()
	return w.host.Write(w.to.Bucket.ID, b)
}

// add adds the rows of a table that have a time and a value.
func (w *toReader) add(t *table.Table) error {
	if t.Rows == 0 {
		return nil
	}
	times, err := t.Need(w.to.TimeColumn)
	if err != nil {
		return fmt.Errorf("no column with label %s exists", w.to.TimeColumn)
	}
	if times.Kind != value.Time {
		return fmt.Errorf("column %s of type %s is not of type time", w.to.TimeColumn, times.Kind)
	}
	measurements, err := t.Need(w.to.Measurement)
	if err != nil {
		return fmt.Errorf("no column with label %s exists", w.to.Measurement)
	}
	if measurements.Kind != value.String {
		return fmt.Errorf("column %s of type %s is not of type string", w.to.Measurement, measurements.Kind)
	}
	tags, err := w.tags(t)
	if err != nil {
		return err
	}
	set, err := w.setter(t, tags)
	if err != nil {
		return err
	}
	for i := range t.Rows {
		if times.Null(i) || measurements.Null(i) {
			continue
		}
		if err := w.batch.begin(string(measurements.Bytes(i)), tags, i, times.Int(i)); err != nil {
			return err
		}
		if err := set(i); err != nil {
			return err
		}
		w.batch.end()
	}
	return nil
}

// tags returns the columns that are tags.
func (w *toReader) tags(t *table.Table) ([]*table.Column, error) {
	var out []*table.Column
	for i := range t.Cols {
		c := &t.Cols[i]
		if c.Label == w.to.Measurement || c.Label == w.to.TimeColumn || !w.isTag(t, c) {
			continue
		}
		if c.Kind != value.String {
			return nil, fmt.Errorf("invalid type for tag column %q: %s, want string", c.Label, c.Kind)
		}
		out = append(out, c)
	}
	return out, nil
}

func (w *toReader) isTag(t *table.Table, c *table.Column) bool {
	switch {
	case w.to.Wide:
		return t.Key.Has(c.Label) && c.Label != Start && c.Label != Stop
	case w.to.Tags != nil:
		return slices.Contains(w.to.Tags, c.Label)
	case c.Kind != value.String:
		return false
	case w.fields != nil:
		return !slices.Contains(w.read, c.Label)
	}
	return c.Label != Value && c.Label != Field
}

// setter returns what sets the fields of a row.
func (w *toReader) setter(t *table.Table, tags []*table.Column) (func(row int) error, error) {
	switch {
	case w.to.Wide:
		var fields []*table.Column
		for i := range t.Cols {
			if c := &t.Cols[i]; !t.Key.Has(c.Label) && c.Label != w.to.TimeColumn && c.Label != w.to.Measurement && c.Label != Start && c.Label != Stop {
				fields = append(fields, c)
			}
		}
		return func(row int) error {
			for _, c := range fields {
				if err := w.batch.set(c.Label, c.Value(row)); err != nil {
					return err
				}
			}
			return nil
		}, nil
	case w.fields != nil:
		w.fields.Table(t)
		return func(row int) error {
			v, err := w.fields.Call(row)
			if err != nil {
				return err
			}
			if v.Kind() != value.Record || v.IsNull() {
				return fmt.Errorf("fieldFn must return a record of fields, not %s", v.Describe())
			}
			r := v.Record()
			for i := range r.Len() {
				if err := w.batch.set(r.Label(i), r.At(i)); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}
	name, err := t.Need(Field, value.String)
	if err != nil {
		return nil, fmt.Errorf("%w; to takes a column _field with names of fields, or fieldFn", err)
	}
	val, err := t.Need(Value)
	if err != nil {
		return nil, fmt.Errorf("%w; to takes a column _value with values of fields, or fieldFn", err)
	}
	return func(row int) error {
		if name.Null(row) {
			return nil
		}
		return w.batch.set(string(name.Bytes(row)), val.Value(row))
	}, nil
}
