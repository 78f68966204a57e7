package segment

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/encoding"
)

// memBlob is a file in memory.
type memBlob []byte

func (m memBlob) Size() int64 { return int64(len(m)) }

func (m memBlob) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(m)) {
		return 0, io.EOF
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// modelSection is the rows of one measurement, as plainly as can be.
type modelSection struct {
	name   string
	fields []column.FieldInfo
	series []modelSeries // ascending by key
}

type modelSeries struct {
	key  []byte
	rows column.Rows
}

// used returns the fields that have a value.
func (m *modelSection) used() []column.FieldInfo {
	var out []column.FieldInfo
	for i, f := range m.fields {
		if slices.ContainsFunc(m.series, func(s modelSeries) bool {
			v := &s.rows.Cols[i]
			return v.Type != 0 && v.Valid.Count(s.rows.Len()) > 0
		}) {
			out = append(out, f)
		}
	}
	return out
}

// shape says what a random model looks like.
type shape struct {
	seed       uint64
	sections   int
	series     int
	rows       int // of each series, at most
	fields     int
	nulls      float64
	sparse     float64 // share of fields that a series lacks altogether
	irregular  bool
	step       int64
	wildFloats bool
}

func (sh shape) build() []modelSection {
	rnd := rand.New(rand.NewPCG(sh.seed, 1))
	var out []modelSection
	for m := range sh.sections {
		s := modelSection{name: fmt.Sprintf("m%04d", m)}
		for f := range sh.fields {
			s.fields = append(s.fields, column.FieldInfo{Name: fmt.Sprintf("f%03d", f), Type: column.Type(1 + (f+m)%5)})
		}
		for i := range sh.series {
			var tags []column.Tag
			add := func(k, v string) { tags = append(tags, column.Tag{Key: []byte(k), Value: []byte(v)}) }
			if sh.series > 1 {
				add("host", fmt.Sprintf("host_%d", i))
				if i%7 != 0 {
					add("region", fmt.Sprintf("r %d", i%3))
				}
				if i < sh.series/2 {
					add("a,half", "x")
				}
			}
			key, err := column.AppendSeriesKey(nil, tags)
			if err != nil {
				panic(err)
			}
			s.series = append(s.series, modelSeries{key: key, rows: sh.rowsOf(rnd, s.fields)})
		}
		slices.SortFunc(s.series, func(a, b modelSeries) int { return bytes.Compare(a.key, b.key) })
		out = append(out, s)
	}
	return out
}

func (sh shape) rowsOf(rnd *rand.Rand, fields []column.FieldInfo) column.Rows {
	var r column.Rows
	r.Reset(fields)
	n := 1 + rnd.IntN(sh.rows)
	t := int64(1_600_000_000_000_000_000)/sh.step*sh.step + int64(rnd.IntN(50))*sh.step
	for range n {
		r.Time = append(r.Time, t)
		t += sh.step
		if sh.irregular {
			t += rnd.Int64N(sh.step)
		}
	}
	for i, f := range fields {
		absent := rnd.Float64() < sh.sparse
		v := &r.Cols[i]
		walk := rnd.Int64N(100)
		for range n {
			walk += rnd.Int64N(3) - 1
			if absent || rnd.Float64() < sh.nulls {
				v.AppendNulls(1)
				continue
			}
			switch f.Type {
			case column.Float64:
				x := float64(walk) / 10
				if sh.wildFloats {
					x = wildFloat(rnd)
				}
				v.AppendFloat(x)
			case column.Int64:
				if sh.wildFloats {
					v.AppendWord(rnd.Uint64())
				} else {
					v.AppendWord(uint64(walk))
				}
			case column.Uint64:
				if sh.wildFloats {
					v.AppendWord(rnd.Uint64())
				} else {
					v.AppendWord(uint64(walk + 1000))
				}
			case column.Bool:
				v.AppendWord(uint64(walk & 1))
			case column.String:
				v.AppendString([]byte([]string{"", "ok", "failed", "on the way"}[rnd.IntN(4)]))
			}
		}
	}
	return r
}

func wildFloat(rnd *rand.Rand) float64 {
	switch rnd.IntN(8) {
	case 0:
		return math.NaN()
	case 1:
		return math.Inf(1)
	case 2:
		return math.Inf(-1)
	case 3:
		return math.Copysign(0, -1)
	case 4:
		return math.Float64frombits(0x7ff8000000000000 | rnd.Uint64N(1<<40))
	}
	return rnd.NormFloat64() * 1e6
}

// write writes a model; each series in pieces of some rows.
func writeModel(t testing.TB, model []modelSection, o WriterOptions, piece int) ([]byte, Info) {
	t.Helper()
	var buf bytes.Buffer
	w := NewWriter(&buf, o)
	for i := range model {
		m := &model[i]
		must(t, w.BeginSection(m.name, m.fields))
		for j := range m.series {
			s := &m.series[j]
			var part column.Rows
			for from := 0; from < s.rows.Len(); from += piece {
				s.rows.SliceInto(&part, from, min(from+piece, s.rows.Len()))
				must(t, w.Append(s.key, &part))
			}
		}
		must(t, w.EndSection())
	}
	info, err := w.Finish()
	must(t, err)
	return buf.Bytes(), info
}

func must(t testing.TB, err error) {
	if err != nil { // Helper is not free, and benchmarks come by here
		t.Helper()
		t.Fatal(err)
	}
}

// sameRows compares rows of the model from row i on with what was read.
func sameRows(want *column.Rows, i int, got *column.Rows) error {
	for k, at := range got.Time {
		if i+k >= want.Len() || want.Time[i+k] != at {
			return fmt.Errorf("row %d has time %d", i+k, at)
		}
	}
	for c := range want.Cols {
		w, g := &want.Cols[c], &got.Cols[c]
		if g.Type == 0 && w.Valid.Slice(i).Count(got.Len()) == 0 {
			continue // no row of the section has a value
		}
		if g.Type != w.Type || g.Len() != got.Len() {
			return fmt.Errorf("column %d is %d values of %v, want %d of %v", c, g.Len(), g.Type, got.Len(), w.Type)
		}
		for k := range got.Time {
			if w.Valid.Get(i+k) != g.Valid.Get(k) {
				return fmt.Errorf("row %d of column %d: value is there: %v", i+k, c, g.Valid.Get(k))
			}
			if w.Type == column.String {
				if !bytes.Equal(w.Str(i+k), g.Str(k)) {
					return fmt.Errorf("row %d of column %d is %q, want %q", i+k, c, g.Str(k), w.Str(i+k))
				}
			} else if w.Words[i+k] != g.Words[k] {
				return fmt.Errorf("row %d of column %d is %#x, want %#x", i+k, c, g.Words[k], w.Words[i+k])
			}
		}
	}
	return nil
}

func fieldNames(fields []column.FieldInfo) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

// checkSection compares the whole of a section with its model.
func checkSection(s *Section, m *modelSection) error {
	meta := s.Meta()
	if meta.Series != len(m.series) || !slices.Equal(meta.Fields, m.used()) {
		return fmt.Errorf("meta is %+v", meta)
	}
	c, err := s.Open(fieldNames(m.fields))
	if err != nil {
		return err
	}
	defer c.Close()
	keys := s.Keys()
	total := int64(0)
	for ord := range m.series {
		want := &m.series[ord]
		key, err := keys.Key(uint32(ord))
		if err != nil {
			return err
		}
		if !bytes.Equal(key, want.key) {
			return fmt.Errorf("key %d is %q, want %q", ord, key, want.key)
		}
		total += int64(want.rows.Len())
		if err := c.Seek(uint32(ord), math.MinInt64, math.MaxInt64); err != nil {
			return err
		}
		if err := checkRows(c, want, 0, want.rows.Len()); err != nil {
			return fmt.Errorf("series %q: %w", want.key, err)
		}
	}
	if meta.Rows != total {
		return fmt.Errorf("%d rows, want %d", meta.Rows, total)
	}
	return nil
}

// checkRows reads everything that is left and compares it with rows i to j-1.
func checkRows(c *Cursor, want *modelSeries, i, j int) error {
	for {
		got, err := c.Next()
		if err != nil {
			return err
		}
		if got == nil {
			break
		}
		if err := sameRows(&want.rows, i, got); err != nil {
			return err
		}
		i += got.Len()
	}
	if i != j {
		return fmt.Errorf("rows end at %d, want %d", i, j)
	}
	return nil
}

// bounds returns the rows of a series within bounds.
func (s *modelSeries) bounds(lo, hi int64) (i, j int) {
	i, _ = slices.BinarySearchFunc(s.rows.Time, lo, cmp.Compare[int64])
	j = sort.Search(s.rows.Len(), func(k int) bool { return s.rows.Time[k] > hi })
	return i, max(i, j)
}

func open(t testing.TB, b []byte) *Reader {
	t.Helper()
	r, err := Open(memBlob(b), "test.seg", Caches{Blocks: newBlockCache()})
	must(t, err)
	return r
}

func balanced(blockRows int) WriterOptions {
	return WriterOptions{Level: encoding.LevelBalanced, BlockRows: blockRows, Bucket: 7, PartMin: -5, PartMax: 1 << 62, MinSeq: 3, MaxSeq: 99}
}
