package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/varvedb/varve/bench/kafka"
)

// KafkaReport is what came of a backlog.
type KafkaReport struct {
	Messages         int64   `json:"messages"`
	Processed        int64   `json:"passed_on"`
	PerSecond        float64 `json:"messages_per_second"`        // from the start of the server
	SteadyPerSecond  float64 `json:"steady_messages_per_second"` // from a tenth to nine tenths
	Seconds          float64 `json:"seconds"`
	FillSeconds      float64 `json:"fill_seconds"`
	ServerCPUSeconds float64 `json:"server_cpu_seconds"`
	BrokerCPUSeconds float64 `json:"broker_cpu_seconds,omitempty"`
	ServerPeakBytes  int64   `json:"server_peak_bytes"`
	Bottleneck       string  `json:"bottleneck"`
}

// idleShare is from which share of the processors on, that have nothing to do,
// they are not what is short.
const idleShare = 0.15

// RunKafka lets a server read a backlog and writes the report to out.
func RunKafka(ctx context.Context, c kafka.Config, asJSON bool, out, progress io.Writer) (KafkaReport, error) {
	c.Progress = func(format string, args ...any) { fmt.Fprintf(progress, format+"\n", args...) }
	c.CPU = func(pid int) (time.Duration, error) { return process{pid}.cpu() }
	c.PeakMemory = func(pid int) (int64, error) {
		m, err := process{pid}.memory()
		return m.peak, err
	}
	c.Idle = machineIdle
	got, err := kafka.Run(ctx, c)
	if err != nil {
		return KafkaReport{}, err
	}
	r := KafkaReport{
		Messages: got.Messages, Processed: got.Processed, Seconds: got.Elapsed.Seconds(), FillSeconds: got.Fill.Seconds(),
		PerSecond: float64(got.Messages) / got.Elapsed.Seconds(), SteadyPerSecond: got.Steady,
		ServerCPUSeconds: got.ServerCPU.Seconds(), BrokerCPUSeconds: got.BrokerCPU.Seconds(), ServerPeakBytes: got.Memory,
		Bottleneck: bottleneck(got, runtime.NumCPU()),
	}
	return r, r.write(out, asJSON)
}

// bottleneck names what was short.
func bottleneck(r kafka.Result, processors int) string {
	wall := r.Elapsed.Seconds()
	server, broker, idle := r.ServerCPU.Seconds()/wall, r.BrokerCPU.Seconds()/wall, r.Idle.Seconds()/wall
	others := float64(processors) - server - broker - idle
	used := fmt.Sprintf("of %d the server used %.2f, the broker %.2f, other programs %.2f", processors, server, broker, max(others, 0))
	switch {
	case idle > idleShare*float64(processors):
		return "waiting for the disk or the broker; processors: " + used
	case others > server && others > broker:
		return "the processors, which other programs had; " + used
	case broker > server:
		return "the processors, and of them the broker; " + used
	default:
		return "the processors, and of them the server; " + used
	}
}

func (r *KafkaReport) write(out io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "messages/s\t%.0f, %.0f between a tenth and nine tenths\n", r.PerSecond, r.SteadyPerSecond)
	fmt.Fprintf(w, "messages\t%d in %.1f s, from the start of the server to the last commit\n", r.Messages, r.Seconds)
	fmt.Fprintf(w, "passed on\t%d\n", r.Processed)
	fmt.Fprintf(w, "processor of the server\t%.1f s, at most %d MiB of memory\n", r.ServerCPUSeconds, r.ServerPeakBytes>>20)
	if r.BrokerCPUSeconds > 0 {
		fmt.Fprintf(w, "processor of the broker\t%.1f s\n", r.BrokerCPUSeconds)
	}
	fmt.Fprintf(w, "bottleneck\t%s\n", r.Bottleneck)
	return w.Flush()
}
