package importer_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/varvedb/varve/importer"
	"github.com/varvedb/varve/vfs"
)

func packed(t *testing.T, how, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch how {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zstd":
		var err error
		if w, err = zstd.NewWriter(&b); err != nil {
			t.Fatal(err)
		}
	default:
		return []byte(text)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSource(t *testing.T) {
	text := strings.Repeat("m x=1 1\n", 50_000)
	heads := map[string]bool{}
	for _, how := range []string{"plain", "gzip", "zstd"} {
		b := packed(t, how, text)
		s, err := importer.NewSource(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		head, err := s.Head()
		if err != nil {
			t.Fatal(err)
		}
		heads[head] = true
		if err := s.Skip(8 * 40_000); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(s)
		if err != nil || string(rest) != text[8*40_000:] || s.RawBytes() != int64(len(b)) {
			t.Errorf("%s: %d bytes, %d raw of %d, %v", how, len(rest), s.RawBytes(), len(b), err)
		}
		s.Close()
		if s, err = importer.NewSource(bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		if err := s.Skip(1 << 30); err == nil || !strings.Contains(err.Error(), "the file ends at byte 400000") {
			t.Errorf("%s: skipping beyond the end: %v", how, err)
		}
		s.Close()
		if how != "plain" {
			s, err := importer.NewSource(bytes.NewReader(b[:len(b)-10]))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(s); err == nil {
				t.Errorf("%s: a file that is cut off is taken for whole", how)
			}
			s.Close()
		}
	}
	if len(heads) != 1 {
		t.Errorf("fingerprints of one text are %v", heads)
	}
	if _, err := importer.NewSource(bytes.NewReader([]byte{0x1f, 0x8b, 0, 0, 0})); err == nil {
		t.Error("a broken header of gzip is taken")
	}
	for _, short := range []string{"", "m"} {
		s, err := importer.NewSource(strings.NewReader(short))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(s); err != nil || string(b) != short {
			t.Errorf("%q: %q, %v", short, b, err)
		}
	}
}

func TestState(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	im := importer.Import{Source: "f.lp", Head: "h", Destination: "d", Options: "o"}
	clock := time.Unix(0, 0)
	open := func(im importer.Import) (*importer.State, error) {
		return importer.OpenState(vfs.OS{}, name, im, func() time.Time { return clock })
	}
	s, err := open(im)
	if err != nil {
		t.Fatal(err)
	}
	start := func() importer.Position {
		t.Helper()
		s, err := open(im)
		if err != nil {
			t.Fatal(err)
		}
		at, _ := s.Start()
		return at
	}
	file := &rejectFile{}
	rejects := importer.NewRejects(file, 0, '#')
	if err := rejects.Add(importer.Reject{Row: 2, Text: []byte("bad"), Reason: "why\nnot"}); err != nil {
		t.Fatal(err)
	}
	for i, offset := range []int64{10, 20, 30} {
		if err := s.Reached(importer.Position{Offset: offset, Rows: offset}, rejects); err != nil {
			t.Fatal(err)
		}
		if want := []int64{10, 10, 30}[i]; start().Offset != want {
			t.Errorf("after %d the file has %+v, want %d", offset, start(), want)
		}
		clock = clock.Add(600 * time.Millisecond)
	}
	if err := s.Reached(importer.Position{Offset: 40, Rows: 4}, rejects); err != nil {
		t.Fatal(err)
	}
	if err := s.Keep(rejects); err != nil {
		t.Fatal(err)
	}
	if got := start(); got != (importer.Position{Offset: 40, Rows: 4}) {
		t.Errorf("kept %+v", got)
	}
	again, err := open(im)
	if err != nil {
		t.Fatal(err)
	}
	if _, n := again.Start(); n != int64(file.Len()) || file.synced != file.Len() {
		t.Errorf("%d bytes of rejects are kept, %d synced, %d written", n, file.synced, file.Len())
	}
	for _, other := range []importer.Import{{Source: "g.lp", Head: "h", Destination: "d", Options: "o"}, {Source: "f.lp", Head: "x", Destination: "d", Options: "o"}, {Source: "f.lp", Head: "h", Destination: "x", Options: "o"}} {
		if _, err := open(other); err == nil || !strings.Contains(err.Error(), "another import (f.lp to d") {
			t.Errorf("%+v: %v", other, err)
		}
	}
	if err := s.Done(); err != nil {
		t.Fatal(err)
	}
	if start() != (importer.Position{}) {
		t.Error("what is done is resumed")
	}
	for text, want := range map[string]string{"m x=1 1": "no state of an import", `{"version":9}`: "version 9"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := open(im); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// rejectFile knows what was synced.
type rejectFile struct {
	bytes.Buffer
	synced int
}

func (f *rejectFile) Sync() error {
	f.synced = f.Len()
	return nil
}

func TestRejects(t *testing.T) {
	file := &rejectFile{}
	r := importer.NewRejects(file, 0, '#')
	r.Header([]byte("t,v\r\n"))
	for i, text := range []string{"1,x\r\n", "2,\"a\nb\""} {
		if err := r.Add(importer.Reject{Row: int64(i + 2), Text: []byte(text), Reason: "not\na number"}); err != nil {
			t.Fatal(err)
		}
	}
	want := "t,v\n# row 2: not a number\n1,x\n# row 3: not a number\n2,\"a\nb\"\n"
	if file.String() != want {
		t.Errorf("file is\n%s", file)
	}
	resumed := &rejectFile{}
	r = importer.NewRejects(resumed, 10, ';')
	r.Header([]byte("t,v\n"))
	if err := r.Add(importer.Reject{Row: 9, Text: []byte("9,x\n"), Reason: "no"}); err != nil || resumed.String() != "; row 9: no\n9,x\n" {
		t.Errorf("resumed: %q, %v", resumed, err)
	}
}
