package server

import (
	"strings"
	"testing"

	"github.com/varvedb/varve/health"
	"github.com/varvedb/varve/vfs"
)

// What the volume, the shards and the process say reaches the judgement.
func TestVitals(t *testing.T) {
	// The process is that of all tests of the package, and larger still under the
	// race detector: its memory is not what this is about.
	c := Default()
	c.Memory = 4 << 30
	b := openTrial(t, t.TempDir(), c)
	defer b.shut()
	b.write("m x=1 1800000000000000000")
	if r := b.health(); r.Failing() {
		t.Errorf("a new server fails: %v", r.Reasons())
	}

	disk := vfs.NewMem(b.server.now)
	disk.SetQuota(256 << 20)
	v := b.store.vitals(disk, "data")
	if len(v.Shards) != 1 || v.Shards[0].MemtableRows != 1 || v.KeepFree == 0 || v.Memtables <= 0 {
		t.Errorf("vitals %+v", v)
	}
	r := health.Judge(v)
	if reasons := r.Reasons(); r.Score >= 100 || r.Failing() || len(reasons) != 1 || !strings.Contains(reasons[0], "256 MiB of the disk are free") {
		t.Errorf("a full disk: score %v, %q", r.Score, reasons)
	}

	b.config.DataDir = b.config.DataDir + "/gone"
	r = b.health()
	if reasons := r.Reasons(); r.Score != 60 || len(reasons) != 1 || !strings.Contains(reasons[0], "how full the disk is") {
		t.Errorf("an unknown disk: score %v, %q", r.Score, reasons)
	}
	b.budget.Limit = 1 << 20
	if r = b.health(); r.Score != 40 {
		t.Errorf("a process of many times its target: score %v, %q", r.Score, r.Reasons())
	}
}
