package column

import "math"

// Pick returns a copy of t with some of its rows, in the order in which they
// are named, and with only the series, tag keys and fields that those have. It
// is nil without rows, and shares no memory with t.
func (t *Table) Pick(rows []uint32) *Table {
	if len(rows) == 0 {
		return nil
	}
	out := &Table{
		Measurement: t.Measurement,
		Row:         make([]uint32, len(rows)),
		Time:        make([]int64, len(rows)),
		Fields:      make([]Field, 0, len(t.Fields)),
	}

	if n := min(len(rows), t.Series.Len()); n > 0 {
		out.Series = SeriesSet{Keys: make([]byte, 0, len(t.Series.Keys)/t.Series.Len()*n+n), Ends: make([]uint32, 0, n), Hash: make([]uint64, 0, n)}
	}
	if len(rows) < t.Series.Len()/sparse {
		t.pickFew(out, rows)
	} else {
		t.pickMany(out, rows)
	}
	out.TagKeys = usedKeys(t.TagKeys, &out.Series)

	for i := range t.Fields {
		f := &t.Fields[i]
		v := Vector{Type: f.Type}
		if f.Type == String {
			v.Ends = make([]uint32, 0, len(rows))
		} else {
			v.Words = make([]uint64, 0, len(rows))
		}
		for _, r := range rows {
			v.AppendRow(&f.Vector, int(r))
		}
		if v.Valid.Count(len(rows)) > 0 {
			out.Fields = append(out.Fields, Field{Name: f.Name, Vector: v})
		}
	}
	return out
}

// sparse is how many series a table has for each row picked from which on a map
// costs less than an entry for each of them.
const sparse = 16

// pickMany copies the series and times of rows.
func (t *Table) pickMany(out *Table, rows []uint32) {
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
}

// pickFew does what pickMany does, in time that does not grow with t.
func (t *Table) pickFew(out *Table, rows []uint32) {
	renumbered := make(map[uint32]uint32, len(rows))
	for i, r := range rows {
		s := t.Row[r]
		n, ok := renumbered[s]
		if !ok {
			n = out.Series.Add(t.Series.Key(int(s)), t.Series.Hash[s])
			renumbered[s] = n
		}
		out.Row[i], out.Time[i] = n, t.Time[r]
	}
}

// usedKeys returns those of keys that a series has. Series of one measurement
// mostly have the same, so it is done after the first ones.
func usedKeys(keys []string, series *SeriesSet) []string {
	used := make([]bool, len(keys))
	left := len(keys)
	for s := 0; s < series.Len() && left > 0; s++ {
		for k := range Tags(series.Key(s)) {
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
