package ingest

import (
	"math"
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
	return pick(t, rows)
}

// pick returns a copy of t with some of its rows, in their order, and with
// only the series, tag keys and fields that those have. It is nil without
// rows.
func pick(t *column.Table, rows []uint32) *column.Table {
	if len(rows) == 0 {
		return nil
	}
	out := &column.Table{
		Measurement: t.Measurement,
		Row:         make([]uint32, len(rows)),
		Time:        make([]int64, len(rows)),
		Fields:      make([]column.Field, 0, len(t.Fields)),
	}

	const absent = math.MaxUint32 // no table has so many series: each has four bytes at least
	renumbered := make([]uint32, t.Series.Len())
	for i := range renumbered {
		renumbered[i] = absent
	}
	for i, r := range rows {
		s := t.Row[r]
		if renumbered[s] == absent {
			renumbered[s] = out.Series.Add(t.Series.Key(int(s)), t.Series.Hash[s])
		}
		out.Row[i], out.Time[i] = renumbered[s], t.Time[r]
	}
	out.TagKeys = usedKeys(t.TagKeys, &out.Series)

	for i := range t.Fields {
		f := &t.Fields[i]
		v := column.Vector{Type: f.Type}
		if f.Type == column.String {
			v.Ends = make([]uint32, 0, len(rows))
		} else {
			v.Words = make([]uint64, 0, len(rows))
		}
		for _, r := range rows {
			v.AppendRow(&f.Vector, int(r))
		}
		if v.Valid.Count(len(rows)) > 0 {
			out.Fields = append(out.Fields, column.Field{Name: f.Name, Vector: v})
		}
	}
	return out
}

// usedKeys returns those of keys that a series has. Series of one measurement
// mostly have the same, so it is done after the first ones.
func usedKeys(keys []string, series *column.SeriesSet) []string {
	used := make([]bool, len(keys))
	left := len(keys)
	for s := 0; s < series.Len() && left > 0; s++ {
		for k := range column.Tags(series.Key(s)) {
			if i := indexOf(keys, k); i >= 0 && !used[i] {
				used[i] = true
				left--
			}
		}
	}
	out := make([]string, 0, len(keys)-left)
	for i := range keys {
		if used[i] {
			out = append(out, keys[i])
		}
	}
	return out
}

func indexOf(keys []string, key []byte) int {
	for i := range keys {
		if keys[i] == string(key) {
			return i
		}
	}
	return -1
}
