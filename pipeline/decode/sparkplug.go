package decode

import (
	"context"
	"time"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/pipeline/rule"
	"github.com/varvedb/varve/protocol/sparkplug"
	"github.com/varvedb/varve/source"
)

// sparkplugFormat is Sparkplug B; sparkplug.Declare has its settings. What nodes
// have announced is remembered for all decoders of a pipeline together.
type sparkplugFormat struct{ host *sparkplug.Host }

func declareSparkplug(s *declare.Map, key string) Format {
	m := s.Section(key)
	f := &sparkplugFormat{sparkplug.NewHost(sparkplug.Declare(m))}
	s.Add(m.Err())
	return f
}

// Names implements Format.
func (f *sparkplugFormat) Names() rule.Names {
	return rule.Names{Fields: unknown(), Tags: []string{"group", "node", "device"}, Open: true}
}

// Decoder implements Format.
func (f *sparkplugFormat) Decoder() Decoder { return f }

// replyWait is how long a command to a node may take to be sent: a node that is
// not reached is asked again when it speaks again.
const replyWait = time.Second

// Decode implements Decoder. A node whose birth certificate is missing is asked
// for it.
func (f *sparkplugFormat) Decode(m *source.Message, n int, now int64, out *record.List) error {
	command, err := f.host.Decode(m.Topic, m.Payload, n, m.Time, now, out)
	if command != nil && m.Reply != nil {
		ctx, cancel := context.WithTimeout(context.Background(), replyWait)
		defer cancel()
		// It cannot be sent while the node is away, which then announces itself anew.
		_ = m.Reply(ctx, command.Topic, command.Payload)
	}
	return err
}
