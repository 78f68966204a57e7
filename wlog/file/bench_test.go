package file_test

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
	"github.com/varvedb/varve/wlog/file"
)

// columnar makes a payload like that of a batch: a column of times, one of
// floats with two decimals, one of small integers, one of series numbers.
func columnar(size int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 0))
	rows := size / 25
	b := make([]byte, 0, size)
	for i := range rows {
		b = binary.LittleEndian.AppendUint64(b, uint64(1700000000e9+int64(i/100)*10e9))
	}
	v := 2000.0
	for range rows {
		v += float64(rng.IntN(21) - 10)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v/100))
	}
	for range rows {
		b = binary.LittleEndian.AppendUint64(b, uint64(rng.IntN(100)))
	}
	for i := range rows {
		b = append(b, byte(i%100))
	}
	return b
}

func benchLog(b *testing.B) *file.Log {
	l, err := file.Open(file.Default(vfs.OS{}, b.TempDir()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	})
	return l
}

// benchAppend appends one record a time from a number of goroutines.
func benchAppend(b *testing.B, workers int, payload []byte) {
	l := benchLog(b)
	recs := []wlog.Record{{Kind: wlog.KindWrite, Bucket: 1, Payload: payload}}
	var left atomic.Int64
	left.Store(int64(b.N))
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	b.ResetTimer()
	start := time.Now()
	done := make(chan error)
	for range workers {
		go func() {
			for left.Add(-1) >= 0 {
				if err := l.Append(b.Context(), recs, func(_, _ wlog.Position) {}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range workers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	took := time.Since(start).Seconds()
	b.StopTimer()
	s := l.Stats()
	b.ReportMetric(float64(s.Appends)/took, "appends/s")
	b.ReportMetric(float64(s.Syncs)/took, "syncs/s")
	b.ReportMetric(float64(s.RawBytes)/float64(s.StoredBytes), "ratio")
}

func BenchmarkAppend256KiBFrom2(b *testing.B) { benchAppend(b, 2, columnar(256<<10, 1)) }

func BenchmarkAppendOneSmall(b *testing.B) { benchAppend(b, 1, columnar(300, 1)) }

func BenchmarkAppend4KiBFrom64(b *testing.B) { benchAppend(b, 64, columnar(4<<10, 1)) }

// BenchmarkReplay reads a log of 256 MiB of payloads from its beginning, on
// one goroutine.
func BenchmarkReplay(b *testing.B) {
	l := benchLog(b)
	const records, size = 1024, 256 << 10
	payload := columnar(size, 1)
	recs := make([]wlog.Record, 16)
	for i := range recs {
		recs[i] = wlog.Record{Kind: wlog.KindWrite, Payload: payload}
	}
	for range records / len(recs) {
		if err := l.Append(b.Context(), recs, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(records * len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := l.Read(b.Context(), wlog.Position{}, wlog.ReadOptions{})
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for {
			_, err := r.Next(b.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		r.Close()
		if n != records {
			b.Fatalf("read %d records", n)
		}
	}
}

// BenchmarkOpen opens a log whose newest file is full.
func BenchmarkOpen(b *testing.B) {
	fs, dir := vfs.OS{}, b.TempDir()
	cfg := file.Default(fs, dir)
	l, err := file.Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	rec := []wlog.Record{{Kind: wlog.KindWrite, Payload: columnar(256<<10, 1)}}
	for l.Size() < cfg.FileBytes-(1<<20) {
		if err := l.Append(b.Context(), rec, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(l.Size())
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		l, err := file.Open(cfg)
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
