package importer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/importer"
	"github.com/varvedb/varve/protocol/lineproto"
)

// memory is a destination that keeps what it is given as line protocol.
type memory struct {
	mu      sync.Mutex // guards the rest
	lines   []string
	batches []int
	err     func(batch int) error
}

func (m *memory) Write(_ context.Context, b *column.Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
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

// bySeries sorts lines by what is before their fields, and keeps their order
// otherwise.
func bySeries(lines []string) string {
	lines = slices.Clone(lines)
	slices.SortStableFunc(lines, func(a, b string) int {
		a, _, _ = strings.Cut(a, " ")
		b, _, _ = strings.Cut(b, " ")
		return strings.Compare(a, b)
	})
	return strings.Join(lines, "")
}

func TestLinesOfASeriesKeepTheirOrder(t *testing.T) {
	var text strings.Builder
	var want []string
	for i := range 5000 {
		h := i % 30
		line := fmt.Sprintf("m,a=1,host=h%d x=%d,y=3i %d\n", h, i, i/60)
		want = append(want, line)
		if i%2 == 0 {
			line = fmt.Sprintf("m,host=h%d,a=1 x=%d,y=3i %d\n", h, i, i/60) // the same series
		}
		text.WriteString(line)
	}
	for _, lanes := range []int{1, 2, 5} {
		dst, cfg := &memory{}, config()
		cfg.Lanes, cfg.RoundBytes = lanes, 1000
		var last importer.Progress
		var at importer.Position
		calls := 0
		cfg.Reached = func(p importer.Position, have importer.Progress) error {
			if p.Offset <= at.Offset || p.Rows <= at.Rows || have.Points != p.Rows {
				t.Errorf("position went from %+v to %+v with %+v", at, p, have)
			}
			at = p
			return nil
		}
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
		if bySeries(dst.lines) != bySeries(want) {
			t.Errorf("%d lanes: %d lines differ from %d", lanes, len(dst.lines), len(want))
		}
		if r.Points != 5000 || r.Values != 10000 || r.Bytes != int64(text.Len()) || len(r.Problems) != 0 {
			t.Errorf("report is %+v", r)
		}
		if len(dst.batches) < 50 || last != r.Progress || calls < 50 || at != (importer.Position{Offset: int64(text.Len()), Rows: 5000}) {
			t.Errorf("%d batches, %d calls, last %+v, reached %+v", len(dst.batches), calls, last, at)
		}
	}
}

// TestResume takes an import up at each position that it reached.
func TestResume(t *testing.T) {
	var text strings.Builder
	for i := range 300 {
		fmt.Fprintf(&text, "m,host=h%d s=\"two\nlines\",x=%d %d\n", i%7, i, i)
	}
	text.WriteString("# end\n\nbad\nm x=1 1")
	whole := &memory{}
	cfg := config()
	cfg.Lanes, cfg.RoundBytes = 3, 500
	var reached []importer.Position
	cfg.Reached = func(p importer.Position, _ importer.Progress) error {
		reached = append(reached, p)
		return nil
	}
	if _, err := importLines(t, text.String(), whole, cfg); err != nil {
		t.Fatal(err)
	}
	if end := reached[len(reached)-1]; end.Offset != int64(text.Len()) || end.Rows != 603 {
		t.Errorf("the end is %+v of %d bytes", end, text.Len())
	}
	stop := errors.New("killed")
	for i := range reached {
		dst := &memory{}
		cfg.Start = importer.Position{}
		var at importer.Position
		left := i
		cfg.Reached = func(p importer.Position, _ importer.Progress) error {
			at = p
			if left--; left < 0 {
				return stop
			}
			return nil
		}
		if _, err := importLines(t, text.String(), dst, cfg); !errors.Is(err, stop) {
			t.Fatal(err)
		}
		cfg.Start, cfg.Reached = at, nil
		var rejects []importer.Reject
		cfg.Reject = func(r importer.Reject) error {
			rejects = append(rejects, r)
			return nil
		}
		if _, err := importLines(t, text.String()[at.Offset:], dst, cfg); err != nil {
			t.Fatal(err)
		}
		got := slices.Compact(slices.Sorted(slices.Values(dst.lines)))
		if want := slices.Compact(slices.Sorted(slices.Values(whole.lines))); !slices.Equal(got, want) {
			t.Fatalf("resumed at %+v: %d lines, want %d", at, len(got), len(want))
		}
		if len(rejects) != 1 && i < len(reached)-1 || len(rejects) > 0 && rejects[0].Row != 603 {
			t.Fatalf("resumed at %+v: rejects %+v", at, rejects)
		}
	}
}

// picky is a destination that takes text and leaves out lines that hold
// "drop", refuses bodies that hold "never", and bodies beyond a size.
type picky struct {
	memory
	most   int
	bodies int
}

func (*picky) TakesPrecision(p lineproto.Precision) bool { return p != lineproto.Hour }

func (d *picky) WriteText(_ context.Context, text []byte, _ lineproto.Precision) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bodies++
	body := string(text)
	switch {
	case len(text) > d.most:
		return &importer.BodyError{Reason: "body too large", TooLarge: true}
	case strings.Contains(body, "never"):
		return &importer.BodyError{Reason: "not this one"}
	}
	if _, err := lineproto.NewParser(lineproto.Default()).Parse(text, lineproto.Nanosecond, 0); err != nil {
		return &importer.BodyError{Reason: err.Error()}
	}
	n := 0
	for line := range strings.Lines(body) {
		if strings.Contains(line, "drop") {
			n++
		} else if !slices.Contains(d.lines, line) {
			d.lines = append(d.lines, line)
		}
	}
	if n > 0 {
		return partial(n)
	}
	return nil
}

// TestRejectsAreFound narrows bodies down to the lines that are not taken, in
// both ways of writing.
func TestRejectsAreFound(t *testing.T) {
	var text strings.Builder
	wantRows := map[int64]string{}
	want := 0
	for i := range 1000 {
		row := int64(i + 1)
		switch {
		case i%97 == 5:
			text.WriteString("m x=\n")
			wantRows[row] = "missing field value"
		case i%101 == 7:
			fmt.Fprintf(&text, "m,h=%d drop=1 %d\n", i, i)
			wantRows[row] = "partial write"
		case i == 500:
			text.WriteString("m never=1 1\n")
			wantRows[row] = "not this one"
		default:
			fmt.Fprintf(&text, "m,h=%d x=1 %d\n", i, i)
			want++
		}
	}
	cfg := config()
	cfg.Lanes, cfg.RoundBytes = 3, 4000
	var rows []int64
	cfg.Reject = func(r importer.Reject) error {
		rows = append(rows, r.Row)
		if reason, ok := wantRows[r.Row]; !ok || !strings.Contains(r.Reason, reason) || !strings.Contains(text.String(), string(r.Text)) {
			t.Errorf("rejected %d %q: %s", r.Row, r.Text, r.Reason)
		}
		return nil
	}
	dst := &picky{most: 1000}
	r, err := importLines(t, text.String(), dst, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(wantRows) || !slices.IsSorted(rows) || len(dst.lines) != want || r.Points != int64(want) ||
		r.Bad+r.Dropped != int64(len(wantRows)) || len(r.Problems) != len(rows) {
		t.Errorf("%d rejects, want %d; %d lines, want %d; report %+v", len(rows), len(wantRows), len(dst.lines), want, r)
	}
	if dst.bodies > 400 {
		t.Errorf("%d bodies for %d rejects", dst.bodies, len(rows))
	}
	// Hours are not for this destination's text: they are parsed here.
	hours := &picky{most: 1000}
	if _, err := importer.Lines(context.Background(), strings.NewReader("m x=1 1\n"), hours, lineproto.Hour, cfg); err != nil ||
		len(hours.lines) != 1 || hours.lines[0] != "m x=1 3600000000000\n" {
		t.Errorf("hours: %v %q", err, hours.lines)
	}
}

func TestBadLinesAreReported(t *testing.T) {
	text := "m x=1 1\nm x=\n# comment\nm x=2 2\nm,time=1 x=1 2\nbad\nm x=3 3"
	dst, cfg := &memory{}, config()
	r, err := importLines(t, text, dst, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(slices.Compact(slices.Sorted(slices.Values(dst.lines))), ""); got != "m x=1 1\nm x=2 2\nm x=3 3\n" {
		t.Errorf("stored %q", got)
	}
	if r.Points != 3 || r.Bad != 2 || r.Dropped != 1 || len(r.Problems) != 3 {
		t.Fatalf("report is %+v", r)
	}
	for i, want := range []struct {
		row    int64
		reason string
	}{{2, "missing field value"}, {5, "invalid tag key"}, {6, "unable to parse 'bad'"}} {
		if p := r.Problems[i]; p.Row != want.row || !strings.Contains(p.Reason, want.reason) {
			t.Errorf("problem %d is %v, want %v", i, p, want)
		}
	}

	cfg.MaxBad, cfg.MaxProblems, cfg.RoundBytes = 1, 1, 8
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
	cfg.RoundBytes, cfg.MaxBad = 80, 20
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
	r, err = importLines(t, text, dropper{}, cfg)
	var many *importer.TooManyBadError
	if !errors.As(err, &many) || r.Dropped != 30 || r.Points != 0 {
		t.Errorf("error is %v, report %+v", err, r)
	}
	cfg.Reject = func(importer.Reject) error { return broken }
	if _, err = importLines(t, text, dropper{}, cfg); !errors.Is(err, broken) {
		t.Errorf("rejects that cannot be kept: %v", err)
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := importer.Lines(canceled, strings.NewReader(text), &memory{}, lineproto.Nanosecond, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled import: %v", err)
	}
}

// dropper leaves every row out.
type dropper struct{}

func (dropper) Write(_ context.Context, b *column.Batch) error {
	return fmt.Errorf("write: %w", partial(b.Rows()))
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
