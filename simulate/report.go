package simulate

import (
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/varvedb/varve/simulate/target"
)

// Report is how a run goes.
type Report struct {
	Devices int     `json:"devices"`
	Seconds float64 `json:"seconds"`
	// Wanted is how many messages a second are due, 0 if as many as go.
	Wanted float64 `json:"wanted_per_second"`
	Sent   int64   `json:"sent"` // handed over to the target
	Bytes  int64   `json:"bytes"`
	Acked  int64   `json:"acknowledged"`
	// Refused is how many the target says it refused. Those that a pipeline keeps
	// among the refused behind a broker are acknowledged.
	Refused int64 `json:"refused"`
	// Missing is how many are neither acknowledged nor refused: at the end of a
	// run those were given up.
	Missing  int64   `json:"missing"`
	Retried  int64   `json:"sent_again"`
	Troubles int64   `json:"troubles"`
	Rate     float64 `json:"acknowledged_per_second"`
	P50      float64 `json:"p50_ms"` // from due to acknowledged
	P99      float64 `json:"p99_ms"`
	Longest  float64 `json:"max_ms"`
	// Behind is how far the senders were behind their schedule at most since the
	// report before, Worst in all, Late how many messages were handed over more
	// than TooLate after they were due.
	Behind  float64 `json:"behind_ms"`
	Worst   float64 `json:"worst_behind_ms"`
	Late    int64   `json:"late"`
	TooLate float64 `json:"too_late_ms"` // a tenth of the interval, or a second if that is more
	// MemoryBytes is what the process has from the system.
	MemoryBytes uint64          `json:"memory_bytes"`
	Reasons     []target.Reason `json:"reasons,omitempty"`
	// Until is the fleet's time that was reached.
	Until time.Time `json:"until"`
}

// Report returns how the run goes now.
func (r *Run) Report() Report {
	c := r.tally.Counts()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := Report{
		Devices: r.cfg.Fleet.Devices, Seconds: time.Since(r.began).Seconds(),
		Sent: c.Sent, Bytes: c.Bytes, Acked: c.Acked, Refused: c.Refused, Missing: c.Sent - c.Acked - c.Refused,
		Retried: c.Retried, Troubles: c.Troubles,
		P50: milliseconds(r.tally.Latency(0.5)), P99: milliseconds(r.tally.Latency(0.99)), Longest: milliseconds(r.tally.Longest()),
		Behind: milliseconds(time.Duration(r.behind.Swap(0))), Worst: milliseconds(time.Duration(r.worst.Load())), Late: r.late.Load(), TooLate: milliseconds(r.tooLate),
		MemoryBytes: m.Sys - m.HeapReleased, Reasons: r.tally.Reasons(), Until: time.Unix(0, r.last.Load()).UTC(),
	}
	s.Rate = float64(s.Acked) / s.Seconds
	switch {
	case !r.cfg.Fast:
		s.Wanted = 1e9 / r.fleet.Spacing()
	case r.cfg.Rate > 0:
		s.Wanted = r.cfg.Rate
	}
	return s
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Line is a report in a line.
func (s *Report) Line() string {
	text := fmt.Sprintf("%6.0f s  sent %d  acknowledged %d (%.0f/s)  p50 %s  p99 %s", s.Seconds, s.Sent, s.Acked, s.Rate, ms(s.P50), ms(s.P99))
	if s.Wanted > 0 {
		text += "  behind " + ms(s.Behind)
	}
	if s.Missing > 0 {
		text += fmt.Sprintf("  on their way %d", s.Missing)
	}
	if s.Retried > 0 {
		text += fmt.Sprintf("  sent again %d", s.Retried)
	}
	return text
}

// ms shows milliseconds with about three digits.
func ms(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f ms", v)
	case v < 1000:
		return fmt.Sprintf("%.0f ms", v)
	}
	return fmt.Sprintf("%.1f s", v/1000)
}

// Print writes a report of a whole run for people.
func (s *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%d devices, %.1f s\n", s.Devices, s.Seconds)
	fmt.Fprintf(w, "  sent          %d messages, %.1f MB\n", s.Sent, float64(s.Bytes)/1e6)
	fmt.Fprintf(w, "  acknowledged  %d, %.0f a second\n", s.Acked, s.Rate)
	fmt.Fprintf(w, "  latency       p50 %s, p99 %s, longest %s, from when a message is due\n", ms(s.P50), ms(s.P99), ms(s.Longest))
	if s.Wanted > 0 {
		held := "held"
		if s.Late > 0 {
			held = fmt.Sprintf("not held: %d messages were sent more than %s late", s.Late, ms(s.TooLate))
		}
		fmt.Fprintf(w, "  schedule      %.0f a second, %s; %s behind at most\n", s.Wanted, held, ms(s.Worst))
	}
	if s.Refused > 0 {
		fmt.Fprintf(w, "  refused       %d\n", s.Refused)
	}
	if s.Retried > 0 {
		fmt.Fprintf(w, "  sent again    %d\n", s.Retried)
	}
	if s.Missing > 0 {
		fmt.Fprintf(w, "  given up      %d: neither acknowledged nor refused when the run ended\n", s.Missing)
	}
	fmt.Fprintf(w, "  memory        %.0f MiB\n", float64(s.MemoryBytes)/(1<<20))
	for _, r := range s.Reasons {
		fmt.Fprintf(w, "  %12d  %s\n", r.Times, r.Text)
	}
}
