package segment

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/encoding"
	"github.com/varvedb/varve/predicate"
)

func drawShape(t *rapid.T) (shape, WriterOptions, int) {
	sh := shape{
		seed:       rapid.Uint64().Draw(t, "seed"),
		sections:   rapid.IntRange(1, 3).Draw(t, "sections"),
		series:     rapid.SampledFrom([]int{1, 2, 5, 40, 600}).Draw(t, "series"),
		rows:       rapid.SampledFrom([]int{1, 3, 70, 900}).Draw(t, "rows"),
		fields:     rapid.IntRange(0, 6).Draw(t, "fields"),
		nulls:      rapid.SampledFrom([]float64{0, 0, 0.1, 0.95}).Draw(t, "nulls"),
		sparse:     rapid.SampledFrom([]float64{0, 0, 0.5}).Draw(t, "sparse"),
		irregular:  rapid.Bool().Draw(t, "irregular"),
		step:       rapid.SampledFrom([]int64{1, 1e9, 10e9, 60e9, 3600e9}).Draw(t, "step"),
		wildFloats: rapid.Bool().Draw(t, "wild"),
	}
	if sh.series > 100 {
		sh.rows = min(sh.rows, 70)
	}
	o := balanced(rapid.SampledFrom([]int{1, 17, 200, 1000, 8192}).Draw(t, "block rows"))
	if o.BlockRows < 200 {
		sh.rows, sh.series = min(sh.rows, 70), min(sh.series, 40)
	}
	o.Level = encoding.Level(rapid.IntRange(0, 3).Draw(t, "level"))
	return sh, o, rapid.SampledFrom([]int{1, 50, 1 << 30}).Draw(t, "piece")
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		sh, o, piece := drawShape(rt)
		model := sh.build()
		b, info := writeModel(t, model, o, piece)
		r := open(t, b)
		if sum, err := Checksum(memBlob(b)); err != nil || sum != info.Checksum {
			rt.Fatalf("checksum %x, %v, want %x", sum, err, info.Checksum)
		}
		info.Checksum = 0
		if info != r.Info() || info.Size != int64(len(b)) {
			rt.Fatalf("writer says %+v, reader %+v", info, r.Info())
		}
		if len(r.Measurements()) != len(model) {
			rt.Fatalf("measurements %v", r.Measurements())
		}
		rnd := rand.New(rand.NewPCG(sh.seed, 2))
		for i := range model {
			s, ok := r.Section(model[i].name)
			if !ok {
				rt.Fatalf("no section %q", model[i].name)
			}
			if err := checkSection(s, &model[i]); err != nil {
				rt.Fatalf("section %q: %v", model[i].name, err)
			}
			if err := checkSeeks(s, &model[i], rnd); err != nil {
				rt.Fatalf("section %q: %v", model[i].name, err)
			}
			if err := checkSpans(s, &model[i], rnd); err != nil {
				rt.Fatalf("section %q: %v", model[i].name, err)
			}
			if err := checkLast(s, &model[i], rnd); err != nil {
				rt.Fatalf("section %q: %v", model[i].name, err)
			}
			if err := checkBounds(s, &model[i], rnd); err != nil {
				rt.Fatalf("section %q: %v", model[i].name, err)
			}
		}
		r.Verify(func(off int64, problem string) { rt.Fatalf("verify: at %d: %s", off, problem) })
	})
}

// interval draws bounds around the rows of a series.
func interval(rnd *rand.Rand, s *modelSeries) (lo, hi int64) {
	at := func() int64 {
		switch rnd.IntN(8) {
		case 0:
			return math.MinInt64
		case 1:
			return math.MaxInt64
		}
		return s.rows.Time[rnd.IntN(s.rows.Len())] + int64(rnd.IntN(3)) - 1
	}
	return at(), at()
}

// checkSeeks reads random intervals of random series, of some fields and of
// one that does not exist.
func checkSeeks(s *Section, m *modelSection, rnd *rand.Rand) error {
	fields := slices.Clone(m.fields)
	rnd.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	fields = fields[:rnd.IntN(len(fields)+1)]
	names := append(fieldNames(fields), "no such field")
	c, err := s.Open(names)
	if err != nil {
		return err
	}
	for range 30 {
		ord := rnd.IntN(len(m.series))
		want := pick(&m.series[ord], m.fields, names)
		lo, hi := interval(rnd, want)
		if err := c.Seek(uint32(ord), lo, hi); err != nil {
			return err
		}
		i, j := want.bounds(lo, hi)
		if err := checkRows(c, want, i, j); err != nil {
			return fmt.Errorf("series %d from %d to %d: %w", ord, lo, hi, err)
		}
	}
	return nil
}

// pick returns a series with the columns named only.
func pick(s *modelSeries, fields []column.FieldInfo, names []string) *modelSeries {
	out := &modelSeries{key: s.key}
	out.rows.Time = s.rows.Time
	for _, name := range names {
		var v column.Vector
		i := slices.IndexFunc(fields, func(f column.FieldInfo) bool { return f.Name == name })
		if i >= 0 {
			v = s.rows.Cols[i]
		} else {
			v.AppendNulls(s.rows.Len())
		}
		out.rows.Cols = append(out.rows.Cols, v)
	}
	return out
}

// checkSpans walks random intervals by spans, which it skips, reads or
// ignores at random.
func checkSpans(s *Section, m *modelSection, rnd *rand.Rand) error {
	names := fieldNames(m.fields)
	c, err := s.Open(names)
	if err != nil {
		return err
	}
	for range 30 {
		ord := rnd.IntN(len(m.series))
		want := &m.series[ord]
		lo, hi := interval(rnd, want)
		if err := c.Seek(uint32(ord), lo, hi); err != nil {
			return err
		}
		i, j := want.bounds(lo, hi)
		for {
			span, ok, err := c.Span()
			if err != nil {
				return err
			}
			var got *column.Rows
			if ok && (i+span.Rows > j || span.MinTime != want.rows.Time[i] || span.MaxTime != want.rows.Time[i+span.Rows-1] || span.Rows > maxSpanRows) {
				return fmt.Errorf("span %+v at row %d of %d", span, i, j)
			}
			if ok {
				for col := range names {
					sum, err := c.Summary(col)
					if err != nil {
						return err
					}
					if err := checkSummary(&sum, want, col, i, i+span.Rows); err != nil {
						return fmt.Errorf("series %d, span %+v, column %d: %w", ord, span, col, err)
					}
				}
			}
			switch what := rnd.IntN(4); {
			case ok && what < 2:
				if err := c.Skip(); err != nil {
					return err
				}
				i += span.Rows
				continue
			case ok && what == 2:
				if got, err = c.ReadSpan(); err == nil && got.Len() != span.Rows {
					err = fmt.Errorf("%d rows of span %+v", got.Len(), span)
				}
			default:
				got, err = c.Next()
			}
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
			return fmt.Errorf("series %d: rows end at %d, want %d", ord, i, j)
		}
	}
	return nil
}

// checkSummary recomputes a summary as slowly and plainly as can be.
// checkLast compares the last spans of random bounds with the rows.
func checkLast(s *Section, m *modelSection, rnd *rand.Rand) error {
	names := fieldNames(m.fields)
	c, err := s.Open(names)
	if err != nil {
		return err
	}
	for range 30 {
		ord := rnd.IntN(len(m.series))
		want := &m.series[ord]
		lo, hi := interval(rnd, want)
		i, j := want.bounds(lo, hi)
		span, ok, err := c.SeekLast(uint32(ord), lo, hi)
		if err != nil {
			return err
		}
		if !ok {
			// The same cursor goes on, and such rows are in no span of their own.
			if err := c.Seek(uint32(ord), lo, hi); err != nil {
				return err
			}
			if err := checkRows(c, want, i, j); err != nil {
				return fmt.Errorf("behind a last span that is not there: %w", err)
			}
			if lo == math.MinInt64 && hi == math.MaxInt64 && len(want.rows.Time) >= minSpanRows && len(c.x.first) == 1 {
				return fmt.Errorf("series %d of %d rows has no last span", ord, len(want.rows.Time))
			}
			continue
		}
		from := j - span.Rows
		if from < i || span.MinTime != want.rows.Time[from] || span.MaxTime != want.rows.Time[j-1] {
			return fmt.Errorf("last span %+v of rows %d to %d", span, i, j)
		}
		for col := range names {
			sum, err := c.Summary(col)
			if err != nil {
				return err
			}
			if err := checkSummary(&sum, want, col, from, j); err != nil {
				return fmt.Errorf("series %d, last span %+v, column %d: %w", ord, span, col, err)
			}
		}
		if rnd.IntN(2) == 0 {
			err = c.Skip()
		} else if rows, rerr := c.ReadSpan(); rerr != nil {
			err = rerr
		} else {
			err = sameRows(&want.rows, from, rows)
		}
		if err != nil {
			return err
		}
		if rows, err := c.Next(); rows != nil || err != nil {
			return fmt.Errorf("rows behind the last span: %v, %v", rows, err)
		}
	}
	return nil
}

func checkSummary(got *column.Summary, s *modelSeries, col, i, j int) error {
	v := &s.rows.Cols[col]
	var want column.Summary
	sumHi, sum, f := int64(0), uint64(0), 0.0
	for k := i; k < j; k++ {
		if !v.Valid.Get(k) {
			continue
		}
		if want.Count == 0 {
			want.FirstTime = s.rows.Time[k]
		}
		want.Count++
		want.LastTime = s.rows.Time[k]
		if v.Type == column.String {
			continue
		}
		w := v.Words[k]
		if want.Count == 1 {
			want.First = w
		}
		want.Last = w
		if !v.Type.Numeric() || v.Type == column.Float64 && math.IsNaN(math.Float64frombits(w)) {
			f += math.Float64frombits(w)
			continue
		}
		if !want.HasMinMax || less(v.Type, w, want.Min) {
			want.Min = w
		}
		if !want.HasMinMax || less(v.Type, want.Max, w) {
			want.Max = w
		}
		want.HasMinMax = true
		f += math.Float64frombits(w)
		before := sum
		if sum += w; sum < before {
			sumHi++
		}
		if v.Type == column.Int64 && int64(w) < 0 {
			sumHi--
		}
	}
	if v.Type.Numeric() && want.Count > 0 {
		want.Sum = sum
		want.Overflow = v.Type == column.Uint64 && sumHi != 0 || v.Type == column.Int64 && sumHi != int64(sum)>>63
		if v.Type == column.Float64 {
			want.Sum, want.Overflow = got.Sum, false
			if !SumsAgree(&want, f, math.Float64frombits(got.Sum)) {
				return fmt.Errorf("sum %g, want %g", math.Float64frombits(got.Sum), f)
			}
		}
	}
	if v.Type == column.Float64 && want.HasMinMax { // either zero will do
		if math.Float64frombits(want.Min) == math.Float64frombits(got.Min) {
			want.Min = got.Min
		}
		if math.Float64frombits(want.Max) == math.Float64frombits(got.Max) {
			want.Max = got.Max
		}
	}
	if *got != want {
		return fmt.Errorf("summary %+v, want %+v", *got, want)
	}
	return nil
}

// checkBounds reads with bounds on a column: rows within them must all come,
// and in order.
func checkBounds(s *Section, m *modelSection, rnd *rand.Rand) error {
	for col, f := range m.fields {
		if !f.Type.Numeric() {
			continue
		}
		c, err := s.Open(fieldNames(m.fields))
		if err != nil {
			return err
		}
		ord := rnd.IntN(len(m.series))
		want := &m.series[ord]
		v := &want.rows.Cols[col]
		lo, hi := v.Words[rnd.IntN(v.Len())], v.Words[rnd.IntN(v.Len())]
		c.SetBounds(col, lo, hi)
		for range 2 {
			if err := c.Seek(uint32(ord), math.MinInt64, math.MaxInt64); err != nil {
				return err
			}
			i := 0
			matches := func(k int) bool {
				w := v.Words[k]
				return v.Valid.Get(k) && !less(f.Type, w, lo) && !less(f.Type, hi, w) &&
					(f.Type != column.Float64 || !math.IsNaN(math.Float64frombits(w)) && !math.IsNaN(math.Float64frombits(lo)) && !math.IsNaN(math.Float64frombits(hi)))
			}
			for {
				got, err := c.Next()
				if err != nil {
					return err
				}
				end := want.rows.Len()
				if got != nil {
					end, _ = want.bounds(got.Time[0], got.Time[0])
				}
				for ; i < end; i++ {
					if matches(i) {
						return fmt.Errorf("series %d, column %d: row %d was left out", ord, col, i)
					}
				}
				if got == nil {
					break
				}
				if err := sameRows(&want.rows, i, got); err != nil {
					return err
				}
				i += got.Len()
			}
		}
	}
	return nil
}

func TestSelect(t *testing.T) {
	exprs := []*predicate.Expr{
		nil,
		predicate.Eq("host", "host_3"),
		predicate.Eq("host", "host_99999"),
		predicate.Eq("host", ""),
		predicate.OneOf("host", "host_3", "host_17", "nobody"),
		predicate.Eq("region", "r 1"),
		predicate.Eq("region", ""),
		predicate.Negate(predicate.Eq("region", "r 1")),
		predicate.Match("host", "^host_1[0-9]*$"),
		predicate.Match("region", "^$|2"),
		predicate.All(predicate.Eq("a,half", "x"), predicate.Match("host", "7$")),
		predicate.Any(predicate.Eq("a,half", ""), predicate.Eq("region", "r 2")),
		predicate.Eq("nothing", "x"),
		predicate.Eq("nothing", ""),
	}
	for _, series := range []int{1, 2, 40, 1500} {
		sh := shape{seed: 1, sections: 2, series: series, rows: 3, fields: 2, step: 1e9}
		model := sh.build()
		b, _ := writeModel(t, model, balanced(0), 100)
		r := open(t, b)
		for i := range model {
			s, _ := r.Section(model[i].name)
			for _, e := range exprs {
				m, err := predicate.Compile(e)
				must(t, err)
				got, err := s.Select(m)
				must(t, err)
				var want []uint32
				for ord := range model[i].series {
					if m.Match(model[i].series[ord].key) {
						want = append(want, uint32(ord))
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%d series, %v: got %v, want %v", series, e, got, want)
				}
			}
			keys, err := s.TagKeys()
			must(t, err)
			if want := []string{"a,half", "host", "region"}; series > 2 && !slices.Equal(keys, want) {
				t.Errorf("tag keys %q, want %q", keys, want)
			}
			checkDictionary(t, s, &model[i])
		}
	}
}

// checkDictionary looks keys up by ordinal, by key and in the filter.
func checkDictionary(t *testing.T, s *Section, m *modelSection) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(3, 3))
	keys := s.Keys()
	for range 300 {
		ord := uint32(rnd.IntN(len(m.series)))
		want := m.series[ord].key
		key, err := keys.Key(ord)
		must(t, err)
		if string(key) != string(want) {
			t.Fatalf("key %d is %q, want %q", ord, key, want)
		}
		if got, ok, err := s.Lookup(want); err != nil || !ok || got != ord {
			t.Fatalf("lookup of %q: %d, %v, %v, want %d", want, got, ok, err, ord)
		}
		for _, other := range [][]byte{append(slices.Clone(want), '!'), want[:max(0, len(want)-1)], []byte("~")} {
			i, found := slices.BinarySearchFunc(m.series, other, func(s modelSeries, key []byte) int { return bytes.Compare(s.key, key) })
			if got, ok, err := s.Lookup(other); err != nil || ok != found || found && int(got) != i {
				t.Fatalf("lookup of %q: %d, %v, %v, want %d, %v", other, got, ok, err, i, found)
			}
		}
		if !s.MayContain(column.HashSeries(m.name, want)) {
			t.Fatalf("filter denies %q", want)
		}
	}
	wrong := 0
	for range 10000 {
		if s.MayContain(rnd.Uint64()) {
			wrong++
		}
	}
	if wrong > 300 {
		t.Errorf("filter of %d series says yes to %d of 10000 strangers", len(m.series), wrong)
	}
	if _, err := keys.Key(uint32(len(m.series))); err == nil {
		t.Error("key of a series that does not exist")
	}
}
