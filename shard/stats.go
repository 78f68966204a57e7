package shard

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/wlog"
)

// counters count since Open.
type counters struct {
	rows, replayed, deletes         atomic.Uint64
	refused, stalls                 atomic.Uint64
	flushes, flushFailures          atomic.Uint64
	flushedRows, flushedBytes       atomic.Uint64
	compactions, compactionFailures atomic.Uint64
	compactedRows, compactedBytes   atomic.Uint64
	doubts                          atomic.Uint64 // looks at a commit of which it is not known whether it took place
	expired, orphans                atomic.Uint64
	flushTime, compactionTime       atomic.Int64 // nanoseconds
	backlog                         atomic.Int64 // segments that wait to be merged
	encoders                        sync.Pool    // of *column.Encoder
}

// failures counts what keeps compaction from its end.
func (c *counters) failures() uint64 { return c.compactionFailures.Load() + c.doubts.Load() }

// problems is what was found damaged, by file.
type problems struct {
	mu     sync.Mutex // guards byFile
	byFile map[string]string
}

func (p *problems) add(file string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byFile == nil {
		p.byFile = map[string]string{}
	}
	p.byFile[file] = err.Error()
}

// remove forgets a file that is gone.
func (p *problems) remove(file string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byFile, file)
}

func (p *problems) list() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, text := range p.byFile {
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

// Stats is what a shard has done since it was opened and what it holds now.
type Stats struct {
	Rows, ReplayedRows uint64 // applied to memtables; those of the replay among them
	Deletes            uint64
	RefusedWrites      uint64 // for want of room
	Stalls             uint64 // waits for room in memtables
	Flushes            uint64
	FlushFailures      uint64
	FlushedRows        uint64
	FlushedBytes       uint64
	FlushTime          time.Duration
	Compactions        uint64
	CompactionFailures uint64
	CompactedRows      uint64
	CompactedBytes     uint64 // written
	CompactionTime     time.Duration
	ExpiredSegments    uint64
	OrphansRemoved     uint64
	Backlog            int64 // segments of the merge that comes next, 0 for none
	MemtableBytes      int64
	MemtableRows       int64
	SealedMemtables    int
	Segments           int
	Partitions         int
	MaxSegments        int // of one partition
	SegmentBytes       int64
	SegmentRows        int64
	SegmentValues      int64
	Tombstones         int
	Log                wlog.Stats
	LogBytes           int64
	AppliedSeq         uint64
	FlushedSeq         uint64
	Problems           []string // what is damaged, with file and place
	RefusingWrites     string   // why, empty if not
	FlushError         string   // of the last flush, empty if it succeeded
}

// Stats returns counters and gauges.
func (s *Shard) Stats() Stats {
	c := &s.stats
	st := Stats{
		Rows: c.rows.Load(), ReplayedRows: c.replayed.Load(), Deletes: c.deletes.Load(),
		RefusedWrites: c.refused.Load(), Stalls: c.stalls.Load(),
		Flushes: c.flushes.Load(), FlushFailures: c.flushFailures.Load(),
		FlushedRows: c.flushedRows.Load(), FlushedBytes: c.flushedBytes.Load(), FlushTime: time.Duration(c.flushTime.Load()),
		Compactions: c.compactions.Load(), CompactionFailures: c.compactionFailures.Load(),
		CompactedRows: c.compactedRows.Load(), CompactedBytes: c.compactedBytes.Load(), CompactionTime: time.Duration(c.compactionTime.Load()),
		ExpiredSegments: c.expired.Load(), OrphansRemoved: c.orphans.Load(), Backlog: c.backlog.Load(),
		Problems: s.problems.list(),
		Log:      s.log.Stats(), LogBytes: s.log.Size(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.current
	st.MemtableBytes, st.MemtableRows = v.memtableBytes(), v.active.Rows()
	for _, t := range v.sealed {
		st.MemtableRows += t.table.Rows()
	}
	st.SealedMemtables, st.Segments, st.Partitions = len(v.sealed), len(v.segments), len(v.manifest.Partitions)
	st.Tombstones, st.AppliedSeq, st.FlushedSeq = len(v.tombstones), s.applied.Seq, v.manifest.Flushed.Seq
	for _, files := range byPartition(v) {
		st.MaxSegments = max(st.MaxSegments, len(files))
	}
	for _, f := range v.segments {
		st.SegmentBytes += f.entry.Size
		st.SegmentRows += f.entry.Rows
		st.SegmentValues += f.entry.Values
	}
	st.RefusingWrites = s.full
	if s.flushErr != nil {
		st.FlushError = s.flushErr.Error()
	}
	return st
}

func newEncoder() any { return new(column.Encoder) }
