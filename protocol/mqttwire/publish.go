package mqttwire

import "encoding/binary"

// Publish is a PUBLISH (section 3.3).
type Publish struct {
	QoS      byte
	Dup      bool
	Retain   bool
	PacketID uint16 // 0 with QoS 0
	Topic    []byte // empty if there is an alias
	// Properties are those of MQTT 5.
	Properties Properties
	Payload    []byte
}

var publishProperties = of(PayloadFormat, MessageExpiry, TopicAlias, ResponseTopic, CorrelationData, UserProperty, SubscriptionIdentifier, ContentType)

// Decode reads a PUBLISH into p. The topic may be empty, and its wildcards are
// not looked at: what is a good topic depends on aliases, which the connection
// knows.
func (p *Publish) Decode(flags byte, body []byte, version byte) error {
	r := reader{b: body}
	*p = Publish{QoS: flags >> 1 & 3, Dup: flags&8 != 0, Retain: flags&1 != 0}
	p.Topic = r.text("the topic")
	if p.QoS > 0 {
		p.PacketID = r.packetID()
	}
	if version == V5 {
		p.Properties = r.properties(PUBLISH, publishProperties)
	}
	p.Payload = r.b
	return r.err
}

// AppendPublish appends p.
func AppendPublish(dst []byte, version byte, p *Publish) []byte {
	flags := p.QoS << 1
	if p.Dup {
		flags |= 8
	}
	if p.Retain {
		flags |= 1
	}
	n := 2 + len(p.Topic) + len(p.Payload)
	if p.QoS > 0 {
		n += 2
	}
	if version == V5 {
		n += sizeVarint(len(p.Properties)) + len(p.Properties)
	}
	dst = appendVarint(append(dst, byte(PUBLISH)<<4|flags), n)
	dst = appendBytes(dst, p.Topic)
	if p.QoS > 0 {
		dst = binary.BigEndian.AppendUint16(dst, p.PacketID)
	}
	if version == V5 {
		dst = appendProperties(dst, p.Properties)
	}
	return append(dst, p.Payload...)
}

// Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP (sections 3.4 to 3.7).
type Ack struct {
	PacketID uint16
	Reason   Reason // of MQTT 5
}

var ackProperties = of(ReasonString, UserProperty)

// DecodeAck reads one of the four.
func DecodeAck(t Type, body []byte, version byte) (Ack, error) {
	r := reader{b: body}
	a := Ack{PacketID: r.packetID()}
	if version == V5 && len(r.b) > 0 {
		a.Reason = Reason(r.byte("the reason"))
		if len(r.b) > 0 {
			r.properties(t, ackProperties)
		}
	}
	return a, r.done()
}

// AppendAck appends one of the four.
func AppendAck(dst []byte, t Type, version byte, a Ack) []byte {
	flags := byte(0)
	if t == PUBREL {
		flags = 2
	}
	if version == V5 && a.Reason != Success {
		return append(dst, byte(t)<<4|flags, 3, byte(a.PacketID>>8), byte(a.PacketID), byte(a.Reason))
	}
	return append(dst, byte(t)<<4|flags, 2, byte(a.PacketID>>8), byte(a.PacketID))
}
