package segment

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/run"
)

// sectionWriter holds the open section of a Writer: the rows of one block and
// everything that is written when the section ends.
type sectionWriter struct {
	w       *Writer
	entry   *sectionEntry
	hash    uint64 // of the measurement
	key     []byte // of the current series
	series  int
	lastAt  int64 // time of the last row
	dict    dictWriter
	tags    tagWriter
	hashes  []uint64
	index   blockIndex
	columns []*fieldWriter

	// The open block.
	times  []int64
	starts []int  // first row of each run
	first  uint32 // ordinal of the first run

	// The open group.
	spans spanTable
	cuts  []spanCut

	piece   []byte
	ints    []int64
	counts  []int32
	summary summarizer
}

// fieldWriter holds one field of the open section.
type fieldWriter struct {
	info   column.FieldInfo
	vec    column.Vector // of the open block; shorter than it if the rest is null
	index  fieldIndex
	values int64
	sums   []column.Summary // of the spans of the open group
	any    bool             // the open group holds a value
	dense  column.Vector
}

func (s *sectionWriter) begin(measurement string, fields []column.FieldInfo) {
	s.entry = &sectionEntry{measurement: measurement, start: s.w.off}
	s.entry.meta.Fields = append([]column.FieldInfo(nil), fields...)
	s.entry.meta.MinSeq, s.entry.meta.MaxSeq = s.w.opt.MinSeq, s.w.opt.MaxSeq
	s.hash = xxhash.Sum64String(measurement)
	s.key, s.series, s.hashes = s.key[:0], 0, s.hashes[:0]
	s.dict.reset()
	s.tags = tagWriter{}
	s.index = blockIndex{groupFirst: []uint32{0}}
	s.columns = make([]*fieldWriter, len(fields))
	for i, f := range fields {
		s.columns[i] = &fieldWriter{info: f}
		s.columns[i].vec.Reset(f.Type)
	}
	s.times, s.starts = s.times[:0], s.starts[:0]
	s.spans.reset()
}

func (s *sectionWriter) append(key []byte, rows *column.Rows) error {
	if len(rows.Cols) != len(s.columns) {
		return fmt.Errorf("write segment: %d columns for %d fields of %q", len(rows.Cols), len(s.columns), s.entry.measurement)
	}
	for i, f := range s.columns {
		if v := &rows.Cols[i]; v.Type != 0 && (v.Type != f.info.Type || v.Len() != len(rows.Time)) {
			return fmt.Errorf("write segment: %d values of type %v for %d rows of field %q of %q, a %v",
				v.Len(), v.Type, len(rows.Time), f.info.Name, s.entry.measurement, f.info.Type)
		}
	}
	if s.series == 0 || !bytes.Equal(key, s.key) {
		if s.series > 0 && bytes.Compare(key, s.key) < 0 {
			return fmt.Errorf("write segment: series %q of %q comes after %q", key, s.entry.measurement, s.key)
		}
		s.key = append(s.key[:0], key...)
		s.dict.add(key)
		s.tags.add(uint32(s.series), key)
		s.hashes = append(s.hashes, column.HashKey(s.hash, key))
		s.series++
		if len(s.times) > 0 {
			s.starts = append(s.starts, len(s.times))
		}
	} else if rows.Time[0] <= s.lastAt {
		return fmt.Errorf("write segment: times of series %q of %q do not ascend", key, s.entry.measurement)
	}
	s.lastAt = rows.Time[len(rows.Time)-1]
	for from := 0; from < len(rows.Time); {
		if len(s.times) == 0 {
			s.first = uint32(s.series - 1)
			s.starts = append(s.starts[:0], 0)
		}
		to := min(len(rows.Time), from+s.w.opt.BlockRows-len(s.times))
		have := len(s.times)
		s.times = append(s.times, rows.Time[from:to]...)
		for i, f := range s.columns {
			f.append(&rows.Cols[i], have, from, to)
		}
		if len(s.times) == s.w.opt.BlockRows {
			if err := s.closeBlock(); err != nil {
				return err
			}
		}
		from = to
	}
	return nil
}

// append adds rows from to to-1 of v behind the have rows of the block.
func (f *fieldWriter) append(v *column.Vector, have, from, to int) {
	if v.Type == 0 {
		return
	}
	part := *v
	if from > 0 || to < v.Len() {
		part = v.Slice(from, to)
	}
	if !part.Valid.All() && part.Valid.Count(to-from) == 0 {
		return // a field without values costs nothing until one comes
	}
	f.vec.AppendNulls(have - f.vec.Len())
	f.vec.Append(&part)
}

func (s *sectionWriter) closeBlock() error {
	n := len(s.times)
	if n == 0 {
		return nil
	}
	x := &s.index
	minTime, maxTime, err := s.timeBounds()
	if err != nil {
		return err
	}
	runs := len(s.starts)
	x.first = append(x.first, s.first)
	x.last = append(x.last, s.first+uint32(runs)-1)
	x.rows = append(x.rows, uint32(n))
	x.minTime, x.maxTime = append(x.minTime, minTime), append(x.maxTime, maxTime)
	x.firstTime, x.lastTime = append(x.firstTime, s.times[0]), append(x.lastTime, s.times[n-1])
	x.group = append(x.group, uint32(len(x.spans)))

	s.starts = append(s.starts, n)
	head, err := s.w.piece(s.encodeHead(runs))
	if err != nil {
		return err
	}
	x.off, x.headLen = append(x.off, head.off), append(x.headLen, head.len)

	s.cuts = cutSpans(s.cuts[:0], s.times, s.starts)
	s.spans.addBlock(s.cuts, s.times, s.starts)
	for _, f := range s.columns {
		if err := s.closeChunk(f); err != nil {
			return err
		}
	}
	s.times, s.starts = s.times[:0], s.starts[:0]
	if x.blocks()-int(x.groupFirst[len(x.spans)]) == groupBlocks {
		return s.closeGroup()
	}
	return nil
}

// timeBounds checks that times ascend within each run and returns their bounds.
func (s *sectionWriter) timeBounds() (lo, hi int64, err error) {
	lo, hi = s.times[0], s.times[0]
	for r, from := range s.starts {
		to := len(s.times)
		if r+1 < len(s.starts) {
			to = s.starts[r+1]
		}
		at := s.times[from:to]
		for i := 1; i < len(at); i++ {
			if at[i] <= at[i-1] {
				return 0, 0, fmt.Errorf("write segment: times of series %d of %q do not ascend", int(s.first)+r, s.entry.measurement)
			}
		}
		lo, hi = min(lo, at[0]), max(hi, at[len(at)-1])
	}
	return lo, hi, nil
}

// encodeHead returns the payload of the head of the open block: the rows of
// each run, if there are several, and the times.
func (s *sectionWriter) encodeHead(runs int) []byte {
	b := s.piece[:0]
	s.ints, s.counts = s.ints[:0], s.counts[:0]
	for r := range runs {
		n := s.starts[r+1] - s.starts[r]
		s.ints, s.counts = append(s.ints, int64(n)), append(s.counts, int32(n))
	}
	if runs > 1 {
		b = appendInts(b, s.w.enc, s.ints)
	}
	s.piece = s.w.enc.Times(b, s.counts, s.times)
	return s.piece
}

// chunkNulls is the first byte of a chunk that carries a validity bitmap.
const chunkNulls = 1

// closeChunk writes the column of one field of the open block and summarizes
// its spans.
func (s *sectionWriter) closeChunk(f *fieldWriter) error {
	n := len(s.times)
	if f.vec.Len() == 0 {
		f.index.chunks = append(f.index.chunks, extent{})
		f.index.min, f.index.max = append(f.index.min, 0), append(f.index.max, 0)
		f.index.minMax = append(f.index.minMax, false)
		f.sums = append(f.sums, make([]column.Summary, len(s.cuts))...)
		return nil
	}
	f.vec.AppendNulls(n - f.vec.Len())
	f.any = true
	b := s.piece[:0]
	values := &f.vec
	count := f.vec.Valid.Count(n)
	if count < n {
		b = append(b, chunkNulls)
		at := len(b)
		b = append(b, 0, 0, 0, 0)
		b = s.w.enc.Bitmap(b, f.vec.Valid.Words, n)
		binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-4))
		f.compact(n)
		values = &f.dense
	} else {
		b = append(b, 0)
	}
	f.values += int64(count)
	s.piece = appendValues(b, s.w.enc, values)
	e, err := s.w.piece(s.piece)
	if err != nil {
		return err
	}
	f.index.chunks = append(f.index.chunks, e)
	s.summarizeBlock(f, n)
	f.vec.Reset(f.info.Type)
	return nil
}

// compact makes dense the values of vec without its nulls.
func (f *fieldWriter) compact(n int) {
	f.dense.Reset(f.info.Type)
	for i := range n {
		if !f.vec.Valid.Get(i) {
			continue
		}
		if f.info.Type == column.String {
			f.dense.AppendString(f.vec.Str(i))
		} else {
			f.dense.Words = append(f.dense.Words, f.vec.Words[i])
		}
	}
}

// summarizeBlock adds the summaries of the block's spans and the bounds of
// all its values.
func (s *sectionWriter) summarizeBlock(f *fieldWriter, n int) {
	var bounds column.Summary
	add := func(from, to int) column.Summary {
		var words []uint64
		if f.info.Type != column.String {
			words = f.vec.Words[from:to]
		}
		sum := s.summary.summarize(f.info.Type, words, f.vec.Valid.Slice(from), s.times[from:to])
		widen(&bounds, &sum, f.info.Type)
		return sum
	}
	row := 0
	for _, c := range s.cuts {
		if row < c.from && f.info.Type.Numeric() {
			add(row, c.from)
		}
		f.sums = append(f.sums, add(c.from, c.to))
		row = c.to
	}
	if row < n && f.info.Type.Numeric() {
		add(row, n)
	}
	f.index.min, f.index.max = append(f.index.min, bounds.Min), append(f.index.max, bounds.Max)
	f.index.minMax = append(f.index.minMax, bounds.HasMinMax)
}

// widen makes b include the least and greatest value of s.
func widen(b, s *column.Summary, t column.Type) {
	if !s.HasMinMax {
		return
	}
	if !b.HasMinMax || less(t, s.Min, b.Min) {
		b.Min = s.Min
	}
	if !b.HasMinMax || less(t, b.Max, s.Max) {
		b.Max = s.Max
	}
	b.HasMinMax = true
}

// closeGroup writes the span table and the statistics of the open group.
func (s *sectionWriter) closeGroup() error {
	x := &s.index
	if x.blocks() == int(x.groupFirst[len(x.spans)]) {
		return nil
	}
	var table extent
	if s.spans.spans() > 0 {
		e, err := s.w.piece(s.spans.encode(s.w.enc))
		if err != nil {
			return err
		}
		table = e
	}
	x.spans = append(x.spans, table)
	x.groupFirst = append(x.groupFirst, uint32(x.blocks()))
	for _, f := range s.columns {
		var e extent
		if table.len > 0 && f.any {
			if b := encodeStats(s.w.enc, f.info.Type, &s.spans, f.sums); b != nil {
				var err error
				if e, err = s.w.piece(b); err != nil {
					return err
				}
			}
		}
		f.index.stats = append(f.index.stats, e)
		f.sums, f.any = f.sums[:0], false
	}
	s.spans.reset()
	return nil
}

// end writes the indexes; it returns nil if the section has no rows.
func (s *sectionWriter) end() (*sectionEntry, error) {
	if err := s.closeBlock(); err != nil {
		return nil, err
	}
	if err := s.closeGroup(); err != nil {
		return nil, err
	}
	if s.series == 0 {
		return nil, nil
	}
	e, x, w := s.entry, &s.index, s.w
	e.end = w.off
	s.fillMeta(&e.meta)
	var err error
	put := func(dst *extent, payload []byte) {
		if err == nil {
			*dst, err = w.piece(payload)
		}
	}
	put(&e.index, x.encode(w.enc, e.start))
	// A field that lost its last value to a delete leaves no trace, so that its
	// name may come back with another type.
	e.meta.Fields = e.meta.Fields[:0]
	for _, f := range s.columns {
		if f.values == 0 {
			continue
		}
		e.fields = append(e.fields, extent{})
		put(&e.fields[len(e.fields)-1], f.index.encode(w.enc, f.info.Type, x))
		e.values = append(e.values, f.values)
		e.meta.Fields = append(e.meta.Fields, f.info)
	}
	put(&e.filter, newFilter(s.hashes))
	e.meta.Keys = fingerprint(s.hashes)
	if err != nil {
		return nil, err
	}
	s.dict.closePage()
	pages := w.off
	for _, p := range s.dict.pages {
		var page extent
		put(&page, p)
	}
	put(&e.dict, s.dict.index(pages))
	if err != nil {
		return nil, err
	}
	tags, err := s.tags.write(w)
	if err != nil {
		return nil, err
	}
	put(&e.tags, tags)
	return e, err
}

func (s *sectionWriter) fillMeta(m *run.Meta) {
	x := &s.index
	m.Series = s.series
	m.MinTime, m.MaxTime = x.minTime[0], x.maxTime[0]
	for i, n := range x.rows {
		m.Rows += int64(n)
		m.MinTime, m.MaxTime = min(m.MinTime, x.minTime[i]), max(m.MaxTime, x.maxTime[i])
	}
}
