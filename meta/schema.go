package meta

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/varvedb/varve/catalog"
)

// The life of a column:
//
//  1. A writer takes Hold and looks its columns up. One that is missing it
//     registers: a record is made by compare-and-swap, and with it the column
//     has one kind for everyone.
//  2. It appends, and lets go.
//  3. When the last value of a column is physically gone, Forget waits until
//     no writer holds, asks once more whether it is gone, and deletes the
//     record.
//
// Without step 3's wait a writer could look a column up, have it forgotten
// and registered with another kind behind its back, and append values of the
// old one.

// SchemaConfig sets the limits of a Schema.
type SchemaConfig struct {
	// MaxColumns is how many tags and fields a measurement may have.
	MaxColumns int
}

// DefaultSchema returns the limits that the server starts with.
func DefaultSchema() SchemaConfig {
	// More columns than any device reports; fewer than a client makes that
	// puts values into names.
	return SchemaConfig{MaxColumns: 10_000}
}

// Validate reports the first limit that makes no sense.
func (c SchemaConfig) Validate() error {
	if c.MaxColumns < 1 {
		return fmt.Errorf("schema: MaxColumns is %d, want at least 1", c.MaxColumns)
	}
	return nil
}

// Schema holds the kind of every column of every measurement.
type Schema struct {
	catalog  catalog.Catalog
	cfg      SchemaConfig
	follower *catalog.Follower

	hold     sync.RWMutex // read: by writers from look-up to append; write: by Forget. Taken before register.
	register sync.Mutex   // one registration at a time, so that the second finds what the first made. Taken before mu.

	mu           sync.RWMutex
	measurements map[measurementKey]*Measurement // guarded by mu
}

type measurementKey struct {
	bucket uint64
	name   string
}

// Measurement is the columns of one measurement in one bucket, as they are at
// each moment.
type Measurement struct {
	columns atomic.Pointer[map[string]Kind] // the map never changes
}

// Kind returns the kind of a column, 0 if there is none. It takes no lock. A
// nil Measurement has no columns.
func (m *Measurement) Kind(name string) Kind { return m.Columns()[name] }

// Columns returns the kinds by name. The map is not to be changed.
func (m *Measurement) Columns() map[string]Kind {
	if m == nil {
		return nil
	}
	return *m.columns.Load()
}

// OpenSchema loads the schema. The catalog stays open when it is closed.
func OpenSchema(ctx context.Context, c catalog.Catalog, cfg SchemaConfig) (*Schema, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Schema{catalog: c, cfg: cfg}
	var err error
	if s.follower, err = catalog.Follow(ctx, c, schemaPrefix, s); err != nil {
		return nil, fmt.Errorf("open schema: %w", err)
	}
	return s, nil
}

// Close stops following the catalog.
func (s *Schema) Close() { s.follower.Close() }

// Err tells why the schema is not kept fresh any more, nil while it is.
func (s *Schema) Err() error { return s.follower.Err() }

// MaxColumns returns the limit of columns of a measurement.
func (s *Schema) MaxColumns() int { return s.cfg.MaxColumns }

// Hold keeps every column from being forgotten until Release. A writer holds
// from looking its columns up until its append is visible.
func (s *Schema) Hold() { s.hold.RLock() }

// Release ends what Hold began.
func (s *Schema) Release() { s.hold.RUnlock() }

// Measurement returns the columns of a measurement, nil if it has none.
func (s *Schema) Measurement(bucket uint64, name string) *Measurement {
	s.mu.RLock()
	m := s.measurements[measurementKey{bucket, name}]
	s.mu.RUnlock()
	return m
}

// Measurements returns the names of the measurements of a bucket that have
// columns, ascending.
func (s *Schema) Measurements(bucket uint64) []string {
	var all []string
	s.mu.RLock()
	for k := range s.measurements {
		if k.bucket == bucket {
			all = append(all, k.name)
		}
	}
	s.mu.RUnlock()
	slices.Sort(all)
	return all
}

// Buckets returns the buckets that have columns, ascending.
func (s *Schema) Buckets() []uint64 {
	var all []uint64
	s.mu.RLock()
	for k := range s.measurements {
		all = append(all, k.bucket)
	}
	s.mu.RUnlock()
	slices.Sort(all)
	return slices.Compact(all)
}

// Register makes those of columns that do not exist, as one commit (or as
// several, beyond ten thousand of them). Where a name stands twice, or another
// writer made it meanwhile, the first is it: the caller looks again. A column
// beyond MaxColumns is not made.
func (s *Schema) Register(ctx context.Context, bucket uint64, columns []Column) error {
	s.register.Lock()
	defer s.register.Unlock()
	ops := s.missing(bucket, columns)
	for part := range slices.Chunk(ops, catalog.MaxOps) {
		if err := s.create(ctx, part); err != nil {
			return fmt.Errorf("register columns: %w", err)
		}
	}
	return nil
}

// missing returns what makes those of columns that do not exist.
func (s *Schema) missing(bucket uint64, columns []Column) []catalog.Op {
	var ops []catalog.Op
	type name struct{ measurement, column string }
	seen := map[name]bool{}
	count := map[string]int{}
	for i := range columns {
		c := &columns[i]
		m := s.Measurement(bucket, c.Measurement)
		if m.Kind(c.Name) != 0 || seen[name{c.Measurement, c.Name}] {
			continue
		}
		n, ok := count[c.Measurement]
		if !ok {
			n = len(m.Columns())
		}
		if n >= s.cfg.MaxColumns {
			continue
		}
		count[c.Measurement] = n + 1
		seen[name{c.Measurement, c.Name}] = true
		ops = append(ops, catalog.Op{Key: columnKey(bucket, c.Measurement, c.Name), Value: appendColumn(nil, c)})
	}
	return ops
}

// create makes columns and waits until they are known here. Those that
// another node makes at the same moment are fine.
func (s *Schema) create(ctx context.Context, ops []catalog.Op) error {
	var revision uint64
	for len(ops) > 0 {
		first, err := s.catalog.Commit(ctx, ops...)
		if err == nil {
			revision = max(revision, first+uint64(len(ops))-1)
			break
		}
		if !errors.Is(err, catalog.ErrConflict) {
			return err
		}
		var left []catalog.Op
		for _, op := range ops {
			r, err := s.catalog.Get(ctx, op.Key)
			switch {
			case errors.Is(err, catalog.ErrNotFound):
				left = append(left, op)
			case err != nil:
				return err
			default:
				revision = max(revision, r.Version)
			}
		}
		ops = left
	}
	return s.follower.Wait(ctx, revision)
}

// Forget frees those of names for which gone still says, while nobody writes,
// that no value of them is left, and returns them. gone must not write. A
// freed name may come back with any kind.
func (s *Schema) Forget(ctx context.Context, bucket uint64, measurement string, names []string, gone func(name string) (bool, error)) ([]string, error) {
	s.hold.Lock()
	defer s.hold.Unlock()
	var freed []string
	for part := range slices.Chunk(names, catalog.MaxOps) {
		var ops []catalog.Op
		var forgotten []string
		for _, name := range part {
			ok, err := gone(name)
			if err != nil {
				return freed, fmt.Errorf("forget column %q of %q: %w", name, measurement, err)
			}
			if !ok {
				continue
			}
			r, err := s.catalog.Get(ctx, columnKey(bucket, measurement, name))
			if errors.Is(err, catalog.ErrNotFound) {
				continue
			}
			if err != nil {
				return freed, fmt.Errorf("forget column %q of %q: %w", name, measurement, err)
			}
			ops = append(ops, catalog.Op{Key: r.Key, Version: r.Version, Delete: true})
			forgotten = append(forgotten, name)
		}
		if err := s.delete(ctx, ops); err != nil {
			return freed, fmt.Errorf("forget columns of %q: %w", measurement, err)
		}
		freed = append(freed, forgotten...)
	}
	return freed, nil
}

// ForgetBucket frees all columns of a bucket that was deleted. Its id will
// not be used again, so nobody needs to be waited for.
func (s *Schema) ForgetBucket(ctx context.Context, bucket uint64) error {
	records, _, err := s.catalog.List(ctx, bucketSchemaPrefix(bucket))
	if err != nil {
		return fmt.Errorf("forget columns of bucket %s: %w", ID(bucket), err)
	}
	for part := range slices.Chunk(records, catalog.MaxOps) {
		ops := make([]catalog.Op, len(part))
		for i, r := range part {
			ops[i] = catalog.Op{Key: r.Key, Version: r.Version, Delete: true}
		}
		if err := s.delete(ctx, ops); err != nil {
			return fmt.Errorf("forget columns of bucket %s: %w", ID(bucket), err)
		}
	}
	return nil
}

func (s *Schema) delete(ctx context.Context, ops []catalog.Op) error {
	if len(ops) == 0 {
		return nil
	}
	first, err := s.catalog.Commit(ctx, ops...)
	if err != nil {
		return err
	}
	return s.follower.Wait(ctx, first+uint64(len(ops))-1)
}

// Reset implements catalog.View.
func (s *Schema) Reset(records []catalog.Record) error {
	fresh := map[measurementKey]map[string]Kind{}
	for _, r := range records {
		bucket, c, err := columnOf(r)
		if err != nil {
			return err
		}
		key := measurementKey{bucket, c.Measurement}
		if fresh[key] == nil {
			fresh[key] = map[string]Kind{}
		}
		fresh[key][c.Name] = c.Kind
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.measurements
	s.measurements = make(map[measurementKey]*Measurement, len(fresh))
	for key, columns := range fresh {
		m := old[key] // a writer may be looking at it
		if m == nil {
			m = &Measurement{}
		}
		m.columns.Store(&columns)
		s.measurements[key] = m
	}
	return nil
}

// Apply implements catalog.View. The changes of one measurement become
// visible together, at the cost of one copy of its map.
func (s *Schema) Apply(changes []catalog.Change) error {
	drafts := map[measurementKey]map[string]Kind{}
	draft := func(key measurementKey) map[string]Kind {
		d, ok := drafts[key]
		if !ok {
			d = map[string]Kind{}
			maps.Copy(d, s.Measurement(key.bucket, key.name).Columns())
			drafts[key] = d
		}
		return d
	}
	for _, ch := range changes {
		if ch.Deleted {
			if key, name, ok := s.find(ch.Key); ok {
				delete(draft(key), name)
			}
			continue
		}
		bucket, c, err := columnOf(ch.Record)
		if err != nil {
			return err
		}
		draft(measurementKey{bucket, c.Measurement})[c.Name] = c.Kind
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, columns := range drafts {
		m := s.measurements[key]
		switch {
		case len(columns) == 0:
			delete(s.measurements, key)
			if m != nil {
				m.columns.Store(&columns)
			}
		case m == nil:
			m = &Measurement{}
			m.columns.Store(&columns)
			s.measurements[key] = m
		default:
			m.columns.Store(&columns)
		}
	}
	return nil
}

// columnOf reads a record.
func columnOf(r catalog.Record) (bucket uint64, c Column, err error) {
	id, _, _, err := splitColumnKey(r.Key)
	if err == nil {
		c, err = decodeColumn(r.Value)
	}
	if err != nil {
		return 0, c, fmt.Errorf("read catalog record %s: %w", r.Key, err)
	}
	return id, c, nil
}

// find returns what a key stood for whose record is gone; ok is false if it
// stood for nothing that is known here.
func (s *Schema) find(key string) (k measurementKey, name string, ok bool) {
	bucket, measurementPart, namePart, err := splitColumnKey(key)
	if err != nil {
		return k, "", false
	}
	k.bucket = bucket
	s.mu.RLock()
	defer s.mu.RUnlock()
	if k.name, ok = parseKeyName(measurementPart); !ok {
		// The name was too long for a key. That is rare, so it is searched.
		for have := range s.measurements {
			if have.bucket == bucket && keyName(have.name) == measurementPart {
				k, ok = have, true
				break
			}
		}
	}
	m := s.measurements[k]
	if !ok || m == nil {
		return k, "", false
	}
	if name, ok = parseKeyName(namePart); ok {
		return k, name, true
	}
	for have := range m.Columns() {
		if keyName(have) == namePart {
			return k, have, true
		}
	}
	return k, "", false
}
