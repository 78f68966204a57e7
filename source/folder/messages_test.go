package folder

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/importer"
	"github.com/varvedb/varve/source"
	"github.com/varvedb/varve/vfs"
)

// opened is a file of the text that is in no folder.
func opened(t testing.TB, c Config, text []byte) *file {
	dir := t.TempDir()
	at := filepath.Join(dir, "a")
	if err := os.WriteFile(at, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(at)
	if err != nil {
		t.Fatal(err)
	}
	f := &file{s: New(c), name: "a", info: info}
	if f.text, err = importer.NewSource(bytes.NewReader(text)); err != nil {
		return nil // compressed, and damaged
	}
	if f.state, err = importer.OpenState(vfs.NewMem(time.Now), "state", importer.Import{}, time.Now); err != nil {
		t.Fatal(err)
	}
	return f
}

// FuzzMessages cuts any text: no line is lost, and the position is where it ends.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("a\n\nb\r\nc"), false)
	f.Add([]byte("m s=\"x\ny\" 1\nm v=1\n# c\n"), true)
	f.Add([]byte("\"\n\"\n\x00\n"), true)
	f.Add([]byte{0x1f, 0x8b, 8, 0}, false)
	f.Fuzz(func(t *testing.T, text []byte, lines bool) {
		c := Default()
		c.Format, c.MaxMessage = NDJSON, 1000
		if lines {
			c.Format = Lines
		}
		x := opened(t, c, text)
		if x == nil {
			return
		}
		in := &intake{}
		err := x.messages(context.Background(), in)
		at, _ := x.state.Start()
		packed := bytes.HasPrefix(text, []byte{0x1f, 0x8b}) || bytes.HasPrefix(text, []byte{0x28, 0xb5, 0x2f, 0xfd})
		if packed || err != nil {
			return
		}
		if at.Offset != int64(len(text)) || at.Rows != int64(bytes.Count(text, []byte{'\n'})) {
			t.Fatalf("the position is %+v of %d bytes", at, len(text))
		}
		if c.Format == NDJSON {
			var want []string
			for _, l := range strings.Split(string(text), "\n") {
				if l = strings.TrimRight(l, "\r"); strings.TrimSpace(l) != "" {
					want = append(want, l)
				}
			}
			if got := in.payloads; strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
		for i := 1; i < len(in.messages); i++ {
			if in.messages[i].Offset <= in.messages[i-1].Offset {
				t.Fatalf("lines %d and %d follow each other", in.messages[i-1].Offset, in.messages[i].Offset)
			}
		}
	})
}

// BenchmarkMessages cuts lines of line protocol and hands them to an intake that
// takes all at once.
func BenchmarkMessages(b *testing.B) {
	text := []byte(strings.Repeat("sensor_data,location=seoul,device=d1 value=21.5,quality=97 1700000000000000000\n", 100_000))
	for _, format := range []Format{Lines, NDJSON} {
		b.Run(string(format), func(b *testing.B) {
			c := Default()
			c.Format = format
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if err := opened(b, c, text).messages(context.Background(), nothing{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(100_000*b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

type nothing struct{}

func (nothing) Take(_ context.Context, m []source.Message) (source.Result, error) {
	return source.Result{Stored: len(m)}, nil
}

func (nothing) TakeBatch(context.Context, uint64, *column.Batch, *source.Message) (source.Result, error) {
	return source.Result{}, nil
}
