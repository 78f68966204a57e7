package column

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPick picks few and many rows of a table, which go different ways, and
// looks at each of them.
func TestPick(t *testing.T) {
	const rows = 400
	table := &Table{Measurement: "m", TagKeys: []string{"host", "rare"}}
	x, s := Vector{Type: Float64}, Vector{Type: String}
	for r := range rows {
		tags := []Tag{{[]byte("host"), fmt.Appendf(nil, "h%03d", r/2)}}
		if r/2 == 7 {
			tags = append(tags, Tag{[]byte("rare"), []byte("1")})
		}
		key, err := AppendSeriesKey(nil, tags)
		if err != nil {
			t.Fatal(err)
		}
		if r%2 == 0 {
			table.Series.Add(key, HashSeries("m", key))
		}
		table.Row, table.Time = append(table.Row, uint32(r/2)), append(table.Time, int64(r))
		x.AppendFloat(float64(r))
		if r < 10 {
			s.AppendString(fmt.Appendf(nil, "text %d", r))
		} else {
			s.AppendNulls(1)
		}
	}
	table.Fields = []Field{{"x", x}, {"s", s}}
	line := func(t *Table, r int) string {
		key := t.Series.Key(int(t.Row[r]))
		if h := HashSeries("m", key); h != t.Series.Hash[t.Row[r]] {
			return "a wrong hash"
		}
		text := fmt.Sprintf("%s %d", key, t.Time[r])
		for i := range t.Fields {
			switch f := &t.Fields[i]; {
			case !f.Valid.Get(r):
			case f.Type == String:
				text += fmt.Sprintf(" %s=%s", f.Name, f.Str(r))
			default:
				text += fmt.Sprintf(" %s=%v", f.Name, f.Floats()[r])
			}
		}
		return text
	}
	all := make([]uint32, rows)
	for r := range all {
		all[r] = uint32(r)
	}
	for _, c := range []struct {
		rows   []uint32
		tags   []string
		fields int
	}{
		{all, []string{"host", "rare"}, 2},
		{all[14:16], []string{"host", "rare"}, 1},
		{all[300:305], []string{"host"}, 1},
		{[]uint32{399, 3, 2, 3}, []string{"host"}, 2},
	} {
		got := table.Pick(c.rows)
		var want, have []string
		for i, r := range c.rows {
			want, have = append(want, line(table, int(r))), append(have, line(got, i))
		}
		if d := cmp.Diff(want, have); d != "" {
			t.Errorf("rows %v:\n%s", c.rows, d)
		}
		if d := cmp.Diff(c.tags, got.TagKeys); d != "" || len(got.Fields) != c.fields {
			t.Errorf("rows %v have %d fields, tags\n%s", c.rows, len(got.Fields), d)
		}
	}
	if table.Pick(nil) != nil {
		t.Error("no rows give a table")
	}
}
