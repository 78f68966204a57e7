package apptest

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/varvedb/varve/bench/fleet"
)

var (
	rateRows  = flag.Int64("rate-rows", 0, "rows of TestImportRate, which does nothing without")
	rateTimes = flag.Int("rate-times", 3, "how often TestImportRate measures")
)

// TestImportRate measures an import of a file of line protocol, through a
// server and offline, beside varve bench write with the same lines, each on a
// store of its own.
func TestImportRate(t *testing.T) {
	if *rateRows == 0 {
		t.Skip("measures with -rate-rows 2500000 -v; see docs/BENCHMARKS.md")
	}
	for _, kind := range []fleet.Kind{fleet.Host, fleet.Truck} {
		dir := t.TempDir()
		file := filepath.Join(dir, "fleet.lp")
		writeFleet(t, file, kind)
		for i := range *rateTimes {
			own := func(name string) string { return filepath.Join(dir, fmt.Sprint(name, i)) }
			s := start(t, own("bench"))
			wrote := rateIn(t, `rows/s +([\d,]+)`, mustVarve(t, "bench", "write", "--fleet", string(kind), "--url", s.http, "--rows", fmt.Sprint(*rateRows), "--pool", "1GiB"))
			s.kill()
			s = start(t, own("remote"))
			remote := rateIn(t, `\((\d+) points/s\)`, mustVarve(t, "import", "lines", "--url", s.http, file))
			s.kill()
			offline := rateIn(t, `\((\d+) points/s\)`, mustVarve(t, "import", "lines", "--offline", own("offline"), file))
			t.Logf("%s: bench write %.0f rows/s; import %.0f (%.2f of it); offline %.0f (%.2f)", kind, wrote, remote, remote/wrote, offline, offline/wrote)
			for _, name := range []string{"bench", "remote", "offline"} {
				if err := os.RemoveAll(own(name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// writeFleet writes the lines that varve bench write sends to a file.
func writeFleet(t *testing.T, name string, kind fleet.Kind) {
	t.Helper()
	pool, err := fleet.NewPool(fleet.PoolConfig{Fleet: fleet.Default(kind), BodyLines: 10_000, MaxBytes: 1 << 30, MaxRows: *rateRows})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for i := range pool.Bodies() {
		b := pool.Take(int64(i))
		if _, err := w.Write(b.Text()); err != nil {
			t.Fatal(err)
		}
		b.Release()
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// rateIn finds the last rate in what a command printed.
func rateIn(t *testing.T, pattern, out string) float64 {
	t.Helper()
	all := regexp.MustCompile(pattern).FindAllStringSubmatch(out, -1)
	if len(all) == 0 {
		t.Fatalf("no rate in %s", out)
	}
	rate, err := strconv.ParseFloat(strings.ReplaceAll(all[len(all)-1][1], ",", ""), 64)
	if err != nil {
		t.Fatal(err)
	}
	return rate
}
