package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/varvedb/varve/column"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file anew")

func corruptible() ([]modelSection, []byte) {
	sh := shape{seed: 5, sections: 2, series: 30, rows: 300, fields: 5, nulls: 0.1, step: 10e9}
	model := sh.build()
	var buf bytes.Buffer
	w := NewWriter(&buf, balanced(500))
	for i := range model {
		if err := w.BeginSection(model[i].name, model[i].fields); err != nil {
			panic(err)
		}
		for j := range model[i].series {
			if err := w.Append(model[i].series[j].key, &model[i].series[j].rows); err != nil {
				panic(err)
			}
		}
		if err := w.EndSection(); err != nil {
			panic(err)
		}
	}
	if _, err := w.Finish(); err != nil {
		panic(err)
	}
	return model, buf.Bytes()
}

// walk reads everything of a file in every way. What it reads must be what
// the model says, unless there is an error, which must be a CorruptError.
func walk(b []byte, model []modelSection) (problems int, err error) {
	bad := func(e error) {
		var c *CorruptError
		if e == nil {
			return
		}
		problems++
		if !errors.As(e, &c) || c.File != "test.seg" {
			err = fmt.Errorf("error of the wrong kind: %w", e)
		}
	}
	r, e := Open(memBlob(b), "test.seg", Caches{})
	if e != nil {
		bad(e)
		return problems, err
	}
	r.Verify(func(int64, string) { problems++ })
	for i, name := range r.Measurements() {
		if model != nil && (len(model) != len(r.Measurements()) || model[i].name != name) {
			return problems, fmt.Errorf("measurements %q", r.Measurements())
		}
		s, _ := r.Section(name)
		var m *modelSection
		if model != nil {
			m = &model[i]
		}
		keys := s.Keys()
		for ord := range min(s.meta.Series, 1000) {
			key, e := keys.Key(uint32(ord))
			bad(e)
			if e == nil && m != nil && !bytes.Equal(key, m.series[ord].key) {
				return problems, fmt.Errorf("key %d is %q", ord, key)
			}
			if m != nil {
				got, ok, e := s.Lookup(m.series[ord].key)
				bad(e)
				if e == nil && (!ok || int(got) != ord) {
					return problems, fmt.Errorf("series %d is not found", ord)
				}
				if !s.MayContain(column.HashSeries(name, m.series[ord].key)) {
					return problems, fmt.Errorf("series %d is denied", ord)
				}
			}
		}
		tags, e := s.TagKeys()
		bad(e)
		for _, k := range tags {
			bad(s.Index().Values(k, func(v []byte, b *roaring.Bitmap) bool {
				for it := b.Iterator(); it.HasNext(); {
					ord := it.Next()
					if m != nil && !bytes.Equal(column.TagValue(m.series[ord].key, k), v) {
						err = fmt.Errorf("postings of %s=%q hold %d", k, v, ord)
						return false
					}
				}
				return true
			}))
			_, e := s.Index().Postings(k, "host_3")
			bad(e)
		}
		for f, info := range s.meta.Fields {
			c, e := s.Open([]string{info.Name})
			if e != nil {
				bad(e)
				continue
			}
			for ord := range min(s.meta.Series, 1000) {
				if e := walkSeries(c, m, f, ord, bad); e != nil {
					return problems, e
				}
			}
		}
	}
	return problems, err
}

func walkSeries(c *Cursor, m *modelSection, f, ord int, bad func(error)) error {
	var want *modelSeries
	if m != nil {
		want = pick(&m.series[ord], m.fields, []string{m.fields[f].Name})
	}
	for _, skip := range []bool{false, true} {
		if e := c.Seek(uint32(ord), math.MinInt64, math.MaxInt64); e != nil {
			bad(e)
			continue
		}
		i := 0
		for {
			if skip {
				span, ok, e := c.Span()
				if e != nil {
					bad(e)
					break
				}
				if ok {
					sum, e := c.Summary(0)
					bad(e)
					if e == nil && want != nil {
						if e := checkSummary(&sum, want, 0, i, i+span.Rows); e != nil {
							return e
						}
					}
					i += span.Rows
					if e := c.Skip(); e != nil {
						return e
					}
					continue
				}
			}
			rows, e := c.Next()
			if e != nil {
				bad(e)
				break
			}
			if rows == nil {
				if want != nil && i != want.rows.Len() {
					return fmt.Errorf("series %d ends at row %d without an error", ord, i)
				}
				break
			}
			if want != nil {
				if e := sameRows(&want.rows, i, rows); e != nil {
					return e
				}
			}
			i += rows.Len()
		}
	}
	return nil
}

// TestCorruption flips a bit here and there all over a file: each flip must
// show as a CorruptError, and nothing that is read may differ from what was
// written.
func TestCorruption(t *testing.T) {
	model, good := corruptible()
	if n, err := walk(good, model); n != 0 || err != nil {
		t.Fatalf("an undamaged file has %d problems: %v", n, err)
	}
	rnd := rand.New(rand.NewPCG(8, 8))
	step := 97
	if testing.Short() {
		step = 997
	}
	for at := 0; at < len(good); at += 1 + rnd.IntN(step) {
		b := bytes.Clone(good)
		b[at] ^= 1 << rnd.IntN(8)
		n, err := walk(b, model)
		if err != nil {
			t.Fatalf("byte %d of %d flipped: %v", at, len(good), err)
		}
		if n == 0 {
			t.Fatalf("byte %d of %d flipped, and nobody notices", at, len(good))
		}
	}
	for _, n := range []int{0, 1, 10, tailSize, 100, len(good) / 2, len(good) - 1} {
		if problems, err := walk(good[:n], model); problems == 0 || err != nil {
			t.Errorf("file cut to %d bytes: %d problems, %v", n, problems, err)
		}
	}
	if problems, err := walk(append(bytes.Clone(good), good...), model); problems == 0 || err != nil {
		t.Errorf("file behind another: %d problems, %v", problems, err)
	}
}

// TestCorruptBlockAlone damages one chunk: only that block's column fails.
func TestCorruptBlockAlone(t *testing.T) {
	sh := shape{seed: 6, sections: 1, series: 20, rows: 300, fields: 2, step: 10e9}
	model := sh.build()
	b, _ := writeModel(t, model, balanced(500), 1000)
	s, _ := open(t, b).Section(model[0].name)
	x, err := s.blockIndex()
	must(t, err)
	f, err := s.fieldIndex(0, x)
	must(t, err)
	b[f.chunks[2].off] ^= 1
	s, _ = open(t, b).Section(model[0].name)
	c, err := s.Open([]string{"f000"})
	must(t, err)
	other, err := s.Open([]string{"f001"})
	must(t, err)
	failed := 0
	for ord := range model[0].series {
		lost := x.first[2] <= uint32(ord) && uint32(ord) <= x.last[2]
		must(t, c.Seek(uint32(ord), math.MinInt64, math.MaxInt64))
		want := pick(&model[0].series[ord], model[0].fields, []string{"f000"})
		err := checkRows(c, want, 0, want.rows.Len())
		var corrupt *CorruptError
		if lost != errors.As(err, &corrupt) || lost && corrupt.Offset != f.chunks[2].off || !lost && err != nil {
			t.Errorf("series %d, damaged %v: %v", ord, lost, err)
		}
		if err != nil {
			failed++
		}
		must(t, other.Seek(uint32(ord), math.MinInt64, math.MaxInt64))
		want = pick(&model[0].series[ord], model[0].fields, []string{"f001"})
		must(t, checkRows(other, want, 0, want.rows.Len()))
	}
	if failed == 0 || failed == len(model[0].series) {
		t.Errorf("%d of %d series failed", failed, len(model[0].series))
	}
}

// pieces lists all pieces of an undamaged file.
func pieces(t testing.TB, b []byte) []extent {
	r := open(t, b)
	all := []extent{r.footer}
	for _, name := range r.Measurements() {
		s, _ := r.Section(name)
		x, err := s.blockIndex()
		must(t, err)
		all = append(append(all, s.d.index, s.d.dict, s.d.tags, s.d.filter), x.spans...)
		all = append(all, s.d.fields...)
		for i, off := range x.off {
			all = append(all, extent{off, x.headLen[i]})
		}
		for i := range s.meta.Fields {
			f, err := s.fieldIndex(i, x)
			must(t, err)
			all = append(append(all, f.chunks...), f.stats...)
		}
		d, err := s.dictIndex()
		must(t, err)
		all = append(all, d.pages...)
		tags, err := s.tagIndex()
		must(t, err)
		for _, k := range tags.keys {
			all = append(all, k.pages...)
		}
	}
	return all
}

// FuzzOpen reads files that are not what a writer wrote: whole ones, and a
// good one in which bytes of one piece were changed and its checksum made
// right again, so that the damage gets as far as it can. Nothing may panic or
// run away.
func FuzzOpen(f *testing.F) {
	_, good := corruptible()
	all := pieces(f, good)
	var small bytes.Buffer
	w := NewWriter(&small, balanced(0))
	if _, err := w.Finish(); err != nil {
		f.Fatal(err)
	}
	f.Add(small.Bytes(), uint16(0), uint16(0), byte(0))
	f.Add([]byte(nil), uint16(0), uint16(10), byte(3))
	f.Add([]byte(nil), uint16(1), uint16(1), byte(255))
	f.Fuzz(func(t *testing.T, file []byte, piece, at uint16, flip byte) {
		if len(file) == 0 {
			file = bytes.Clone(good)
			damage(file, all[int(piece)%len(all)], int(at), flip)
		}
		if _, err := walk(file, nil); err != nil {
			t.Log(err)
		}
	})
}

// damage changes a byte of a piece and seals it again.
func damage(file []byte, e extent, at int, flip byte) {
	if e.len <= crcSize {
		return
	}
	p := file[e.off : e.end()-crcSize]
	p[at%len(p)] ^= flip
	binary.LittleEndian.PutUint32(file[e.end()-crcSize:], crc32.Checksum(p, castagnoli))
}

// TestResealed is a fixed draw of what FuzzOpen does.
func TestResealed(t *testing.T) {
	_, good := corruptible()
	all := pieces(t, good)
	rnd := rand.New(rand.NewPCG(9, 9))
	n := 600
	if testing.Short() {
		n = 60
	}
	for i := range n {
		file := bytes.Clone(good)
		damage(file, all[i%len(all)], rnd.IntN(1<<16), byte(1+rnd.IntN(255)))
		if _, err := walk(file, nil); err != nil {
			t.Fatalf("draw %d: %v", i, err)
		}
	}
}

// TestGolden keeps the format: what version 1 wrote is read for ever.
func TestGolden(t *testing.T) {
	sh := shape{seed: 11, sections: 2, series: 12, rows: 150, fields: 5, nulls: 0.05, step: 10e9, wildFloats: false}
	model := sh.build()
	o := balanced(400)
	name := filepath.Join("testdata", "v1.seg")
	if *rewrite {
		b, _ := writeModel(t, model, o, 1000)
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(name, b, 0o644))
	}
	b, err := os.ReadFile(name)
	must(t, err)
	if n, err := walk(b, model); n != 0 || err != nil {
		t.Fatalf("%d problems: %v", n, err)
	}
}
