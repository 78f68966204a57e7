// Package wlogtest is the conformance suite of the wlog seam: Run for what a
// Log does while all is well, RunFaults for what it does when the filesystem
// below it crashes, fails or fills up. Tests of implementations call it.
package wlogtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/varvedb/varve/wlog"
)

// Open opens a log. Called again after Close it opens the same one.
type Open func() (wlog.Log, error)

// Run runs the suite. fresh is called once a test, for a log of its own that
// can free storage after at most 100 records of 1 KiB.
func Run(t *testing.T, fresh func(t *testing.T) Open) {
	tests := []struct {
		name string
		test func(t *testing.T, open Open)
	}{
		{"Fields", testFields},
		{"Empty", testEmpty},
		{"Order", testOrder},
		{"Reopen", testReopen},
		{"ReadFrom", testReadFrom},
		{"Follow", testFollow},
		{"Trim", testTrim},
		{"TrimOvertakesReader", testTrimOvertakesReader},
		{"Cancel", testCancel},
		{"Limits", testLimits},
		{"Close", testClose},
		{"Stats", testStats},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, fresh(t)) })
	}
}

func mustOpen(t *testing.T, open Open) wlog.Log {
	t.Helper()
	l, err := open()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustClose(t *testing.T, l wlog.Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// record makes the n-th record: all of it follows from n.
func record(n uint64, size int) wlog.Record {
	payload := make([]byte, size)
	x := n*0x9e3779b97f4a7c15 + 1
	for i := range payload {
		// Runs of equal bytes, so that the payload compresses, but not to
		// nothing; every third one does not compress.
		if i%7 == 0 || n%3 == 0 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
		payload[i] = byte(x)
	}
	return wlog.Record{
		Kind: wlog.Kind(1 + n%2), Shard: uint32(n), Bucket: n << 32, CommitTime: -int64(n),
		Origin: n + 1, OriginSeq: n + 2, Payload: payload,
	}
}

// same compares records but for their positions.
func same(a, b wlog.Record) bool {
	return a.Kind == b.Kind && a.Shard == b.Shard && a.Bucket == b.Bucket && a.CommitTime == b.CommitTime &&
		a.Origin == b.Origin && a.OriginSeq == b.OriginSeq && string(a.Payload) == string(b.Payload)
}

// appendOne appends the n-th record and returns its position.
func appendOne(t *testing.T, l wlog.Log, n uint64, size int) wlog.Position {
	t.Helper()
	var pos wlog.Position
	calls := 0
	err := l.Append(t.Context(), []wlog.Record{record(n, size)}, func(first, last wlog.Position) {
		calls++
		pos = first
		if first != last {
			t.Errorf("delivered %v to %v for one record", first, last)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if calls != 1 {
		t.Fatalf("delivered %d times", calls)
	}
	return pos
}

// readAll reads from a position to the end, payloads copied, and checks that
// positions ascend.
func readAll(t *testing.T, l wlog.Log, from wlog.Position) []wlog.Record {
	t.Helper()
	recs, err := collect(l, from)
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

func collect(l wlog.Log, from wlog.Position) ([]wlog.Record, error) {
	r, err := l.Read(context.Background(), from, wlog.ReadOptions{})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var recs []wlog.Record
	for {
		rec, err := r.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return recs, nil
		}
		if err != nil {
			return recs, err
		}
		if n := len(recs); n > 0 && rec.Pos.Compare(recs[n-1].Pos) <= 0 {
			return recs, fmt.Errorf("position %v follows %v", rec.Pos, recs[n-1].Pos)
		}
		rec.Payload = append([]byte(nil), rec.Payload...)
		recs = append(recs, rec)
	}
}

func testFields(t *testing.T, open Open) {
	l := mustOpen(t, open)
	sizes := []int{0, 1, 7, 8, 100, 256 << 10, 1000, wlog.MaxPayload}
	var want []wlog.Record
	for i, size := range sizes {
		want = append(want, record(uint64(i), size))
	}
	if err := l.Append(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got := readAll(t, l, wlog.Position{})
		if len(got) != len(want) {
			t.Fatalf("read %d records, want %d", len(got), len(want))
		}
		for i := range want {
			if !same(got[i], want[i]) {
				t.Fatalf("record %d of %d bytes came back different", i, sizes[i])
			}
		}
		mustClose(t, l)
		l = mustOpen(t, open)
	}
	mustClose(t, l)
}

func testEmpty(t *testing.T, open Open) {
	for range 2 {
		l := mustOpen(t, open)
		if got := readAll(t, l, wlog.Position{}); len(got) != 0 {
			t.Fatalf("an empty log holds %d records", len(got))
		}
		if l.First() != l.Last().Next() {
			t.Fatalf("empty log from %v to %v", l.First(), l.Last())
		}
		if got := readAll(t, l, l.First()); len(got) != 0 {
			t.Fatalf("an empty log holds %d records", len(got))
		}
		if err := l.Trim(l.Last()); err != nil {
			t.Fatal(err)
		}
		mustClose(t, l)
	}
}

// testOrder appends from many goroutines and checks that delivery is one at a
// time, in the order of positions, before Append returns, and that the log
// agrees.
func testOrder(t *testing.T, open Open) {
	l := mustOpen(t, open)
	const workers, appends = 8, 40
	var (
		delivering atomic.Int32
		delivered  []uint64 // numbers of records, in order of delivery
		last       wlog.Position
		wg         sync.WaitGroup
	)
	for w := range workers {
		wg.Go(func() {
			for i := range appends {
				base := uint64(w*appends+i) * 10
				recs := make([]wlog.Record, 1+(w+i)%3)
				for k := range recs {
					recs[k] = record(base+uint64(k), 10+i*20)
				}
				done := false
				err := l.Append(t.Context(), recs, func(first, end wlog.Position) {
					if delivering.Add(1) != 1 {
						t.Error("two deliveries at a time")
					}
					if first.Compare(last) <= 0 || end.Compare(first) < 0 {
						t.Errorf("delivered %v to %v after %v", first, end, last)
					}
					if l.Last().Compare(end) < 0 {
						t.Errorf("delivered up to %v while the durable end is %v", end, l.Last())
					}
					last = end
					for k := range recs {
						delivered = append(delivered, base+uint64(k))
					}
					done = true
					delivering.Add(-1)
				})
				if err != nil || !done {
					t.Errorf("append: error %v, delivered %v", err, done)
				}
			}
		})
	}
	wg.Wait()
	if l.Last() != last {
		t.Fatalf("last is %v, delivered up to %v", l.Last(), last)
	}
	for range 2 {
		got := readAll(t, l, wlog.Position{})
		if len(got) != len(delivered) {
			t.Fatalf("read %d records, %d were delivered", len(got), len(delivered))
		}
		for i, n := range delivered {
			if got[i].Bucket != n<<32 || !same(got[i], record(n, len(got[i].Payload))) {
				t.Fatalf("record %d is not the one delivered in its place", i)
			}
		}
		mustClose(t, l)
		l = mustOpen(t, open)
	}
	mustClose(t, l)
}

func testReopen(t *testing.T, open Open) {
	var want []wlog.Position
	for round := range 5 {
		l := mustOpen(t, open)
		if round > 0 && l.Last() != want[len(want)-1] {
			t.Fatalf("reopened at %v, want %v", l.Last(), want[len(want)-1])
		}
		for i := range 30 {
			pos := appendOne(t, l, uint64(round*30+i), 1000)
			if n := len(want); n > 0 && (pos.Epoch != want[0].Epoch || pos.Compare(want[n-1]) <= 0) {
				t.Fatalf("position %v follows %v", pos, want[n-1])
			}
			want = append(want, pos)
		}
		got := readAll(t, l, l.First())
		if len(got) != len(want) {
			t.Fatalf("round %d: read %d records, want %d", round, len(got), len(want))
		}
		for i := range got {
			if got[i].Pos != want[i] || !same(got[i], record(uint64(i), 1000)) {
				t.Fatalf("round %d: record %d is another, at %v, want %v", round, i, got[i].Pos, want[i])
			}
		}
		if l.Size() <= 0 {
			t.Fatalf("size %d", l.Size())
		}
		mustClose(t, l)
	}
}

func testReadFrom(t *testing.T, open Open) {
	l := mustOpen(t, open)
	defer l.Close()
	var at []wlog.Position
	for i := range 150 {
		at = append(at, appendOne(t, l, uint64(i), 1000))
	}
	for i := 0; i < len(at); i += 7 {
		got := readAll(t, l, at[i])
		if len(got) != len(at)-i || got[0].Pos != at[i] || !same(got[0], record(uint64(i), 1000)) {
			t.Fatalf("read from %v: %d records, want %d", at[i], len(got), len(at)-i)
		}
	}
	if got := readAll(t, l, l.Last().Next()); len(got) != 0 {
		t.Fatalf("%d records after the end", len(got))
	}
	if _, err := l.Read(t.Context(), l.Last().Next().Next(), wlog.ReadOptions{}); !errors.Is(err, wlog.ErrAhead) {
		t.Fatalf("read past the end: %v", err)
	}
	if _, err := l.Read(t.Context(), wlog.Position{Epoch: l.Last().Epoch + 1, Seq: 1}, wlog.ReadOptions{}); !errors.Is(err, wlog.ErrAhead) {
		t.Fatalf("read of a later epoch: %v", err)
	}
	if _, err := l.Read(t.Context(), wlog.Position{Epoch: l.Last().Epoch - 1, Seq: 5}, wlog.ReadOptions{}); !errors.Is(err, wlog.ErrTrimmed) {
		t.Fatalf("read of an earlier epoch: %v", err)
	}
}

// testFollow reads behind appends, one reader from the beginning and others
// from what is the end when they start.
func testFollow(t *testing.T, open Open) {
	l := mustOpen(t, open)
	const total = 300
	for i := range 10 {
		appendOne(t, l, uint64(i), 1000)
	}
	follow := func(from wlog.Position, first uint64) error {
		r, err := l.Read(t.Context(), from, wlog.ReadOptions{Follow: true})
		if err != nil {
			return err
		}
		defer r.Close()
		for n := first; n < total; n++ {
			rec, err := r.Next(t.Context())
			if err != nil {
				return err
			}
			if !same(rec, record(n, 1000)) {
				return fmt.Errorf("record %v is not number %d", rec.Pos, n)
			}
			if rec.Pos.Compare(l.Last()) > 0 {
				return fmt.Errorf("record %v was seen before it was durable at %v", rec.Pos, l.Last())
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("waiting at the end: %w", err)
		}
		return nil
	}
	var wg sync.WaitGroup
	start := func(from wlog.Position, first uint64) {
		wg.Go(func() {
			if err := follow(from, first); err != nil {
				t.Errorf("from %v: %v", from, err)
			}
		})
	}
	start(wlog.Position{}, 0)
	start(l.Last(), 9)
	start(l.Last().Next(), 10)
	for i := uint64(10); i < total; i++ {
		if i == 150 {
			start(l.Last().Next(), i)
		}
		appendOne(t, l, i, 1000)
	}
	wg.Wait()

	// A follower that waits is let go when the log closes.
	r, err := l.Read(t.Context(), l.Last().Next(), wlog.ReadOptions{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ended := make(chan error)
	go func() {
		_, err := r.Next(context.Background())
		ended <- err
	}()
	time.Sleep(time.Millisecond)
	mustClose(t, l)
	if err := <-ended; !errors.Is(err, wlog.ErrClosed) {
		t.Fatalf("follower of a closed log: %v", err)
	}
}

func testTrim(t *testing.T, open Open) {
	l := mustOpen(t, open)
	begin := l.First()
	var at []wlog.Position
	for i := range 300 {
		at = append(at, appendOne(t, l, uint64(i), 1000))
	}
	size := l.Size()
	if all := l.SizeFrom(wlog.Position{}); all != size {
		t.Fatalf("size from the beginning is %d, size %d", all, size)
	}
	rest := l.SizeFrom(at[200])
	if rest >= size || rest < l.SizeFrom(at[299]) || l.SizeFrom(at[299].Next()) > l.SizeFrom(at[299]) {
		t.Fatalf("sizes from record 200 on %d, from 299 on %d, of %d", rest, l.SizeFrom(at[299]), size)
	}
	if err := l.Trim(at[199]); err != nil {
		t.Fatal(err)
	}
	if l.Size() != rest {
		t.Fatalf("size after trimming is %d, was foretold as %d", l.Size(), rest)
	}
	for range 2 {
		first := l.First()
		if first.Compare(begin) <= 0 || first.Compare(at[200]) > 0 {
			t.Fatalf("trimmed up to %v, first is %v", at[199], first)
		}
		if l.Size() >= size {
			t.Fatalf("trimming freed nothing of %d bytes", size)
		}
		if _, err := l.Read(t.Context(), begin, wlog.ReadOptions{}); !errors.Is(err, wlog.ErrTrimmed) {
			t.Fatalf("read of what was trimmed: %v", err)
		}
		for _, from := range []wlog.Position{first, {}} {
			got := readAll(t, l, from)
			if got[0].Pos != first || got[len(got)-1].Pos != at[299] {
				t.Fatalf("read from %v: %v to %v", from, got[0].Pos, got[len(got)-1].Pos)
			}
		}
		mustClose(t, l)
		l = mustOpen(t, open)
	}
	// Trimming everything, and more than everything, keeps the sequence.
	for _, upTo := range []wlog.Position{l.Last(), l.Last().Next().Next()} {
		if err := l.Trim(upTo); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, l)
	l = mustOpen(t, open)
	if pos := appendOne(t, l, 300, 10); pos.Compare(at[299]) <= 0 {
		t.Fatalf("position %v was given again after trimming up to %v", pos, at[299])
	}
	mustClose(t, l)
}

func testTrimOvertakesReader(t *testing.T, open Open) {
	l := mustOpen(t, open)
	defer l.Close()
	for i := range 400 {
		appendOne(t, l, uint64(i), 1000)
	}
	r, err := l.Read(t.Context(), l.First(), wlog.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Trim(l.Last()); err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := r.Next(t.Context())
		if errors.Is(err, wlog.ErrTrimmed) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec.Pos == l.Last() {
			t.Fatal("the reader passed over what was trimmed without a word")
		}
	}
}

func testCancel(t *testing.T, open Open) {
	l := mustOpen(t, open)
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := l.Append(ctx, []wlog.Record{record(1, 10)}, func(_, _ wlog.Position) { t.Error("delivered") })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("append: %v", err)
	}
	appendOne(t, l, 2, 10)
	if got := readAll(t, l, wlog.Position{}); len(got) != 1 || !same(got[0], record(2, 10)) {
		t.Fatalf("read %d records, want the one that was not cancelled", len(got))
	}
	r, err := l.Read(t.Context(), l.Last().Next(), wlog.ReadOptions{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("next: %v", err)
	}
	// Being cancelled once does not spoil the reader.
	appendOne(t, l, 3, 10)
	if rec, err := r.Next(t.Context()); err != nil || !same(rec, record(3, 10)) {
		t.Fatalf("next after cancellation: %v, %v", rec.Pos, err)
	}
}

func testLimits(t *testing.T, open Open) {
	l := mustOpen(t, open)
	defer l.Close()
	never := func(_, _ wlog.Position) { t.Error("delivered") }
	recs := []wlog.Record{record(1, 10), {Kind: wlog.KindWrite, Payload: make([]byte, wlog.MaxPayload+1)}}
	if err := l.Append(t.Context(), recs, never); !errors.Is(err, wlog.ErrTooLarge) {
		t.Fatalf("too large a payload: %v", err)
	}
	if err := l.Append(t.Context(), nil, never); err == nil {
		t.Fatal("an append of nothing succeeded")
	}
	if got := readAll(t, l, wlog.Position{}); len(got) != 0 {
		t.Fatalf("%d records of a refused append are there", len(got))
	}
}

// testClose closes under load: each append succeeds or fails as a whole.
func testClose(t *testing.T, open Open) {
	l := mustOpen(t, open)
	var acked atomic.Int64
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				err := l.Append(t.Context(), []wlog.Record{record(uint64(w*1000+i), 100)}, nil)
				if errors.Is(err, wlog.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				acked.Add(1)
			}
		})
	}
	for acked.Load() < 20 {
		time.Sleep(time.Millisecond)
	}
	mustClose(t, l)
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatalf("second close: %v", err)
	}
	if _, err := l.Read(t.Context(), wlog.Position{}, wlog.ReadOptions{}); !errors.Is(err, wlog.ErrClosed) {
		t.Fatalf("read after close: %v", err)
	}
	if err := l.Trim(l.Last()); !errors.Is(err, wlog.ErrClosed) {
		t.Fatalf("trim after close: %v", err)
	}
	l = mustOpen(t, open)
	defer l.Close()
	if got := readAll(t, l, wlog.Position{}); int64(len(got)) != acked.Load() {
		t.Fatalf("%d records are there, %d were acknowledged", len(got), acked.Load())
	}
}

func testStats(t *testing.T, open Open) {
	l := mustOpen(t, open)
	defer l.Close()
	for i := range 10 {
		recs := []wlog.Record{record(uint64(i), 100), record(uint64(i), 50)}
		if err := l.Append(t.Context(), recs, nil); err != nil {
			t.Fatal(err)
		}
	}
	s := l.Stats()
	if s.Appends != 10 || s.Records != 20 || s.RawBytes != 1500 || s.StoredBytes == 0 || s.Syncs < 10 || s.Failures != 0 || s.Refused != 0 {
		t.Fatalf("stats %+v", s)
	}
}
