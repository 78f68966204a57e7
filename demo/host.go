package demo

import (
	"bytes"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// host reads this machine's own metrics from /proc. What is rates (processor,
// disk, network) is given from the second reading on. It belongs to one
// goroutine.
type host struct {
	proc fs.FS // the root of /proc
	name string

	last     time.Time
	cpu      map[string][]uint64
	disk     map[string][]uint64
	net      map[string][]uint64
	points   int
	appended []byte
}

func newHost(proc fs.FS, name string) *host { return &host{proc: proc, name: name} }

// read returns the metrics of now as line protocol and how many points they
// are. The text is valid until the next read. A file that a system lacks is
// left out.
func (h *host) read(now time.Time) ([]byte, int, error) {
	h.appended, h.points = h.appended[:0], 0
	seconds := now.Sub(h.last).Seconds()
	first := h.last.IsZero()
	h.last = now
	at := now.UnixNano()

	cpu, err := h.counters("stat", func(f []string) (string, []string) {
		if strings.HasPrefix(f[0], "cpu") && len(f) >= 9 {
			return f[0], f[1:9]
		}
		return "", nil
	})
	if err != nil {
		return nil, 0, err
	}
	for name, c := range cpu {
		if was := h.cpu[name]; !first && was != nil {
			h.cpuPoint(name, was, c, at)
		}
	}
	h.cpu = cpu

	disk, err := h.counters("diskstats", func(f []string) (string, []string) {
		// Whole devices that did something; the numbers are sectors and
		// milliseconds as the kernel's iostats document has them.
		if len(f) >= 13 && !strings.HasPrefix(f[2], "loop") && !strings.HasPrefix(f[2], "ram") {
			return f[2], []string{f[3], f[5], f[7], f[9], f[12]}
		}
		return "", nil
	})
	if err != nil {
		return nil, 0, err
	}
	const sector = 512
	for name, c := range disk {
		if was := h.disk[name]; !first && was != nil && seconds > 0 {
			h.point("host_disk", "device", name, at, []metric{
				{"reads_per_second", rate(was[0], c[0], seconds)},
				{"read_bytes_per_second", rate(was[1], c[1], seconds) * sector},
				{"writes_per_second", rate(was[2], c[2], seconds)},
				{"written_bytes_per_second", rate(was[3], c[3], seconds) * sector},
				{"busy_percent", min(100, rate(was[4], c[4], seconds)/10)},
			})
		}
	}
	h.disk = disk

	net, err := h.counters("net/dev", func(f []string) (string, []string) {
		if name, ok := strings.CutSuffix(f[0], ":"); ok && len(f) >= 17 {
			return name, []string{f[1], f[2], f[9], f[10]}
		}
		return "", nil
	})
	if err != nil {
		return nil, 0, err
	}
	for name, c := range net {
		if was := h.net[name]; !first && was != nil && seconds > 0 {
			h.point("host_net", "interface", name, at, []metric{
				{"received_bytes_per_second", rate(was[0], c[0], seconds)},
				{"received_packets_per_second", rate(was[1], c[1], seconds)},
				{"sent_bytes_per_second", rate(was[2], c[2], seconds)},
				{"sent_packets_per_second", rate(was[3], c[3], seconds)},
			})
		}
	}
	h.net = net

	if err := h.memory(at); err != nil {
		return nil, 0, err
	}
	if err := h.load(at); err != nil {
		return nil, 0, err
	}
	return h.appended, h.points, nil
}

type metric struct {
	name  string
	value float64
}

// point appends one point; key and value are a tag besides the host's name.
func (h *host) point(measurement, key, value string, at int64, metrics []metric) {
	b := append(h.appended, measurement...)
	b = append(b, ",host="...)
	b = append(b, escape(h.name)...)
	if value != "" {
		b = append(b, ',')
		b = append(b, key...)
		b = append(b, '=')
		b = append(b, escape(value)...)
	}
	for i, m := range metrics {
		sep := byte(',')
		if i == 0 {
			sep = ' '
		}
		b = append(b, sep)
		b = append(b, m.name...)
		b = append(b, '=')
		// Two decimals, as agents do: more are noise, and cost storage.
		b = strconv.AppendFloat(b, m.value, 'f', 2, 64)
	}
	b = append(b, ' ')
	b = strconv.AppendInt(b, at, 10)
	h.appended = append(b, '\n')
	h.points++
}

func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, ",", `\,`, "=", `\=`, " ", `\ `).Replace(s)
}

func rate(was, is uint64, seconds float64) float64 {
	if is < was {
		return 0 // the counter began anew
	}
	return float64(is-was) / seconds
}

// cpuPoint appends what a processor did between two readings. The counters
// are user, nice, system, idle, iowait, irq, softirq, steal.
func (h *host) cpuPoint(name string, was, is []uint64, at int64) {
	var delta [8]float64
	total := 0.0
	for i := range delta {
		if is[i] > was[i] {
			delta[i] = float64(is[i] - was[i])
		}
		total += delta[i]
	}
	if total == 0 {
		return
	}
	share := func(x float64) float64 { return 100 * x / total }
	h.point("host_cpu", "cpu", name, at, []metric{
		{"usage_user", share(delta[0] + delta[1])},
		{"usage_system", share(delta[2] + delta[5] + delta[6])},
		{"usage_iowait", share(delta[4])},
		{"usage_steal", share(delta[7])},
		{"usage_idle", share(delta[3])},
	})
}

// memory appends a point of what the machine's memory is used for, in MiB.
func (h *host) memory(at int64) error {
	values, err := h.counters("meminfo", func(f []string) (string, []string) {
		return strings.TrimSuffix(f[0], ":"), f[1:2]
	})
	if err != nil || values["MemTotal"] == nil {
		return err
	}
	mib := func(name string) float64 {
		if v := values[name]; v != nil {
			return float64(v[0]) / 1024
		}
		return 0
	}
	total, available := mib("MemTotal"), mib("MemAvailable")
	h.point("host_mem", "", "", at, []metric{
		{"total_mib", total},
		{"available_mib", available},
		{"cached_mib", mib("Cached")},
		{"used_percent", 100 * (total - available) / total},
	})
	return nil
}

func (h *host) load(at int64) error {
	lines, err := h.lines("loadavg")
	if err != nil || len(lines) == 0 {
		return err
	}
	var m []metric
	for i, name := range []string{"load1", "load5", "load15"} {
		v, err := strconv.ParseFloat(lines[0][i], 64)
		if err != nil {
			return fmt.Errorf("read loadavg: %w", err)
		}
		m = append(m, metric{name, v})
	}
	h.point("host_load", "", "", at, m)
	return nil
}

// counters reads a file of lines; pick takes name and numbers out of the
// words of one, no name to skip it.
func (h *host) counters(file string, pick func(words []string) (string, []string)) (map[string][]uint64, error) {
	lines, err := h.lines(file)
	if err != nil {
		return nil, err
	}
	all := make(map[string][]uint64)
	for _, words := range lines {
		name, numbers := pick(words)
		if name == "" {
			continue
		}
		values := make([]uint64, len(numbers))
		for i, n := range numbers {
			if values[i], err = strconv.ParseUint(n, 10, 64); err != nil {
				return nil, fmt.Errorf("read %s: %w", file, err)
			}
		}
		all[name] = values
	}
	return all, nil
}

// lines returns the words of the lines of a file that have at least two.
func (h *host) lines(file string) ([][]string, error) {
	text, err := fs.ReadFile(h.proc, file)
	if err != nil {
		return nil, nil // not every system has every file
	}
	var all [][]string
	for line := range bytes.Lines(text) {
		// The colon of net/dev may touch the first number.
		words := strings.Fields(strings.Replace(string(line), ":", ": ", 1))
		if len(words) >= 2 {
			all = append(all, words)
		}
	}
	return all, nil
}
