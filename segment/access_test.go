package segment

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/predicate"
)

// countingBlob counts what is read.
type countingBlob struct {
	memBlob
	reads, bytes int
}

func (c *countingBlob) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	c.bytes += len(p)
	return c.memBlob.ReadAt(p, off)
}

// TestReadsOnlyWhatIsAsked counts requests and bytes.
func TestReadsOnlyWhatIsAsked(t *testing.T) {
	f := hosts(4, 8640)
	var buf bytes.Buffer
	f.write(t, &buf, balanced(0))
	blob := &countingBlob{memBlob: buf.Bytes()}
	r, err := Open(blob, "test.seg", Caches{})
	must(t, err)
	if blob.reads != 1 {
		t.Errorf("opening takes %d reads", blob.reads)
	}
	s, _ := r.Section("m")
	c, err := s.Open([]string{"usage_7"})
	must(t, err)
	if blob.reads != 3 { // block index, field index
		t.Errorf("%d reads up to an open cursor", blob.reads)
	}

	blob.reads, blob.bytes = 0, 0
	must(t, c.Seek(1, benchStart+3600e9, benchStart+2*3600e9-1))
	rows, err := c.Next()
	must(t, err)
	if rows.Len() != 360 {
		t.Fatalf("%d rows", rows.Len())
	}
	x, _ := s.blockIndex()
	chunk := c.cols[0].x.chunks[c.loaded]
	if want := int(x.headLen[c.loaded] + chunk.len); blob.reads > 2 || blob.bytes != want {
		t.Errorf("one field of ten: %d reads of %d bytes, want 2 of %d", blob.reads, blob.bytes, want)
	}
	if st := c.Stats(); st.BytesRead != int64(blob.bytes) || st.BlocksRead != 1 {
		t.Errorf("stats %+v", st)
	}
	blob.reads = 0
	must(t, c.Seek(1, benchStart+5*3600e9, benchStart+6*3600e9-1))
	if _, err := c.Next(); err != nil || blob.reads != 0 {
		t.Errorf("another hour of the same block: %d reads, %v", blob.reads, err)
	}

	all, err := s.Open(fieldNames(f.fields))
	must(t, err)
	blob.reads = 0
	must(t, all.Seek(3, benchStart+20*3600e9, math.MaxInt64))
	if _, err := all.Next(); err != nil || blob.reads != 1 {
		t.Errorf("all fields of a block: %d reads, %v", blob.reads, err)
	}

	// A day by the hour comes from summaries: two groups at most.
	c, err = s.Open([]string{"usage_2"})
	must(t, err)
	blob.reads = 0
	for ord := range uint32(4) {
		must(t, c.Seek(ord, benchStart, benchStart+24*3600e9-1))
		hours := make(map[int64]int)
		for {
			span, ok, err := c.Span()
			must(t, err)
			if !ok {
				break
			}
			if span.MinTime/3600e9 != span.MaxTime/3600e9 {
				t.Errorf("span %+v covers more than an hour", span)
			}
			hours[span.MinTime/3600e9] += span.Rows
			must(t, c.Skip())
		}
		if len(hours) != 24 {
			t.Errorf("%d hours", len(hours))
		}
		for h, n := range hours {
			if n != 360 {
				t.Errorf("hour %d has %d rows", h, n)
			}
		}
	}
	if st := c.Stats(); blob.reads > 4 || st.BlocksRead != 0 || st.Spans < 96 {
		t.Errorf("%d reads for summaries, stats %+v", blob.reads, st)
	}

	// Values that do not occur cost no reading.
	must(t, c.Seek(0, math.MinInt64, math.MaxInt64))
	c.SetBounds(0, 1000, math.MaxInt64)
	if rows, err := c.Next(); rows != nil || err != nil || c.Stats().BlocksPruned == 0 || c.Stats().BlocksRead != 0 {
		t.Errorf("rows %v, error %v, stats %+v", rows, err, c.Stats())
	}

	// A stranger costs the filter and nothing else.
	blob.reads = 0
	for i := range 20 {
		s.MayContain(column.HashSeries("m", fmt.Appendf(nil, "host=x%d", i)))
	}
	if blob.reads != 1 {
		t.Errorf("%d reads of the filter", blob.reads)
	}
}

// TestWide writes many measurements, and many fields of which a row has few.
func TestWide(t *testing.T) {
	var fields []column.FieldInfo
	for i := range 1000 {
		fields = append(fields, column.FieldInfo{Name: fmt.Sprintf("field_%04d", i), Type: column.Int64})
	}
	var sparse modelSection
	sparse.name, sparse.fields = "sparse", fields
	for i := range 300 {
		s := modelSeries{key: fmt.Appendf(nil, "device=%04d", i)}
		s.rows.Reset(fields)
		for j := range 100 {
			s.rows.Time = append(s.rows.Time, int64(j)*1e9)
		}
		for f := range fields {
			v := &s.rows.Cols[f]
			if f%100 == i%100 {
				for j := range 100 {
					v.AppendWord(uint64(j % 7))
				}
			} else {
				v.AppendNulls(100)
			}
		}
		sparse.series = append(sparse.series, s)
	}
	b, info := writeModel(t, []modelSection{sparse}, balanced(0), 1000)
	s, _ := open(t, b).Section("sparse")
	must(t, checkSection(s, &sparse))
	t.Logf("1000 sparse fields: %.3f bytes/value", float64(info.Size)/float64(info.Values))
	if per := float64(info.Size) / float64(info.Values); per > 1.5 {
		t.Errorf("sparse fields take %.3f bytes/value", per)
	}

	many := shape{seed: 3, sections: 1000, series: 3, rows: 5, fields: 4, step: 1e9}.build()
	b, info = writeModel(t, many, balanced(0), 1000)
	t.Logf("1000 measurements: %d bytes, %d of them footer", info.Size, open(t, b).footer.len)
	r := open(t, b)
	for i := range many {
		s, ok := r.Section(many[i].name)
		if !ok {
			t.Fatalf("no section %q", many[i].name)
		}
		must(t, checkSection(s, &many[i]))
	}
}

// TestConcurrent uses one section from several goroutines (for the race
// detector).
func TestConcurrent(t *testing.T) {
	sh := shape{seed: 4, sections: 1, series: 200, rows: 300, fields: 5, nulls: 0.1, step: 10e9}
	model := sh.build()
	b, _ := writeModel(t, model, balanced(1000), 1000)
	s, _ := open(t, b).Section(model[0].name)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 0))
			for range 3 {
				if err := checkSection(s, &model[0]); err != nil {
					t.Error(err)
				}
				if err := checkSpans(s, &model[0], rnd); err != nil {
					t.Error(err)
				}
				m, err := predicate.Compile(predicate.Match("host", "7"))
				if err != nil {
					t.Error(err)
				}
				if ords, err := s.Select(m); err != nil || len(ords) == 0 {
					t.Error(len(ords), err)
				}
				if !s.MayContain(column.HashSeries(model[0].name, model[0].series[i].key)) {
					t.Error("filter denies a series")
				}
			}
		})
	}
	wg.Wait()
}

func TestWriterRefuses(t *testing.T) {
	fields := []column.FieldInfo{{Name: "a", Type: column.Int64}, {Name: "b", Type: column.String}}
	row := func(at int64) *column.Rows {
		var r column.Rows
		r.Reset(fields)
		r.Time = append(r.Time, at)
		r.Cols[0].AppendWord(1)
		r.Cols[1].AppendString([]byte("x"))
		return &r
	}
	twoRows := row(5)
	twoRows.Append(row(5))
	wrongType := row(1)
	wrongType.Cols[0].Type = column.Float64
	short := row(1)
	short.Cols[0].Words = nil
	for _, c := range []struct {
		want string
		do   func(w *Writer) error
	}{
		{"outside a section", func(w *Writer) error { return w.Append(nil, row(1)) }},
		{"no section is open", func(w *Writer) error { return w.EndSection() }},
		{"begins within another", func(w *Writer) error {
			must(t, w.BeginSection("m", fields))
			return w.BeginSection("n", fields)
		}},
		{"comes after", func(w *Writer) error {
			must(t, w.BeginSection("m", fields))
			must(t, w.Append(nil, row(1)))
			must(t, w.EndSection())
			return w.BeginSection("l", fields)
		}},
		{"comes after", func(w *Writer) error {
			return w.BeginSection("m", []column.FieldInfo{fields[1], fields[0]})
		}},
		{"unknown", func(w *Writer) error {
			return w.BeginSection("m", []column.FieldInfo{{Name: "a", Type: 7}})
		}},
		{"comes after", func(w *Writer) error {
			must(t, w.BeginSection("m", fields))
			must(t, w.Append([]byte("k=2"), row(1)))
			return w.Append([]byte("k=1"), row(1))
		}},
		{"do not ascend", func(w *Writer) error {
			must(t, w.BeginSection("m", fields))
			must(t, w.Append([]byte("k=2"), row(1)))
			return w.Append([]byte("k=2"), row(1))
		}},
		{"do not ascend", func(w *Writer) error {
			must(t, w.BeginSection("m", fields))
			must(t, w.Append([]byte("k=2"), twoRows))
			return w.EndSection()
		}},
		{"a integer", func(w *Writer) error {
			must(t, w.BeginSection("m", fields))
			return w.Append([]byte("k=2"), wrongType)
		}},
		{"0 values", func(w *Writer) error {
			must(t, w.BeginSection("m", fields))
			return w.Append([]byte("k=2"), short)
		}},
		{"still open", func(w *Writer) error {
			must(t, w.BeginSection("m", fields))
			_, err := w.Finish()
			return err
		}},
	} {
		w := NewWriter(new(bytes.Buffer), balanced(0))
		err := c.do(w)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one that says %q", err, c.want)
		}
		if _, again := w.Finish(); again == nil {
			t.Errorf("after %v the file is finished as if nothing had been", err)
		}
	}
}
