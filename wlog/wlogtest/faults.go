package wlogtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
)

// OpenFS opens the log that lives in a filesystem, one file of which holds
// some ten records of 1 KiB.
type OpenFS func(fs vfs.FS) (wlog.Log, error)

// RunFaults runs the part of the suite for logs that write through vfs. seed
// begins what is random.
func RunFaults(t *testing.T, seed uint64, open OpenFS) {
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	t.Run("CrashEverywhere", func(t *testing.T) { testCrashEverywhere(t, rng, open) })
	t.Run("CrashTwice", func(t *testing.T) { testCrashTwice(t, rng, open) })
	t.Run("FailEverywhere", func(t *testing.T) { testFailEverywhere(t, rng, open) })
	t.Run("FailedSync", func(t *testing.T) { testFailedSync(t, open) })
	t.Run("Refuse", func(t *testing.T) { testRefuse(t, rng, open) })
	t.Run("NoSpace", func(t *testing.T) { testNoSpace(t, open) })
	t.Run("FailedTrim", func(t *testing.T) { testFailedTrim(t, open) })
}

// model is what a log has to hold after a crash: by position what was
// acknowledged, and what may be there besides.
type model struct {
	mu    sync.Mutex
	acked map[wlog.Position]uint64
	tried map[uint64]bool // numbers of records whose append failed
}

func newModel() *model {
	return &model{acked: map[wlog.Position]uint64{}, tried: map[uint64]bool{}}
}

// append appends records from number n on.
func (m *model) append(t *testing.T, l wlog.Log, n uint64, count, size int) error {
	recs := make([]wlog.Record, count)
	for i := range recs {
		recs[i] = record(n+uint64(i), size)
	}
	delivered := false
	err := l.Append(t.Context(), recs, func(first, _ wlog.Position) {
		delivered = true
		m.mu.Lock()
		defer m.mu.Unlock()
		// Positions may have gaps, so that only the first one's is known.
		m.acked[first] = n
	})
	if delivered != (err == nil) {
		t.Errorf("delivered %v, error %v", delivered, err)
	}
	if err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		for i := range recs {
			m.tried[n+uint64(i)] = true
		}
	}
	return err
}

// numberOf returns which record it is, by a field that holds it.
func numberOf(rec wlog.Record) uint64 { return rec.Bucket >> 32 }

// check reads the log and compares. counts gives the number of records of the
// append that began with a number.
func (m *model) check(l wlog.Log, counts map[uint64]int, size int) error {
	recs, err := collect(l, wlog.Position{})
	if err != nil {
		return err
	}
	at := map[wlog.Position]int{}
	seen := map[uint64]bool{}
	for i, rec := range recs {
		n := numberOf(rec)
		if !same(rec, record(n, size)) {
			return fmt.Errorf("record %v is not whole", rec.Pos)
		}
		if seen[n] {
			return fmt.Errorf("record number %d is there twice", n)
		}
		seen[n] = true
		at[rec.Pos] = i
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	known := map[uint64]bool{}
	for pos, n := range m.acked {
		i, ok := at[pos]
		if !ok {
			return fmt.Errorf("acknowledged record %v (number %d) is gone; the log holds %d records to %v", pos, n, len(recs), l.Last())
		}
		for k := range counts[n] {
			known[n+uint64(k)] = true
			if i+k >= len(recs) || numberOf(recs[i+k]) != n+uint64(k) {
				return fmt.Errorf("record %d of the append at %v is not in its place", k, pos)
			}
		}
	}
	for n := range seen {
		if !known[n] && !m.tried[n] {
			return fmt.Errorf("record number %d was never appended", n)
		}
	}
	return nil
}

// settle takes what a log holds as its contents from now on: what was there
// after a crash must still be there after the next.
func (m *model) settle(l wlog.Log, counts map[uint64]int) error {
	recs, err := collect(l, wlog.Position{})
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.acked)
	for _, rec := range recs {
		m.acked[rec.Pos] = numberOf(rec)
		counts[numberOf(rec)] = 1
	}
	return nil
}

const faultRecordSize = 900

// workload appends groups of one to three records until an error, from
// several goroutines if there are several.
func workload(t *testing.T, l wlog.Log, m *model, from uint64, appends, workers int, counts map[uint64]int) {
	var wg sync.WaitGroup
	for w := range workers {
		for i := range appends {
			counts[from+uint64(w*appends+i)*10] = 1 + (i+w)%3
		}
	}
	for w := range workers {
		wg.Go(func() {
			for i := range appends {
				n := from + uint64(w*appends+i)*10
				if m.append(t, l, n, counts[n], faultRecordSize) != nil {
					return
				}
			}
		})
	}
	wg.Wait()
}

// testCrashEverywhere stops the machine at the k-th change of the disk, for
// every k, reopens what a power cut would have left, and again with parts of
// what was not synced.
func testCrashEverywhere(t *testing.T, rng *rand.Rand, open OpenFS) {
	for _, workers := range []int{1, 3} {
		for k := 1; ; k++ {
			mem := vfs.NewMem(nil)
			fault := vfs.NewFault(mem, nil)
			fault.CrashAt(k)
			m, counts := newModel(), map[uint64]int{}
			l, err := open(fault)
			if err == nil {
				workload(t, l, m, 0, 24/workers, workers, counts)
				// After a crash closing cannot succeed; it must only end.
				_ = l.Close()
			} else if !errors.Is(err, vfs.ErrCrashed) {
				t.Fatalf("k=%d: open: %v", k, err)
			}
			for i := range 4 {
				r := rng
				if i == 0 {
					r = nil
				}
				after := mem.CrashClone(r)
				l, err := open(after)
				if err != nil {
					t.Fatalf("workers=%d k=%d: open after the crash: %v", workers, k, err)
				}
				if err := m.check(l, counts, faultRecordSize); err != nil {
					t.Fatalf("workers=%d k=%d: %v", workers, k, err)
				}
				// Life goes on.
				appendOne(t, l, 1<<20, faultRecordSize)
				mustClose(t, l)
			}
			if !fault.Crashed() {
				if k < 20 {
					t.Fatalf("only %d crash points were tried", k)
				}
				break
			}
		}
	}
}

// testCrashTwice crashes at random, goes on with what is left, and crashes
// again: what was found once stays.
func testCrashTwice(t *testing.T, rng *rand.Rand, open OpenFS) {
	for round := range 150 {
		mem := vfs.NewMem(nil)
		m, counts := newModel(), map[uint64]int{}
		for life := range 5 {
			fault := vfs.NewFault(mem, nil)
			fault.CrashAt(1 + rng.IntN(25))
			l, err := open(fault)
			if err == nil {
				if err := m.check(l, counts, faultRecordSize); err != nil {
					t.Fatalf("round %d, life %d: %v", round, life, err)
				}
				if err := m.settle(l, counts); err != nil {
					t.Fatal(err)
				}
				workload(t, l, m, uint64(1+life)*10000, 10, 1+rng.IntN(3), counts)
				_ = l.Close()
			} else if !errors.Is(err, vfs.ErrCrashed) {
				t.Fatalf("round %d, life %d: %v", round, life, err)
			}
			switch rng.IntN(3) {
			case 0:
				mem = mem.CrashClone(nil)
			case 1:
				mem = mem.CrashClone(rng)
			default:
				// The process was killed, and the machine goes on: what was
				// not synced is there until the next power cut.
			}
		}
	}
}

// testFailEverywhere lets the k-th change of the disk fail, once, for every k
// and in several ways. The log goes on by itself, and nothing that was
// acknowledged before or after is lost to a power cut.
func testFailEverywhere(t *testing.T, rng *rand.Rand, open OpenFS) {
	ways := []vfs.Action{
		{Err: syscall.EIO},
		{Err: syscall.EIO, After: true},
		{Err: syscall.ENOSPC, Short: 500},
	}
	for _, way := range ways {
		for k := 1; ; k++ {
			mem := vfs.NewMem(nil)
			reached := false
			fault := vfs.NewFault(mem, func(c vfs.Call) vfs.Action {
				if c.N != k || reached || !c.Op.Mutates() {
					return vfs.Action{}
				}
				reached = true
				return way
			})
			m, counts := newModel(), map[uint64]int{}
			l, err := open(fault)
			if err != nil {
				// The failure was met while opening; a second try works.
				if l, err = open(fault); err != nil {
					t.Fatalf("k=%d: second open: %v", k, err)
				}
			}
			refused := 0
			for i := range uint64(24) {
				n := i * 10
				counts[n] = 1 + int(i)%3
				if err := m.append(t, l, n, counts[n], faultRecordSize); err != nil {
					if !errors.Is(err, wlog.ErrFailed) || !errors.Is(err, way.Err) {
						t.Fatalf("k=%d: append: %v", k, err)
					}
					refused++
				}
			}
			if refused > 1 {
				t.Fatalf("k=%d: %d appends were refused for one failure", k, refused)
			}
			if err := m.check(l, counts, faultRecordSize); err != nil {
				t.Fatalf("k=%d, still open: %v", k, err)
			}
			crashed := []*vfs.Mem{mem.CrashClone(nil), mem.CrashClone(rng)}
			if err := l.Close(); err != nil && !errors.Is(err, way.Err) {
				t.Fatalf("k=%d: close: %v", k, err)
			}
			for _, fs := range append(crashed, mem.CrashClone(rng)) {
				after, err := open(fs)
				if err != nil {
					t.Fatalf("k=%d: open after the crash: %v", k, err)
				}
				if err := m.check(after, counts, faultRecordSize); err != nil {
					t.Fatalf("k=%d: after the crash: %v", k, err)
				}
				mustClose(t, after)
			}
			if !reached {
				if k < 20 {
					t.Fatalf("only %d operations were tried", k)
				}
				break
			}
		}
	}
}

// testFailedSync fails one sync of records: the same append is acknowledged
// from elsewhere, and is there after a power cut.
func testFailedSync(t *testing.T, open OpenFS) {
	mem := vfs.NewMem(nil)
	fault := vfs.NewFault(mem, nil)
	l, err := open(fault)
	if err != nil {
		t.Fatal(err)
	}
	appendOne(t, l, 0, faultRecordSize)
	failed := ""
	fault.SetHook(func(c vfs.Call) vfs.Action {
		if c.Op == vfs.OpSync && failed == "" {
			failed = c.Name
			return vfs.Action{Err: syscall.EIO}
		}
		if (c.Op == vfs.OpWrite || c.Op == vfs.OpSync) && c.Name == failed {
			t.Errorf("%v of %s after its sync failed", c.Op, c.Name)
		}
		return vfs.Action{}
	})
	appendOne(t, l, 1, faultRecordSize)
	appendOne(t, l, 2, faultRecordSize)
	if failed == "" {
		t.Fatal("no sync was seen")
	}
	if s := l.Stats(); s.Failures != 1 || s.Refused != 0 || s.Appends != 3 {
		t.Fatalf("stats %+v", s)
	}
	after, err := open(mem.CrashClone(nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []wlog.Log{l, after} {
		got := readAll(t, l, wlog.Position{})
		if len(got) != 3 {
			t.Fatalf("%d records, want 3", len(got))
		}
		for i := range got {
			if !same(got[i], record(uint64(i), faultRecordSize)) {
				t.Fatalf("record %d is another", i)
			}
		}
		mustClose(t, l)
	}
}

// testRefuse breaks the disk for good, by one operation at a time: appends are
// refused, reads go on, and when the disk is whole again so do appends. What
// was refused may be found after a restart, but in the place of nothing else.
func testRefuse(t *testing.T, rng *rand.Rand, open OpenFS) {
	for _, op := range []vfs.Op{vfs.OpCreate, vfs.OpWrite, vfs.OpSync, vfs.OpDirSync} {
		for _, after := range []bool{false, true} {
			mem := vfs.NewMem(nil)
			fault := vfs.NewFault(mem, nil)
			l, err := open(fault)
			if err != nil {
				t.Fatal(err)
			}
			m, counts := newModel(), map[uint64]int{}
			next := uint64(0)
			try := func(broken bool, appends int) {
				for range appends {
					counts[next] = 2
					err := m.append(t, l, next, 2, faultRecordSize)
					if err != nil && !(broken && errors.Is(err, wlog.ErrFailed) && errors.Is(err, syscall.EIO)) {
						t.Fatalf("%v: %v", op, err)
					}
					next += 10
				}
			}
			for range 3 {
				try(false, 3)
				fault.SetHook(func(c vfs.Call) vfs.Action {
					if c.Op == op {
						return vfs.Action{Err: syscall.EIO, After: after}
					}
					return vfs.Action{}
				})
				before := l.Stats().Refused
				try(true, 20)
				if l.Stats().Refused == before {
					t.Fatalf("%v: nothing was refused", op)
				}
				if err := m.check(l, counts, faultRecordSize); err != nil {
					t.Fatalf("%v: while broken: %v", op, err)
				}
				for _, r := range []*rand.Rand{nil, rng} {
					crashed, err := open(mem.CrashClone(r))
					if err != nil {
						t.Fatal(err)
					}
					if err := m.check(crashed, counts, faultRecordSize); err != nil {
						t.Fatalf("%v: crashed while broken: %v", op, err)
					}
					mustClose(t, crashed)
				}
				fault.SetHook(nil)
			}
			try(false, 20)
			mustClose(t, l)
			l, err = open(mem.CrashClone(nil))
			if err != nil {
				t.Fatal(err)
			}
			if err := m.check(l, counts, faultRecordSize); err != nil {
				t.Fatalf("%v: at last: %v", op, err)
			}
			mustClose(t, l)
		}
	}
}

// testNoSpace fills the disk and makes room by trimming.
func testNoSpace(t *testing.T, open OpenFS) {
	mem := vfs.NewMem(nil)
	mem.SetQuota(40 << 10)
	l, err := open(mem)
	if err != nil {
		t.Fatal(err)
	}
	m, counts := newModel(), map[uint64]int{}
	next := uint64(0)
	fill := func() {
		for range 1000 {
			counts[next] = 1
			err := m.append(t, l, next, 1, faultRecordSize)
			next++
			if err != nil {
				if !errors.Is(err, wlog.ErrFailed) || !vfs.IsNoSpace(err) {
					t.Fatalf("append to a full disk: %v", err)
				}
				return
			}
		}
		t.Fatal("the disk is never full")
	}
	for range 3 {
		fill()
		if err := m.check(l, counts, faultRecordSize); err != nil {
			t.Fatalf("full: %v", err)
		}
		upTo := l.Last()
		if err := l.Trim(upTo); err != nil {
			t.Fatal(err)
		}
		first := l.First()
		m.mu.Lock()
		for pos := range m.acked {
			if pos.Compare(first) < 0 {
				delete(m.acked, pos)
			}
		}
		for n := range next {
			// What was trimmed may be in a file with what was not.
			m.tried[n] = true
		}
		m.mu.Unlock()
		counts[next] = 1
		if err := m.append(t, l, next, 1, faultRecordSize); err != nil {
			t.Fatalf("append after making room: %v", err)
		}
		next++
	}
	mustClose(t, l)
	l, err = open(mem.CrashClone(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.check(l, counts, faultRecordSize); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
}

// testFailedTrim fails a removal, and the sync after one: the books agree with
// the disk, and the next trim does the rest.
func testFailedTrim(t *testing.T, open OpenFS) {
	for _, op := range []vfs.Op{vfs.OpRemove, vfs.OpDirSync} {
		fault := vfs.NewFault(vfs.NewMem(nil), nil)
		l, err := open(fault)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			appendOne(t, l, uint64(i), faultRecordSize)
		}
		first, size := l.First(), l.Size()
		failures := 0
		fault.SetHook(func(c vfs.Call) vfs.Action {
			if c.Op == op && failures == 0 {
				failures++
				return vfs.Action{Err: syscall.EIO}
			}
			return vfs.Action{}
		})
		if err := l.Trim(l.Last()); !errors.Is(err, syscall.EIO) {
			t.Fatalf("%v: trim: %v", op, err)
		}
		if op == vfs.OpRemove && (l.First() != first || l.Size() != size) {
			t.Fatalf("%v: first %v and size %d after a failed trim, want %v and %d", op, l.First(), l.Size(), first, size)
		}
		readAll(t, l, l.First())
		if err := l.Trim(l.Last()); err != nil {
			t.Fatalf("%v: second trim: %v", op, err)
		}
		if l.First().Compare(first) <= 0 {
			t.Fatalf("%v: the second trim freed nothing", op)
		}
		readAll(t, l, l.First())
		mustClose(t, l)
	}
}
