package folder

import (
	"bytes"
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

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/importer"
	"github.com/varvedb/varve/source"
)

// intake keeps what it takes, and fails as it is told.
type intake struct {
	mu       sync.Mutex
	payloads []string
	messages []source.Message // without payloads
	rows     int
	columns  []*column.Batch // what TakeBatch got, for its names only
	after    int             // messages or rows after which end is called
	end      func()
	fail     error
}

func (f *intake) Take(ctx context.Context, messages []source.Message) (source.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return source.Result{}, f.fail
	}
	if err := ctx.Err(); err != nil {
		return source.Result{}, err
	}
	for _, m := range messages {
		f.payloads = append(f.payloads, string(m.Payload))
		m.Payload = nil
		f.messages = append(f.messages, m)
	}
	f.stop(len(f.payloads))
	return source.Result{Stored: len(messages)}, nil
}

func (f *intake) TakeBatch(ctx context.Context, bucket uint64, b *column.Batch, m *source.Message) (source.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return source.Result{}, f.fail
	}
	if err := ctx.Err(); err != nil {
		return source.Result{}, err
	}
	for _, t := range b.Tables {
		f.rows += len(t.Time)
	}
	f.columns = append(f.columns, b)
	one := *m
	one.Partition = int32(bucket) // which has to be 0
	f.messages = append(f.messages, one)
	f.stop(f.rows)
	return source.Result{Stored: f.rows}, nil
}

func (f *intake) stop(n int) {
	if f.end != nil && n >= f.after {
		f.end()
	}
}

func (f *intake) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

func (f *intake) taken() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.payloads)
}

// settings are those of most tests: files are complete when they are there.
func settings(t *testing.T, format Format) Config {
	c := Default()
	c.Path, c.Format, c.Quiet, c.Poll = t.TempDir(), format, 0, 20*time.Millisecond
	return c
}

// start runs a source until the test ends, or stop is called.
func start(t *testing.T, c Config, in source.Intake) (s *Source, stop func()) {
	t.Helper()
	s = New(c)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, in) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return s, stop
}

func counts(s *Source) stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// put renames a file into place.
func put(t *testing.T, c Config, name string, text []byte) {
	t.Helper()
	at := filepath.Join(c.Path, name)
	if err := os.WriteFile(at+".tmp", text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(at+".tmp", at); err != nil {
		t.Fatal(err)
	}
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// files returns what is below a folder, without the folders.
func files(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func read(t *testing.T, elements ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLinesOfFiles(t *testing.T) {
	c := settings(t, Lines)
	c.Match = []string{"*.lp", "*.lp.*"}
	text := "# a comment\nm v=1 10\n\nm s=\"two\nlines\" 20\r\n  m v=3"
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte("g v=1\ng v=2\n"))
	_ = z.Close()
	e, _ := zstd.NewWriter(nil)
	put(t, c, "a.lp", []byte(text))
	put(t, c, "b.lp.gz", packed.Bytes())
	put(t, c, "c.lp.zst", e.EncodeAll([]byte("z v=1\n"), nil))
	put(t, c, "d.lp", nil)
	put(t, c, "e.txt", []byte("other v=1"))
	put(t, c, ".hidden.lp", []byte("other v=1"))
	if err := os.WriteFile(filepath.Join(c.Path, "f.lp.part"), []byte("other v=1"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("e.txt", filepath.Join(c.Path, "g.lp")); err != nil {
		t.Fatal(err)
	}
	in := &intake{}
	s, stop := start(t, c, in)
	wait(t, "all are done", func() bool { return counts(s).done == 4 })
	if got, want := in.taken(), []string{"m v=1 10", "m s=\"two\nlines\" 20", "  m v=3", "g v=1", "g v=2", "z v=1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	info, err := os.Stat(filepath.Join(c.Path, "done", "a.lp"))
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range []int64{2, 4, 6} {
		if m := in.messages[i]; m.Topic != "a.lp" || m.Offset != line || m.Time != info.ModTime().UnixNano() {
			t.Errorf("message %d is %+v, want line %d", i, m, line)
		}
	}
	if got, want := files(t, c.Path), ".hidden.lp done/a.lp done/b.lp.gz done/c.lp.zst done/d.lp e.txt f.lp.part g.lp"; got != want {
		t.Errorf("there is %s, want %s", got, want)
	}
	wait(t, "none is left", func() bool { return s.Status() == source.Status{Connected: true} })
	// The same name again.
	put(t, c, "a.lp", []byte("again v=1"))
	wait(t, "it is done", func() bool { return counts(s).done == 5 })
	stop()
	if read(t, c.Path, "done", "a.lp") != text || read(t, c.Path, "done", "a.lp.2") != "again v=1" {
		t.Errorf("there is %s", files(t, c.Path))
	}
}

func TestOtherFormats(t *testing.T) {
	c := settings(t, NDJSON)
	c.Remove = true
	in := &intake{}
	s, stop := start(t, c, in)
	put(t, c, "a", []byte("{\"a\": \"#\"}\n\n#no comment here\r\n{\"b\": 1}"))
	wait(t, "it is done", func() bool { return counts(s).done == 1 })
	stop()
	if got, want := in.taken(), []string{`{"a": "#"}`, "#no comment here", `{"b": 1}`}; !slices.Equal(got, want) || in.messages[1].Offset != 3 {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := files(t, c.Path); got != "" {
		t.Errorf("there is %s", got)
	}

	c = settings(t, Whole)
	in = &intake{}
	s, _ = start(t, c, in)
	put(t, c, "a", []byte("{\n\"a\": 1}\n"))
	wait(t, "it is done", func() bool { return counts(s).done == 1 })
	if got := in.taken(); len(got) != 1 || got[0] != "{\n\"a\": 1}" {
		t.Errorf("got %q", got)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	c := settings(t, NDJSON)
	c.MaxMessage = 100
	in := &intake{}
	s, stop := start(t, c, in)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	for i := range 50_000 {
		fmt.Fprintf(z, "before the end %d\n", i)
	}
	_ = z.Close()
	put(t, c, "cut.gz", packed.Bytes()[:packed.Len()-4])
	put(t, c, "bad.gz", []byte{0x1f, 0x8b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	put(t, c, "long", []byte("good 3\n"+strings.Repeat("x", 101)+"\ngood 4\n"))
	put(t, c, "fits", []byte(strings.Repeat("x", 100)+"\n"))
	wait(t, "all are put away", func() bool { return counts(s).failed == 3 && counts(s).done == 1 })
	stop()
	got := in.taken()
	all := len(got)
	got = slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, "before the end ") })
	if all-len(got) < 40_000 {
		t.Errorf("%d lines were taken of a file that is cut off behind the last of 50,000", all-len(got))
	}
	slices.Sort(got)
	if want := []string{"good 3", strings.Repeat("x", 100)}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := files(t, c.Path), "done/fits failed/bad.gz failed/bad.gz.reason failed/cut.gz failed/cut.gz.reason failed/long failed/long.reason"; got != want {
		t.Errorf("there is %s, want %s", got, want)
	}
	for name, want := range map[string]string{"cut.gz": "unexpected EOF", "bad.gz": "gzip", "long": "line 2 is longer than max_message, which is 100 bytes"} {
		if got := read(t, c.Path, "failed", name+".reason"); !strings.Contains(got, want) {
			t.Errorf("%s failed because of %q, want %q", name, got, want)
		}
	}

	c = settings(t, Lines)
	c.MaxMessage = 1000
	s, _ = start(t, c, &intake{})
	put(t, c, "open", []byte("m s=\"never closed\n"+strings.Repeat("m v=1\n", batchBytes/4)))
	wait(t, "it fails", func() bool { return counts(s).failed == 1 })
	if got := read(t, c.Path, "failed", "open.reason"); !strings.Contains(got, "is a quote left open?") {
		t.Errorf("it failed because of %q", got)
	}
	c = settings(t, Whole)
	c.MaxMessage = 10
	s, _ = start(t, c, &intake{})
	put(t, c, "large", make([]byte, 11))
	wait(t, "it fails", func() bool { return counts(s).failed == 1 })
}

func TestCSV(t *testing.T) {
	c := settings(t, CSV)
	c.Mapping = importer.Mapping{Measurement: "weather", Time: "at", TimeFormat: "s", Tags: []importer.TagColumn{{Column: "station"}}}
	in := &intake{}
	s, stop := start(t, c, in)
	put(t, c, "a.csv", []byte("at,station,heat\n1,north,20.5\nnever,north,1\n3,south,21\n4,south\n"))
	put(t, c, "b.csv", []byte("at,heat\n1,20\n"))
	wait(t, "both are put away", func() bool { return counts(s).done == 1 && counts(s).failed == 1 })
	stop()
	if in.rows != 2 || in.columns[0].Tables[0].Measurement != "weather" {
		t.Errorf("%d rows", in.rows)
	}
	if m := in.messages[0]; m.Topic != "a.csv" || m.Payload != nil || m.Offset != -1 || m.Partition != 0 {
		t.Errorf("got %+v", m)
	}
	if got, want := files(t, c.Path), "done/a.csv failed/a.csv.rejects failed/b.csv failed/b.csv.reason"; got != want {
		t.Errorf("there is %s, want %s", got, want)
	}
	want := "at,station,heat\n# row 3: time \"never\" has another form than expected\nnever,north,1\n# row 5: row has 2 cells, want 3\n4,south\n"
	got := read(t, c.Path, "failed", "a.csv.rejects")
	if !strings.HasPrefix(got, "at,station,heat\n# row 3: ") || !strings.HasSuffix(got, "\nnever,north,1\n# row 5: row has 2 cells, want 3\n4,south\n") {
		t.Errorf("rejects are %q, want about %q", got, want)
	}
	if got := read(t, c.Path, "failed", "b.csv.reason"); !strings.Contains(got, `no column ["station"]`) {
		t.Errorf("b.csv failed because of %q", got)
	}
	if want := []source.Count{{Event: "files_done", N: 1}, {Event: "files_failed", N: 1}, {Event: "rows_rejected", N: 2}}; !slices.Equal(s.Counts(), want) {
		t.Errorf("got %+v", s.Counts())
	}
}

// TestKilledInTheMiddle ends a source again and again while it takes a file, and
// looks whether all of it was taken, little of it twice.
func TestKilledInTheMiddle(t *testing.T) {
	const lines = 40_000
	var text bytes.Buffer
	text.WriteString("at,v\n")
	for i := range lines {
		fmt.Fprintf(&text, "%d,%d\n", 1_700_000_000+i, i)
	}
	for _, format := range []Format{NDJSON, Lines, CSV} {
		c := settings(t, format)
		c.Mapping = importer.Mapping{Measurement: "m", Time: "at", TimeFormat: "s"}
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, _ = z.Write(text.Bytes())
		_ = z.Close()
		put(t, c, "a", packed.Bytes())
		in := &intake{}
		runs := 0
		for files(t, c.Path) != "done/a" {
			if runs++; runs > 50 {
				t.Fatal("it does not get on")
			}
			ctx, cancel := context.WithCancel(context.Background())
			in.mu.Lock()
			in.after, in.end = max(len(in.payloads), in.rows)+7000, cancel
			in.mu.Unlock()
			s := New(c)
			go func() {
				for counts(s).done == 0 && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
				cancel()
			}()
			if err := s.Run(ctx, in); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
		if runs < 3 {
			t.Errorf("%s: it was ended %d times only", format, runs-1)
		}
		if format == CSV {
			if in.rows < lines || in.rows > lines+runs*10_000 {
				t.Errorf("%d rows were taken of %d", in.rows, lines)
			}
			continue
		}
		seen := map[string]bool{}
		for _, p := range in.payloads {
			seen[p] = true
		}
		if len(seen) != lines+1 || len(in.payloads) > lines+1+runs*batchMessages {
			t.Errorf("%s: %d lines of %d were taken, in %d messages", format, len(seen), lines+1, len(in.payloads))
		}
		for i, m := range in.messages {
			want := fmt.Sprintf("%d,%d", 1_700_000_000+m.Offset-2, m.Offset-2)
			if m.Offset > 1 && in.payloads[i] != want {
				t.Fatalf("%s: line %d is %q, want %q", format, m.Offset, in.payloads[i], want)
			}
		}
	}
}

func TestFileIsTakenWhenItIsQuiet(t *testing.T) {
	c := settings(t, Lines)
	c.Quiet = time.Second
	in := &intake{}
	s, _ := start(t, c, in)
	f, err := os.Create(filepath.Join(c.Path, "log"))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range 10 {
		fmt.Fprintf(f, "m v=%d\n", i)
		time.Sleep(20 * time.Millisecond)
	}
	if len(in.taken()) > 0 && time.Since(began) < c.Quiet {
		t.Fatal("it was taken while it was written")
	}
	f.Close()
	wait(t, "it is done", func() bool { return counts(s).done >= 1 })
	if got := in.taken(); got[len(got)-1] != "m v=9" {
		t.Errorf("got %q", got)
	}
}

// growing appends to a file while it is taken.
type growing struct {
	*intake
	once sync.Once
	path string
}

func (g *growing) Take(ctx context.Context, messages []source.Message) (source.Result, error) {
	g.once.Do(func() {
		f, err := os.OpenFile(g.path, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, _ = f.WriteString("m v=2 2\n")
			_ = f.Close()
		}
	})
	return g.intake.Take(ctx, messages)
}

func TestFileThatGrowsIsTakenAgain(t *testing.T) {
	c := settings(t, Lines)
	in := &growing{intake: &intake{}, path: filepath.Join(c.Path, "a")}
	put(t, c, "a", []byte("m v=1 1\n"))
	s, _ := start(t, c, in)
	wait(t, "it is done", func() bool { return counts(s).done == 1 })
	got := in.taken()
	if !slices.Equal(got, []string{"m v=1 1", "m v=1 1", "m v=2 2"}) {
		t.Errorf("got %q", got)
	}
}

func TestTroubleIsSatOut(t *testing.T) {
	c := settings(t, Lines)
	dir := filepath.Join(c.Path, "later")
	c.Path = dir
	in := &intake{fail: errors.New("no space")}
	s, _ := start(t, c, in)
	wait(t, "it says that there is no folder", func() bool { return strings.Contains(s.Status().Trouble, "no such file") })
	if s.Status().Connected {
		t.Error("a folder that is not there is connected")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, c, "a", []byte("m v=1\n"))
	wait(t, "it says that nothing is stored", func() bool { return s.Status() == source.Status{Connected: true, Trouble: "no space", Lag: 1} })
	if got := files(t, dir); got != "a" {
		t.Errorf("there is %s", got)
	}
	in.set(nil)
	wait(t, "it is done", func() bool { return counts(s).done == 1 && s.Status().Trouble == "" })
}

// TestChangesAreTold has no poll to fall back on.
func TestChangesAreTold(t *testing.T) {
	c := settings(t, Lines)
	c.Poll = time.Hour
	in := &intake{}
	s, _ := start(t, c, in)
	wait(t, "it watches", func() bool { return s.Status().Connected })
	for i := range uint64(3) {
		put(t, c, fmt.Sprint("file", i), []byte("m v=1\n"))
		wait(t, "it is done", func() bool { return counts(s).done == i+1 })
	}
}
