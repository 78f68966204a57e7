package importer_test

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/importer"
)

func importCSV(t *testing.T, text string, m importer.Mapping, cfg importer.Config) (*memory, importer.Report) {
	t.Helper()
	dst := &memory{}
	r, err := importer.CSV(context.Background(), strings.NewReader(text), dst, m, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range dst.lines {
		dst.lines[i] = strings.TrimSuffix(dst.lines[i], "\n")
	}
	return dst, r
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("lines differ:\n%s", d)
	}
}

func TestCSVTypes(t *testing.T) {
	text := "\xef\xbb\xbfwhen;kind;site;room;f;i;u;b;s;auto number;auto bool;auto text;note\n" +
		`1.5;cpu load;"a;b";;1e3;-5;18446744073709551615;TRUE;"say ""hi""";7;true;1x;` + "\n" +
		`2;cpu load;x=y,z;r 1;;;;f;;7.25;False;2;skipped` + "\n" +
		`-0.000000001;mem;;;;;;;;;;;` + "\n" +
		`-0.25;mem;;;1;;;;;;;;` + "\n"
	m := importer.Mapping{Comma: ';', Time: "when", TimeFormat: "s", MeasurementColumn: "kind",
		Tags:      []importer.TagColumn{{Column: "site"}, {Column: "room", Key: "the room"}},
		FixedTags: map[string]string{"source": "file 1"},
		Fields: []importer.FieldColumn{{Column: "f", Name: "field f", Type: importer.Float}, {Column: "i", Type: importer.Int},
			{Column: "u", Type: importer.Uint}, {Column: "b", Type: importer.Bool}, {Column: "s", Type: importer.String},
			{Column: "auto number"}, {Column: "auto bool", Type: importer.Auto}, {Column: "auto text"}}}
	dst, r := importCSV(t, text, m, config())
	wantLines(t, dst.lines,
		`cpu\ load,site=a;b,source=file\ 1 field\ f=1000,i=-5i,u=18446744073709551615u,b=true,s="say \"hi\"",auto\ number=7,auto\ bool=true,auto\ text="1x" 1500000000`,
		`cpu\ load,site=x\=y\,z,source=file\ 1,the\ room=r\ 1 b=false,auto\ number=7.25,auto\ bool=false,auto\ text="2" 2000000000`,
		`mem,source=file\ 1 field\ f=1 -250000000`)
	if r.Points != 3 || r.Values != 13 || r.Empty != 1 || r.Bad != 0 || r.Bytes != int64(len(text)-3) {
		t.Errorf("report is %+v", r)
	}
}

func TestCSVWithoutHeader(t *testing.T) {
	text := "# made by hand\n2020-01-01T00:00:00Z,1,x\n2020-01-01T01:00:00+01:00,2,x\n"
	dst, _ := importCSV(t, text, importer.Mapping{Names: []string{"at", "v", "junk"}, Comment: '#', Time: "at", Measurement: "m", Skip: []string{"junk"}}, config())
	// The same time twice: both are written, and the later wins.
	wantLines(t, dst.lines, "m v=1 1577836800000000000", "m v=2 1577836800000000000")
}

func TestCSVBadRows(t *testing.T) {
	text := "t,tag,v,w\n" +
		"2020-01-01,a,1,1\n" +
		"2020-01-01,a,1\n" + // 3: short
		"yesterday,a,1,1\n" + // 4
		"2020-01-01,a,one,1\n" + // 5
		"2020-01-01,a,NaN,1\n" + // 6
		"2020-01-01,\"a\nb\",1,1\n" + // 7 and 8
		"2020-01-01,a\\,1,1\n" + // 9
		"2020-01-01,a,1\"2,1\n" + // 10: a bare quote
		"2020-01-01,a,1,99999999999999999999\n" + // 11
		",a,1,1\n" + // 12
		"2020-01-02,-,null,2\n" // 13: fine
	m := importer.Mapping{Time: "t", Measurement: "m", Tags: []importer.TagColumn{{Column: "tag"}},
		Fields: []importer.FieldColumn{{Column: "v", Type: importer.Float}, {Column: "w", Type: importer.Int}}, Nulls: []string{"null", "-"}}
	dst, r := importCSV(t, text, m, config())
	wantLines(t, dst.lines, "m,tag=a v=1,w=1i 1577836800000000000", "m w=2i 1577923200000000000")
	var rows []int64
	for _, p := range r.Problems {
		rows = append(rows, p.Row)
	}
	if want := []int64{3, 4, 5, 6, 7, 9, 10, 11, 12}; !slices.Equal(rows, want) || r.Bad != int64(len(want)) {
		t.Errorf("bad rows are %v, want %v: %v", rows, want, r.Problems)
	}
	for i, want := range []string{"3 cells, want 4", `"yesterday"`, `field "v": "one" is not of type float`, "name it as a null", "newline", "backslash", `bare "`, "out of the range", "time is empty"} {
		if !strings.Contains(r.Problems[i].Reason, want) {
			t.Errorf("problem is %v, want %s", r.Problems[i], want)
		}
	}
	cfg := config()
	cfg.MaxBad = 3
	_, err := importer.CSV(context.Background(), strings.NewReader(text), &memory{}, m, cfg)
	var many *importer.TooManyBadError
	if !errors.As(err, &many) || many.Rows != 4 || many.Limit != 3 || many.First.Row != 3 {
		t.Errorf("error is %v", err)
	}
	cfg.MaxBad = -1
	if _, err := importer.CSV(context.Background(), strings.NewReader(text), &memory{}, m, cfg); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}

func TestCSVAutoTypeHoldsForTheFile(t *testing.T) {
	var text strings.Builder
	text.WriteString("t,n,late,empty\n")
	for i := range 1500 {
		fmt.Fprintf(&text, "%d,%d,,\n", i, i)
	}
	text.WriteString("1500,1.5,text,\n1501,x,3,\n")
	cfg := config()
	cfg.BatchRows = 100
	dst, r := importCSV(t, text.String(), importer.Mapping{Time: "t", TimeFormat: "ns", Measurement: "m"}, cfg)
	if len(dst.lines) != 1501 || dst.lines[3] != "m n=3 3" || dst.lines[1500] != `m n=1.5,late="text" 1500` || len(dst.batches) != 16 {
		t.Errorf("%d lines in %d batches, %q, %q", len(dst.lines), len(dst.batches), dst.lines[3], dst.lines[len(dst.lines)-1])
	}
	if r.Bad != 1 || !strings.Contains(r.Problems[0].String(), `row 1503: field "n": "x" is not of type float`) {
		t.Errorf("report is %+v", r)
	}
}

func TestCSVRefusedMappings(t *testing.T) {
	base := importer.Mapping{Time: "t", Measurement: "m"}
	for want, change := range map[string]func(*importer.Mapping){
		"no column is mapped to the time": func(m *importer.Mapping) { m.Time = "" },
		"has no column":                   func(m *importer.Mapping) { m.Time = "x" },
		"want a measurement":              func(m *importer.Mapping) { m.Measurement = "" },
		"and not both":                    func(m *importer.Mapping) { m.MeasurementColumn = "a" },
		"time format":                     func(m *importer.Mapping) { m.TimeFormat = "iso" },
		"unknown type":                    func(m *importer.Mapping) { m.Fields = []importer.FieldColumn{{Column: "a", Type: "double"}} },
		"are called \"a\"": func(m *importer.Mapping) {
			m.Fields = []importer.FieldColumn{{Column: "a"}}
			m.Tags = []importer.TagColumn{{Column: "b", Key: "a"}}
		},
		`called "time"`:           func(m *importer.Mapping) { m.Tags = []importer.TagColumn{{Column: "a", Key: "time"}} },
		"no column is left":       func(m *importer.Mapping) { m.Skip = []string{"a", "b"} },
		"comment":                 func(m *importer.Mapping) { m.Measurement = "#m" },
		"stands twice":            func(m *importer.Mapping) { m.Names = []string{"t", "a", "a"} },
		"ends in a backslash":     func(m *importer.Mapping) { m.FixedTags = map[string]string{"k": `\`} },
		"invalid field or commen": func(m *importer.Mapping) { m.Comma = '"' },
	} {
		m := base
		change(&m)
		_, err := importer.CSV(context.Background(), strings.NewReader("t,a,b\n2020-01-01,1,2\n"), &memory{}, m, config())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
	if _, err := importer.CSV(context.Background(), strings.NewReader(""), &memory{}, base, config()); !errors.Is(err, io.EOF) {
		t.Errorf("an empty file: %v", err)
	}
}

func TestCSVOpenQuoteIsBounded(t *testing.T) {
	cfg := config()
	cfg.MaxRowBytes = 1000
	text := "t,v\n2020-01-01,1\n2020-01-02,\"" + strings.Repeat("x", 900) + strings.Repeat("endless\n", 100_000)
	dst := &memory{}
	_, err := importer.CSV(context.Background(), strings.NewReader(text), dst, importer.Mapping{Time: "t", Measurement: "m"}, cfg)
	if err == nil || !strings.Contains(err.Error(), "is a quote left open?") || len(dst.lines) != 1 {
		t.Errorf("error is %v, %d lines", err, len(dst.lines))
	}
	text = "t,v\n2020-01-01,1\n2020-01-02," + strings.Repeat("x", 2000) + "\n2020-01-03,2\n"
	dst, r := importCSV(t, text, importer.Mapping{Time: "t", Measurement: "m", Fields: []importer.FieldColumn{{Column: "v", Type: importer.String}}}, cfg)
	if len(dst.lines) != 2 || r.Bad != 1 || r.Problems[0].Row != 3 {
		t.Errorf("%d lines, report %+v", len(dst.lines), r)
	}
}

func TestTimeFormats(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		format, cell, want string
		zone               *time.Location
	}{
		{"", "2020-06-01T12:00:00Z", "2020-06-01T12:00:00Z", nil},
		{"", " 2020-06-01 12:00:00.123456789 ", "2020-06-01T12:00:00.123456789Z", nil},
		{"auto", "2020-06-01 12:00:00", "2020-06-01T10:00:00Z", berlin},
		{"auto", "2020-06-01T12:00:00+05:00", "2020-06-01T07:00:00Z", berlin},
		{"auto", "2020-06-01 12:00", "2020-06-01T12:00:00Z", nil},
		{"auto", "2020/06/01", "2020-06-01T00:00:00Z", nil},
		{"auto", "Mon, 01 Jun 2020 12:00:00 +0200", "2020-06-01T10:00:00Z", nil},
		{"rfc3339", "2020-06-01T12:00:00.5-01:00", "2020-06-01T13:00:00.5Z", nil},
		{"rfc3339", "2020-06-01 12:00:00", "", nil},
		{"02.01.2006 15:04", "01.06.2020 12:30", "2020-06-01T12:30:00Z", nil},
		{"s", "1591012800", "2020-06-01T12:00:00Z", nil},
		{"s", "1591012800.123456789123", "2020-06-01T12:00:00.123456789Z", nil},
		{"ms", "1591012800001", "2020-06-01T12:00:00.001Z", nil},
		{"us", "1591012800000001.5", "2020-06-01T12:00:00.0000015Z", nil},
		{"ns", "-1", "1969-12-31T23:59:59.999999999Z", nil},
		{"s", "-1.25", "1969-12-31T23:59:58.75Z", nil},
		{"s", "99999999999", "", nil},
		{"ns", "99999999999999999999", "", nil},
		{"s", "1e9", "", nil},
		{"s", "1.x", "", nil},
		{"auto", "1591012800", "", nil},
		{"auto", "1500-01-01", "", nil},
		{"auto", "", "", nil},
	} {
		f, err := importer.NewTimeFormat(c.format, c.zone)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time by the layout that is remembered
			ns, err := f.Parse(c.cell)
			got := ""
			if err == nil {
				got = time.Unix(0, ns).UTC().Format(time.RFC3339Nano)
			}
			if got != c.want {
				t.Errorf("%q as %q: %q, %v, want %q", c.cell, c.format, got, err, c.want)
			}
		}
	}
}

// dropping leaves out rows of which a field is 13.
type dropping struct{ memory }

func (d *dropping) Write(ctx context.Context, b *column.Batch) error {
	n := 0
	for _, t := range b.Tables {
		for i := range t.Fields {
			for r := range t.Time {
				if t.Fields[i].Valid.Get(r) && t.Fields[i].Floats()[r] == 13 {
					n++
				}
			}
		}
	}
	if n > 0 {
		return partial(n) // and the rest comes again, by itself
	}
	return d.memory.Write(ctx, b)
}

func TestCSVRejectsAndResume(t *testing.T) {
	var text strings.Builder
	text.WriteString("\xef\xbb\xbft,v,note\n")
	var bad []string
	for i := range 500 {
		row := fmt.Sprintf("%d,%d,\"a\nb\"\n", i, i%100)
		switch {
		case i%100 == 13:
			bad = append(bad, row)
		case i%77 == 5:
			row = fmt.Sprintf("%d,x\n", i)
			bad = append(bad, row)
		}
		text.WriteString(row)
	}
	m := importer.Mapping{Time: "t", TimeFormat: "ns", Measurement: "m", Fields: []importer.FieldColumn{{Column: "v", Type: importer.Float}}}
	cfg := config()
	cfg.BatchRows = 50
	var rejects []string
	cfg.Reject = func(r importer.Reject) error {
		rejects = append(rejects, string(r.Text))
		return nil
	}
	var reached []importer.Position
	cfg.Reached = func(p importer.Position, _ importer.Progress) error {
		reached = append(reached, p)
		return nil
	}
	whole := &dropping{}
	r, err := importer.CSV(context.Background(), strings.NewReader(text.String()), whole, m, cfg)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(bad)
	got := slices.Sorted(slices.Values(rejects))
	if d := cmp.Diff(bad, got); d != "" || r.Dropped != 5 || int(r.Bad) != len(bad)-5 || int(r.Points) != 500-len(bad) {
		t.Errorf("report %+v, rejects differ:\n%s", r, d)
	}
	if end := reached[len(reached)-1]; end.Offset != int64(text.Len()-3) {
		t.Errorf("the end is %+v of %d bytes", end, text.Len())
	}
	for _, at := range reached {
		rest := &dropping{}
		again := cfg
		again.Start = at
		rejects = nil
		if _, err := importer.CSV(context.Background(), strings.NewReader(text.String()), rest, m, again); err != nil {
			t.Fatal(err)
		}
		if n := len(rest.lines); !slices.Equal(rest.lines, whole.lines[len(whole.lines)-n:]) || at.Rows > 2 && n+len(rejects) == 500 {
			t.Fatalf("from %+v: %d lines and %d rejects", at, n, len(rejects))
		}
	}
}

// TestSharedData imports real files and compares each value with the file,
// read another way.
func TestSharedData(t *testing.T) {
	for _, c := range []struct {
		file, time string
		rows       int
	}{{"ett/ETTh1.csv", "date", 17420}, {"nab/machine_temperature_system_failure.csv", "timestamp", 22695}} {
		t.Run(c.file, func(t *testing.T) {
			path := sharedData(t, c.file)
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			sums := &summing{values: map[string]map[int64]float64{}}
			r, err := importer.CSV(context.Background(), f, sums, importer.Mapping{Time: c.time, Measurement: "m"}, config())
			if err != nil || r.Points != int64(c.rows) || r.Bad != 0 || len(r.Problems) != 0 {
				t.Fatalf("%v, report %+v", err, r)
			}
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			all, err := csv.NewReader(f).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]map[int64]float64{}
			for _, row := range all[1:] {
				at, err := time.Parse(time.DateTime, row[0])
				if err != nil {
					t.Fatal(err)
				}
				for i, cell := range row[1:] {
					v, err := strconv.ParseFloat(cell, 64)
					if err != nil {
						t.Fatal(err)
					}
					name := all[0][i+1]
					if want[name] == nil {
						want[name] = map[int64]float64{}
					}
					want[name][at.UnixNano()] = v
				}
			}
			if d := cmp.Diff(want, sums.values); d != "" {
				t.Errorf("values differ:\n%s", d)
			}
		})
	}
}

// summing keeps the last value of each field at each time.
type summing struct{ values map[string]map[int64]float64 }

func (s *summing) Write(_ context.Context, b *column.Batch) error {
	for _, t := range b.Tables {
		for i := range t.Fields {
			f := &t.Fields[i]
			if s.values[f.Name] == nil {
				s.values[f.Name] = map[int64]float64{}
			}
			for r, at := range t.Time {
				s.values[f.Name][at] = math.Float64frombits(f.Words[r])
			}
		}
	}
	return nil
}

func FuzzCSV(f *testing.F) {
	f.Add("t,a,v\n1,x,2\n2,\"y\",\n")
	f.Add("t,a,v\n1,\"x\n2,y\n")
	f.Fuzz(func(t *testing.T, text string) {
		cfg := config()
		cfg.MaxBad, cfg.BatchRows, cfg.MaxRowBytes = -1, 3, 1000
		dst := &memory{}
		r, err := importer.CSV(context.Background(), strings.NewReader(text), dst, importer.Mapping{Time: "t", TimeFormat: "ns", Measurement: "m",
			Tags: []importer.TagColumn{{Column: "a"}}}, cfg)
		if err == nil && r.Points != int64(len(dst.lines)) {
			// A string may hold newlines, which memory takes for more lines.
			if n := strings.Count(strings.Join(dst.lines, ""), "\n"); n < int(r.Points) {
				t.Fatalf("%d points, %d lines", r.Points, n)
			}
		}
	})
}

func BenchmarkCSV(b *testing.B) {
	var text strings.Builder
	text.WriteString("date,host,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT\n")
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 20_000 {
		fmt.Fprintf(&text, "%s,h%d,5.827000141143799,2.009,1.599,0.462,4.203,1.34,%d.531\n", at.Add(time.Duration(i)*time.Hour).Format(time.DateTime), i%10, i)
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		_, err := importer.CSV(context.Background(), strings.NewReader(text.String()), nowhere{},
			importer.Mapping{Time: "date", Measurement: "m", Tags: []importer.TagColumn{{Column: "host"}}}, config())
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*20_000/b.Elapsed().Seconds(), "rows/s")
}

type nowhere struct{}

func (nowhere) Write(context.Context, *column.Batch) error { return nil }
