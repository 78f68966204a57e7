package export

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/export/stream"
)

// aligned is a table whose tags and fields stand in the places of a schema.
type aligned struct {
	schema *stream.Schema
	table  *column.Table
	fields []*column.Field // by the schema's fields; nil: none of the rows has it
	values [][]byte        // of tags, by series and then by the schema's tags; nil: absent
	text   []byte          // what values points into
	ends   []int
}

func (a *aligned) reset(s *stream.Schema) {
	a.schema, a.fields = s, make([]*column.Field, len(s.Fields))
}

// align takes a table. It is valid for as long as t is.
func (a *aligned) align(t *column.Table) error {
	a.table = t
	clear(a.fields)
	for i := range t.Fields {
		f := &t.Fields[i]
		at, ok := slices.BinarySearchFunc(a.schema.Fields, f.Name, func(have column.FieldInfo, name string) int {
			return strings.Compare(have.Name, name)
		})
		if !ok || a.schema.Fields[at].Type != f.Type {
			return fmt.Errorf("export %q: field %q of type %v came unannounced", t.Measurement, f.Name, f.Type)
		}
		a.fields[at] = f
	}
	return a.alignTags()
}

func (a *aligned) alignTags() error {
	n := len(a.schema.Tags)
	a.values = append(a.values[:0], make([][]byte, a.table.Series.Len()*n)...)
	// The values are copied, since an iteration over tags gives them for a
	// step only; text may move until all are there.
	a.text, a.ends = a.text[:0], a.ends[:0]
	for s := range a.table.Series.Len() {
		at := 0
		for k, v := range column.Tags(a.table.Series.Key(s)) {
			for at < n && a.schema.Tags[at] < string(k) {
				at++
				a.ends = append(a.ends, -1)
			}
			if at == n || !bytes.Equal([]byte(a.schema.Tags[at]), k) {
				return fmt.Errorf("export %q: tag %q came unannounced", a.table.Measurement, k)
			}
			a.text = append(a.text, v...)
			a.ends = append(a.ends, len(a.text))
			at++
		}
		for ; at < n; at++ {
			a.ends = append(a.ends, -1)
		}
	}
	from := 0
	for i, end := range a.ends {
		if end >= 0 {
			a.values[i] = a.text[from:end:end]
			from = end
		}
	}
	return nil
}

// tag returns the value of a tag of the schema in a row, nil if it is absent.
func (a *aligned) tag(row, tag int) []byte {
	return a.values[int(a.table.Row[row])*len(a.schema.Tags)+tag]
}
