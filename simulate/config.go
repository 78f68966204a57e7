package simulate

import (
	"errors"
	"fmt"
	"time"

	"github.com/varvedb/varve/simulate/fleet"
)

// Config says what a run sends, and how fast.
type Config struct {
	Fleet  fleet.Config
	Layout fleet.Layout
	// Topic and Key are templates of what messages are sent under; "": nothing.
	Topic, Key string
	// Senders is how many goroutines make messages and hand them over.
	Senders int
	// Batch is how many messages are handed over at once at most.
	Batch int
	// Linger is how long a message that is due may wait for others.
	Linger time.Duration
	// Fast sends messages without waiting until they are due, and then Rate
	// bounds how many a second: 0 does not.
	Fast bool
	Rate float64
	// Duration is after what time the run ends; 0: when the fleet does.
	Duration time.Duration
	// Grace is how long acknowledgements are waited for after the last message,
	// or after the run was told to end.
	Grace time.Duration
	// Every is how often progress is told.
	Every time.Duration
}

// Default returns a run in real time.
func Default() Config {
	return Config{
		Fleet: fleet.Default(), Layout: fleet.Layout{Format: fleet.JSON, Measurement: "sensor_data"},
		Senders: 2, Batch: 1000, Linger: 5 * time.Millisecond, Grace: 15 * time.Second, Every: 5 * time.Second,
	}
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case c.Senders < 1 || c.Senders > 1024:
		return fmt.Errorf("%d senders: want 1 to 1024", c.Senders)
	case c.Batch < 1 || c.Batch > 100_000:
		return fmt.Errorf("a batch of %d messages: want 1 to 100000", c.Batch)
	case c.Linger < 0 || c.Linger > time.Minute:
		return fmt.Errorf("a linger of %s: want 0 to 1m", c.Linger)
	case !(c.Rate >= 0) || c.Rate > 1e9:
		return fmt.Errorf("a rate of %v messages a second: want 0 to 1e9", c.Rate)
	case c.Rate > 0 && !c.Fast:
		return errors.New("a rate goes with a fast run: in real time it is that of the devices")
	case c.Duration < 0 || c.Grace < 0:
		return errors.New("a duration is not negative")
	case c.Every <= 0:
		return errors.New("progress is told every so often")
	}
	if err := c.Layout.Validate(); err != nil {
		return err
	}
	return c.Fleet.Validate()
}
