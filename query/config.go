package query

import (
	"fmt"
	"runtime"
	"time"
)

// Config sets the limits of a Driver.
type Config struct {
	// Concurrency is how many questions run at once; 0 takes placesPerProcessor
	// for each processor.
	Concurrency int
	// Queue is how many may wait for a place, QueueWait how long.
	Queue     int
	QueueWait time.Duration
	// Memory is how many bytes a question may keep at once; 0 takes half of
	// what all questions have together.
	Memory int64
	// Timeout is how long a question may take, its wait and the time that the
	// client takes to read the answer included.
	Timeout time.Duration
	// Slow is from which duration on a question is logged; 0 logs none.
	Slow time.Duration
}

// placesPerProcessor lets a quick question share the processors with some
// that take long: each scan alone can use them all, and the runtime gives each
// its turn. Many more would share the memory in parts too small to work with.
const placesPerProcessor = 4

// Default returns the limits that a server starts with.
func Default() Config {
	return Config{
		// A connection and a goroutine each; some dashboards at once.
		Queue: 256,
		// Below the time after which dashboards and clients give up (10 s and
		// more), so that they get the reason.
		QueueWait: 8 * time.Second,
		Timeout:   5 * time.Minute,
		Slow:      time.Second,
	}
}

// Validate reports the first setting that makes no sense.
func (c Config) Validate() error {
	switch {
	case c.Concurrency < 0:
		return fmt.Errorf("%d questions at once, want at least 1, or 0 for %d a processor", c.Concurrency, placesPerProcessor)
	case c.Queue < 0:
		return fmt.Errorf("queue of %d questions, want 0 (nobody waits) or more", c.Queue)
	case c.QueueWait < 0:
		return fmt.Errorf("wait in the queue is %s, want 0 (nobody waits) or more", c.QueueWait)
	case c.Memory < 0:
		return fmt.Errorf("memory of a question is %d bytes, want more, or 0 for half of what all have", c.Memory)
	case c.Timeout <= 0:
		return fmt.Errorf("timeout of a question is %s, want more than 0", c.Timeout)
	case c.Slow < 0:
		return fmt.Errorf("questions are slow from %s on, want more, or 0 to log none", c.Slow)
	}
	return nil
}

// resolve fills in what depends on the machine; pool is what all questions
// have together.
func (c Config) resolve(pool int64) Config {
	if c.Concurrency == 0 {
		c.Concurrency = placesPerProcessor * runtime.GOMAXPROCS(0)
	}
	if c.Memory == 0 {
		c.Memory = pool / 2
	}
	return c
}
