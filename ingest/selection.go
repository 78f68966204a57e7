package ingest

import (
	"slices"

	"github.com/varvedb/varve/column"
)

// replace sets table i of out, which is a copy of original as soon as it
// differs from it; a nil table means that nothing is left.
func replace(out, original *column.Batch, i int, t *column.Table) *column.Batch {
	if out.Tables[i] == t {
		return out
	}
	if out == original {
		out = &column.Batch{Tables: slices.Clone(original.Tables)}
	}
	out.Tables[i] = t
	return out
}

// compact takes out the tables that are nil.
func compact(out, original *column.Batch) *column.Batch {
	if out != original {
		out.Tables = slices.DeleteFunc(out.Tables, func(t *column.Table) bool { return t == nil })
	}
	return out
}

// hasTag tells of which rows the series has a tag.
func hasTag(t *column.Table, key string) func(row int) bool {
	has := make([]bool, t.Series.Len())
	for i := range has {
		has[i] = column.TagValue(t.Series.Key(i), key) != nil
	}
	return func(row int) bool { return has[t.Row[row]] }
}

// without returns a copy of t that lacks the rows to drop, nil if none is
// left.
func without(t *column.Table, drop []bool) *column.Table {
	rows := make([]uint32, 0, len(drop))
	for r := range drop {
		if !drop[r] {
			rows = append(rows, uint32(r))
		}
	}
	return t.Pick(rows)
}
