package health

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/vfs"
)

func well() *Vitals {
	return &Vitals{
		Disk:     vfs.Usage{Total: 100 << 30, Available: 50 << 30},
		KeepFree: 128 << 20, Resident: 100 << 20, MemoryLimit: 200 << 20, Memtables: 80 << 20,
		Shards: []shard.Stats{{LogBytes: 150 << 20, MemtableBytes: 40 << 20, MaxSegments: 12}, {}},
	}
}

func TestWell(t *testing.T) {
	r := Judge(well())
	if r.Score != 100 || r.Failing() || len(r.Reasons()) > 0 || len(r.Results) != len(Checks()) {
		t.Errorf("a server that is well: %+v", r)
	}
}

// Each check can be made to find something, and says what.
func TestChecks(t *testing.T) {
	fired := map[string]bool{}
	for _, c := range []struct {
		what, check string
		change      func(*Vitals)
		deduction   float64
		failing     bool
		reason      string
	}{
		{"a damaged file", "damage", func(v *Vitals) { v.Shards[1].Problems = []string{"x.seg is short", "y"} }, 40, true,
			"shard 1 has damage: x.seg is short (and 1 more"},
		{"a failed flush", "flush", func(v *Vitals) { v.Shards[0].FlushError = "no space" }, 40, true, "shard 0 cannot flush: no space"},
		{"refused writes", "disk", func(v *Vitals) { v.Shards[0].RefusingWrites = "full" }, 40, true, "shard 0 refuses writes: full"},
		{"an unknown disk", "disk", func(v *Vitals) { v.DiskError = errors.New("gone") }, 40, false, "cannot tell how full the disk is: gone"},
		{"a disk with half of the way to go", "disk", func(v *Vitals) { v.Disk.Available = (5<<30 + 128<<20) / 2 }, 20, false,
			"2624 MiB of the disk are free; at 128 MiB"},
		{"a small disk", "disk", func(v *Vitals) { v.Disk = vfs.Usage{Total: 2 << 30, Available: 128 << 20} }, 40, false, "128 MiB of the disk"},
		{"memory at the limit and an eighth", "memory", func(v *Vitals) { v.Resident = 225 << 20 }, 10, false, "has 225 MiB of memory, its target is 200"},
		{"far too much memory", "memory", func(v *Vitals) { v.Resident = 1 << 30 }, 20, false, "1024 MiB"},
		{"a long log", "log_lag", func(v *Vitals) { v.Shards[0].LogBytes = 4 << 30 }, 20, false, "shard 0 has a log of 4096 MiB"},
		{"full memtables", "log_lag", func(v *Vitals) { v.Shards[1].MemtableBytes = 76 << 20 }, 10, false, "shard 1 has 76 of 80 MiB"},
		{"a broker that is away", "pipelines", func(v *Vitals) { v.Pipelines = []Pipeline{{Name: "a"}, {Name: "b", Trouble: "no broker"}} }, 10, false,
			"pipeline b has trouble with its source"},
		{"a mistake in the file of pipelines", "pipelines", func(v *Vitals) { v.PipelinesFile = "line 3" }, 10, false, "run by an earlier one"},
		{"many segments", "compaction", func(v *Vitals) { v.Shards[1].MaxSegments = 30 }, 10, false, "partition of 30 segments"},
	} {
		v := well()
		c.change(v)
		r := Judge(v)
		if math.Abs(100-c.deduction-r.Score) > 1e-9 || r.Failing() != c.failing {
			t.Errorf("%s: score %v, failing %v: want %v, %v", c.what, r.Score, r.Failing(), 100-c.deduction, c.failing)
		}
		if reasons := r.Reasons(); len(reasons) != 1 || !strings.Contains(reasons[0], c.reason) {
			t.Errorf("%s: reasons %q, want %q", c.what, reasons, c.reason)
		}
		for _, f := range r.Results {
			if (f.Deduction > 0) != (f.Name == c.check) {
				t.Errorf("%s: check %s takes %v", c.what, f.Name, f.Deduction)
			}
		}
		fired[c.check] = true
	}
	for _, c := range Checks() {
		if !fired[c.Name] {
			t.Errorf("no test makes %s find something", c.Name)
		}
	}
}

// The score does not fall below 0, and what fails is named first.
func TestAllWrong(t *testing.T) {
	v := well()
	v.Resident, v.Disk.Available = 1<<30, 0
	v.Shards[0] = shard.Stats{Problems: []string{"bad"}, FlushError: "no", LogBytes: 4 << 30, MaxSegments: 100}
	r := Judge(v)
	if reasons := r.Reasons(); r.Score != 0 || len(reasons) != 6 || !strings.Contains(reasons[0], "damage") || !strings.Contains(reasons[1], "flush") {
		t.Errorf("score %v, reasons %q", r.Score, reasons)
	}
}
