package demo

import (
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/protocol/lineproto"
)

func procFS(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func TestHost(t *testing.T) {
	before := map[string]string{
		"stat":      "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 100 0 50 800 50 0 0 0 0 0\nintr 5 6\n",
		"diskstats": "   8 0 sda 10 0 100 5 20 0 200 9 0 1000 14 0 0 0 0 0 0\n   7 0 loop0 1 0 1 1 1 1 1 1 1 1 1 1\n",
		"net/dev":   "Inter-| Receive |  Transmit\n face |bytes packets\n  eth0: 1000 10 0 0 0 0 0 0 500 5 0 0 0 0 0 0\n",
		"meminfo":   "MemTotal: 4194304 kB\nMemAvailable: 1048576 kB\nCached: 512000 kB\n",
		"loadavg":   "0.50 0.25 0.10 1/100 1234\n",
	}
	after := map[string]string{
		"stat":      "cpu  150 0 70 820 60 0 0 0 0 0\ncpu0 150 0 70 820 60 0 0 0 0 0\nintr 5 6\n",
		"diskstats": "   8 0 sda 14 0 108 5 30 0 220 9 0 2000 14 0 0 0 0 0 0\n",
		"net/dev":   "  eth0:3000 30 0 0 0 0 0 0 900 9 0 0 0 0 0 0\n",
		"meminfo":   before["meminfo"],
		"loadavg":   before["loadavg"],
	}
	h := newHost(procFS(before), "my host")
	at := time.Unix(100, 0)
	body, n, err := h.read(at)
	if err != nil {
		t.Fatal(err)
	}
	// Without a reading before there are no rates.
	want := `host_mem,host=my\ host total_mib=4096.00,available_mib=1024.00,cached_mib=500.00,used_percent=75.00 100000000000
host_load,host=my\ host load1=0.50,load5=0.25,load15=0.10 100000000000
`
	if diff := cmp.Diff(want, string(body)); diff != "" || n != 2 {
		t.Errorf("first reading has %d points:\n%s", n, diff)
	}
	h.proc = procFS(after)
	body, n, err = h.read(at.Add(2 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if n != 6 {
		t.Errorf("second reading has %d points, want 6:\n%s", n, body)
	}
	b, err := lineproto.NewParser(lineproto.Default()).Parse(body, lineproto.Nanosecond, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, table := range b.Tables {
		for i := range table.Fields {
			f := &table.Fields[i]
			got[table.Measurement+" "+f.Name] = f.Floats()[0]
		}
	}
	for name, want := range map[string]float64{
		"host_cpu usage_user":                50, // 50 of 100 ticks
		"host_cpu usage_system":              20,
		"host_cpu usage_iowait":              10,
		"host_cpu usage_idle":                20,
		"host_disk reads_per_second":         2,
		"host_disk read_bytes_per_second":    8 * 512 / 2,
		"host_disk written_bytes_per_second": 20 * 512 / 2,
		"host_disk busy_percent":             50,
		"host_net received_bytes_per_second": 1000,
		"host_net sent_packets_per_second":   2,
		"host_mem used_percent":              75,
	} {
		if got[name] != want {
			t.Errorf("%s is %g, want %g", name, got[name], want)
		}
	}
}

// A system without /proc gives nothing, and no error.
func TestHostWithoutProc(t *testing.T) {
	body, n, err := newHost(fstest.MapFS{}, "x").read(time.Unix(1, 0))
	if err != nil || n != 0 || len(body) != 0 {
		t.Errorf("%d points, %q, %v", n, body, err)
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
