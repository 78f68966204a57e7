package file_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
	"github.com/varvedb/varve/wlog/file"
)

// slowSync returns a filesystem whose syncs of files wait for a value each.
func slowSync() (fs vfs.FS, started, release chan struct{}) {
	started, release = make(chan struct{}, 100), make(chan struct{})
	return vfs.NewFault(vfs.NewMem(nil), func(c vfs.Call) vfs.Action {
		if c.Op == vfs.OpSync {
			started <- struct{}{}
			<-release
		}
		return vfs.Action{}
	}), started, release
}

// TestQueueIsBounded fills the queue behind a slow disk: a further append
// waits, and gives up with its context without a trace.
func TestQueueIsBounded(t *testing.T) {
	fs, started, release := slowSync()
	var syncs atomic.Int32
	cfg := file.Default(fs, "/log")
	cfg.QueueBytes = 3000
	cfg.ObserveSync = func(time.Duration) { syncs.Add(1) }
	l, err := file.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	// Twenty records without a payload make 1600 bytes of frames.
	add := func(ctx context.Context, origin uint64, records int) error {
		recs := make([]wlog.Record, records)
		for i := range recs {
			recs[i].Origin = origin
		}
		return l.Append(ctx, recs, nil)
	}
	go func() { done <- add(t.Context(), 1, 20) }()
	<-started // the first append is on its way to the disk
	go func() { done <- add(t.Context(), 2, 1) }()

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := add(ctx, 3, 20); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("append to a full queue: %v", err)
	}
	go func() {
		for {
			select {
			case release <- struct{}{}:
			case <-t.Context().Done():
				return
			}
		}
	}()
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	r, err := l.Read(t.Context(), wlog.Position{}, wlog.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	seen := 0
	for {
		rec, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || rec.Origin == 3 {
			t.Fatalf("record of origin %d, %v", rec.Origin, err)
		}
		seen++
	}
	if seen != 21 {
		t.Fatalf("%d records, want 21", seen)
	}
	// An append larger than the queue goes all the same.
	if err := l.Append(t.Context(), make([]wlog.Record, 100), nil); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := uint64(syncs.Load()), l.Stats().Syncs; got != want || got == 0 {
		t.Fatalf("%d syncs observed, %d counted", got, want)
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

// TestDeliveryOverlapsSync holds a delivery until the next group is durable:
// the log does not stand still meanwhile.
func TestDeliveryOverlapsSync(t *testing.T) {
	l, err := file.Open(file.Default(vfs.NewMem(nil), "/log"))
	if err != nil {
		t.Fatal(err)
	}
	delivering, done := make(chan struct{}), make(chan error, 2)
	go func() {
		done <- l.Append(t.Context(), make([]wlog.Record, 1), func(_, last wlog.Position) {
			close(delivering)
			waitFor(t, func() bool { return l.Last().Compare(last) > 0 })
		})
	}()
	<-delivering
	go func() { done <- l.Append(t.Context(), make([]wlog.Record, 1), nil) }()
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
