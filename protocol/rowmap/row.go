package rowmap

import "strings"

// Column is a column of a row.
type Column struct {
	Name string // of a column, or the path of a document's value, joined by dots
	Value
}

// Row is a row, or a document, or what is known of one. It may be used again
// after Reset. The zero Row knows nothing.
type Row struct {
	Columns []Column
	// Complete says that a column that is not listed has no value, as in a
	// document. Otherwise nothing is known of it.
	Complete bool
	// Replaced are paths of a document that is not complete below which all is
	// listed.
	Replaced []string
}

// Reset makes r know nothing.
func (r *Row) Reset() {
	r.Columns, r.Replaced, r.Complete = r.Columns[:0], r.Replaced[:0], false
}

// Add adds a column.
func (r *Row) Add(name string, v Value) { r.Columns = append(r.Columns, Column{name, v}) }

// get returns a column of r, which may be nil. hint is where it was the last
// time, which it mostly is again.
func (r *Row) get(name string, hint *int) Value {
	if r == nil {
		return Value{}
	}
	if i := *hint; i < len(r.Columns) && r.Columns[i].Name == name {
		return r.Columns[i].Value
	}
	for i := range r.Columns {
		if r.Columns[i].Name == name {
			*hint = i
			return r.Columns[i].Value
		}
	}
	if r.Complete {
		return Value{Kind: Null}
	}
	for _, path := range r.Replaced {
		if len(name) > len(path) && name[len(path)] == '.' && strings.HasPrefix(name, path) {
			return Value{Kind: Null}
		}
	}
	return Value{}
}
