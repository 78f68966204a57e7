package segment

import (
	"fmt"
	"slices"
	"sync"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/encoding"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/run"
)

// Section is the rows of one measurement in one file: a run.Run.
type Section struct {
	r      *Reader
	d      *sectionEntry
	meta   *run.Meta
	blocks BlockCache // nil: none

	all func() []uint32 // every ordinal, made at the first call
}

var (
	_ run.Run           = (*Section)(nil)
	_ predicate.Index   = sectionIndex{}
	_ run.KeyCursor     = (*keyCursor)(nil)
	_ run.SummaryCursor = (*Cursor)(nil)
	_ run.Counted       = (*Cursor)(nil)
)

func newSection(r *Reader, d *sectionEntry, blocks BlockCache) *Section {
	s := &Section{r: r, d: d, meta: &d.meta, blocks: blocks}
	s.all = sync.OnceValue(func() []uint32 {
		all := make([]uint32, d.meta.Series)
		for i := range all {
			all[i] = uint32(i)
		}
		return all
	})
	return s
}

// Once returns the section for someone who reads all of it once, as a merge
// does, and leaves the cache of blocks alone.
func (s *Section) Once() *Section {
	once := *s
	once.blocks = nil
	return &once
}

// Measurement returns the name of the measurement.
func (s *Section) Measurement() string { return s.d.measurement }

// Meta describes the section; the caller does not change it.
func (s *Section) Meta() *run.Meta { return s.meta }

// Values returns how many values each field of Meta has, nulls not counted;
// the caller does not change it.
func (s *Section) Values() []int64 { return s.d.values }

// Index gives the postings.
func (s *Section) Index() predicate.Index { return sectionIndex{s} }

// Select returns the ordinals of the series that match, ascending.
func (s *Section) Select(m *predicate.Matcher) ([]uint32, error) {
	if m == nil {
		return s.all(), nil
	}
	b, err := m.Eval(s.Index())
	if err != nil {
		return nil, err
	}
	return b.ToArray(), nil
}

// Keys returns a reader of series keys.
func (s *Section) Keys() run.KeyCursor { return &keyCursor{s: s} }

// TagKeys returns the tag keys that occur, ascending.
func (s *Section) TagKeys() ([]string, error) {
	x, err := s.tagIndex()
	if err != nil {
		return nil, err
	}
	keys := make([]string, len(x.keys))
	for i, k := range x.keys {
		keys[i] = k.name
	}
	return keys, nil
}

// MayContain reports whether the series with this column.HashSeries may be in
// the section; about one answer in 100 is yes without need. It reads the
// filter and nothing else; if that is damaged it says yes.
func (s *Section) MayContain(hash uint64) bool {
	f, err := s.filter()
	return err != nil || f.mayContain(hash)
}

func (s *Section) filter() (filter, error) {
	return cached(s.r, s.d.filter, func(p []byte) (filter, int64, error) {
		if len(p) == 0 || len(p)%filterBlock != 0 {
			return nil, 0, errShort
		}
		return filter(p), int64(len(p)), nil
	})
}

func (s *Section) blockIndex() (*blockIndex, error) {
	return cachedColumns(s.r, s.d.index, func(p []byte, dec *encoding.Decoder) (*blockIndex, int64, error) {
		return decodeBlockIndex(p, dec, s.d)
	})
}

func (s *Section) fieldIndex(i int, x *blockIndex) (*fieldIndex, error) {
	return cachedColumns(s.r, s.d.fields[i], func(p []byte, dec *encoding.Decoder) (*fieldIndex, int64, error) {
		return decodeFieldIndex(p, dec, s.meta.Fields[i].Type, x, s.d)
	})
}

func (s *Section) spanTable(x *blockIndex, group int) (*spanTable, error) {
	return cachedColumns(s.r, x.spans[group], func(p []byte, dec *encoding.Decoder) (*spanTable, int64, error) {
		return decodeSpanTable(p, dec, x, group)
	})
}

func (s *Section) spanStats(f *fieldIndex, t column.Type, table *spanTable, group int) (*spanStats, error) {
	return cachedColumns(s.r, f.stats[group], func(p []byte, dec *encoding.Decoder) (*spanStats, int64, error) {
		return decodeStats(p, dec, t, table)
	})
}

// Field returns the place of a field in Meta().Fields.
func (s *Section) Field(name string) (int, bool) {
	return slices.BinarySearchFunc(s.meta.Fields, name, func(f column.FieldInfo, name string) int {
		switch {
		case f.Name < name:
			return -1
		case f.Name > name:
			return 1
		}
		return 0
	})
}

func errNoSeries(s *Section, ord uint32) error {
	return fmt.Errorf("segment %s has no series %d of %q", s.r.name, ord, s.d.measurement)
}
