package scan

import (
	"fmt"
	"strings"

	"github.com/varvedb/varve/run"
	"github.com/varvedb/varve/trace"
)

// Stats counts what a scan considered, left out and read.
type Stats struct {
	Measurements int64
	Partitions   int64 // distinct partitions of runs
	Runs         int64 // that may have rows in the range
	RunsPruned   int64 // of these, without any field or series in question
	Series       int64 // chosen, counted in each run
	Units        int64 // of parallel work
	run.Stats
	Groups       int64 // returned, counted again in each batch
	RowsReturned int64
}

func (s *Stats) add(o *Stats) {
	s.Measurements += o.Measurements
	s.Partitions += o.Partitions
	s.Runs += o.Runs
	s.RunsPruned += o.RunsPruned
	s.Series += o.Series
	s.Units += o.Units
	s.addRun(o.Stats)
}

func (s *Stats) addRun(o run.Stats) {
	s.BlocksRead += o.BlocksRead
	s.BlocksPruned += o.BlocksPruned
	s.Spans += o.Spans
	s.BytesRead += o.BytesRead
	s.RowsRead += o.RowsRead
}

// note adds the counts to a span.
func (s *Stats) note(span *trace.Span) {
	span.Int("measurements", s.Measurements)
	span.Int("partitions", s.Partitions)
	span.Int("runs", s.Runs)
	span.Int("runs.pruned", s.RunsPruned)
	span.Int("series", s.Series)
	span.Int("blocks.read", s.BlocksRead)
	span.Int("blocks.pruned", s.BlocksPruned)
	span.Int("bytes.read", s.BytesRead)
	span.Int("rows.read", s.RowsRead)
	span.Int("spans.summed", s.Spans)
	span.Int("rows.returned", s.RowsReturned)
}

// String says it in a line.
func (s Stats) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "measurements %d, partitions %d, runs %d (%d pruned), series %d, blocks %d read, %d pruned, bytes %d, rows %d read, spans %d from summaries, rows %d returned",
		s.Measurements, s.Partitions, s.Runs, s.RunsPruned, s.Series, s.BlocksRead, s.BlocksPruned, s.BytesRead, s.RowsRead, s.Spans, s.RowsReturned)
	return b.String()
}
