// Package check walks a whole store and says what is wrong, and where: the
// root and the manifest, every segment (checksums, order, postings,
// statistics), the types of fields, the log, and files that nothing names.
// The server calls it on a pinned snapshot while it serves; `varve check`
// calls it on a folder that no server has open. It changes nothing.
package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/manifest"
	"github.com/varvedb/varve/segment"
	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/tombstone"
	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
)

// Problem is one finding.
type Problem struct {
	File    string
	Offset  int64 // of what is damaged; 0 where a file is meant as a whole
	Message string
}

// String renders p for a terminal.
func (p Problem) String() string {
	return fmt.Sprintf("%s at offset %d: %s", p.File, p.Offset, p.Message)
}

// Config says what to check and against what.
type Config struct {
	FS vfs.FS
	// Schema returns the registered type of a field; ok is false for one
	// that is not registered. A nil Schema leaves that check out.
	Schema func(bucket uint64, measurement, field string) (t column.Type, ok bool)
	// OpenLog opens the log in a folder, for Folder only. It must not write.
	OpenLog func(dir string, start wlog.Position) (wlog.Log, error)
	// Report is told of each problem.
	Report func(Problem)
}

// Totals says how much was looked at.
type Totals struct {
	Segments, Sections int
	Rows, Values       int64
	Bytes              int64
	LogRecords         int64
	Problems           int
}

// checker is one check under way.
type checker struct {
	cfg    Config
	totals Totals
	types  map[typeKey]typeSeen
}

type typeKey struct {
	bucket             uint64
	measurement, field string
}

type typeSeen struct {
	t    column.Type
	file string
}

func newChecker(cfg Config) *checker {
	return &checker{cfg: cfg, types: map[typeKey]typeSeen{}}
}

func (c *checker) report(file string, offset int64, format string, args ...any) {
	c.totals.Problems++
	c.cfg.Report(Problem{file, offset, fmt.Sprintf(format, args...)})
}

// reportError reports err at the place that it names, or else at file.
func (c *checker) reportError(file string, err error) {
	var seg *segment.CorruptError
	var man *manifest.CorruptError
	var log *wlog.CorruptError
	switch {
	case errors.As(err, &seg):
		c.report(seg.File, seg.Offset, "%s", seg.What)
	case errors.As(err, &man):
		c.report(man.File, man.Offset, "%s", man.Reason)
	case errors.As(err, &log):
		c.report(log.File, log.Offset, "%s", log.Error())
	default:
		c.report(file, 0, "%s", err)
	}
}

// Snapshot checks what a snapshot of a shard pins.
func Snapshot(ctx context.Context, cfg Config, n *shard.Snapshot) (Totals, error) {
	c := newChecker(cfg)
	m := n.Manifest()
	if err := m.Check(); err != nil {
		c.report("manifest", 0, "%s", err)
	}
	for _, f := range n.Files() {
		if err := ctx.Err(); err != nil {
			return c.totals, err
		}
		c.segment(ctx, f.Name, f.Entry)
	}
	return c.totals, nil
}

// Folder checks the shard in a folder that nobody has open.
func Folder(ctx context.Context, cfg Config, dir string) (Totals, error) {
	c := newChecker(cfg)
	st, err := manifest.NewStore(cfg.FS, dir).Load()
	if err != nil {
		c.report(filepath.Join(dir, "ROOT"), 0, "%s", err)
		return c.totals, nil
	}
	for _, d := range st.Damaged {
		c.report(d.File, d.Offset, "%s; another file holds the same and nothing is lost", d.Reason)
	}
	m := st.Manifest
	for i := range m.Segments {
		if err := ctx.Err(); err != nil {
			return c.totals, err
		}
		c.segment(ctx, shard.SegmentName(dir, m.Segments[i].ID), m.Segments[i])
	}
	c.orphans(dir, m)
	return c.totals, c.log(ctx, shard.LogDir(dir), m)
}

// segment checks one file against its entry and itself.
func (c *checker) segment(ctx context.Context, name string, e manifest.Segment) {
	file, err := c.cfg.FS.Open(name)
	if err != nil {
		c.report(name, 0, "the manifest names it, but it cannot be opened: %s", err)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		c.report(name, 0, "%s", err)
		return
	}
	c.totals.Segments++
	c.totals.Bytes += info.Size()
	if info.Size() != e.Size {
		c.report(name, min(info.Size(), e.Size), "it has %d bytes, the manifest says %d", info.Size(), e.Size)
		return
	}
	b := blob{file, info.Size()}
	if sum, err := segment.Checksum(b); err != nil {
		c.report(name, 0, "%s", err)
	} else if sum != e.Checksum {
		c.report(name, 0, "its checksum is %016x, the manifest says %016x", sum, e.Checksum)
	}
	r, err := segment.Open(b, name, segment.Caches{})
	if err != nil {
		c.reportError(name, err)
		return
	}
	c.entry(name, e, r.Info())
	for _, m := range r.Measurements() {
		if ctx.Err() != nil {
			return
		}
		sec, ok := r.Section(m)
		if !ok {
			c.report(name, 0, "measurement %q is listed but has no section", m)
			continue
		}
		c.totals.Sections++
		c.fields(name, e.Bucket, m, sec.Meta().Fields)
		sec.Verify(func(offset int64, problem string) {
			c.report(name, offset, "measurement %q: %s", m, problem)
		})
	}
}

// entry compares what the manifest says with what the file says.
func (c *checker) entry(name string, e manifest.Segment, i segment.Info) {
	for _, f := range []struct {
		what         string
		entry, found int64
	}{
		{"bucket", int64(e.Bucket), int64(i.Bucket)},
		{"partition start", e.PartMin, i.PartMin},
		{"partition end", e.PartMax, i.PartMax},
		{"first time", e.MinTime, i.MinTime},
		{"last time", e.MaxTime, i.MaxTime},
		{"first sequence", int64(e.MinSeq), int64(i.MinSeq)},
		{"last sequence", int64(e.MaxSeq), int64(i.MaxSeq)},
		{"number of rows", e.Rows, i.Rows},
		{"number of values", e.Values, i.Values},
	} {
		if f.entry != f.found {
			c.report(name, 0, "its %s is %d, the manifest says %d", f.what, f.found, f.entry)
		}
	}
	c.totals.Rows += i.Rows
	c.totals.Values += i.Values
}

// fields checks that a field has one type everywhere, the registered one.
func (c *checker) fields(name string, bucket uint64, measurement string, fields []column.FieldInfo) {
	for _, f := range fields {
		k := typeKey{bucket, measurement, f.Name}
		if seen, ok := c.types[k]; ok && seen.t != f.Type {
			c.report(name, 0, "field %q of measurement %q is %s, in %s it is %s", f.Name, measurement, f.Type, seen.file, seen.t)
		} else if !ok {
			c.types[k] = typeSeen{f.Type, name}
		}
		if c.cfg.Schema == nil {
			continue
		}
		if t, ok := c.cfg.Schema(bucket, measurement, f.Name); !ok {
			c.report(name, 0, "field %q of measurement %q is not in the schema", f.Name, measurement)
		} else if t != f.Type {
			c.report(name, 0, "field %q of measurement %q is %s, the schema says %s", f.Name, measurement, f.Type, t)
		}
	}
}

// orphans reports files beside the segments that the manifest does not name.
// The next start removes them.
func (c *checker) orphans(dir string, m *manifest.Manifest) {
	known := map[string]bool{}
	for i := range m.Segments {
		known[shard.SegmentName(dir, m.Segments[i].ID)] = true
	}
	folder := filepath.Dir(shard.SegmentName(dir, 0))
	names, err := c.cfg.FS.List(folder)
	if err != nil {
		if len(m.Segments) > 0 || !errors.Is(err, os.ErrNotExist) {
			c.report(folder, 0, "%s", err)
		}
		return
	}
	for _, n := range names {
		if full := filepath.Join(folder, n); !known[full] {
			c.report(full, 0, "no manifest names it; the next start of the server removes it")
		}
	}
}

// log reads all records that are retained, needed or not.
func (c *checker) log(ctx context.Context, dir string, m *manifest.Manifest) error {
	if _, err := c.cfg.FS.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	start := wlog.Position(m.Flushed).Next()
	start.Epoch = max(start.Epoch, 1)
	l, err := c.cfg.OpenLog(dir, start)
	if err != nil {
		c.reportError(dir, err)
		return nil
	}
	defer l.Close()
	if first := l.First(); first.Epoch == start.Epoch && first.Seq > start.Seq {
		c.report(dir, 0, "it begins with record %s, but segments end before record %s: what lies between is lost", first, start)
	}
	if last := l.Last(); last.Seq < m.Flushed.Seq {
		c.report(dir, 0, "it ends with record %s, but segments with record %d: it is damaged at its end; the next start of the server sets it aside", last, m.Flushed.Seq)
	}
	r, err := l.Read(ctx, wlog.Position{}, wlog.ReadOptions{OnCorrupt: func(e *wlog.CorruptError) { c.reportError(dir, e) }})
	if err != nil {
		c.reportError(dir, err)
		return nil
	}
	defer r.Close()
	var b column.Batch
	for {
		rec, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			c.reportError(dir, err)
			return nil
		}
		c.totals.LogRecords++
		c.record(dir, rec, &b, rec.Pos.Seq > m.Flushed.Seq)
	}
}

// record checks that a record says something. The types of one that is not
// needed any more do not matter: since then they may have been freed.
func (c *checker) record(dir string, rec wlog.Record, b *column.Batch, needed bool) {
	switch rec.Kind {
	case wlog.KindWrite:
		if err := column.DecodeBatch(b, rec.Payload); err != nil {
			c.report(dir, 0, "record %s: %s", rec.Pos, err)
			return
		}
		for _, t := range b.Tables {
			for i := range t.Series.Len() {
				if err := column.CheckSeriesKey(t.Series.Key(i)); err != nil {
					c.report(dir, 0, "record %s: measurement %q: %s", rec.Pos, t.Measurement, err)
				}
			}
			var infos []column.FieldInfo
			for i := range t.Fields {
				infos = append(infos, column.FieldInfo{Name: t.Fields[i].Name, Type: t.Fields[i].Type})
			}
			slices.SortFunc(infos, func(a, b column.FieldInfo) int { return strings.Compare(a.Name, b.Name) })
			if needed {
				c.fields(fmt.Sprintf("%s, record %s", dir, rec.Pos), rec.Bucket, t.Measurement, infos)
			}
		}
	case wlog.KindDelete:
		if _, err := tombstone.Decode(rec.Payload); err != nil {
			c.report(dir, 0, "record %s: %s", rec.Pos, err)
		}
	default:
		c.report(dir, 0, "record %s has the unknown kind %d", rec.Pos, rec.Kind)
	}
}

// blob is a file as a segment reads it.
type blob struct {
	vfs.File
	size int64
}

func (b blob) Size() int64 { return b.size }
