package export_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/export"
	"github.com/varvedb/varve/export/stream"
	"github.com/varvedb/varve/protocol/lineproto"
	"github.com/varvedb/varve/vfs"
)

var seed = flag.Uint64("seed", 0, "seed of the random test; 0 for a new one")

// source gives out line protocol as a store would: by measurement, stretch of
// the partition, series and time.
type source string

func (s source) Export(_ context.Context, r *stream.Request, out stream.Receiver) error {
	b, err := lineproto.NewParser(lineproto.Default()).Parse([]byte(s), lineproto.Nanosecond, 0)
	if err != nil {
		return err
	}
	sort.Slice(b.Tables, func(i, j int) bool { return b.Tables[i].Measurement < b.Tables[j].Measurement })
	for _, t := range b.Tables {
		sort.Slice(t.Fields, func(i, j int) bool { return t.Fields[i].Name < t.Fields[j].Name })
		schema := &stream.Schema{Measurement: t.Measurement, Tags: slices.Sorted(slices.Values(t.TagKeys))}
		for _, f := range t.Fields {
			schema.Fields = append(schema.Fields, column.FieldInfo{Name: f.Name, Type: f.Type})
		}
		if err := out.Measurement(schema); err != nil {
			return err
		}
		rows := make([]int, len(t.Time))
		for i := range rows {
			rows[i] = i
		}
		label := func(i int) string { return r.Partition.Label(t.Time[rows[i]]) }
		sort.Slice(rows, func(i, j int) bool {
			a, b := rows[i], rows[j]
			if la, lb := label(i), label(j); la != lb {
				return la < lb
			}
			if t.Row[a] != t.Row[b] {
				return bytes.Compare(t.Series.Key(int(t.Row[a])), t.Series.Key(int(t.Row[b]))) < 0
			}
			return t.Time[a] < t.Time[b]
		})
		for lo := 0; lo < len(rows); {
			hi := lo + 1
			for hi < len(rows) && hi < lo+1000 && label(hi) == label(lo) {
				hi++
			}
			part := &column.Table{Measurement: t.Measurement, Series: t.Series}
			for _, row := range rows[lo:hi] {
				part.Time, part.Row = append(part.Time, t.Time[row]), append(part.Row, t.Row[row])
			}
			for i := range t.Fields {
				f := column.Field{Name: t.Fields[i].Name, Vector: column.Vector{Type: t.Fields[i].Type}}
				for _, row := range rows[lo:hi] {
					f.AppendRow(&t.Fields[i].Vector, row)
				}
				part.Fields = append(part.Fields, f)
			}
			if err := out.Rows(part); err != nil {
				return err
			}
			lo = hi
		}
	}
	return nil
}

// randomLines makes points with all types, absent tags and fields, odd names
// and extreme values, no series and time twice.
func randomLines(rng *rand.Rand, n int) string {
	texts := []string{``, `plain`, `a,b`, `q\"q`, `back\\slash`, `two` + "\n" + `lines`, `Привіт`, ` sp ace `, "\x01"}
	numbers := []float64{0, math.Copysign(0, -1), 1, math.SmallestNonzeroFloat64, -math.MaxFloat64, 1e21, 0.1, 1 << 53}
	times := []int64{column.MinTime, -1, 0, 1, column.MaxTime}
	var b strings.Builder
	for i := range n {
		at := int64(1767225600000000000) + rng.Int64N(5*86400e9)
		if rng.IntN(20) == 0 {
			at = times[rng.IntN(len(times))]
		}
		fmt.Fprintf(&b, `%s,row=%d`, []string{`cpu`, `odd\,\ name/%41=x`, `Привіт`}[rng.IntN(3)], i)
		if rng.IntN(2) == 0 {
			fmt.Fprintf(&b, `,host=%s`, []string{`a`, `b\ c`, `d\,e\=f`, `x\y`, `г`}[rng.IntN(5)])
		}
		if rng.IntN(3) == 0 {
			b.WriteString(`,Date=9`)
		}
		fields := []string{
			fmt.Sprintf(`f=%s`, fmt.Sprint(numbers[rng.IntN(len(numbers))])),
			fmt.Sprintf(`i=%di`, []int64{math.MinInt64, -1, 0, math.MaxInt64, rng.Int64()}[rng.IntN(5)]),
			fmt.Sprintf(`u=%du`, []uint64{0, math.MaxUint64, rng.Uint64()}[rng.IntN(3)]),
			fmt.Sprintf(`b=%v`, rng.IntN(2) == 0),
			fmt.Sprintf(`s="%s"`, texts[rng.IntN(len(texts))]),
			`F\ 2=7`, `measurement="m"`,
		}
		rng.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
		fmt.Fprintf(&b, " %s %d\n", strings.Join(fields[:1+rng.IntN(len(fields))], ","), at)
	}
	return b.String()
}

func run(t *testing.T, src string, partition stream.Partition, dst export.Destination, cfg export.Config) export.Report {
	t.Helper()
	r := stream.Whole()
	r.Partition = partition
	report, err := export.Run(context.Background(), source(src), &r, dst, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// points reads line protocol into what each point is, whatever the order of
// lines and fields.
func points(t testing.TB, text string) []string {
	t.Helper()
	b, err := lineproto.NewParser(lineproto.Default()).Parse([]byte(text), lineproto.Nanosecond, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, tb := range b.Tables {
		for row := range tb.Time {
			var fields []string
			for i := range tb.Fields {
				if f := &tb.Fields[i]; f.Valid.Get(row) {
					fields = append(fields, cell(f.Name, &f.Vector, row))
				}
			}
			var tags []string
			for k, v := range column.Tags(tb.Series.Key(int(tb.Row[row]))) {
				tags = append(tags, fmt.Sprintf("%q=%q", k, v))
			}
			slices.Sort(fields)
			all = append(all, fmt.Sprintf("%q %v %v %d", tb.Measurement, tags, fields, tb.Time[row]))
		}
	}
	slices.Sort(all)
	return all
}

func cell(name string, v *column.Vector, row int) string {
	if v.Type == column.String {
		return fmt.Sprintf("%q=%q", name, v.Str(row))
	}
	return fmt.Sprintf("%q=%v:%x", name, v.Type, v.Words[row])
}

// parquetPoints reads all files below dir with parquet-go's own reader, which
// knows nothing of how they were written, into the form of points.
func parquetPoints(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	for _, name := range filesBelow(t, dir, ".parquet") {
		all = append(all, parquetFile(t, filepath.Join(dir, name))...)
	}
	slices.Sort(all)
	return all
}

func parquetFile(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	meta, ok := f.Lookup("varve")
	if !ok {
		t.Fatal("file has no metadata")
	}
	measurement, columns := readMetadata(t, meta)
	fields := f.Schema().Fields()
	if fields[0].Name() != "time" || fields[0].Type().String() != "TIMESTAMP(isAdjustedToUTC=true,unit=NANOS)" || fields[0].Optional() {
		t.Errorf("first column is %s %s", fields[0].Name(), fields[0].Type())
	}
	var all []string
	r := parquet.NewGenericReader[any](f, f.Schema())
	defer r.Close()
	rows := make([]parquet.Row, 10)
	for {
		n, err := r.ReadRows(rows)
		for _, row := range rows[:n] {
			var tags, values []string
			for i, v := range row[1:] {
				if v.IsNull() {
					continue
				}
				c := columns[fields[1+i].Name()]
				typ := fields[1+i].Type().String()
				switch {
				case c.Tag != "" && typ == "STRING":
					tags = append(tags, fmt.Sprintf("%q=%q", c.Tag, v.ByteArray()))
				case c.Type == "string" && typ == "STRING":
					values = append(values, fmt.Sprintf("%q=%q", c.Field, v.ByteArray()))
				case c.Type == "float" && typ == "DOUBLE":
					values = append(values, fmt.Sprintf("%q=float:%x", c.Field, math.Float64bits(v.Double())))
				case c.Type == "boolean" && typ == "BOOLEAN":
					values = append(values, fmt.Sprintf("%q=boolean:%x", c.Field, map[bool]int{true: 1}[v.Boolean()]))
				case c.Type == "integer" && typ == "INT(64,true)", c.Type == "unsigned" && typ == "INT(64,false)":
					values = append(values, fmt.Sprintf("%q=%s:%x", c.Field, c.Type, v.Uint64()))
				default:
					t.Fatalf("column %s of type %s is said to be %+v", fields[1+i].Name(), typ, c)
				}
			}
			slices.Sort(values)
			all = append(all, fmt.Sprintf("%q %v %v %d", measurement, tags, values, row[0].Int64()))
		}
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// columnOf is what the metadata says of a column.
type columnOf struct{ Column, Tag, Field, Type string }

func readMetadata(t *testing.T, text string) (measurement string, columns map[string]columnOf) {
	t.Helper()
	var meta struct {
		Measurement string
		Columns     []columnOf
	}
	if err := json.Unmarshal([]byte(text), &meta); err != nil {
		t.Fatal(err)
	}
	columns = make(map[string]columnOf)
	for _, c := range meta.Columns {
		columns[c.Column] = c
	}
	return meta.Measurement, columns
}

func filesBelow(t *testing.T, dir, suffix string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, suffix) {
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			all = append(all, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestParquet(t *testing.T) {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", s)
	rng := rand.New(rand.NewPCG(s, 1))
	for _, partition := range []stream.Partition{stream.Day, stream.Month, stream.None} {
		text := randomLines(rng, 3000)
		dir := filepath.Join(t.TempDir(), "out")
		cfg := export.Default(export.Parquet)
		cfg.RowGroupRows = 100 + rng.IntN(1000)
		cfg.Compression = []export.Compression{export.Zstd, export.Gzip, export.Snappy, export.Plain}[rng.IntN(4)]
		report := run(t, text, partition, export.NewFolder(vfs.OS{}, dir), cfg)
		if d := cmp.Diff(points(t, text), parquetPoints(t, dir)); d != "" {
			t.Fatalf("partition %s: rows differ:\n%.2000s", partition, d)
		}
		if names := filesBelow(t, dir, ""); report.Rows != 3000 || int(report.Files) != len(names)-1 || !slices.Contains(names, "_SUCCESS") {
			t.Errorf("report is %+v of %d files", report, len(names))
		}
	}
}

func TestPaths(t *testing.T) {
	text := "cpu f=1 1767225600000000000\nodd\\,\\ name/%41=x f=1 1767312000000000000\nПривіт f=1 0\n"
	for _, c := range []struct {
		partition stream.Partition
		format    export.Format
		want      []string
	}{
		{stream.Day, export.Parquet, []string{"_SUCCESS", "measurement=cpu/date=2026-01-01/part-0.parquet",
			"measurement=odd%2C%20name%2F%2541%3Dx/date=2026-01-02/part-0.parquet", "measurement=Привіт/date=1970-01-01/part-0.parquet"}},
		{stream.Month, export.CSV, []string{"_SUCCESS", "measurement=cpu/month=2026-01/part-0.csv.zst",
			"measurement=odd%2C%20name%2F%2541%3Dx/month=2026-01/part-0.csv.zst", "measurement=Привіт/month=1970-01/part-0.csv.zst"}},
		{stream.None, export.Lines, []string{"_SUCCESS", "part-0.lp.zst"}},
	} {
		dir := filepath.Join(t.TempDir(), "out")
		run(t, text, c.partition, export.NewFolder(vfs.OS{}, dir), export.Default(c.format))
		if d := cmp.Diff(c.want, filesBelow(t, dir, "")); d != "" {
			t.Errorf("%s by %s:\n%s", c.format, c.partition, d)
		}
	}
}

func TestLines(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	text := randomLines(rng, 2000)
	dir := filepath.Join(t.TempDir(), "out")
	run(t, text, stream.None, export.NewFolder(vfs.OS{}, dir), export.Default(export.Lines))
	b, err := os.ReadFile(filepath.Join(dir, "part-0.lp.zst"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	got, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(points(t, text), points(t, string(got))); d != "" {
		t.Errorf("points differ:\n%.2000s", d)
	}
}

func TestCSV(t *testing.T) {
	var out bytes.Buffer
	cfg := export.Default(export.CSV)
	cfg.Compression = export.Plain
	text := `m,host=a\,b,date=x f=-0,i=-3i,s="" 1` + "\n" + `m u=18446744073709551615u,b=true,s="q\"` + "\n" + `" 1767225600000000000` + "\n"
	run(t, text, stream.None, export.NewOutput(&out), cfg)
	want := `time,date_,host,b,f,i,s,u
2026-01-01T00:00:00Z,,,true,,,"q""
",18446744073709551615
1970-01-01T00:00:00.000000001Z,x,"a,b",,-0,-3,"",
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
	r := stream.Whole()
	if _, err := export.Run(context.Background(), source("a f=1 1\nb f=1 1\n"), &r, export.NewOutput(io.Discard), cfg); err == nil || !strings.Contains(err.Error(), "choose one measurement") {
		t.Errorf("two measurements in one CSV: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	for want, c := range map[string]struct {
		text   string
		change func(*export.Config)
	}{
		"is not UTF-8":     {"m s=\"\xff\" 1\n", func(*export.Config) {}},
		"parts of a unit":  {"m f=1 1767225600000000001\n", func(c *export.Config) { c.TimeUnit = export.Microseconds }},
		"want parquet":     {"", func(c *export.Config) { c.Format = "orc" }},
		"want zstd":        {"", func(c *export.Config) { c.Compression = "lz4" }},
		"snappy is for":    {"", func(c *export.Config) { c.Format, c.Compression = export.CSV, export.Snappy }},
		"want ns":          {"", func(c *export.Config) { c.TimeUnit = "s" }},
		"want at least 1":  {"", func(c *export.Config) { c.RowGroupRows = 0 }},
		"it is not empty":  {"", func(*export.Config) {}},
		"no space left on": {"m f=1 1\n", func(*export.Config) {}},
	} {
		cfg := export.Default(export.Parquet)
		c.change(&cfg)
		dir := filepath.Join(t.TempDir(), "out")
		var disk vfs.FS = vfs.OS{}
		switch want {
		case "it is not empty":
			if err := os.MkdirAll(filepath.Join(dir, "earlier"), 0o700); err != nil {
				t.Fatal(err)
			}
		case "no space left on":
			disk = &fullDisk{disk}
		}
		r := stream.Whole()
		_, err := export.Run(context.Background(), source(c.text), &r, export.NewFolder(disk, dir), cfg)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %s", err, want)
		}
		if _, err := os.Stat(dir); err == nil {
			if names := filesBelow(t, dir, ""); len(names) > 0 {
				t.Errorf("%s: it left %v", want, names)
			}
		}
	}
}

// fullDisk takes no bytes.
type fullDisk struct{ vfs.FS }

func (d *fullDisk) Create(name string) (vfs.File, error) {
	f, err := d.FS.Create(name)
	return fullFile{f}, err
}

type fullFile struct{ vfs.File }

func (fullFile) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
}

// broken is a source that fails in the middle of a file.
type broken struct{}

var errBroken = errors.New("the server went away")

func (broken) Export(ctx context.Context, r *stream.Request, out stream.Receiver) error {
	return errors.Join(source("m f=1 1\n").Export(ctx, r, out), errBroken)
}

func TestBrokenSourceLeavesNoFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	r := stream.Whole()
	if _, err := export.Run(context.Background(), broken{}, &r, export.NewFolder(vfs.OS{}, dir), export.Default(export.Parquet)); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	if names := filesBelow(t, dir, ""); len(names) > 0 {
		t.Errorf("it left %v", names)
	}
}
