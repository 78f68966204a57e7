package fleet

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Config says which messages a fleet sends. Fleets of equal configurations
// send the same.
type Config struct {
	Seed    uint64
	Devices int
	// Interval is the time between two readings of a device.
	Interval time.Duration
	// Start is the beginning of the first round.
	Start time.Time
	// Until is when the fleet ends; zero: never.
	Until time.Time
	// Count is how many messages it sends at most, repeats included; 0: any
	// number. To find the last of them takes New some 20 ns a message.
	Count int64
	// Kinds is what is measured, of Kinds(); Places is where.
	Kinds, Places []string
	// Precision is what times of readings are multiples of: 1ns to 1s.
	Precision time.Duration
	// Collisions lets all devices read at the beginning of a round, so that
	// readings of one kind, place and time overwrite each other where no tag
	// tells the devices apart. Otherwise no two are of one kind, place and time.
	Collisions bool

	// Late is the share of messages that are sent after their time, by
	// MaxLateness at most; Repeated that of those which are sent twice, a round
	// apart; Gaps that of those which are never sent, some in a row at a time.
	Late        float64
	MaxLateness time.Duration
	Repeated    float64
	Gaps        float64
	// Refused is the share of messages that break a rule: a value or quality out
	// of range, something missing, text for a number.
	Refused float64
	// Anomalies is the share of readings that lie in a labelled window.
	Anomalies float64
}

// Default returns a fleet of a hundred devices that read every ten seconds,
// with a little of everything that goes wrong.
func Default() Config {
	return Config{
		Seed: 1, Devices: 100, Interval: 10 * time.Second,
		Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Kinds: Kinds(), Places: Places(), Precision: time.Microsecond,
		Late: 0.005, MaxLateness: 2 * time.Minute, Repeated: 0.002, Gaps: 0.005, Refused: 0.002, Anomalies: 0.01,
	}
}

const (
	// maxDevices keeps numbers of readings exact as floats: 2^53 is 50 million
	// devices for 180 million rounds.
	maxDevices = 50_000_000
	// maxCombinations bounds kinds times places, of which an encoder keeps texts.
	maxCombinations = 1 << 16
	maxNameBytes    = 64
)

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if c.Devices < 1 || c.Devices > maxDevices {
		return fmt.Errorf("%d devices: want 1 to %d", c.Devices, maxDevices)
	}
	if c.Interval < time.Millisecond || c.Interval > 24*time.Hour {
		return fmt.Errorf("an interval of %s: want 1ms to 24h", c.Interval)
	}
	switch c.Precision {
	case time.Nanosecond, time.Microsecond, time.Millisecond, time.Second:
	default:
		return fmt.Errorf("a precision of %s: want 1ns, 1us, 1ms or 1s", c.Precision)
	}
	if y := c.Start.UTC().Year(); y < 1970 || y > 2200 {
		return fmt.Errorf("a start in the year %d: want 1970 to 2200", y)
	}
	if c.Start.UnixNano()%int64(c.Precision) != 0 || c.Interval%c.Precision != 0 {
		return fmt.Errorf("start %s and interval %s have to be multiples of the precision, %s", c.Start.UTC().Format(time.RFC3339Nano), c.Interval, c.Precision)
	}
	if !c.Until.IsZero() && (c.Until.Before(c.Start) || c.Until.Year() > 2200) {
		return fmt.Errorf("an end at %s: want it after the start, %s, and before 2201", c.Until.UTC().Format(time.RFC3339Nano), c.Start.UTC().Format(time.RFC3339Nano))
	}
	if c.Count < 0 {
		return fmt.Errorf("a count of %d messages: want 1 or more", c.Count)
	}
	if err := c.validateNames(); err != nil {
		return err
	}
	// Devices of one kind and place are so many others apart.
	apart := len(c.Kinds) * len(c.Places)
	if !c.Collisions && c.Devices > apart && float64(c.Interval)/float64(c.Devices)*float64(apart) < float64(c.Precision) {
		return fmt.Errorf("%d devices every %s are too many for times of %s: two of one kind and place would have the same; take a finer precision, or allow collisions", c.Devices, c.Interval, c.Precision)
	}
	return c.validateShares()
}

func (c Config) validateNames() error {
	if len(c.Kinds) == 0 || len(c.Places) == 0 {
		return fmt.Errorf("a fleet needs a kind and a place")
	}
	if len(c.Kinds)*len(c.Places) > maxCombinations {
		return fmt.Errorf("%d kinds at %d places: want %d combinations at most", len(c.Kinds), len(c.Places), maxCombinations)
	}
	for _, name := range c.Kinds {
		if _, ok := kindOf(name); !ok {
			return fmt.Errorf("kind %q: want some of %s", name, strings.Join(Kinds(), ", "))
		}
	}
	for _, names := range [][]string{c.Kinds, c.Places} {
		seen := map[string]bool{}
		for _, name := range names {
			if seen[name] {
				return fmt.Errorf("%q stands there twice", name)
			}
			seen[name] = true
		}
	}
	for _, name := range c.Places {
		if name == "" || len(name) > maxNameBytes || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`"\,=/+#$`, r) }) {
			return fmt.Errorf("place %q: want up to %d bytes without blanks, quotes and the signs \\ , = / + # $", name, maxNameBytes)
		}
	}
	return nil
}

func (c Config) validateShares() error {
	for _, s := range []struct {
		name       string
		value, max float64
	}{
		{"late messages", c.Late, 0.5},
		{"repeated messages", c.Repeated, 1},
		{"refused messages", c.Refused, 1},
		// Windows do not meet, so there is room for so many only.
		{"readings in gaps", c.Gaps, math.Floor(100*float64(meanGap)/windowEvery) / 100},
		{"anomalies", c.Anomalies, math.Floor(100*float64(meanAnomaly)/windowEvery) / 100},
	} {
		if !(s.value >= 0 && s.value <= s.max) {
			return fmt.Errorf("a share of %v of %s: want 0 to %v", s.value, s.name, s.max)
		}
	}
	if c.Late > 0 && c.MaxLateness < c.Interval {
		return fmt.Errorf("messages that are late by %s at most: want an interval, %s, or more, or none that are late", c.MaxLateness, c.Interval)
	}
	if c.MaxLateness > 10*365*24*time.Hour {
		return fmt.Errorf("messages that are late by %s: want ten years at most", c.MaxLateness)
	}
	return nil
}
