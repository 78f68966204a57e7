package bench

import (
	"fmt"
	"runtime"
)

// Advice is what to change about a load or a server, and the figures that say
// so.
type Advice struct {
	Seen string `json:"seen"`
	Do   string `json:"do"`
}

const (
	// busy is the share of the processors from which on they are what a load
	// waits for; the kernel's own work makes up the rest.
	busy = 0.85
	// idle is the share below which a load surely waits for something else.
	idle = 0.6
	// fewLines is where the cost of a request begins to show beside that of
	// its lines: on two cores 100-line bodies come at half the rows of
	// 10,000-line ones.
	fewLines = 1000
	// manyLines is where longer bodies bring nothing more.
	manyLines = 10_000
	// thinFlush is how many partitions a flush may fill with reasonable
	// files: memtables have some tens of MiB.
	thinFlush = 16
	// crowded is one more than compaction lets a partition have at full load.
	crowded = 12
)

// advise says what limited the load and what would raise it. Where a figure
// is not known, it says nothing that depends on it.
func advise(c WriteConfig, r *WriteReport) []Advice {
	var all []Advice
	say := func(do string, seen string, args ...any) {
		all = append(all, Advice{Seen: fmt.Sprintf(seen, args...), Do: do})
	}
	if r.Rows == 0 || r.Seconds == 0 {
		return nil
	}
	if c.RowsPerSecond > 0 && r.RowsPerSecond > 0.95*c.RowsPerSecond {
		say("leave out --rate to find what the servers take", "the load was held at %s rows/s, and the servers kept up", grouped(c.RowsPerSecond))
		return append(all, adviseServers(r)...)
	}
	own := r.LoaderCPUSeconds / r.Seconds
	if own > busy*float64(runtime.NumCPU()) || r.LoaderShare > 1 {
		do := "run the loader on another machine, or several of them"
		if c.Gzip {
			do += "; or without --gzip, if the network allows"
		}
		say(do, "the loader used %.1f processors, %.1f times what the servers used: the figures speak of the loader", own, r.LoaderShare)
	}
	load, known := serverLoad(r, own)
	if known && load < idle {
		seen := fmt.Sprintf("the processors of the servers were %.0f %% used, and a body took %.1f ms at the median", 100*load, r.Latency.P50)
		if s := meanSync(r); s > 0 {
			seen += fmt.Sprintf(", of which an fsync is %.1f ms", s)
		}
		do := fmt.Sprintf("more --workers (now %d): they share each fsync", c.Workers)
		if c.BodyLines < manyLines {
			do += fmt.Sprintf("; more --body-lines (now %d)", c.BodyLines)
		}
		say(do, "%s", seen)
	} else if c.BodyLines < fewLines {
		say(fmt.Sprintf("more --body-lines (now %d); 5,000 to 10,000 is best", c.BodyLines),
			"%s requests/s of %d lines: each request costs as much as some hundred lines", grouped(ratio(float64(r.Requests), r.Seconds)), c.BodyLines)
	}
	if known && load >= busy && c.Gzip && own < 0.2*load {
		say("without --gzip, if the network allows", "the servers' processors were %.0f %% used, decompression included", 100*load)
	}
	return append(all, adviseServers(r)...)
}

// adviseServers says what the servers' own figures give away.
func adviseServers(r *WriteReport) []Advice {
	var all []Advice
	for i := range r.Servers {
		s := &r.Servers[i]
		in := s.Inside
		if in == nil {
			continue
		}
		where := ""
		if len(r.Servers) > 1 {
			where = s.URL + ": "
		}
		say := func(do string, seen string, args ...any) {
			all = append(all, Advice{Seen: where + fmt.Sprintf(seen, args...), Do: do})
		}
		if in.RefusedWrites > 0 || in.Stalls > 0 {
			say("raise --memory-limit, or take a faster disk: flushes did not keep up; a lower level of the bucket (fast) makes them quicker",
				"%.0f writes waited for room in memtables, %.0f were refused", in.Stalls, in.RefusedWrites)
		}
		if in.Flushes > 0 && in.NewPartitions/in.Flushes > thinFlush {
			say("a longer partition length of the bucket, so that files are larger and fewer",
				"%.0f new partitions in %.0f flushes: each flush wrote %.0f files", in.NewPartitions, in.Flushes, in.NewPartitions/in.Flushes)
		}
		if in.MaxSegments > crowded {
			say("a pause, or POST /api/v1/settle, before queries are timed; a lower level of the bucket (fast) if it stays so",
				"compaction is behind: a partition has %.0f segments", in.MaxSegments)
		}
		if in.SegmentBytesPerValue > wideValue {
			say("the level best of the bucket costs merges more and takes less room; fewer decimals in the readings help most",
				"a value takes %.1f bytes in segments", in.SegmentBytesPerValue)
		}
	}
	return all
}

// wideValue is above what readings with a few decimals take, even before they
// are merged, and below full-precision floats (6.3 bytes).
const wideValue = 3

// serverLoad returns which share of their processors the servers used. On the
// loader's own machine its share counts as used, because the servers could
// not have it.
func serverLoad(r *WriteReport, own float64) (share float64, known bool) {
	var used, of float64
	local := false
	for i := range r.Servers {
		s := &r.Servers[i]
		switch {
		case s.CPUSeconds > 0:
			used += s.CPUSeconds / r.Seconds
			local = true
		case s.Inside != nil && s.Inside.Processors > 0:
			used += s.Inside.CPUSeconds / r.Seconds
			of += s.Inside.Processors
		default:
			return 0, false
		}
	}
	if local {
		used += own
		of += float64(runtime.NumCPU())
	}
	return used / of, true
}

// meanSync returns the time of an fsync in milliseconds, 0 if no server tells.
func meanSync(r *WriteReport) float64 {
	var ms, n float64
	for i := range r.Servers {
		if in := r.Servers[i].Inside; in != nil {
			ms += in.SyncMeanMillis * in.Syncs
			n += in.Syncs
		}
	}
	return ratio(ms, n)
}
