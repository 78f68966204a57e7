package importer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/importer"
	"github.com/varvedb/varve/protocol/lineproto"
)

// memory is a destination that keeps what it is given as line protocol.
type memory struct {
	lines   []string
	batches []int
	err     func(batch int) error
}

func (m *memory) Write(_ context.Context, b *column.Batch) error {
	if m.err != nil {
		if err := m.err(len(m.batches)); err != nil {
			return err
		}
	}
	text, err := lineproto.AppendLines(nil, b)
	if err != nil {
		return err
	}
	for _, t := range b.Tables {
		if len(t.Row) != len(t.Time) {
			return fmt.Errorf("table %s has %d rows and %d times", t.Measurement, len(t.Row), len(t.Time))
		}
		for i := range t.Fields {
			if t.Fields[i].Len() != len(t.Time) {
				return fmt.Errorf("field %s has %d rows of %d", t.Fields[i].Name, t.Fields[i].Len(), len(t.Time))
			}
		}
	}
	m.lines = append(m.lines, slices.Collect(strings.Lines(string(text)))...)
	m.batches = append(m.batches, b.Rows())
	return nil
}

func config() importer.Config {
	return importer.Default(2, func() time.Time { return time.Unix(1_800_000_000, 0) })
}

// partial is the error of a destination that left rows out.
type partial int

func (p partial) Error() string    { return fmt.Sprintf("partial write: reason dropped=%d", int(p)) }
func (p partial) DroppedRows() int { return int(p) }

func importLines(t *testing.T, text string, dst importer.Destination, cfg importer.Config) (importer.Report, error) {
	t.Helper()
	return importer.Lines(context.Background(), strings.NewReader(text), dst, lineproto.Nanosecond, cfg)
}

func TestLinesKeepTheirOrder(t *testing.T) {
	var text strings.Builder
	var want []string
	for i := range 5000 {
		line := fmt.Sprintf("m,host=h%d s=\"two\nlines\",x=%d %d\n", i%3, i, i/2)
		text.WriteString(line)
		want = append(want, line)
	}
	for _, parsers := range []int{1, 2, 5} {
		dst, cfg := &memory{}, config()
		cfg.Parsers, cfg.BatchBytes = parsers, 1000
		var last importer.Progress
		calls := 0
		cfg.Progress = func(p importer.Progress) {
			if p.Bytes <= last.Bytes || p.Points <= last.Points {
				t.Errorf("progress went from %+v to %+v", last, p)
			}
			last = p
			calls++
		}
		r, err := importLines(t, text.String(), dst, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Join(dst.lines, "") != strings.Join(want, "") {
			t.Errorf("%d parsers: %d lines differ from %d", parsers, len(dst.lines), len(want))
		}
		if r.Points != 5000 || r.Values != 10000 || r.Bytes != int64(text.Len()) || len(r.Problems) != 0 {
			t.Errorf("report is %+v", r)
		}
		if len(dst.batches) < 50 || last != r.Progress || calls != len(dst.batches) {
			t.Errorf("%d batches, %d calls, last %+v", len(dst.batches), calls, last)
		}
	}
}

func TestBadLinesAreReported(t *testing.T) {
	text := "m x=1 1\nm x=\n# comment\nm x=2 2\nm,time=1 x=1 2\nbad\nm x=3 3"
	dst, cfg := &memory{}, config()
	r, err := importLines(t, text, dst, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(dst.lines, ""); got != "m x=1 1\nm x=2 2\nm x=3 3\n" {
		t.Errorf("stored %q", got)
	}
	if r.Points != 3 || r.Bad != 2 || r.Dropped != 1 || len(r.Problems) != 3 {
		t.Fatalf("report is %+v", r)
	}
	if r.Problems[0].Row != 2 || r.Problems[1].Row != 6 || !strings.Contains(r.Problems[1].Reason, "unable to parse 'bad'") ||
		!strings.Contains(r.Problems[2].Reason, "invalid tag key") {
		t.Errorf("problems are %v", r.Problems)
	}

	cfg.MaxBad, cfg.MaxProblems, cfg.BatchBytes = 1, 1, 8
	dst = &memory{}
	r, err = importLines(t, text, dst, cfg)
	var many *importer.TooManyBadError
	if !errors.As(err, &many) || many.First.Row != 2 || len(r.Problems) != 1 {
		t.Errorf("error is %v, report %+v", err, r)
	}
	if strings.Join(dst.lines, "") == "" {
		t.Error("what came before the limit is not stored")
	}
}

func TestLinesWithoutTimeGetNow(t *testing.T) {
	dst := &memory{}
	if _, err := importLines(t, "m x=1", dst, config()); err != nil {
		t.Fatal(err)
	}
	if want := "m x=1 1800000000000000000\n"; dst.lines[0] != want {
		t.Errorf("line is %q, want %q", dst.lines[0], want)
	}
}

func TestErrorsOfTheDestination(t *testing.T) {
	broken := errors.New("broken")
	text := strings.Repeat("m x=1 1\n", 100)
	cfg := config()
	cfg.BatchBytes, cfg.MaxBad = 80, 20
	dst := &memory{err: func(batch int) error {
		if batch == 3 {
			return broken
		}
		return nil
	}}
	r, err := importLines(t, text, dst, cfg)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "row 31") || r.Points != 30 {
		t.Errorf("error is %v after %d points", err, r.Points)
	}
	dropping := &dropper{}
	r, err = importLines(t, text, dropping, cfg)
	var many *importer.TooManyBadError
	if !errors.As(err, &many) || r.Dropped != 21 || r.Points != 49 || r.Values != 49 {
		t.Errorf("error is %v, report %+v", err, r)
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := importer.Lines(canceled, strings.NewReader(text), &memory{}, lineproto.Nanosecond, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled import: %v", err)
	}
}

// dropper leaves three rows of each batch out.
type dropper struct{}

func (dropper) Write(context.Context, *column.Batch) error {
	return fmt.Errorf("write: %w", partial(3))
}

// brokenReader fails after its text.
type brokenReader struct{ text *strings.Reader }

func (r brokenReader) Read(p []byte) (int, error) {
	if r.text.Len() > 0 {
		return r.text.Read(p)
	}
	return 0, os.ErrDeadlineExceeded
}

func TestErrorsOfTheSource(t *testing.T) {
	dst := &memory{}
	_, err := importer.Lines(context.Background(), brokenReader{strings.NewReader("m x=1 1\n")}, dst, lineproto.Nanosecond, config())
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("lines: %v", err)
	}
	dst = &memory{}
	_, err = importer.CSV(context.Background(), brokenReader{strings.NewReader("t,v\n2020-01-01,1\n")}, dst, importer.Mapping{Time: "t", Measurement: "m"}, config())
	if !errors.Is(err, os.ErrDeadlineExceeded) || len(dst.lines) != 1 {
		t.Errorf("CSV: %v, stored %q", err, dst.lines)
	}
}

// sharedData returns the path of a data set, or skips the test.
func sharedData(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("VARVE_SHARED_DATA")
	if dir == "" {
		root, err := filepath.Abs(".")
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
			if root == filepath.Dir(root) {
				t.Skip("no go.mod above: the root of the repository is unknown")
			}
			root = filepath.Dir(root)
		}
		dir = filepath.Join(root, "..", "shared", "data")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the data is not here (set VARVE_SHARED_DATA to its folder): %v", err)
	}
	return path
}
