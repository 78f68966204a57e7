package kafka

import (
	"regexp"
	"time"

	"github.com/varvedb/varve/kafka"
	"github.com/varvedb/varve/pipeline/declare"
)

// Config says what is read and how.
type Config struct {
	kafka.Connection
	// Topics are read, and those whose whole name a pattern matches and no
	// pattern of Exclude does. Topics that come later are noticed within 15 s.
	Topics, Patterns, Exclude []string
	// Group is the consumer group, under whose name the broker keeps how far the
	// topics have been read. Servers of one group share the partitions.
	Group string
	// Instance is the name of this member in the group; "": it has none. One that
	// is started again under the name that it had goes on at once. No two of a
	// group may have the same.
	Instance string
	// SessionTimeout is after what time without a word from a member its
	// partitions go to the others.
	SessionTimeout time.Duration
	// Latest begins a partition that the group has not read yet at its end
	// instead of at its beginning.
	Latest bool
	// HeaderTags are the tags that are set to headers of a message.
	HeaderTags []HeaderTag
	// BatchMessages is how many messages are handed over at once at most, and
	// InFlight how many batches are under way at once. Messages of a partition
	// are in one batch at a time, so that they are taken in their order.
	BatchMessages int
	InFlight      int
	// BufferBytes bounds the messages that are here and not taken yet; one fetch
	// from each broker comes on top of it.
	BufferBytes int
	// FetchBytes is what a broker is asked for at once, compressed.
	FetchBytes int
	// MaxUnpackedBytes is what a broker's batch may grow to when it is unpacked. A larger
	// one cannot be read.
	MaxUnpackedBytes int
	// StopAtUnreadable lets the partition of a batch that cannot be read stand still
	// instead of handing the batch over as it is, to be kept as refused.
	StopAtUnreadable bool
}

// HeaderTag is a tag that is set to a header.
type HeaderTag struct{ Tag, Header string }

// Default returns what is used unless a declaration says otherwise. Measured
// with varve bench kafka: a batch waits for the disk and for who it is passed on
// to, so that small ones leave processors idle (8192 messages, 16 MiB of buffer:
// 243,000 messages/s on a busy machine, these: 281,000); larger fetches and
// buffers are faster still and cost memory (4 MiB, 64 MiB and 8 in flight:
// 324,000, 500 MiB instead of 330 MiB).
func Default() Config {
	return Config{
		Connection:       kafka.Connection{ClientID: "varve"},
		Group:            "varve",
		SessionTimeout:   45 * time.Second, // as Kafka's own client has it
		BatchMessages:    16384,
		InFlight:         4,
		BufferBytes:      32 << 20,
		FetchBytes:       2 << 20,
		MaxUnpackedBytes: 256 << 20,
	}
}

// Declare reads a section source.kafka of a declaration.
func Declare(s *declare.Map) Config {
	c := Default()
	c.Connection = kafka.Declare(s)
	c.Topics, c.Patterns, c.Exclude = s.Strings("topics"), s.Strings("patterns"), s.Strings("exclude")
	if len(c.Topics)+len(c.Patterns) == 0 {
		s.Fail("topics", "is missing: want names of topics, or patterns")
	}
	for _, key := range []string{"patterns", "exclude"} {
		for _, p := range s.Strings(key) {
			if _, err := regexp.Compile(p); err != nil {
				s.Fail(key, "%q: %v", p, err)
			}
		}
	}
	if len(c.Exclude) > 0 && len(c.Patterns) == 0 {
		s.Fail("exclude", "is for patterns, and there are none")
	}
	c.Group = s.Text("group", c.Group)
	if c.Group == "" {
		s.Fail("group", "want the name of a consumer group")
	}
	c.Instance = s.Text("instance", "")
	if c.SessionTimeout = s.Duration("session_timeout", c.SessionTimeout); c.SessionTimeout < time.Second || c.SessionTimeout > time.Hour {
		s.Fail("session_timeout", "%s: want 1s to 1h", c.SessionTimeout)
	}
	c.Latest = s.Choice("from", "earliest", "earliest", "latest") == "latest"
	for _, p := range s.Pairs("header_tags") {
		c.HeaderTags = append(c.HeaderTags, HeaderTag{Tag: p.Key, Header: p.Value})
	}
	c.BatchMessages = s.Int("batch", c.BatchMessages, 1)
	c.InFlight = s.Int("in_flight", c.InFlight, 1)
	c.BufferBytes = s.Size("buffer", c.BufferBytes)
	c.FetchBytes = s.Size("fetch", c.FetchBytes)
	if c.FetchBytes > 1<<30 {
		s.Fail("fetch", "want at most 1GiB")
	}
	c.MaxUnpackedBytes = s.Size("max_unpacked", c.MaxUnpackedBytes)
	c.StopAtUnreadable = s.Choice("unreadable", "skip", "skip", "stop") == "stop"
	return c
}

// TagNames are the tags that headers become.
func (c *Config) TagNames() []string {
	var all []string
	for _, t := range c.HeaderTags {
		all = append(all, t.Tag)
	}
	return all
}

// expressions returns the patterns as the client wants them: whole names, and
// topics among them. It is nil if there are only topics.
func (c *Config) expressions() (include, exclude []string) {
	if len(c.Patterns) == 0 {
		return nil, nil
	}
	for _, t := range c.Topics {
		include = append(include, "^"+regexp.QuoteMeta(t)+"$")
	}
	for _, p := range c.Patterns {
		include = append(include, "^(?:"+p+")$")
	}
	for _, p := range c.Exclude {
		exclude = append(exclude, "^(?:"+p+")$")
	}
	return include, exclude
}
