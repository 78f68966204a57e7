package mqtt

import (
	"bytes"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/source"
)

// oversized is a PUBLISH that is larger than packets may be. Its beginning is
// handed to pipelines as what cannot be read, so that it is kept with the reason,
// and the rest is read and forgotten: a client that is only cut off would send it
// again for ever.
type oversized struct {
	topic   string
	id      uint16
	qos     byte
	payload []byte // as far as it is kept
	size    int    // of the packet
	left    int    // bytes that are still to come
}

const (
	// oversizedHead is how much is kept of such a packet: what the place of refused
	// messages keeps of a payload, and a topic.
	oversizedHead = 68 << 10
	// tooLarge is the reason that it is kept with.
	tooLarge = "too_large"
)

// beginOversized looks at the beginning of a packet that was found wrong, by err.
// If it is a PUBLISH that is too large, and somebody reads its topic, it returns
// how many bytes of b are done with, or how many it needs. It returns err if
// nothing can be done about it.
func (c *conn) beginOversized(b []byte, limit int, err error) (n, need int, _ error) {
	var wire *mqttwire.Error
	if !errors.As(err, &wire) || wire.Reason != mqttwire.PacketTooLarge || mqttwire.Type(b[0]>>4) != mqttwire.PUBLISH || c.session == nil {
		return 0, 0, err
	}
	p, size, bad := mqttwire.Begin(b[:min(len(b), limit, oversizedHead)])
	if bad != nil {
		return 0, 0, bad
	}
	head := min(size, limit, oversizedHead)
	var m mqttwire.Publish
	if m.Decode(p.Flags, p.Body, c.version) != nil {
		if len(b) < head {
			return 0, head, nil
		}
		c.warnOversized("", size, false) // a topic or properties without end
		return 0, 0, err
	}
	if _, bad := c.resolve(&m); bad != nil {
		return 0, 0, bad
	}
	if k := c.lookUp(m.Topic); !k.allowed || len(k.lanes) == 0 {
		c.warnOversized(string(m.Topic), size, false)
		return 0, 0, err
	}
	if len(b) < head {
		return 0, head, nil
	}
	c.oversized = &oversized{topic: string(m.Topic), id: m.PacketID, qos: m.QoS, payload: bytes.Clone(wholeRunes(m.Payload)), size: size, left: size - head}
	return head, head, nil
}

// wholeRunes cuts off what is the beginning of a character only.
func wholeRunes(b []byte) []byte {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return b[:i]
			}
			break
		}
	}
	return b
}

// endOversized hands over what is kept of such a packet, all of which has come.
// Its acknowledgement says that it was not taken, where the protocol has words for
// that.
func (c *conn) endOversized() error {
	o := c.oversized
	c.oversized = nil
	c.broker.stats.received[o.qos].Add(1)
	if o.qos > 0 {
		if err := c.checkWindow(); err != nil {
			return err
		}
	}
	why := &source.Unread{Reason: tooLarge, Detail: fmt.Sprintf("the packet has %d bytes, more than mqtt.max_packet, which is %d; this is how it begins", o.size, c.broker.config.MaxPacket)}
	m := &mqttwire.Publish{QoS: o.qos, PacketID: o.id, Topic: []byte(o.topic), Payload: o.payload}
	k := c.lookUp(m.Topic)
	if !k.allowed || len(k.lanes) == 0 { // since it began
		return &mqttwire.Error{Reason: mqttwire.PacketTooLarge, Problem: why.Detail}
	}
	c.warnOversized(o.topic, o.size, true)
	c.broker.stats.refuse(mqttwire.PacketTooLarge)
	return c.hand(k, m, arrival{id: o.id, qos: o.qos, reason: mqttwire.QuotaExceeded}, why)
}

func (c *conn) warnOversized(topic string, size int, kept bool) {
	if c.broker.warned.due(c.session.client, time.Now()) {
		c.broker.log.Warn("a client of MQTT sends more at once than mqtt.max_packet", "client", c.session.client, "remote", c.remote,
			"topic", topic, "bytes", size, "limit", c.broker.config.MaxPacket, "kept", kept)
	}
}
