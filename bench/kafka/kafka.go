// Package kafka measures how fast the server reads a backlog from a topic of
// Kafka through the default pipeline, to the disk and to another topic. Broker,
// server and the fleet that fills the topic are processes of their own, all of
// them this program, unless a broker is given. `varve bench kafka` calls it.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	backlogTopic   = "sensor-data"
	processedTopic = "processed-data"
	group          = "varve"
	// lookEvery is how often the broker is asked how far the server is.
	lookEvery = 100 * time.Millisecond
	// steadyFrom and steadyTo are the shares of the backlog between which the
	// steady rate is taken: without the joining of the group, and without the end,
	// where batches are small.
	steadyFrom, steadyTo = 0.1, 0.9
)

// Config says what is measured.
type Config struct {
	// Brokers are those of a real Kafka; none: a fake one is started.
	Brokers []string
	// BrokerPID is the process of a real broker on this machine; 0: not known.
	BrokerPID int
	// Messages is the size of the backlog and Devices who sends it.
	Messages, Devices int
	Partitions        int
	// DataDir is where the server stores, which is emptied; "" is a temporary
	// folder.
	DataDir string
	// Pipelines is the file of pipelines; builtin is the default one.
	Pipelines string
	// ServerArgs are more arguments of the server.
	ServerArgs []string
	// Progress is told what happens, for people.
	Progress func(format string, args ...any)
	// CPU tells how much processor time a process has used.
	CPU func(pid int) (time.Duration, error)
	// PeakMemory tells the most bytes that a process has had.
	PeakMemory func(pid int) (int64, error)
	// Idle tells how long the processors of the machine have had nothing to do.
	Idle func() (time.Duration, error)
}

// Default returns the backlog that the project judges itself by.
func Default() Config {
	return Config{Messages: 5_000_000, Devices: 1000, Partitions: 8, Pipelines: "builtin"}
}

// Validate says what makes no sense.
func (c *Config) Validate() error {
	if c.Messages < 1 || c.Devices < 1 || c.Partitions < 1 {
		return fmt.Errorf("%d messages of %d devices in %d partitions: want more than none of each", c.Messages, c.Devices, c.Partitions)
	}
	return nil
}

// Result is what came of it.
type Result struct {
	Messages  int64
	Processed int64         // that were passed on
	Elapsed   time.Duration // from the start of the server's process to the last commit
	Steady    float64       // messages a second in the middle
	Fill      time.Duration // how long the backlog took to be made
	ServerCPU time.Duration // while reading
	BrokerCPU time.Duration // the same; 0: not known
	Idle      time.Duration // of the processors, while reading
	Memory    int64         // of the server, bytes, at most
}

// Run makes the backlog and lets a server read it.
func Run(ctx context.Context, c Config) (Result, error) {
	r := Result{Messages: int64(c.Messages)}
	if err := c.Validate(); err != nil {
		return r, err
	}
	broker := c.BrokerPID
	if len(c.Brokers) == 0 {
		b, err := spawn("bench", "kafka-broker")
		if err != nil {
			return r, err
		}
		defer b.end()
		addr := <-b.first
		if addr == "" {
			<-b.gone
			return r, b.failure()
		}
		c.Brokers, broker = []string{addr}, b.pid()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers...))
	if err != nil {
		return r, fmt.Errorf("kafka: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for _, topic := range []string{backlogTopic, processedTopic} {
		if _, err := admin.CreateTopic(ctx, int32(c.Partitions), 1, nil, topic); errors.Is(err, kerr.TopicAlreadyExists) {
			return r, fmt.Errorf("topic %s is there already: the backlog would not be the one that is measured; delete it, or use another broker", topic)
		} else if err != nil {
			return r, fmt.Errorf("make topic %s: %w", topic, err)
		}
	}
	began := time.Now()
	c.Progress("sending %d messages to topic %s of %s", c.Messages, backlogTopic, strings.Join(c.Brokers, ","))
	if err := c.fill(ctx); err != nil {
		return r, err
	}
	r.Fill = time.Since(began)
	c.Progress("they are there after %.1f s; starting the server", r.Fill.Seconds())
	return c.read(ctx, admin, broker, r)
}

// fill lets a simulated fleet send the backlog.
func (c *Config) fill(ctx context.Context) error {
	s, err := spawn("simulate", "--to", "kafka://"+strings.Join(c.Brokers, ","), "--fast",
		"--count", strconv.Itoa(c.Messages), "--devices", strconv.Itoa(c.Devices))
	if err != nil {
		return err
	}
	return s.wait(ctx)
}

// read lets a server read the backlog and watches.
func (c *Config) read(ctx context.Context, admin *kadm.Client, broker int, r Result) (Result, error) {
	dir := c.DataDir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "varve-bench-kafka"); err != nil {
			return r, fmt.Errorf("make a folder for data: %w", err)
		}
		defer os.RemoveAll(dir)
	}
	if err := os.Setenv("KAFKA_BROKERS", c.Brokers[0]); err != nil { // the default pipeline reads it
		return r, fmt.Errorf("name the broker to the server: %w", err)
	}
	ends, err := admin.ListEndOffsets(ctx, backlogTopic)
	if err != nil {
		return r, fmt.Errorf("look at the backlog: %w", err)
	}
	total := sum(ends)
	brokerFrom, err := c.cpu(broker)
	if err != nil {
		return r, err
	}
	idleFrom, err := c.Idle()
	if err != nil {
		return r, err
	}
	began := time.Now()
	s, err := spawn(append([]string{"serve", "--data-dir", filepath.Join(dir, "data"), "--http-addr", "127.0.0.1:0",
		"--service-addr", "127.0.0.1:0", "--pipelines-file", c.Pipelines}, c.ServerArgs...)...)
	if err != nil {
		return r, err
	}
	defer s.end()
	go func() { <-s.first }()
	var steadyBegan, steadyEnded time.Time
	var steadyFirst, steadyLast int64
	for {
		if err := s.running(); err != nil {
			return r, err
		}
		read, err := committed(ctx, admin)
		if err != nil {
			return r, err
		}
		now := time.Now()
		if share := float64(read) / float64(total); share >= steadyFrom && share <= steadyTo {
			if steadyBegan.IsZero() {
				steadyBegan, steadyFirst = now, read
			}
			steadyEnded, steadyLast = now, read
		}
		if read >= total {
			r.Elapsed = now.Sub(began)
			break
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(lookEvery):
		}
	}
	if d := steadyEnded.Sub(steadyBegan); d > 0 {
		r.Steady = float64(steadyLast-steadyFirst) / d.Seconds()
	}
	if r.Idle, err = c.Idle(); err != nil {
		return r, err
	}
	r.Idle -= idleFrom
	if r.ServerCPU, err = c.cpu(s.pid()); err != nil {
		return r, err
	}
	if r.Memory, err = c.PeakMemory(s.pid()); err != nil {
		return r, err
	}
	if r.BrokerCPU, err = c.cpu(broker); err != nil {
		return r, err
	}
	r.BrokerCPU -= brokerFrom
	out, err := admin.ListEndOffsets(ctx, processedTopic)
	if err != nil {
		return r, fmt.Errorf("look at what was passed on: %w", err)
	}
	r.Processed = sum(out)
	return r, nil
}

// cpu is the processor time of a process, 0 of one that is not known.
func (c *Config) cpu(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	return c.CPU(pid)
}

func sum(all kadm.ListedOffsets) int64 {
	n := int64(0)
	all.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

// committed is how many messages the group has read.
func committed(ctx context.Context, admin *kadm.Client) (int64, error) {
	all, err := admin.FetchOffsets(ctx, group)
	// A group that nobody has joined yet is not there, nor is what it would be asked of.
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) && !kerr.IsRetriable(err) {
		return 0, fmt.Errorf("ask how far the server is: %w", err)
	}
	n := int64(0)
	all.Each(func(o kadm.OffsetResponse) {
		if o.Topic == backlogTopic {
			n += max(o.At, 0)
		}
	})
	return n, nil
}
