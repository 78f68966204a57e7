package rows_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/rows"
)

var value = &rows.Fields{Name: "value", Fields: []column.FieldInfo{{Name: "value", Type: column.Float64}}}

func tags(pairs ...string) []column.Tag {
	var all []column.Tag
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, column.Tag{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return all
}

// clean is what becomes of a name or value, by the documentation.
func clean(s string) string {
	s = strings.TrimRight(s, `\`)
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// reference returns the key of a series by the documentation alone; "" and
// false if there is none.
func reference(pairs []string) (string, bool) {
	var all []column.Tag
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		if !utf8.ValidString(pairs[i]) || !utf8.ValidString(pairs[i+1]) {
			return "", false
		}
		name := clean(pairs[i])
		if pairs[i] == "time" || pairs[i] == "value" {
			name = "label_" + name
		}
		if name == "" {
			return "", false
		}
		if v := clean(pairs[i+1]); v != "" {
			all = append(all, column.Tag{Key: []byte(name), Value: []byte(v)})
		}
	}
	key, err := column.AppendSeriesKey(nil, all)
	return string(key), err == nil
}

// TestSeriesAgainstReference makes series of random tags, most of which have the
// names of others, and compares their keys.
func TestSeriesAgainstReference(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	c := rows.New(rows.Default())
	lists := [][]string{{"a", "b", "c"}, {"c", "a"}, {"time", "value", "z"}, {}, {"a\x01", "ü"}, {"a", "a"}, {"x", "y\\"}, {""}, {"y\xff"}}
	letters := []string{"a", "bcdefgh", "01234567", "ü", " ", ",", "=", "\\", "\n", "\x7f", "~", "!", "\xff", "long enough to have several words in it"}
	for range 50 {
		c.Begin(0, nil)
		table, err := c.Table([]byte("m"), value)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for range 100 {
			names := lists[rng.IntN(len(lists))]
			if rng.IntN(10) > 0 {
				names = lists[rng.IntN(3)]
			}
			var pairs []string
			for _, n := range names {
				v := ""
				for range rng.IntN(4) {
					v += letters[rng.IntN(len(letters))]
				}
				pairs = append(pairs, n, v)
			}
			key, ok := reference(pairs)
			id, err := c.Series(table, tags(pairs...))
			if (err == nil) != ok {
				t.Fatalf("%q: error %v, want a series: %t", pairs, err, ok)
			}
			if !ok {
				continue
			}
			if int(id) != len(want) {
				t.Fatalf("series %d, want %d", id, len(want))
			}
			table.Append(id, int64(len(want)), 1)
			want = append(want, key)
		}
		b := c.Batch()
		if len(b.Tables) == 0 {
			t.Fatal("the batch is empty")
		}
		out := b.Tables[0]
		var got []string
		used := map[string]bool{}
		for i := range out.Series.Len() {
			key := out.Series.Key(i)
			got = append(got, string(key))
			if err := column.CheckSeriesKey(key); err != nil {
				t.Error(err)
			}
			if out.Series.Hash[i] != column.HashSeries("m", key) {
				t.Errorf("hash of %q", key)
			}
			for k := range column.Tags(key) {
				used[string(k)] = true
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("keys (-want +got):\n%s", diff)
		}
		for k := range used {
			if !slices.Contains(out.TagKeys, k) {
				t.Errorf("tag keys %q lack %q", out.TagKeys, k)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	limits := rows.Limits{MaxTags: 3, MaxTables: 2, MaxColumns: 8, MaxBytes: 150, KeepBytes: 1 << 20}
	if err := limits.Validate(); err != nil {
		t.Fatal(err)
	}
	c := rows.New(limits)
	begin := func() *rows.Table {
		c.Begin(0, nil)
		table, err := c.Table([]byte("m"), value)
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	wants := func(what string, err error, limit bool) {
		t.Helper()
		if err == nil || errors.As(err, new(*rows.LimitError)) != limit {
			t.Errorf("%s: error %v, want one of the request: %t", what, err, limit)
		}
	}
	table := begin()
	_, err := c.Series(table, tags("a", "1", "b", "1", "c", "1", "d", "1"))
	wants("too many tags", err, false)
	_, err = c.Series(table, tags("a", strings.Repeat("x", 1<<16)))
	wants("a long series", err, false)
	_, err = c.Series(table, tags("a", strings.Repeat("x", 140)))
	wants("many bytes", err, true)
	begin()
	if c.Reserve(4) != nil {
		t.Error("four rows are too many")
	}
	wants("five rows", c.Reserve(1), true)
	asked := int64(0)
	c.Begin(40, func(n int64) error {
		if asked += n; asked > 1<<20 {
			return errors.New("memory is used up")
		}
		return nil
	})
	if c.Reserve(1) != nil || asked != 0 {
		t.Errorf("%d bytes were asked for though there was room", asked)
	}
	if c.Reserve(1) != nil || asked == 0 {
		t.Error("nothing was asked for")
	}
	c.Begin(0, func(int64) error { return errors.New("memory is used up") })
	if err := c.Reserve(1); !rows.Whole(err) || !errors.As(err, new(*rows.RoomError)) {
		t.Errorf("without memory: error %v", err)
	}
	begin()
	if _, err := c.Table([]byte("n"), value); err != nil {
		t.Error(err)
	}
	_, err = c.Table([]byte("o"), value)
	wants("three tables", err, true)
	table = begin()
	for i := range 10 {
		if _, err = c.Series(table, tags(fmt.Sprint("t", i), "x")); err != nil {
			break
		}
	}
	wants("many names", err, true)
	for _, name := range []string{"", "#m", "\\", "\xff", strings.Repeat("x", 1<<16)} {
		_, err := c.Table([]byte(name), value)
		wants(fmt.Sprintf("measurement %.10q", name), err, false)
	}
}

// TestTablesApart: fields with any bytes in their name are not taken for others.
func TestTablesApart(t *testing.T) {
	c := rows.New(rows.Default())
	c.Begin(0, nil)
	two := &rows.Fields{Name: "value\x00m", Fields: []column.FieldInfo{{Name: "a", Type: column.Float64}, {Name: "b", Type: column.Float64}}}
	one, err1 := c.Table([]byte("\x00mm"), value)
	other, err2 := c.Table([]byte("m"), two)
	if err1 != nil || err2 != nil || one == other {
		t.Errorf("%v, %v: the same table %t", err1, err2, one == other)
	}
	// Names that are the same once they are clean are one measurement.
	a, err1 := c.Table([]byte("a\x01"), value)
	b, err2 := c.Table([]byte("a "), value)
	if err1 != nil || err2 != nil || a != b {
		t.Errorf("%v, %v: the same table %t", err1, err2, a == b)
	}
}
