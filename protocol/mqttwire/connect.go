package mqttwire

import (
	"encoding/binary"
	"math"
)

// Connect is a CONNECT (section 3.1).
type Connect struct {
	Version     byte
	CleanStart  bool
	KeepAlive   uint16 // seconds; 0: none
	ClientID    string
	HasUser     bool
	User        string
	HasPassword bool
	Password    []byte
	Will        *Will
	// Of MQTT 5; with their defaults where they are absent.
	SessionExpiry  uint32 // seconds; MaxUint32: never
	ReceiveMaximum uint16
	MaximumPacket  uint32 // bytes; 0: no limit
	NoProblems     bool   // reason strings are not wanted
	AuthMethod     string
}

// Will is what a broker publishes for a client that is gone.
type Will struct {
	Topic      string
	Payload    []byte
	QoS        byte
	Retain     bool
	Delay      uint32     // seconds
	Properties Properties // those that go into the PUBLISH
}

var (
	connectProperties = of(SessionExpiry, ReceiveMaximum, MaximumPacketSize, TopicAliasMaximum, RequestResponse, RequestProblem, UserProperty, AuthMethod, AuthData)
	willProperties    = of(WillDelay, PayloadFormat, MessageExpiry, ContentType, ResponseTopic, CorrelationData, UserProperty)
)

// DecodeConnect reads a CONNECT. If the version is none that is known, the
// error has the reason UnsupportedVersion.
func DecodeConnect(body []byte) (*Connect, error) {
	r := &reader{b: body}
	name := r.bytes("the protocol's name")
	c := &Connect{Version: r.byte("the version"), ReceiveMaximum: math.MaxUint16}
	switch {
	case r.err != nil:
		return nil, r.err
	case string(name) == "MQIsdp" || string(name) == "MQTT" && c.Version != V311 && c.Version != V5:
		return nil, &Error{UnsupportedVersion, "MQTT 3.1.1 and 5 are spoken"}
	case string(name) != "MQTT":
		return nil, violation("this is not MQTT")
	}
	flags := r.byte("the flags")
	c.CleanStart = flags&2 != 0
	hasWill, willQoS, willRetain := flags&4 != 0, flags>>3&3, flags&32 != 0
	c.HasPassword, c.HasUser = flags&64 != 0, flags&128 != 0
	switch {
	case flags&1 != 0:
		return nil, malformed("the reserved flag of CONNECT is set")
	case willQoS == 3, !hasWill && (willQoS != 0 || willRetain):
		return nil, malformed("the flags of the will")
	case c.Version == V311 && c.HasPassword && !c.HasUser:
		return nil, malformed("a password without a user name")
	}
	c.KeepAlive = r.uint16("the keep alive")
	if c.Version == V5 {
		for id, v := range r.properties(CONNECT, connectProperties).All() {
			switch id {
			case SessionExpiry:
				c.SessionExpiry = v.Number
			case ReceiveMaximum:
				c.ReceiveMaximum = uint16(v.Number)
			case MaximumPacketSize:
				c.MaximumPacket = v.Number
			case RequestProblem:
				c.NoProblems = v.Number == 0
			case AuthMethod:
				c.AuthMethod = string(v.Data)
			}
		}
	} else if !c.CleanStart {
		c.SessionExpiry = math.MaxUint32
	}
	c.ClientID = string(r.text("the client id"))
	if hasWill {
		w := &Will{QoS: willQoS, Retain: willRetain}
		if c.Version == V5 {
			p := r.properties(CONNECT, willProperties)
			if v, ok := p.Get(WillDelay); ok {
				w.Delay = v.Number
			}
			w.Properties = append(Properties(nil), p.Without(WillDelay)...)
		}
		w.Topic = string(r.text("the topic of the will"))
		w.Payload = append([]byte(nil), r.bytes("the payload of the will")...)
		c.Will = w
	}
	if c.HasUser {
		c.User = string(r.text("the user name"))
	}
	if c.HasPassword {
		c.Password = append([]byte(nil), r.bytes("the password")...)
	}
	return c, r.done()
}

// AppendConnect appends c as a client sends it.
func AppendConnect(dst []byte, c *Connect) []byte {
	dst, start := open(append(dst, byte(CONNECT)<<4))
	dst = append(appendText(dst, "MQTT"), c.Version)
	var flags byte
	for i, on := range []bool{false, c.CleanStart, c.Will != nil, false, false, c.Will != nil && c.Will.Retain, c.HasPassword, c.HasUser} {
		if on {
			flags |= 1 << i
		}
	}
	if c.Will != nil {
		flags |= c.Will.QoS << 3
	}
	dst = binary.BigEndian.AppendUint16(append(dst, flags), c.KeepAlive)
	if c.Version == V5 {
		var p Properties
		if c.SessionExpiry > 0 {
			p = AppendNumber(p, SessionExpiry, c.SessionExpiry)
		}
		if c.ReceiveMaximum > 0 && c.ReceiveMaximum < math.MaxUint16 {
			p = AppendNumber(p, ReceiveMaximum, uint32(c.ReceiveMaximum))
		}
		if c.MaximumPacket > 0 {
			p = AppendNumber(p, MaximumPacketSize, c.MaximumPacket)
		}
		if c.NoProblems {
			p = AppendNumber(p, RequestProblem, 0)
		}
		if c.AuthMethod != "" {
			p = AppendData(p, AuthMethod, []byte(c.AuthMethod))
		}
		dst = appendProperties(dst, p)
	}
	dst = appendText(dst, c.ClientID)
	if w := c.Will; w != nil {
		if c.Version == V5 {
			p := w.Properties
			if w.Delay > 0 {
				p = AppendNumber(append(Properties(nil), p...), WillDelay, w.Delay)
			}
			dst = appendProperties(dst, p)
		}
		dst = appendBytes(appendText(dst, w.Topic), w.Payload)
	}
	if c.HasUser {
		dst = appendText(dst, c.User)
	}
	if c.HasPassword {
		dst = appendBytes(dst, c.Password)
	}
	return shut(dst, start)
}

// Connack is a CONNACK (section 3.2).
type Connack struct {
	Present    bool // a session was there
	Reason     Reason
	Properties Properties
}

var connackProperties = of(SessionExpiry, ReceiveMaximum, MaximumQoS, RetainAvailable, MaximumPacketSize, AssignedClientID, TopicAliasMaximum, ReasonString,
	UserProperty, WildcardAvailable, IdentifiersAvailable, SharedAvailable, ServerKeepAlive, ResponseInformation, ServerReference, AuthMethod, AuthData)

// AppendConnack appends c.
func AppendConnack(dst []byte, version byte, c *Connack) []byte {
	dst, start := open(append(dst, byte(CONNACK)<<4))
	present := byte(0)
	if c.Present {
		present = 1
	}
	if version == V5 {
		dst = appendProperties(append(dst, present, byte(c.Reason)), c.Properties)
	} else {
		dst = append(dst, present, c.Reason.v311())
	}
	return shut(dst, start)
}

// DecodeConnack reads a CONNACK.
func DecodeConnack(body []byte, version byte) (*Connack, error) {
	r := &reader{b: body}
	flags := r.byte("the flags")
	if flags > 1 {
		return nil, malformed("flags %#x of CONNACK", flags)
	}
	c := &Connack{Present: flags == 1}
	code := r.byte("the reason")
	if version == V5 {
		c.Reason = Reason(code)
		c.Properties = r.properties(CONNACK, connackProperties)
	} else {
		c.Reason = fromV311(code)
	}
	return c, r.done()
}
