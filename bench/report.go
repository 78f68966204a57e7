package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteReport is the outcome of RunWrite. Rows, values and bytes count what
// servers acknowledged; bytes are those of the line protocol, compressed or
// not.
type WriteReport struct {
	Fleet   string  `json:"fleet"`
	Seconds float64 `json:"seconds"`
	Rows    int64   `json:"rows"`
	Values  int64   `json:"values"`
	Bytes   int64   `json:"bytes"`

	RowsPerSecond   float64 `json:"rows_per_second"`
	ValuesPerSecond float64 `json:"values_per_second"`
	BytesPerSecond  float64 `json:"bytes_per_second"`

	// Requests counts every attempt; FailedBodies those given up, Retries the
	// attempts after the first, Failures every attempt that was not
	// acknowledged.
	Requests     int64    `json:"requests"`
	Retries      int64    `json:"retries"`
	FailedBodies int64    `json:"failed_bodies"`
	FailedRows   int64    `json:"failed_rows"`
	Failures     []Reason `json:"failures"`

	// Latency is that of acknowledged bodies, retries and pauses included.
	Latency Latency `json:"latency"`

	// Course is the rows per second of each slice of the run; the last may be
	// shorter. LastToFirst is the rate of the last minute by that of the
	// first, 0 for a run of less than two minutes.
	SliceSeconds float64   `json:"slice_seconds"`
	Course       []float64 `json:"rows_per_second_by_slice"`
	LastToFirst  float64   `json:"last_minute_to_first"`

	// Rounds is how often the pool of bodies was sent; beyond 1 values repeat.
	Rounds float64 `json:"rounds"`

	// LoaderCPUSeconds is what the loader itself used while it sent;
	// LoaderShare is that by what the servers used, 0 if unknown.
	LoaderCPUSeconds float64 `json:"loader_cpu_seconds"`
	LoaderShare      float64 `json:"loader_share"`

	// Of all servers whose process is known.
	ServerCPUSeconds       float64 `json:"server_cpu_seconds"`
	RowsPerServerCPUSecond float64 `json:"rows_per_server_cpu_second"`

	Servers []ServerReport `json:"servers"`

	// Advice is what would raise the figures, Trials what was tried of it.
	Advice []Advice `json:"advice"`
	Trials []Trial  `json:"trials,omitempty"`
}

// ServerReport is what was seen of one server. What could not be measured is
// 0.
type ServerReport struct {
	URL           string  `json:"url"`
	Rows          int64   `json:"server_rows"`
	Values        int64   `json:"server_values"`
	RowsPerSecond float64 `json:"server_rows_per_second"`
	Latency       Latency `json:"server_latency"`
	CPUSeconds    float64 `json:"cpu_seconds"`
	// PeakRSSBytes is the most that was resident since the process started,
	// PeakAnonBytes the most seen during the load without mapped files.
	PeakRSSBytes  int64 `json:"peak_rss_bytes"`
	PeakAnonBytes int64 `json:"peak_anon_bytes"`
	// DiskBytes is the size of the data folder right after the load,
	// BytesPerValue that by the values of this load.
	DiskBytes     int64   `json:"disk_bytes"`
	BytesPerValue float64 `json:"bytes_per_value"`
	// Inside is nil unless the server is a Varve.
	Inside *Inside `json:"inside,omitempty"`
	// Trouble is why a figure is missing.
	Trouble string `json:"trouble,omitempty"`
}

// derive fills in what follows from the counts.
func (r *WriteReport) derive() {
	r.RowsPerSecond = ratio(float64(r.Rows), r.Seconds)
	r.ValuesPerSecond = ratio(float64(r.Values), r.Seconds)
	r.BytesPerSecond = ratio(float64(r.Bytes), r.Seconds)
	rowsOfKnown := int64(0)
	r.ServerCPUSeconds = 0
	for i := range r.Servers {
		s := &r.Servers[i]
		s.RowsPerSecond = ratio(float64(s.Rows), r.Seconds)
		s.BytesPerValue = ratio(float64(s.DiskBytes), float64(s.Values))
		if s.CPUSeconds > 0 {
			r.ServerCPUSeconds += s.CPUSeconds
			rowsOfKnown += s.Rows
		}
	}
	r.RowsPerServerCPUSecond = ratio(float64(rowsOfKnown), r.ServerCPUSeconds)
	r.LoaderShare = ratio(r.LoaderCPUSeconds, r.ServerCPUSeconds)
	r.LastToFirst = lastToFirst(r.Course, r.SliceSeconds)
}

func lastToFirst(course []float64, slice float64) float64 {
	if slice <= 0 {
		return 0
	}
	n := int(60/slice + 0.5)
	if n < 1 || len(course) < 2*n {
		return 0
	}
	// The last slice is shorter than the others when the run is not a whole
	// number of them, and says little: it is left out if that can be.
	if len(course) > 2*n {
		course = course[:len(course)-1]
	}
	return ratio(sum(course[len(course)-n:]), sum(course[:n]))
}

func sum(values []float64) float64 {
	var s float64
	for _, v := range values {
		s += v
	}
	return s
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// WriteText writes the report for people.
func (r WriteReport) WriteText(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	row := func(name string, cells ...any) {
		fmt.Fprintf(t, "%s\t%s\t\n", name, strings.TrimSpace(fmt.Sprintln(cells...)))
	}
	row("rows/s", grouped(r.RowsPerSecond))
	row("values/s", grouped(r.ValuesPerSecond))
	row("MB/s", fmt.Sprintf("%.1f", r.BytesPerSecond/1e6))
	row("rows", grouped(float64(r.Rows)), "in", fmt.Sprintf("%.1f s", r.Seconds))
	row("latency ms", fmt.Sprintf("p50 %.2f  p90 %.2f  p99 %.2f  max %.2f",
		r.Latency.P50, r.Latency.P90, r.Latency.P99, r.Latency.Max))
	row("requests", r.Requests, "retries", r.Retries, "given up", r.FailedBodies)
	if r.LastToFirst > 0 {
		row("last minute/first", fmt.Sprintf("%.2f", r.LastToFirst))
	}
	if r.Rounds > 1 {
		row("rounds", fmt.Sprintf("%.1f of the rendered bodies: values repeat", r.Rounds))
	}
	row("loader CPU", fmt.Sprintf("%.2f s", r.LoaderCPUSeconds))
	if r.ServerCPUSeconds > 0 {
		row("server CPU", fmt.Sprintf("%.2f s (loader %.1f %% of it)", r.ServerCPUSeconds, 100*r.LoaderShare))
		row("rows/server CPU s", grouped(r.RowsPerServerCPUSecond))
	}
	for _, s := range r.Servers {
		if len(r.Servers) > 1 {
			row("", "")
			row(s.URL, grouped(s.RowsPerSecond), "rows/s")
			row("latency ms", fmt.Sprintf("p50 %.2f  p99 %.2f", s.Latency.P50, s.Latency.P99))
			if s.CPUSeconds > 0 {
				row("CPU", fmt.Sprintf("%.2f s", s.CPUSeconds))
			}
		}
		if in := s.Inside; in != nil && in.Syncs > 0 {
			row("fsyncs", grouped(in.Syncs), fmt.Sprintf("of %.2f ms", in.SyncMeanMillis))
		}
		if s.PeakRSSBytes > 0 {
			row("peak memory", fmt.Sprintf("%.0f MiB (%.0f MiB without mapped files)",
				mebibytes(s.PeakRSSBytes), mebibytes(s.PeakAnonBytes)))
		}
		if s.DiskBytes > 0 {
			row("disk, not settled", fmt.Sprintf("%.1f MiB, %.3f bytes/value", mebibytes(s.DiskBytes), s.BytesPerValue))
		}
		if s.Trouble != "" {
			row("not measured", s.Trouble)
		}
	}
	for _, f := range r.Failures {
		row("failed", f.Count, "×", f.Reason)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	for _, a := range r.Advice {
		fmt.Fprintf(out, "\n%s\n  → %s\n", a.Seen, a.Do)
	}
	if len(r.Trials) > 0 {
		fmt.Fprintln(out, "\ntried:")
		for _, trial := range r.Trials {
			fmt.Fprintf(t, "%s\t%s rows/s\t%s\t\n", trial.Change, grouped(trial.RowsPerSecond), fmt.Sprintf("%.2f×", trial.Gain))
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

// grouped writes a number without decimals, with commas.
func grouped(x float64) string {
	s := fmt.Sprintf("%.0f", x)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// writeJSON writes v as one line.
func writeJSON(out io.Writer, v any) error {
	if err := json.NewEncoder(out).Encode(v); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
