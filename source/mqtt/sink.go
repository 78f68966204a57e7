package mqtt

import (
	"context"

	"github.com/varvedb/varve/pipeline"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/protocol/topic"
)

// SinkConfig is where a pipeline publishes what it passes on.
type SinkConfig struct {
	Topic  string
	QoS    byte
	Retain bool
}

// DeclareSink reads the section of a pipeline's sink.
func DeclareSink(s *declare.Map) SinkConfig {
	c := SinkConfig{Topic: s.Required("topic"), QoS: s.Choice("qos", "1", "0", "1", "2")[0] - '0', Retain: s.Bool("retain", false)}
	if c.Topic != "" {
		if err := topic.CheckName(c.Topic); err != nil {
			s.Fail("topic", "%v", err)
		}
	}
	return c
}

// Sink publishes to the subscribers of the broker. It implements
// pipeline.Producer.
type Sink struct {
	broker *Broker
	config SinkConfig
}

// Sink returns a sink of a pipeline.
func (b *Broker) Sink(c SinkConfig) *Sink { return &Sink{b, c} }

// Produce implements pipeline.Producer: the messages are with the sessions of
// those who subscribe. Who is away, and has a session that lasts, gets those of
// QoS 1 and 2 later.
func (s *Sink) Produce(_ context.Context, messages []pipeline.Outgoing) error {
	for i := range messages {
		name := messages[i].Topic
		if name == "" {
			name = s.config.Topic
		}
		if err := s.broker.Publish(name, messages[i].Value, s.config.QoS, s.config.Retain); err != nil {
			return err
		}
	}
	return nil
}

// Close implements pipeline.Producer; there is nothing to close.
func (*Sink) Close() error { return nil }
