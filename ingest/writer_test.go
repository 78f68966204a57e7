package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/catalog/bolt"
	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/ingest"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/protocol/lineproto"
)

var now = time.Unix(1_800_000_000, 0)

// shards is a sink that keeps what it is given.
type shards struct {
	n   int
	err func(shard int) error

	mu    sync.Mutex
	lines [][]string      // guarded by mu, per shard: rows as text
	last  []*column.Batch // guarded by mu, per shard: the last batch
}

func newShards(n int) *shards {
	return &shards{n: n, lines: make([][]string, n), last: make([]*column.Batch, n)}
}

func (s *shards) Shards() int { return s.n }

func (s *shards) Write(_ context.Context, shard int, _ uint64, b *column.Batch) error {
	if s.err != nil {
		if err := s.err(shard); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines[shard] = append(s.lines[shard], render(b)...)
	s.last[shard] = b
	return nil
}

func (s *shards) sorted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Concat(s.lines...)
	slices.Sort(all)
	return all
}

// render writes each row of b as text, and checks b's shape on the way.
func render(b *column.Batch) []string {
	var lines []string
	for _, t := range b.Tables {
		keys := map[string]bool{}
		for s := range t.Series.Len() {
			for k := range column.Tags(t.Series.Key(s)) {
				keys[string(k)] = true
			}
		}
		if len(keys) != len(t.TagKeys) || len(t.Time) != len(t.Row) || len(t.Time) == 0 {
			panic(fmt.Sprintf("table %s has tag keys %q of %v, %d times and %d rows", t.Measurement, t.TagKeys, keys, len(t.Time), len(t.Row)))
		}
		for r := range t.Time {
			var fields []string
			for i := range t.Fields {
				f := &t.Fields[i]
				if f.Len() != len(t.Time) || f.Valid.Count(f.Len()) == 0 {
					panic(fmt.Sprintf("field %s of %s has %d rows of %d", f.Name, t.Measurement, f.Len(), len(t.Time)))
				}
				if !f.Valid.Get(r) {
					continue
				}
				switch f.Type {
				case column.String:
					fields = append(fields, fmt.Sprintf("%s=%q", f.Name, f.Str(r)))
				case column.Float64:
					fields = append(fields, fmt.Sprintf("%s=%v", f.Name, f.Floats()[r]))
				default:
					fields = append(fields, fmt.Sprintf("%s=%d%c", f.Name, f.Words[r], f.Type.String()[0]))
				}
			}
			slices.Sort(fields)
			lines = append(lines, fmt.Sprintf("%s,%s %s %d", t.Measurement, t.Series.Key(int(t.Row[r])), strings.Join(fields, ","), t.Time[r]))
		}
	}
	return lines
}

func parse(t testing.TB, lines ...string) *column.Batch {
	t.Helper()
	b, err := lineproto.NewParser(lineproto.Default()).Parse([]byte(strings.Join(lines, "\n")), lineproto.Nanosecond, now.UnixNano())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openCatalog(t testing.TB) catalog.Catalog {
	t.Helper()
	c, err := bolt.Open(bolt.Default(filepath.Join(t.TempDir(), "catalog")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func openSchema(t testing.TB, c catalog.Catalog, maxColumns int) *meta.Schema {
	t.Helper()
	s, err := meta.OpenSchema(context.Background(), c, meta.SchemaConfig{MaxColumns: maxColumns})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func newWriter(t testing.TB, cfg ingest.Config, schema *meta.Schema, sink ingest.Sink) *ingest.Writer {
	t.Helper()
	w, err := ingest.New(cfg, schema, sink, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func setUp(t testing.TB) (*ingest.Writer, *shards, *meta.Schema) {
	t.Helper()
	sink, schema := newShards(1), openSchema(t, openCatalog(t), 1000)
	return newWriter(t, ingest.Config{}, schema, sink), sink, schema
}

var bucket = meta.Bucket{ID: 7, Name: "b"}

// wantPartial checks that err says that rows were dropped, and how.
func wantPartial(t *testing.T, err error, dropped int, text string) {
	t.Helper()
	var partial *ingest.PartialWriteError
	if !errors.As(err, &partial) || partial.Dropped != dropped || partial.DroppedRows() != dropped || err.Error() != text {
		t.Errorf("error is\n%v\nwant\n%s", err, text)
	}
}

func TestNothingToDropPassesThrough(t *testing.T) {
	w, sink, schema := setUp(t)
	for range 2 { // unknown, then known
		b := parse(t, `cpu,host=a user=1,n=2i 10`, `cpu,host=b user=1 10`, `mem,host=a free=1u,s="x",ok=true 10`)
		if err := w.Write(context.Background(), bucket, b); err != nil {
			t.Fatal(err)
		}
		if sink.last[0] != b {
			t.Error("the sink got another batch than the caller's")
		}
	}
	for name, kind := range map[string]meta.Kind{"host": meta.Tag, "user": 1, "n": 2} {
		if got := schema.Measurement(7, "cpu").Kind(name); got != kind {
			t.Errorf("%s is registered as %v, want %v", name, got, kind)
		}
	}
	s := w.Stats()
	if s.Batches != 2 || s.Points != 6 || s.Values != 12 || len(s.Dropped) != 5 {
		t.Errorf("stats are %+v", s)
	}
}

func TestTypeConflict(t *testing.T) {
	w, sink, schema := setUp(t)
	ctx := context.Background()
	if err := w.Write(ctx, bucket, parse(t, `m,a=1 x=1 1`)); err != nil {
		t.Fatal(err)
	}
	b := parse(t, `m,a=1 x=1i,y=1 2`, `m,a=1 y=2 3`, `m,a=2,only=dropped x=2i,z=1 4`, `n v=1 5`, `m,a=3 y=1 6`)
	before := render(b)
	err := w.Write(ctx, bucket, b)
	wantPartial(t, err, 2, `failure writing points to database: partial write: field type conflict: input field "x" on measurement "m" is type integer, already exists as type float dropped=2`)
	want := []string{"m,a=1 x=1 1", "m,a=1 y=2 3", "m,a=3 y=1 6", "n, v=1 5"}
	if d := cmp.Diff(want, sink.sorted()); d != "" {
		t.Errorf("stored:\n%s", d)
	}
	if d := cmp.Diff(before, render(b)); d != "" {
		t.Errorf("the caller's batch was changed:\n%s", d)
	}
	if k := schema.Measurement(7, "m").Columns(); k["z"] != 0 || k["only"] != 0 {
		t.Errorf("columns of dropped rows alone are registered: %v", k)
	}
	if got := w.Stats().Dropped[ingest.DropType]; got != 2 {
		t.Errorf("%d rows are counted", got)
	}
	// Another bucket has its own schema.
	if err := w.Write(ctx, meta.Bucket{ID: 8}, parse(t, `m x=1i 1`)); err != nil {
		t.Errorf("the same field in another bucket: %v", err)
	}
	// All rows bad: the sink is not asked.
	sink.err = func(int) error { return errors.New("asked") }
	wantPartial(t, w.Write(ctx, bucket, parse(t, `m x=true 1`)), 1,
		`failure writing points to database: partial write: field type conflict: input field "x" on measurement "m" is type boolean, already exists as type float dropped=1`)
}

func TestNameConflict(t *testing.T) {
	w, sink, _ := setUp(t)
	ctx := context.Background()
	if err := w.Write(ctx, bucket, parse(t, `m,tag=1 field=1 1`)); err != nil {
		t.Fatal(err)
	}
	wantPartial(t, w.Write(ctx, bucket, parse(t, `m tag=1 2`, `m field=2 3`)), 1,
		`failure writing points to database: partial write: name conflict: "tag" on measurement "m" is both a tag and a field dropped=1`)
	wantPartial(t, w.Write(ctx, bucket, parse(t, `m,field=1 other=1 4`, `m,tag=2 other=2 5`)), 1,
		`failure writing points to database: partial write: name conflict: "field" on measurement "m" is both a tag and a field dropped=1`)
	want := []string{"m, field=2 3", "m,tag=1 field=1 1", "m,tag=2 other=2 5"}
	if d := cmp.Diff(want, sink.sorted()); d != "" {
		t.Errorf("stored:\n%s", d)
	}
}

// table makes what no line can say, for decoders that look less closely.
func table(measurement string, tags string, fields ...column.Field) *column.Table {
	t := &column.Table{Measurement: measurement, Row: []uint32{0}, Time: []int64{1}, Fields: fields}
	t.Series.Add([]byte(tags), column.HashSeries(measurement, []byte(tags)))
	for k := range column.Tags([]byte(tags)) {
		t.TagKeys = append(t.TagKeys, string(k))
	}
	return t
}

func floats(name string, values ...float64) column.Field {
	f := column.Field{Name: name, Vector: column.Vector{Type: column.Float64}}
	for _, v := range values {
		if math.IsNaN(v) {
			f.AppendNulls(1)
		} else {
			f.AppendFloat(v)
		}
	}
	return f
}

func TestNamesThatNothingMayHave(t *testing.T) {
	w, sink, schema := setUp(t)
	b := &column.Batch{Tables: []*column.Table{table("m", "time=1", floats("x", 1)), table("n", "a=1", floats("time", 1), floats("y", 1)),
		table("o", "same=1", floats("same", 1)), table("p", "", floats("x", 1), floats("null", math.NaN())), {Measurement: "empty"}}}
	err := w.Write(context.Background(), bucket, b)
	wantPartial(t, err, 3, `failure writing points to database: partial write: invalid tag key: input tag "time" on measurement "m" is invalid dropped=3`)
	if d := cmp.Diff([]string{"p, x=1 1"}, sink.sorted()); d != "" {
		t.Errorf("stored:\n%s", d)
	}
	if k := schema.Measurement(7, "p").Columns(); len(k) != 1 {
		t.Errorf("columns of p are %v, want x alone", k)
	}
}

func TestOneNameTwiceInABatch(t *testing.T) {
	w, sink, _ := setUp(t)
	ints := column.Field{Name: "x", Vector: column.Vector{Type: column.Int64}}
	ints.AppendWord(5)
	b := &column.Batch{Tables: []*column.Table{table("m", "a=1", floats("x", 1)), table("m", "a=2", ints), table("m", "a=3", floats("x", 3))}}
	wantPartial(t, w.Write(context.Background(), bucket, b), 1,
		`failure writing points to database: partial write: field type conflict: input field "x" on measurement "m" is type integer, already exists as type float dropped=1`)
	if d := cmp.Diff([]string{"m,a=1 x=1 1", "m,a=3 x=3 1"}, sink.sorted()); d != "" {
		t.Errorf("stored:\n%s", d)
	}
}

func TestRetentionAndFuture(t *testing.T) {
	sink, schema := newShards(1), openSchema(t, openCatalog(t), 1000)
	w := newWriter(t, ingest.Config{MaxFuture: time.Minute}, schema, sink)
	at := func(d time.Duration) int64 { return now.Add(d).UnixNano() }
	short := bucket
	short.Retention = time.Hour
	err := w.Write(context.Background(), short, parse(t,
		fmt.Sprint("m x=1 ", at(-time.Hour)-1), fmt.Sprint("m x=2 ", at(-time.Hour)), fmt.Sprint("m x=3 ", at(time.Minute)),
		fmt.Sprint("m,only=dropped x=4 ", at(-2*time.Hour)), fmt.Sprint("gone y=1i ", at(-2*time.Hour))))
	wantPartial(t, err, 3, "failure writing points to database: partial write: points beyond retention policy dropped=3")
	err = w.Write(context.Background(), short, parse(t, fmt.Sprint("m x=5 ", at(time.Minute)+1)))
	wantPartial(t, err, 1, "failure writing points to database: partial write: points more than 1m0s ahead of the server's clock dropped=1")
	want := []string{fmt.Sprint("m, x=2 ", at(-time.Hour)), fmt.Sprint("m, x=3 ", at(time.Minute))}
	if d := cmp.Diff(want, sink.sorted()); d != "" {
		t.Errorf("stored:\n%s", d)
	}
	if schema.Measurement(7, "gone") != nil || schema.Measurement(7, "m").Kind("only") != 0 {
		t.Error("columns of dropped rows alone are registered")
	}
	// For ever means for ever.
	if err := w.Write(context.Background(), bucket, parse(t, fmt.Sprint("m x=1 ", int64(lineproto.MinTime)))); err != nil {
		t.Error(err)
	}
	if s := w.Stats(); s.Dropped[ingest.DropRetention] != 3 || s.Dropped[ingest.DropFuture] != 1 || s.Points != 3 {
		t.Errorf("stats are %+v", s)
	}
}

func TestDropsOfTheDecoderAreReportedToo(t *testing.T) {
	w, sink, _ := setUp(t)
	err := w.Write(context.Background(), bucket, parse(t, `m x=1 1`),
		ingest.Dropped{Kind: ingest.DropType, Reason: "field type conflict: first", Rows: 2},
		ingest.Dropped{Kind: ingest.DropType, Reason: "field type conflict: second", Rows: 1})
	wantPartial(t, err, 3, "failure writing points to database: partial write: field type conflict: first dropped=3")
	if len(sink.sorted()) != 1 {
		t.Error("the good row is not stored")
	}
	short := bucket
	short.Retention = time.Hour
	err = w.Write(context.Background(), short, parse(t, `m x=1 1`), ingest.Dropped{Kind: ingest.DropName, Reason: "name conflict: x", Rows: 1})
	wantPartial(t, err, 2, "failure writing points to database: partial write: name conflict: x; points beyond retention policy dropped=2")
}

func TestColumnLimit(t *testing.T) {
	sink := newShards(1)
	w := newWriter(t, ingest.Config{}, openSchema(t, openCatalog(t), 2), sink)
	err := w.Write(context.Background(), bucket, parse(t, `m a=1,b=1 1`, `m a=1,c=1 2`, `m,d=1 a=2 3`, `m a=3 4`))
	// Tags come first: d and a are the two.
	wantPartial(t, err, 2, `failure writing points to database: partial write: measurement "m" has 2 tags and fields, which is the limit (--schema-max-columns) dropped=2`)
	if d := cmp.Diff([]string{"m, a=3 4", "m,d=1 a=2 3"}, sink.sorted()); d != "" {
		t.Errorf("stored:\n%s", d)
	}
}

func TestManyShards(t *testing.T) {
	const n = 3
	sink, schema := newShards(n), openSchema(t, openCatalog(t), 1000)
	w := newWriter(t, ingest.Config{}, schema, sink)
	var lines []string
	for i := range 200 {
		lines = append(lines, fmt.Sprintf(`m,host=h%d x=%d,s%d="text" %d`, i%50, i, i%2, i))
	}
	b := parse(t, lines...)
	want := render(b)
	slices.Sort(want)
	if err := w.Write(context.Background(), bucket, b); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, sink.sorted()); d != "" {
		t.Errorf("stored:\n%s", d)
	}
	seen := map[string]int{}
	for shard, lines := range sink.lines {
		last := map[string]int{}
		if len(lines) < 30 {
			t.Errorf("shard %d got %d rows of 200", shard, len(lines))
		}
		for _, line := range lines {
			series, rest, _ := strings.Cut(line, " ")
			if old, ok := seen[series]; ok && old != shard {
				t.Errorf("series %s is in shards %d and %d", series, old, shard)
			}
			seen[series] = shard
			var at int
			fmt.Sscan(rest[strings.LastIndexByte(rest, ' '):], &at)
			if at < last[series] {
				t.Errorf("rows of %s are out of order", series)
			}
			last[series] = at
		}
	}
	// One series lies in one shard, uncopied.
	one := parse(t, `m,host=h1 x=1 1`)
	if err := w.Write(context.Background(), bucket, one); err != nil {
		t.Fatal(err)
	}
	if got := sink.last[seen["m,host=h1"]]; got.Tables[0] != one.Tables[0] {
		t.Error("a table of one shard was copied")
	}
	broken := errors.New("broken")
	sink.err = func(shard int) error {
		if shard == 1 {
			return broken
		}
		return nil
	}
	if err := w.Write(context.Background(), bucket, b); !errors.Is(err, broken) {
		t.Errorf("error of one shard: %v", err)
	}
}

// TestShardOf pins the shards: they are part of the format.
func TestShardOf(t *testing.T) {
	got := []int{ingest.ShardOf(1, 2, 1), ingest.ShardOf(1, 2, 1000), ingest.ShardOf(2, 1, 1000), ingest.ShardOf(1<<63, math.MaxUint64, 1000)}
	if want := []int{0, 301, 506, 930}; !slices.Equal(got, want) {
		t.Errorf("shards are %v, want %v", got, want)
	}
	var counts [4]int
	for i := range uint64(4000) {
		counts[ingest.ShardOf(7, i<<32, 4)]++
	}
	for _, n := range counts {
		if n < 900 || n > 1100 {
			t.Errorf("4,000 hashes fall %v", counts)
		}
	}
}

// fullCatalog has no room for a commit.
type fullCatalog struct{ catalog.Catalog }

func (fullCatalog) Commit(context.Context, ...catalog.Op) (uint64, error) {
	return 0, fmt.Errorf("write catalog: %w", syscall.ENOSPC)
}

func TestUnavailable(t *testing.T) {
	c := openCatalog(t)
	sink := newShards(1)
	full := newWriter(t, ingest.Config{}, openSchema(t, fullCatalog{c}, 1000), sink)
	err := full.Write(context.Background(), bucket, parse(t, `m x=1 1`))
	var unavailable *ingest.UnavailableError
	if !errors.Is(err, ingest.ErrUnavailable) || !errors.As(err, &unavailable) || unavailable.RetryAfter == 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk gives %v", err)
	}
	if len(sink.sorted()) != 0 {
		t.Error("rows of an unregistered column were stored")
	}

	w := newWriter(t, ingest.Config{}, openSchema(t, c, 1000), sink)
	sink.err = func(int) error { return &ingest.UnavailableError{Reason: "too much is waiting"} }
	err = w.Write(context.Background(), bucket, parse(t, `m x=1 1`), ingest.Dropped{Kind: ingest.DropType, Rows: 1, Reason: "r"})
	if !errors.Is(err, ingest.ErrUnavailable) || err.Error() != "too much is waiting" {
		t.Errorf("the sink's error came as %v", err)
	}
	if s := w.Stats(); s.Points != 0 || s.Dropped[ingest.DropType] != 0 {
		t.Errorf("a write that will come again is counted: %+v", s)
	}
}

func TestConcurrentWritersAgreeOnTypes(t *testing.T) {
	sink, c := newShards(1), openCatalog(t)
	types := []string{"1", "1i", "1u", `"s"`}
	var wg sync.WaitGroup
	for worker := range 4 {
		w := newWriter(t, ingest.Config{}, openSchema(t, c, 1000), sink) // as on four nodes
		wg.Go(func() {
			for i := range 40 {
				line := fmt.Sprintf("m f%d=%s,g%d=1 %d", i, types[(i+worker)%len(types)], i, i)
				var partial *ingest.PartialWriteError
				if err := w.Write(context.Background(), bucket, parse(t, line)); err != nil && !errors.As(err, &partial) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	rows := sink.sorted()
	if len(rows) != 40 {
		t.Errorf("%d rows are stored, want one of each four", len(rows))
	}
}

// observer keeps what it is shown of bucket 7.
type observer struct {
	wants bool
	seen  []*column.Batch
}

func (o *observer) Wants(bucket uint64) bool { return o.wants && bucket == 7 }

func (o *observer) Observe(bucket uint64, b *column.Batch) {
	if bucket == 7 {
		o.seen = append(o.seen, b)
	}
}

func TestObserver(t *testing.T) {
	o, sink := &observer{wants: true}, newShards(2)
	w := newWriter(t, ingest.Config{Observer: o}, openSchema(t, openCatalog(t), 1000), sink)
	write := func(bucket meta.Bucket, b *column.Batch) error {
		_, err := writeRows(w, bucket, b)
		return err
	}
	b := parse(t, `m,a=1 x=1 1`, `m,a=2 x=2 1`)
	if err := write(bucket, b); err != nil || len(o.seen) != 1 || o.seen[0] != b {
		t.Fatalf("%v, shown are %d batches", err, len(o.seen))
	}
	// What is left out is not shown, and neither is a batch of nothing.
	if err := write(bucket, join(parse(t, `m x=1i 2`), parse(t, `m x=3 3`))); err != nil || len(o.seen) != 2 {
		t.Fatalf("%v, shown are %d batches", err, len(o.seen))
	}
	if d := cmp.Diff([]string{"m, x=3 3"}, render(o.seen[1])); d != "" {
		t.Errorf("shown:\n%s", d)
	}
	if err := write(bucket, parse(t, `m x=1i 4`)); err != nil || len(o.seen) != 2 {
		t.Errorf("%v, shown are %d batches", err, len(o.seen))
	}
	// Nobody listens: to this bucket, or at all.
	other := bucket
	other.ID = 8
	if err := write(other, b); err != nil || len(o.seen) != 2 {
		t.Errorf("%v, shown are %d batches", err, len(o.seen))
	}
	o.wants = false
	if err := write(bucket, b); err != nil || len(o.seen) != 2 {
		t.Errorf("%v, shown are %d batches", err, len(o.seen))
	}
	// A write of which a part failed comes again.
	o.wants = true
	sink.err = func(shard int) error {
		if shard == 0 {
			return errors.New("broken")
		}
		return nil
	}
	if err := write(bucket, parse(t, `m,a=1 x=1 1`, `m,a=2 x=2 1`, `m,a=3 x=2 1`, `m,a=4 x=2 1`)); err == nil || len(o.seen) != 2 {
		t.Errorf("%v, shown are %d batches", err, len(o.seen))
	}
}

func benchmarkBatch(b *testing.B, tables, rows int) *column.Batch {
	var lines []string
	for i := range rows {
		lines = append(lines, fmt.Sprintf("cpu%d,host=h%d,region=eu,dc=1 user=1,system=2i,idle=3i,nice=4i,iowait=5i,irq=6i,softirq=7i,steal=8i,guest=9i,other=10i %d",
			i%tables, i%100, now.UnixNano()-int64(i)))
	}
	return parse(b, lines...)
}

func BenchmarkKnownBatch(b *testing.B) {
	for _, bc := range []struct {
		name         string
		tables, rows int
		retention    time.Duration
	}{{"tables=1/rows=1", 1, 1, 0}, {"tables=100/rows=100", 100, 100, 0}, {"tables=1/rows=10000", 1, 10000, 0}, {"tables=1/rows=10000/retention", 1, 10000, time.Hour}} {
		b.Run(bc.name, func(b *testing.B) {
			sink := discard{}
			w := newWriter(b, ingest.Config{}, openSchema(b, openCatalog(b), 1000), sink)
			batch := benchmarkBatch(b, bc.tables, bc.rows)
			bucket := bucket
			bucket.Retention = bc.retention
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Write(context.Background(), bucket, batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*bc.tables), "ns/table")
		})
	}
}

func BenchmarkSplit(b *testing.B) {
	w := newWriter(b, ingest.Config{}, openSchema(b, openCatalog(b), 1000), discard{4})
	batch := benchmarkBatch(b, 1, 10000)
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Write(context.Background(), bucket, batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*10000/b.Elapsed().Seconds(), "rows/s")
}

type discard struct{ n int }

func (d discard) Shards() int                                           { return max(d.n, 1) }
func (discard) Write(context.Context, int, uint64, *column.Batch) error { return nil }
