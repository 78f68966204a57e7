package segment

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/varvedb/varve/column"
)

// Verify reads the whole file and reports what is wrong with it, each problem
// with the offset at which it showed.
func (r *Reader) Verify(report func(offset int64, problem string)) {
	head := make([]byte, len(magic))
	if err := r.readExtent(head, 0); err != nil {
		reportError(report, 0, err)
	} else if string(head) != magic {
		report(0, "file does not begin with the magic of segments")
	}
	for _, m := range r.Measurements() {
		s, _ := r.Section(m)
		s.Verify(report)
	}
}

func reportError(report func(int64, string), at int64, err error) {
	var c *CorruptError
	if errors.As(err, &c) {
		report(c.Offset, c.What)
		return
	}
	report(at, err.Error())
}

// Verify reads the whole section: checksums, the order of keys and times,
// bounds in the indexes, the dictionary against filter and postings, and
// statistics against the rows.
func (s *Section) Verify(report func(offset int64, problem string)) {
	v := verifier{s: s.Once(), report: func(at int64, problem string) {
		report(at, fmt.Sprintf("section %q: %s", s.d.measurement, problem))
	}}
	v.dictionary()
	v.postings()
	x, err := s.blockIndex()
	if err != nil {
		v.error(s.d.index.off, err)
		return
	}
	v.x = x
	// Times first, then field by field, so that damage to one is reported
	// once and hides nothing of the others.
	v.rows(nil)
	for i := range s.meta.Fields {
		v.rows(&s.meta.Fields[i])
		v.field(i)
	}
}

type verifier struct {
	s      *Section
	x      *blockIndex
	report func(int64, string)
}

func (v *verifier) error(at int64, err error) { reportError(v.report, at, err) }

func (v *verifier) failf(at int64, format string, args ...any) {
	v.report(at, fmt.Sprintf(format, args...))
}

// dictionary checks that keys are canonical, ascend and pass the filter.
func (v *verifier) dictionary() {
	s := v.s
	at := s.d.dict.off
	f, err := s.filter()
	if err != nil {
		v.error(s.d.filter.off, err)
	}
	keys := s.Keys()
	var last []byte
	var hashes []uint64
	for ord := range uint32(s.meta.Series) {
		key, err := keys.Key(ord)
		if err != nil {
			v.error(at, err)
			return
		}
		if ord > 0 && bytes.Compare(last, key) >= 0 {
			v.failf(at, "series %d, %q, does not come after %q", ord, key, last)
		}
		if err := column.CheckSeriesKey(key); err != nil {
			v.failf(at, "series %d: %v", ord, err)
		}
		hashes = append(hashes, column.HashSeries(s.d.measurement, key))
		if f != nil && !f.mayContain(hashes[ord]) {
			v.failf(s.d.filter.off, "filter denies series %d, %q", ord, key)
		}
		if got, ok, err := s.Lookup(key); ord%dictPage == 0 && (err != nil || !ok || got != ord) {
			v.failf(at, "series %d, %q, is not found by its key", ord, key)
		}
		last = append(last[:0], key...)
	}
	if fingerprint(hashes) != s.meta.Keys {
		v.failf(at, "the fingerprint of the series is not that of the keys")
	}
}

// postings checks that the postings hold what the keys say: each pair of tag
// and series of the postings is in the keys, and their numbers are equal.
func (v *verifier) postings() {
	s := v.s
	x, err := s.tagIndex()
	if err != nil {
		v.error(s.d.tags.off, err)
		return
	}
	keys := keyCursor{s: s}
	want := make(map[string]uint64)
	for ord := range uint32(s.meta.Series) {
		key, err := keys.Key(ord)
		if err != nil {
			return // reported by dictionary
		}
		for k := range column.Tags(key) {
			want[string(k)]++
		}
	}
	if len(want) != len(x.keys) {
		v.failf(s.d.tags.off, "postings of %d tag keys, series have %d", len(x.keys), len(want))
	}
	for i := range x.keys {
		v.tag(&x.keys[i], &keys, want[x.keys[i].name])
	}
}

func (v *verifier) tag(k *tagKey, keys *keyCursor, want uint64) {
	at := v.s.d.tags.off
	var last []byte
	values, pairs := 0, uint64(0)
	err := sectionIndex{v.s}.Values(k.name, func(value []byte, b *roaring.Bitmap) bool {
		if values > 0 && bytes.Compare(last, value) >= 0 {
			v.failf(at, "value %q of tag %q does not come after %q", value, k.name, last)
		}
		last = append(last[:0], value...)
		values++
		pairs += b.GetCardinality()
		for it := b.Iterator(); it.HasNext(); {
			ord := it.Next()
			key, err := keys.Key(ord)
			if err != nil {
				return false // reported by dictionary
			}
			if !bytes.Equal(column.TagValue(key, k.name), value) {
				v.failf(at, "postings of %s=%q hold series %d, %q", k.name, value, ord, key)
				return false
			}
		}
		return true
	})
	if err != nil {
		v.error(at, err)
		return
	}
	if values != k.values || pairs != want {
		v.failf(at, "tag %q has %d values in %d series, want %d in %d", k.name, values, pairs, k.values, want)
	}
}

// rows reads one column of all rows, or none for the times alone, and
// compares it with the index and, where there are spans, with its statistics.
func (v *verifier) rows(f *column.FieldInfo) {
	var names []string
	if f != nil {
		names = []string{f.Name}
	}
	c, err := v.s.Open(names)
	if err != nil {
		v.error(v.s.d.index.off, err)
		return
	}
	defer c.Close()
	n := v.x.blocks()
	blocks := verifiedBlocks{lo: make([]int64, n), hi: make([]int64, n), first: make([]int64, n), last: make([]int64, n), rows: make([]uint32, n)}
	for i := range blocks.lo {
		blocks.lo[i], blocks.hi[i] = math.MaxInt64, math.MinInt64
	}
	reported := false // of this column: one damaged block fails many series
	for ord := range uint32(v.s.meta.Series) {
		if err := v.series(c, ord, &blocks); err != nil && !reported {
			v.error(v.s.d.start, err)
			reported = true
		}
	}
	if reported || f != nil {
		return
	}
	for b, n := range blocks.rows {
		if n != v.x.rows[b] || blocks.lo[b] != v.x.minTime[b] || blocks.hi[b] != v.x.maxTime[b] ||
			blocks.first[b] != v.x.firstTime[b] || blocks.last[b] != v.x.lastTime[b] {
			v.failf(v.x.off[b], "block %d has %d rows from %d to %d, its index says %d from %d to %d", b,
				n, blocks.lo[b], blocks.hi[b], v.x.rows[b], v.x.minTime[b], v.x.maxTime[b])
		}
	}
}

type verifiedBlocks struct {
	lo, hi      []int64
	first, last []int64 // of the first and of the last row
	rows        []uint32
}

// series reads one series by spans and rows.
func (v *verifier) series(c *Cursor, ord uint32, blocks *verifiedBlocks) error {
	if err := c.Seek(ord, math.MinInt64, math.MaxInt64); err != nil {
		return err
	}
	last, any := int64(0), false
	for {
		span, ok, err := c.Span()
		if err != nil {
			return err
		}
		var stored column.Summary
		var rows *column.Rows
		if ok {
			if len(c.cols) > 0 {
				if stored, err = c.Summary(0); err != nil {
					return err
				}
			}
			if rows, err = c.ReadSpan(); err == nil && rows.Len() != span.Rows {
				err = v.s.r.corrupt(v.x.off[c.loaded], "span of %d rows has %d", span.Rows, rows.Len())
			}
		} else {
			rows, err = c.Next()
		}
		if err != nil {
			return err
		}
		if rows == nil {
			break
		}
		b := c.loaded
		for _, at := range rows.Time {
			if any && at <= last {
				return v.s.r.corrupt(v.x.off[b], "times of series %d do not ascend", ord)
			}
			last, any = at, true
		}
		if blocks.rows[b] == 0 {
			blocks.first[b] = rows.Time[0]
		}
		blocks.last[b] = last
		blocks.rows[b] += uint32(rows.Len())
		blocks.lo[b], blocks.hi[b] = min(blocks.lo[b], rows.Time[0]), max(blocks.hi[b], last)
		if ok && len(c.cols) > 0 {
			if err := v.summary(c, rows, &stored, ord); err != nil {
				return err
			}
		}
	}
	if !any {
		return v.s.r.corrupt(v.s.d.start, "series %d has no rows", ord)
	}
	return nil
}

func (v *verifier) summary(c *Cursor, rows *column.Rows, stored *column.Summary, ord uint32) error {
	col := &rows.Cols[0]
	want := new(summarizer).summarize(col.Type, col.Words, col.Valid, rows.Time)
	if col.Type == column.Float64 && SumsAgree(&want, math.Float64frombits(want.Sum), math.Float64frombits(stored.Sum)) {
		want.Sum = stored.Sum
	}
	if want != *stored {
		return v.s.r.corrupt(c.cols[0].x.stats[c.x.group[c.loaded]].off,
			"statistics of series %d at %d are %+v, rows say %+v", ord, rows.Time[0], *stored, want)
	}
	return nil
}

// field compares the bounds in a field's index with the values, and their
// number with the directory.
func (v *verifier) field(i int) {
	f, err := v.s.fieldIndex(i, v.x)
	if err != nil {
		return // reported by rows
	}
	info := v.s.meta.Fields[i]
	c, err := v.s.Open([]string{info.Name})
	if err != nil {
		return
	}
	defer c.Close()
	total := int64(0)
	for b, e := range f.chunks {
		if e.len == 0 {
			continue
		}
		c.block = b
		if c.load() != nil {
			return
		}
		vec, err := c.decode(0)
		if err != nil {
			return
		}
		n := int(v.x.rows[b])
		total += int64(vec.Valid.Count(n))
		if !info.Type.Numeric() {
			continue
		}
		sum := new(summarizer).summarize(info.Type, vec.Words, vec.Valid, make([]int64, n))
		if sum.HasMinMax != f.minMax[b] || sum.HasMinMax && (sum.Min != f.min[b] || sum.Max != f.max[b]) {
			v.failf(e.off, "bounds of field %q in block %d are %#x and %#x, values say %#x and %#x", info.Name, b, f.min[b], f.max[b], sum.Min, sum.Max)
		}
	}
	if total != v.s.d.values[i] {
		v.failf(v.s.r.footer.off, "field %q has %d values, the footer says %d", info.Name, total, v.s.d.values[i])
	}
}
