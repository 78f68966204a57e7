package health

import (
	"fmt"

	"github.com/varvedb/varve/shard"
)

// Checks returns all checks, the gravest first. What makes data unsafe or
// unreadable weighs twice as much as what makes it slow.
func Checks() []Check {
	const unsafe, slow = 40, 20
	return []Check{
		{"damage", unsafe, damage},
		{"flush", unsafe, flush},
		{"disk", unsafe, disk},
		{"memory", slow, resident},
		{"log_lag", slow, logLag},
		{"compaction", slow, compaction},
		{"pipelines", slow, pipelines},
	}
}

// damage finds files that cannot be read.
func damage(v *Vitals) Finding {
	return each(v, func(s *shard.Stats) (float64, string) {
		if len(s.Problems) == 0 {
			return 0, ""
		}
		text := fmt.Sprintf("has damage: %s", s.Problems[0])
		if n := len(s.Problems) - 1; n > 0 {
			text += fmt.Sprintf(" (and %d more: `varve check` lists all)", n)
		}
		return 1, text
	}).failing()
}

// flush finds memtables that do not get to disk.
func flush(v *Vitals) Finding {
	return each(v, func(s *shard.Stats) (float64, string) {
		if s.FlushError == "" {
			return 0, ""
		}
		return 1, "cannot flush: " + s.FlushError
	}).failing()
}

const (
	// lowDiskShare of a volume is where its owner begins to look for room.
	lowDiskShare = 20
	// lowDiskLeast is room for the largest merge of a small store, lowDiskMost
	// where a large volume is still far from full.
	lowDiskLeast, lowDiskMost = 1 << 30, 10 << 30
)

// disk finds a volume that fills up. Writes are refused before it is full.
func disk(v *Vitals) Finding {
	refusing := each(v, func(s *shard.Stats) (float64, string) {
		if s.RefusingWrites == "" {
			return 0, ""
		}
		return 1, "refuses writes: " + s.RefusingWrites
	}).failing()
	switch {
	case refusing.Failing:
		return refusing
	case v.DiskError != nil:
		return Finding{Severity: 1, Reasons: []string{"cannot tell how full the disk is: " + v.DiskError.Error()}}
	}
	low := min(max(v.Disk.Total/lowDiskShare, lowDiskLeast), lowDiskMost)
	free := v.Disk.Available
	if free >= low {
		return Finding{}
	}
	return Finding{
		Severity: between(float64(free), float64(low), float64(v.KeepFree)),
		Reasons: []string{fmt.Sprintf("%d MiB of the disk are free; at %d MiB writes are refused: free some, give the volume more, or lower the retention",
			free>>20, v.KeepFree>>20)},
	}
}

// tooMuchMemory is how far above the target the worst is: where a process
// beside others of its size is killed on a machine that was planned tightly.
const tooMuchMemory = 1.25

// resident finds a process that is larger than it is meant to be.
func resident(v *Vitals) Finding {
	if v.Resident <= v.MemoryLimit || v.MemoryLimit == 0 {
		return Finding{}
	}
	limit := float64(v.MemoryLimit)
	return Finding{
		Severity: between(float64(v.Resident), limit, limit*tooMuchMemory),
		Reasons: []string{fmt.Sprintf("the process has %d MiB of memory, its target is %d MiB: give it more (--memory-limit) or less work",
			v.Resident>>20, v.MemoryLimit>>20)},
	}
}

const (
	// longLog is several times what the log has at full ingest; tooLongLog is
	// what a restart replays for some ten seconds.
	longLog, tooLongLog = 512 << 20, 2 << 30
	// fullMemtables is the share of their limit from which on writers are
	// about to wait for the flush.
	fullMemtables = 0.9
)

// logLag finds writers that the flush does not keep up with: what it is behind
// is in the log, and in memtables.
func logLag(v *Vitals) Finding {
	return each(v, func(s *shard.Stats) (float64, string) {
		long := between(float64(s.LogBytes), longLog, tooLongLog)
		limit := float64(v.Memtables)
		full := between(float64(s.MemtableBytes), limit*fullMemtables, limit)
		switch {
		case full > 0 && full >= long:
			return full, fmt.Sprintf("has %d of %d MiB of memtables filled: the flush does not keep up with writers", s.MemtableBytes>>20, v.Memtables>>20)
		case long > 0:
			return long, fmt.Sprintf("has a log of %d MiB, which a restart has to replay", s.LogBytes>>20)
		}
		return 0, ""
	})
}

const (
	// manySegments of one partition are two more than compaction keeps at full
	// ingest; with tooManySegments a query reads each series in as many places.
	manySegments, tooManySegments = 12, 48
)

// compaction finds partitions that are not merged as fast as they grow.
func compaction(v *Vitals) Finding {
	return each(v, func(s *shard.Stats) (float64, string) {
		return between(float64(s.MaxSegments), manySegments, tooManySegments),
			fmt.Sprintf("has a partition of %d segments: compaction is behind, and queries are slower", s.MaxSegments)
	})
}

// each looks at every shard: severity is that of the worst.
func each(v *Vitals, look func(*shard.Stats) (severity float64, text string)) Finding {
	var f Finding
	for i := range v.Shards {
		severity, text := look(&v.Shards[i])
		if severity > 0 {
			f.Severity = max(f.Severity, severity)
			f.Reasons = append(f.Reasons, fmt.Sprintf("shard %d %s", i, text))
		}
	}
	return f
}

// failing returns f, which fails the server if anything was found.
func (f Finding) failing() Finding {
	f.Failing = f.Severity > 0
	return f
}

// between returns how far x is on the way from good to bad, 0 to 1.
func between(x, good, bad float64) float64 {
	if good == bad {
		return 0
	}
	return min(max((x-good)/(bad-good), 0), 1)
}

// pipelines finds sources from which nothing comes in, and a file that is not in
// force. What is wrong is not told here, where everybody can read it: it may name
// addresses, and what stands in the file. What a source holds back is not lost.
func pipelines(v *Vitals) Finding {
	f := Finding{}
	for i := range v.Pipelines {
		if p := &v.Pipelines[i]; p.Trouble != "" {
			f.Severity += 1 / float64(len(v.Pipelines))
			f.Reasons = append(f.Reasons, fmt.Sprintf("pipeline %s has trouble with its source: `varve pipeline status` says which", p.Name))
		}
	}
	if v.PipelinesFile != "" {
		f.Severity = max(f.Severity, 0.5)
		f.Reasons = append(f.Reasons, "the file of pipelines has a mistake, they run by an earlier one: `varve pipeline status` says where it is")
	}
	return f
}
