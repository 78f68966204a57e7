package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/varvedb/varve/bench/mqtt"
)

// MQTTConfig says what RunMQTT publishes.
type MQTTConfig struct {
	Fleet mqtt.Config
	PID   int // of the server, if it is on this machine; 0: not known
	// Follow is the URL of the server, whose live stream is listened to meanwhile;
	// "": none is.
	Follow string
	JSON   bool
}

// MQTTReport is what came of it.
type MQTTReport struct {
	Version        int     `json:"version"`
	QoS            int     `json:"qos"`
	Connections    int     `json:"connections"`
	Window         int     `json:"window,omitempty"` // messages of a device on their way
	Rate           float64 `json:"rate,omitempty"`   // that was kept, of the whole fleet
	PerSecond      float64 `json:"messages_per_second"`
	Sent           uint64  `json:"sent"`
	Acknowledged   uint64  `json:"acknowledged"`
	Lost           uint64  `json:"connections_lost"`
	FirstLost      string  `json:"first_lost,omitempty"`
	Seconds        float64 `json:"seconds"`
	ConnectSeconds float64 `json:"connect_seconds"`
	Latency        Latency `json:"latency"`
	// Followed is from when a device sent a reading to when it was read from the
	// live stream; nil if that was not listened to.
	Followed         *Followed `json:"followed,omitempty"`
	LoaderCPUSeconds float64   `json:"loader_cpu_seconds"`
	ServerCPUSeconds float64   `json:"server_cpu_seconds,omitempty"`
	ServerPeakBytes  int64     `json:"server_peak_bytes,omitempty"`
}

// latencyShards is how many histograms the devices share, so that they seldom
// wait for each other.
const latencyShards = 16

// followAfter is how long the stream is listened to after the last message.
const followAfter = time.Second

// RunMQTT lets a fleet publish and writes the report to out. It returns an error
// when a device could not connect, or a connection was lost, or ctx ended.
func RunMQTT(ctx context.Context, c MQTTConfig, out io.Writer) (MQTTReport, error) {
	f := &c.Fleet
	r := MQTTReport{Version: f.Version, QoS: f.QoS, Connections: f.Connections, Rate: f.Rate}
	if f.Rate == 0 {
		r.Window = f.Window
	}
	own, err := ownCPU()
	if err != nil {
		return r, err
	}
	server := process{c.PID}
	var serverCPU time.Duration
	if server.pid > 0 {
		if serverCPU, err = server.cpu(); err != nil {
			return r, err
		}
	}
	var shards [latencyShards]struct {
		mu sync.Mutex // guards h
		h  Histogram
	}
	var follower *Follower
	if c.Follow != "" {
		if follower, err = Follow(ctx, c.Follow, f.Token, "sensor_data"); err != nil {
			return r, err
		}
	}
	done, err := mqtt.Run(ctx, c.Fleet, func(device int, took time.Duration) {
		s := &shards[device%latencyShards]
		s.mu.Lock()
		s.h.Add(took)
		s.mu.Unlock()
	})
	if follower != nil {
		time.Sleep(followAfter)
		followed, failed := follower.Close()
		r.Followed, err = &followed, errors.Join(err, failed)
	}
	if err != nil {
		return r, err
	}
	var all Histogram
	for i := range shards {
		all.Merge(&shards[i].h)
	}
	r.Sent, r.Acknowledged, r.Lost = done.Sent, done.Acked, done.Lost
	r.Seconds, r.ConnectSeconds, r.Latency = done.Elapsed.Seconds(), done.Connect.Seconds(), all.Latency()
	counted := done.Acked
	if f.QoS == 0 {
		counted = done.Sent
	}
	r.PerSecond = float64(counted) / r.Seconds
	if done.First != nil {
		r.FirstLost = done.First.Error()
	}
	now, err := ownCPU()
	if err != nil {
		return r, err
	}
	r.LoaderCPUSeconds = (now - own).Seconds()
	if server.pid > 0 {
		used, err := server.cpu()
		if err != nil {
			return r, err
		}
		r.ServerCPUSeconds = (used - serverCPU).Seconds()
		m, err := server.memory()
		if err != nil {
			return r, err
		}
		r.ServerPeakBytes = m.peak
	}
	if err := r.write(out, c.JSON); err != nil {
		return r, err
	}
	if r.Lost > 0 {
		return r, fmt.Errorf("%d of %d connections were lost; the first because: %s", r.Lost, r.Connections, r.FirstLost)
	}
	return r, nil
}

func (r *MQTTReport) write(out io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "messages/s\t%.0f\n", r.PerSecond)
	fmt.Fprintf(w, "sent, acknowledged\t%d, %d in %.1f s\n", r.Sent, r.Acknowledged, r.Seconds)
	fmt.Fprintf(w, "connections\t%d, connected in %.1f s, %d lost\n", r.Connections, r.ConnectSeconds, r.Lost)
	if r.QoS > 0 {
		fmt.Fprintf(w, "acknowledged in ms\tp50 %.2f, p90 %.2f, p99 %.2f, max %.2f\n", r.Latency.P50, r.Latency.P90, r.Latency.P99, r.Latency.Max)
	}
	if s := r.Followed; s != nil {
		fmt.Fprintf(w, "seen in the live stream\t%d, %d missed\n", s.Points, s.Missed)
		fmt.Fprintf(w, "from sending to seeing in ms\tp50 %.2f, p90 %.2f, p99 %.2f, max %.2f\n", s.Latency.P50, s.Latency.P90, s.Latency.P99, s.Latency.Max)
	}
	fmt.Fprintf(w, "processor of the load\t%.1f s\n", r.LoaderCPUSeconds)
	if r.ServerPeakBytes > 0 {
		fmt.Fprintf(w, "processor of the server\t%.1f s, at most %d MiB of memory\n", r.ServerCPUSeconds, r.ServerPeakBytes>>20)
	}
	return w.Flush()
}
